//! The state that all clones of a cache share, and the verbs without a load.
//!
//! The caller's code runs here, before a shard is locked or after the unlock: values are encoded
//! and decoded, and types compared. Each kind of verb has a file.

mod coding;
mod counting;
mod invalidating;
mod names;
mod reading;
mod settings;
mod updating;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

pub(crate) use self::names::{CacheTypes, TypedCacheNames};
pub(crate) use self::settings::Settings;
use crate::error::{CacheError, CacheResult};
use crate::key::{Hashing, Key, hash_key};
use crate::options::CacheOptions;
use crate::runtime::{Now, Timer};
use crate::shard::{InvalidationLog, Shard};
use crate::stats::StripedCounters;
use crate::value::{Codec, RoundTrips};

/// How many entries a sweep frees between two yields.
pub(crate) const SWEEP_SLICE: usize = 256;

/// The reference that handles hold, and loads that outlive their call.
pub(crate) type Handle<C> = Arc<Engine<C>>;

pub(crate) struct Engine<C> {
    pub(crate) shards: Box<[Shard]>,
    pub(crate) hashing: Hashing,
    codec: C,
    /// Which values are read back before they are stored.
    round_trips: RoundTrips,
    pub(crate) settings: Settings,
    pub(crate) counters: StripedCounters,
    pub(crate) log: InvalidationLog,
    pub(crate) names: TypedCacheNames,
    /// How many loads run in the background.
    pub(crate) background_loads: AtomicUsize,
}

impl<C> Engine<C> {
    /// Returns the shard of a hash.
    ///
    /// The bits are mixed first: no few bits of foldhash's fast variant are even under every seed.
    /// (The table of a shard uses the hash without that.)
    #[inline]
    pub(crate) fn shard_of(&self, hash: u64) -> &Shard {
        let spread = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        #[allow(clippy::cast_possible_truncation, reason = "16 bits are left")]
        let index = spread as usize & (self.shards.len() - 1);
        &self.shards[index]
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
            round_trips: RoundTrips::default(),
            settings,
            counters: StripedCounters::default(),
            log: InvalidationLog::default(),
            names: TypedCacheNames::default(),
            background_loads: AtomicUsize::new(0),
        }
    }

    /// Returns a key with its hash.
    #[inline]
    pub(crate) fn key_of<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        let hash = hash_key(&self.hashing, bytes);
        Key { hash, bytes }
    }

    /// Returns a key with its hash, and the shard of the key.
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

    /// Fills in the options that a call leaves to the builder.
    #[inline]
    pub(crate) fn fill_in(&self, options: &mut CacheOptions) {
        options.fill_in(&self.settings.default_options);
    }

    /// Returns an error if a call with these options may have to wait for a timeout, and the cache
    /// has no timer.
    #[inline]
    pub(crate) fn check_timer(&self, key: &[u8], options: &CacheOptions) -> CacheResult<()> {
        let needs = options
            .extra
            .as_ref()
            .is_some_and(|extra| extra.needs_timer());
        if needs && self.settings.timer.is_none() {
            return Err(CacheError::no_timer(key));
        }
        Ok(())
    }
}

/// Shows the settings, but no key and no value.
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
    use self::settings::MIN_ENTRIES_PER_SHARD;
    use super::*;
    use crate::runtime::SystemClock;
    use crate::value::Postcard;

    /// Under one seed in a hundred, the unmixed bits of foldhash's fast variant are uneven. Six
    /// standard deviations from the mean have a chance of one in a billion.
    #[test]
    fn keys_are_spread_evenly_over_shards_under_every_seed() {
        let keys: Vec<String> = (0..20_000).map(|id| format!("user:{id}")).collect();
        for _ in 0..500 {
            let engine = Engine::new(
                Settings::plain(8 * MIN_ENTRIES_PER_SHARD, SystemClock),
                Postcard,
            );
            assert_eq!(engine.shards.len(), 8);
            let mut counts = [0_u32; 8];
            for key in &keys {
                let (_, shard) = engine.locate(key.as_bytes());
                let place = engine.shards.iter().position(|it| std::ptr::eq(it, shard));
                counts[place.unwrap()] += 1;
            }
            // The mean is 2,500, a standard deviation 47.
            assert!(
                counts.iter().all(|&count| count < 2500 + 6 * 47),
                "{counts:?}"
            );
        }
    }
}
