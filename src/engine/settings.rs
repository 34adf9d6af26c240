//! The settings of the builder, and the limits of each shard.

use crate::key::KeyHasher;
use crate::options::CacheOptions;
use crate::removal::Listener;
use crate::runtime::{Clock, Spawn, Timer};
use crate::shard::Limits;
use crate::store::MAX_EVICTED_AT_ONCE;

/// The least number of entries for a shard of its own.
///
/// Hashes spread keys over the shards unevenly. With shards of this size, no shard is full while
/// the cache is below 95 percent; with 64 shards, the chance of an exception is about 1 in 9,000.
pub(crate) const MIN_ENTRIES_PER_SHARD: u64 = 8192;

/// With a bound in bytes, each shard has room for this many of the largest entries. Larger
/// entries fill the shards less evenly.
const LARGEST_ENTRIES_PER_SHARD: u64 = 16;

/// The least number of bytes for a shard: many times the cost of an entry without the value.
const MIN_BYTES_PER_SHARD: u64 = 1 << 20;

/// The most shards. An invalidation takes the lock of every shard. Chosen, not measured.
const MAX_SHARDS: u64 = 64;

/// The default of `max_capacity`, if `max_bytes` is not set either.
const DEFAULT_CAPACITY: u64 = 10_000;

/// The settings of the builder.
pub(crate) struct Settings {
    pub(crate) max_capacity: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_entry_bytes: usize,
    pub(crate) default_options: CacheOptions,
    pub(crate) hasher: KeyHasher,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) timer: Option<Box<dyn Timer>>,
    pub(crate) spawner: Option<Box<dyn Spawn>>,
    pub(crate) max_background_loads: usize,
    pub(crate) listener: Option<Listener>,
}

impl Settings {
    /// Returns the most entries, and the most bytes by the cost formula.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        // A bound in bytes alone is no wish for 10,000 entries.
        let default = self.max_bytes.map_or(DEFAULT_CAPACITY, |_| u64::MAX);
        let entries = self.max_capacity.unwrap_or(default);
        (entries, self.max_bytes.unwrap_or(u64::MAX))
    }

    /// Returns the limits of each shard. The number of shards is a power of two, from 1 to 64.
    pub(crate) fn limits(&self) -> impl Iterator<Item = Limits> {
        // 1. Each shard must be large enough, by entries and by bytes.
        let (entries, bytes) = self.bounds();
        let largest = self.max_entry_bytes as u64;
        let fewest_bytes = largest
            .saturating_mul(LARGEST_ENTRIES_PER_SHARD)
            .max(MIN_BYTES_PER_SHARD);
        let by_bytes = self.max_bytes.map_or(MAX_SHARDS, |all| all / fewest_bytes);
        let count = (entries / MIN_ENTRIES_PER_SHARD)
            .min(by_bytes)
            .clamp(1, MAX_SHARDS);
        // 2. A power of two, rounded down, so that a mask chooses the shard.
        let count = 1 << count.ilog2();
        // 3. The parts add up to the bounds exactly. A single shard evicts one entry at a time,
        // and so fills up to the bound; several shards evict in batches.
        (0..count).map(move |index| Limits {
            entries: part(entries, count, index),
            bytes: part(bytes, count, index),
            entry_bytes: self.max_entry_bytes,
            evicted_at_once: if count > 1 { MAX_EVICTED_AT_ONCE } else { 1 },
        })
    }
}

/// Returns the size of part `index`, if `all` is split into `count` parts. The parts add up to
/// `all`, and differ by at most 1.
fn part(all: u64, count: u64, index: u64) -> usize {
    // The first parts are larger by 1. On a 32-bit target, a part may be beyond `usize`.
    let part = all / count + u64::from(index < all % count);
    usize::try_from(part).unwrap_or(usize::MAX)
}

#[cfg(test)]
impl Settings {
    /// Returns the settings of a cache without options, timer or spawner, for tests beside the code.
    pub(crate) fn plain(entries: u64, clock: impl Clock + 'static) -> Self {
        Self {
            max_capacity: Some(entries),
            max_bytes: None,
            max_entry_bytes: 16 << 20,
            default_options: CacheOptions::new(),
            hasher: KeyHasher::default(),
            clock: Box::new(clock),
            timer: None,
            spawner: None,
            max_background_loads: 0,
            listener: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_all_and_differ_by_at_most_one() {
        for all in 0..200 {
            for count in [1, 2, 4, 64] {
                let parts: Vec<_> = (0..count).map(|index| part(all, count, index)).collect();
                assert_eq!(parts.iter().sum::<usize>() as u64, all);
                assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1);
            }
        }
        assert_eq!(part(u64::MAX, 1, 0), usize::MAX);
    }
}
