//! What the lanes of one seed share: the cache, its clock, and the count of moments.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hydracache::{BoxError, Bytes, CacheResult, Clock, Codec, HydraCache, ManualClock, Postcard};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::history::{Call, Event, GARBLED, KEYS};

/// What lanes do, and how many there are.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    pub threads: usize,
    /// How many futures take turns on each thread.
    pub lanes: usize,
    /// How many calls each of them makes in one history.
    pub calls: usize,
    /// How many of 16 calls load.
    pub loads: usize,
    /// Loaders may choose tags.
    pub own: bool,
    /// Values may have a time to live, and the clock moves.
    pub time: bool,
    /// Values may be garbled.
    pub garbled: bool,
    /// From 16,384 on there are several shards: 64 at the most.
    pub capacity: u64,
}

impl Kind {
    pub fn is_apart(&self) -> bool {
        self.capacity >= 16_384
    }
}

/// Lets another thread go first, now and then.
#[derive(Default)]
struct Pauses(AtomicU64);

impl Pauses {
    fn next(&self) {
        if self.0.fetch_add(1, Ordering::Relaxed) % 8 == 0 {
            std::thread::yield_now();
        }
    }
}

/// A clock that is asked under the lock, and now and then takes its time, so that others
/// come to wait for the lock.
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

/// A codec that runs between two critical sections, and now and then takes its time.
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

/// What the lanes of one seed share.
pub struct World {
    pub kind: Kind,
    pub cache: HydraCache<SlowCodec>,
    pub clock: ManualClock,
    stamps: AtomicU64,
}

impl World {
    pub fn new(kind: Kind) -> Self {
        let clock = ManualClock::new();
        let builder = HydraCache::local().max_capacity(kind.capacity);
        let slow = SlowClock {
            clock: clock.clone(),
            pauses: Pauses::default(),
        };
        Self {
            kind,
            cache: builder.clock(slow).codec(SlowCodec::default()).build(),
            clock,
            stamps: AtomicU64::new(0),
        }
    }

    /// The next number: what was given one before happened before.
    pub fn stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Ordering::SeqCst)
    }

    /// Records what is there when nobody else does anything.
    pub async fn look(&self, key: usize) -> Event {
        let from = self.stamp();
        let saw = seen(self.cache.peek(KEYS[key]).await);
        let call = Call::Get { key, saw };
        let to = self.stamp();
        Event { from, to, call }
    }
}

/// What a read saw.
pub fn seen(read: CacheResult<Option<u32>>) -> Option<u32> {
    match read {
        Ok(read) => read,
        Err(error) if error.is_decode() => Some(GARBLED),
        Err(error) => panic!("{error}"),
    }
}

/// Random numbers: a step of `SplitMix64` each.
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
