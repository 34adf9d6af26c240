//! What the builder was told, and what of it each shard is told.

use crate::key::KeyHasher;
use crate::options::CacheOptions;
use crate::removal::Listener;
use crate::runtime::{Clock, Spawn, Timer};
use crate::shard::Limits;
use crate::store::MAX_EVICTED_AT_ONCE;

/// The fewest entries that make a shard worthwhile. Keys fall into shards by
/// hash, unevenly: in shards of this size none is full while all together are below
/// 95 percent, but for a chance of one in some nine thousand where there are 64.
pub(crate) const MIN_ENTRIES_PER_SHARD: u64 = 8192;

/// How many of the largest entries a shard has room for where there is a bound in
/// bytes: the larger they are, the more unevenly they fill the shards.
const LARGEST_ENTRIES_PER_SHARD: u64 = 16;

/// The fewest bytes that make a shard worthwhile: many times what an entry costs beside
/// its value.
const MIN_BYTES_PER_SHARD: u64 = 1 << 20;

/// Each shard is a lock to take for whatever reaches all of them. Chosen, not
/// measured.
const MAX_SHARDS: u64 = 64;

/// How many entries are kept if nobody says.
const DEFAULT_CAPACITY: u64 = 10_000;

/// What the builder was told.
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
    /// The most entries, and the most bytes by the formula of costs.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        // Who bounds the bytes alone does not mean 10,000 entries.
        let default = self.max_bytes.map_or(DEFAULT_CAPACITY, |_| u64::MAX);
        let entries = self.max_capacity.unwrap_or(default);
        (entries, self.max_bytes.unwrap_or(u64::MAX))
    }

    /// What each shard may keep.
    pub(crate) fn limits(&self) -> impl Iterator<Item = Limits> {
        let (entries, bytes) = self.bounds();
        let largest = self.max_entry_bytes as u64;
        let fewest_bytes = largest
            .saturating_mul(LARGEST_ENTRIES_PER_SHARD)
            .max(MIN_BYTES_PER_SHARD);
        let by_bytes = self.max_bytes.map_or(MAX_SHARDS, |all| all / fewest_bytes);
        let count = (entries / MIN_ENTRIES_PER_SHARD)
            .min(by_bytes)
            .clamp(1, MAX_SHARDS);
        // The largest power of two, so that a mask chooses the shard.
        let count = 1 << count.ilog2();
        (0..count).map(move |index| Limits {
            entries: part(entries, count, index),
            bytes: part(bytes, count, index),
            entry_bytes: self.max_entry_bytes,
            evicted_at_once: if count > 1 { MAX_EVICTED_AT_ONCE } else { 1 },
        })
    }
}

/// One of so many parts that make up all, and differ by one at most.
fn part(all: u64, count: u64, index: u64) -> usize {
    let part = all / count + u64::from(index < all % count);
    usize::try_from(part).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_all_and_differ_by_one_at_most() {
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
