//! Everything that the clones of one cache share, and the acts that wait for
//! nobody.
//!
//! Here the caller's own code runs, before a shard is locked or after: values are
//! encoded and decoded, and types compared.

mod invalidate;
mod names;
mod settings;
mod update;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::names::{Names, Types};
pub(crate) use self::settings::Settings;
use crate::error::{CacheError, CacheResult};
use crate::key::{Hashing, Key, Lookup, Text, hash_key};
use crate::options::CacheOptions;
use crate::runtime::{Now, Timer};
use crate::shard::{Journal, Seen, Shard, Write};
use crate::stats::{CacheStats, Tally, count};
use crate::value::{Codec, Encoded, Form, Read, Shared, TypeTag, Unreadable, decode, encode};

/// One of so many writes to a shard looks after whichever shard's turn it is as well.
const WRITES_A_VISIT: usize = 8;

/// How many entries are given back at a time, between two chances for others.
pub(crate) const SLICE: usize = 256;

/// What a handle holds, and a load that outlives its call.
pub(crate) type Handle<C> = Arc<Engine<C>>;

pub(crate) struct Engine<C> {
    pub(crate) shards: Box<[Shard]>,
    pub(crate) hashing: Hashing,
    codec: C,
    pub(crate) settings: Settings,
    pub(crate) tally: Tally,
    pub(crate) journal: Journal,
    pub(crate) names: Names,
    /// How many loads run in the background.
    pub(crate) background: AtomicUsize,
}

impl<C> Engine<C> {
    /// The shard's own table uses the hash as it is. Of foldhash's fast variant no few bits
    /// are spread evenly under every seed: they are multiplied before some are taken.
    #[inline]
    pub(crate) fn shard_of(&self, hash: u64) -> &Shard {
        let spread = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        #[allow(clippy::cast_possible_truncation, reason = "16 bits are left")]
        let index = spread as usize & (self.shards.len() - 1);
        &self.shards[index]
    }

    pub(crate) fn hash_of_tag(&self, name: &Text) -> u64 {
        self.hashing.hash(name.as_bytes())
    }

    pub(crate) fn timer(&self) -> Option<&dyn Timer> {
        self.settings.timer.as_deref()
    }
}

impl<C: Codec> Engine<C> {
    pub(crate) fn new(settings: Settings, codec: C) -> Self {
        let hashing = Hashing::new(settings.hasher);
        let shard = |limits| Shard::new(limits, hashing.clone(), settings.listener.clone());
        Self {
            shards: settings.limits().map(shard).collect(),
            hashing,
            codec,
            settings,
            tally: Tally::default(),
            journal: Journal::default(),
            names: Names::default(),
            background: AtomicUsize::new(0),
        }
    }

    /// A key with its hash.
    #[inline]
    pub(crate) fn key_of<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        let hash = hash_key(&self.hashing, bytes);
        Key { hash, bytes }
    }

    /// That, and the shard it falls in.
    #[allow(clippy::inline_always, reason = "every hit runs through it: measured")]
    #[inline(always)]
    pub(crate) fn locate<'a>(&self, bytes: &'a [u8]) -> (Key<'a>, &Shard) {
        let key = self.key_of(bytes);
        (key, self.shard_of(key.hash))
    }

    #[inline]
    pub(crate) fn now(&self) -> Now<'_> {
        Now::of(&*self.settings.clock)
    }

    pub(crate) fn get<V: DeserializeOwned>(&self, key: &[u8]) -> CacheResult<Option<V>> {
        let (at, shard) = self.locate(key);
        let found = shard.read(at, &self.now());
        self.tally.count(found.is_some());
        let Some(found) = found else {
            return Ok(None);
        };
        let value = self.decode(key, &found);
        if value.as_ref().is_err_and(CacheError::is_decode) {
            shard.count(|stats| count(&mut stats.decode_failures, 1));
        }
        value.map(Some)
    }

    pub(crate) fn peek<V: DeserializeOwned>(&self, key: &[u8]) -> CacheResult<Option<V>> {
        let (at, shard) = self.locate(key);
        let found = shard.peek(at, &self.now());
        found.map(|found| self.decode(key, &found)).transpose()
    }

    pub(crate) fn get_bytes(&self, key: &[u8]) -> Option<Bytes> {
        let (at, shard) = self.locate(key);
        let found = shard.read_bytes(at, &self.now());
        self.tally.count(found.is_some());
        found
    }

    /// As `get`, of any form. It only looks, and neither counts nor takes out.
    #[inline]
    pub(crate) fn look_for<T: Form>(&self, key: impl Lookup) -> Seen<T::Picked> {
        let shard = self.shard_of(key.hash());
        shard.look_for::<T>(key, &self.now())
    }

    /// Takes out what that has seen gone.
    #[cold]
    pub(crate) fn take_gone(&self, key: &[u8]) {
        let (at, shard) = self.locate(key);
        shard.take_gone(at, &self.now());
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let (at, shard) = self.locate(key);
        shard.contains(at, &self.now())
    }

    pub(crate) fn put<V: Serialize>(
        &self,
        key: &[u8],
        value: &V,
        options: &CacheOptions,
    ) -> CacheResult<()> {
        let value = self.encode(key, value)?;
        self.store(key, value, options);
        Ok(())
    }

    /// As `put`, of a value that all will share.
    pub(crate) fn put_shared<V>(
        &self,
        key: &[u8],
        value: V,
        options: &CacheOptions,
    ) -> CacheResult<()>
    where
        V: Serialize + Send + Sync + 'static,
    {
        let (encoded, _) = self.seal::<Shared<V>>(key, value, None)?;
        self.store(key, encoded, options);
        Ok(())
    }

    #[inline]
    pub(crate) fn put_bytes(&self, key: &[u8], bytes: Bytes, options: &CacheOptions) {
        self.store(key, Encoded::raw(bytes), options);
    }

    #[inline]
    fn store(&self, key: &[u8], value: Encoded, options: &CacheOptions) {
        let filled;
        let options = if self.settings.default_options.is_plain() {
            options
        } else {
            filled = self.filled_in(options);
            &filled
        };
        let (at, shard) = self.locate(key);
        let now = self.now();
        let mut write = Write {
            value,
            ttl: options.ttl.or(self.settings.default_options.ttl),
            rare: options.rare.as_deref(),
            dated: false,
        };
        let writes = shard.put(at, &mut write, &options.tags, &now);
        self.tidy_another(writes, &now);
    }

    #[cold]
    fn filled_in(&self, options: &CacheOptions) -> CacheOptions {
        let mut filled = options.clone();
        self.fill_in(&mut filled);
        filled
    }

    /// Lets some of the writes to one shard give back what is gone in the others, each
    /// shard in its turn: else nothing would leave a shard that nobody writes to.
    #[inline]
    pub(crate) fn tidy_another(&self, writes: usize, now: &Now<'_>) {
        let others = self.shards.len() - 1;
        if others > 0 && writes % WRITES_A_VISIT == 0 {
            let turn = writes / WRITES_A_VISIT;
            self.shards[turn % self.shards.len()].tidy(now);
        }
    }

    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        let (at, shard) = self.locate(key);
        shard.remove(at, &self.now())
    }

    pub(crate) fn expire(&self, key: &[u8]) -> bool {
        let (at, shard) = self.locate(key);
        shard.expire(at, &self.now())
    }

    /// Fills in what a call's options leave to the builder's.
    #[inline]
    pub(crate) fn fill_in(&self, options: &mut CacheOptions) {
        options.fill_in(&self.settings.default_options);
    }

    /// An error if a call with these options would wait for a time, and there is no timer.
    #[inline]
    pub(crate) fn ask_for_timer(&self, key: &[u8], options: &CacheOptions) -> CacheResult<()> {
        let needs = options.rare.as_ref().is_some_and(|rare| rare.needs_timer());
        if needs && self.settings.timer.is_none() {
            return Err(CacheError::no_timer(key));
        }
        Ok(())
    }

    pub(crate) fn encode<V: Serialize>(&self, key: &[u8], value: &V) -> CacheResult<Encoded> {
        let encoded = encode(&self.codec, value);
        encoded.map_err(|error| CacheError::encode(key, TypeTag::of::<V>().name(), error))
    }

    /// What is stored of a loader's value, and what its caller gets.
    pub(crate) fn seal<T: Form>(
        &self,
        key: &[u8],
        value: T::Value,
        unchanged: Option<Read>,
    ) -> CacheResult<(Encoded, T)> {
        let sealed = T::seal(&self.codec, value, unchanged);
        sealed.map_err(|error| CacheError::encode(key, T::ty().name(), error))
    }

    pub(crate) fn decode<V: DeserializeOwned>(&self, key: &[u8], read: &Read) -> CacheResult<V> {
        let value = decode(&self.codec, read);
        value.map_err(|why| unreadable(key, why, TypeTag::of::<V>()))
    }

    #[inline]
    pub(crate) fn take<T: Form>(&self, key: &[u8], picked: T::Picked) -> CacheResult<T> {
        let value = T::take(&self.codec, picked);
        value.map_err(|why| unreadable(key, why, T::ty()))
    }

    #[inline]
    pub(crate) fn open<T: Form>(&self, key: &[u8], read: &Read) -> CacheResult<T> {
        let value = T::open(&self.codec, read);
        value.map_err(|why| unreadable(key, why, T::ty()))
    }

    pub(crate) fn stats(&self) -> CacheStats {
        self.settle();
        let all = self.shards.iter().map(Shard::stats);
        let read = CacheStats {
            hits: self.tally.hits(),
            misses: self.tally.misses(),
            single_flight_joins: self.tally.joins(),
            stale_serves: self.tally.stale_serves(),
            timeouts: self.tally.timeouts(),
            ..CacheStats::default()
        };
        all.fold(read, CacheStats::add)
    }

    /// Every fresh key, shard by shard.
    pub(crate) fn keys(&self) -> impl Iterator<Item = String> {
        let keys = |shard: &Shard| shard.keys(false, &self.now());
        self.shards.iter().flat_map(keys)
    }

    pub(crate) fn entry_count(&self) -> u64 {
        self.settle();
        self.shards.iter().map(|shard| shard.len() as u64).sum()
    }

    /// Gives back all that invalidations left unreachable: only then is it known
    /// of each entry who ended it, and how many are left.
    fn settle(&self) {
        for shard in &self.shards {
            while shard.sweep(SLICE) == SLICE {}
        }
    }
}

#[cold]
fn unreadable(key: &[u8], why: Unreadable, asked: TypeTag) -> CacheError {
    match why {
        Unreadable::WrongType(held) => CacheError::wrong_type(key, held.name(), asked.name()),
        Unreadable::Undecodable(error) => CacheError::decode(key, asked.name(), error),
    }
}

/// Shows no key and no value.
impl<C> fmt::Debug for Engine<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HydraCache")
            .field("max_capacity", &self.settings.bounds().0)
            .field("max_bytes", &self.settings.max_bytes)
            .field("max_entry_bytes", &self.settings.max_entry_bytes)
            .field("default_ttl", &self.settings.default_options.ttl)
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use self::settings::ENTRIES_A_SHARD;
    use super::*;
    use crate::key::KeyHasher;
    use crate::runtime::SystemClock;
    use crate::value::Postcard;

    fn settings(entries: u64) -> Settings {
        Settings {
            max_capacity: Some(entries),
            max_bytes: None,
            max_entry_bytes: 16 << 20,
            default_options: CacheOptions::new(),
            hasher: KeyHasher::default(),
            clock: Box::new(SystemClock),
            timer: None,
            spawner: None,
            max_background_loads: 0,
            listener: None,
        }
    }

    /// Under one seed in a hundred the bits of foldhash's fast variant are not: six
    /// deviations from the mean are a chance of one in a billion.
    #[test]
    fn keys_fall_into_shards_evenly_under_every_seed() {
        let keys: Vec<String> = (0..20_000).map(|id| format!("user:{id}")).collect();
        for _ in 0..500 {
            let engine = Engine::new(settings(8 * ENTRIES_A_SHARD), Postcard);
            assert_eq!(engine.shards.len(), 8);
            let mut counts = [0_u32; 8];
            for key in &keys {
                let (_, shard) = engine.locate(key.as_bytes());
                let place = engine.shards.iter().position(|it| std::ptr::eq(it, shard));
                counts[place.unwrap()] += 1;
            }
            // The mean is 2,500, a deviation 47.
            assert!(
                counts.iter().all(|&count| count < 2500 + 6 * 47),
                "{counts:?}"
            );
        }
    }
}
