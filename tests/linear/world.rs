//! State shared by the callers of one seed: the cache, the clock, and a counter of moments.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hydracache::{BoxError, Bytes, CacheResult, Clock, Codec, HydraCache, ManualClock, Postcard};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::history::{Call, Event, KEYS, UNDECODABLE};

/// The number of callers and the mix of calls.
#[derive(Clone, Copy)]
pub struct Setup {
    pub name: &'static str,
    pub threads: usize,
    /// Callers on each thread; more than one are futures on one executor.
    pub callers: usize,
    /// Calls of each caller in one history.
    pub calls: usize,
    /// The number of loading calls in 16 calls.
    pub loads: usize,
    /// Some loaders choose tags.
    pub loader_tags: bool,
    /// Some values have a time to live, and the clock advances.
    pub time: bool,
    /// Some stored values cannot be decoded.
    pub undecodable: bool,
    /// From 16,384 on the cache has several shards, at most 64.
    pub capacity: u64,
}

impl Setup {
    pub fn is_sharded(&self) -> bool {
        self.capacity >= 16_384
    }
}

/// Yields to other threads now and then.
#[derive(Default)]
struct Pauses(AtomicU64);

impl Pauses {
    fn next(&self) {
        if self.0.fetch_add(1, Ordering::Relaxed) % 8 == 0 {
            std::thread::yield_now();
        }
    }
}

/// A clock that yields now and then. The cache reads the clock under a shard's lock, so other
/// threads come to wait for the lock.
struct SlowClock {
    clock: ManualClock,
    pauses: Pauses,
}

impl Clock for SlowClock {
    fn now(&self) -> Duration {
        let now = self.clock.now();
        self.pauses.next();
        now
    }
}

/// A codec that yields now and then, between two critical sections of a call.
#[derive(Default)]
pub struct SlowCodec(Pauses);

impl Codec for SlowCodec {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        self.0.next();
        Postcard.encode(value)
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        self.0.next();
        Postcard.decode(bytes)
    }
}

/// State shared by the callers of one seed.
pub struct World {
    pub setup: Setup,
    pub cache: HydraCache<SlowCodec>,
    pub clock: ManualClock,
    stamps: AtomicU64,
}

impl World {
    pub fn new(setup: Setup) -> Self {
        let clock = ManualClock::new();
        let builder = HydraCache::local().max_capacity(setup.capacity);
        let slow = SlowClock {
            clock: clock.clone(),
            pauses: Pauses::default(),
        };
        Self {
            setup,
            cache: builder.clock(slow).codec(SlowCodec::default()).build(),
            clock,
            stamps: AtomicU64::new(0),
        }
    }

    /// The next moment: an earlier event has a smaller number.
    pub fn stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Ordering::SeqCst)
    }

    /// Records the value of a key while no other call runs.
    pub async fn read(&self, key: usize) -> Event {
        let from = self.stamp();
        let saw = value_seen(self.cache.peek(KEYS[key]).await);
        let call = Call::Get { key, saw };
        let to = self.stamp();
        Event { from, to, call }
    }
}

/// The value id of a read, or `UNDECODABLE`.
pub fn value_seen(read: CacheResult<Option<u32>>) -> Option<u32> {
    match read {
        Ok(read) => read,
        Err(error) if error.is_decode() => Some(UNDECODABLE),
        Err(error) => panic!("{error}"),
    }
}

/// Random numbers by `SplitMix64`.
pub struct Random(Cell<u64>);

impl Random {
    pub fn new(seed: u64) -> Self {
        let random = Self(Cell::new(seed));
        random.next();
        random
    }

    pub fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mut mixed = self.0.get();
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub fn below(&self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap()
    }

    pub fn one_in(&self, many: usize) -> bool {
        self.below(many) == 0
    }
}
