//! The counters inside, and their snapshot outside.

mod striped;

pub(crate) use self::striped::StripedCounters;

use std::ops::Sub;

/// What a cache has counted since it was built.
///
/// Every counter only grows, but for one case written at [`hits`](Self::hits).
/// Subtract an earlier snapshot to see what happened between the two.
///
/// A snapshot is taken shard by shard: calls that run meanwhile may be in it in
/// part. When nothing else runs it is exact.
///
/// A counter that is full goes on from zero, and no call fails for it: at a billion a
/// second that happens after 584 years.
///
/// # Examples
///
/// ```
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache};
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let cache = HydraCache::local().build();
/// block_on(cache.put("a", 1_u8, CacheOptions::new()))?;
/// let before = cache.stats();
///
/// block_on(cache.get::<u8>("a"))?;
/// block_on(cache.get::<u8>("b"))?;
///
/// let between = cache.stats() - before;
/// assert_eq!((between.hits, between.misses), (1, 1));
/// assert_eq!(between.hit_ratio(), 0.5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Calls that found a live entry: `get`, `get_bytes` and every loading call,
    /// once a call, or once a key of a call for many, by what it first found.
    ///
    /// An entry of another type, and one that `get` cannot decode, was found. A
    /// loading call that cannot decode what it found counts a miss; one whose decoding
    /// panics counts nothing. Not moved by `contains_key`, `peek`, `remove`, `put`.
    pub hits: u64,
    /// Calls that found nothing, or nothing live: the same calls as for
    /// [`hits`](Self::hits).
    ///
    /// A call that then waits for another's load has missed too, and has counted it by
    /// the time it waits: a test that needs all callers waiting watches this.
    pub misses: u64,
    /// Loaders that were started: for many keys, once a key that the loader is given. Not
    /// moved by joining another's load.
    pub loads: u64,
    /// Loads that ended because the loader gave an error, panicked or ran out of time, or
    /// because encoding its value panicked.
    ///
    /// Not moved by a load whose caller was dropped, nor by a value that cannot
    /// be encoded.
    pub load_failures: u64,
    /// Loads that began while their key had a value that was served all the same: ahead of
    /// its end, or while it is stale; and those of `refresh`.
    pub refreshes: u64,
    /// Calls that got a value whose time to live was over. They count as misses too.
    pub stale_serves: u64,
    /// Calls that ran out of their `load_timeout`, whether they loaded or waited.
    pub timeouts: u64,
    /// Calls that got their answer, value or error, from another call's load.
    ///
    /// Not moved by a call that waited for a load that was then dropped.
    pub single_flight_joins: u64,
    /// Finished loads whose value was not stored because the key, one of the
    /// load's tags or the whole cache was invalidated, or the key was put, after
    /// the load began.
    pub stale_load_discards: u64,
    /// Live entries removed by `remove`, `invalidate_key`, `invalidate_tag` and
    /// `invalidate_tags`. Not moved by `flush` or by overwriting.
    pub invalidations: u64,
    /// Live entries removed to hold `max_capacity` or `max_bytes`. Not moved by expired ones.
    pub evictions: u64,
    /// Entries that left after their time had come, by whatever act: a look-up, a
    /// write that reclaimed them, a load that replaced them, a removal, a flush. One
    /// that is expired and still takes up memory is not counted yet, though nobody can
    /// read it.
    pub expirations: u64,
    /// Values that were not stored because they were larger than `max_entry_bytes`,
    /// because the entry would cost more than its shard's part of `max_bytes`, because the
    /// capacity is zero, or because its shard has 2^32 tags and pairs of entry and tag.
    ///
    /// Not moved by a time to live of zero alone.
    pub rejections: u64,
    /// Times that `get` or a loading call could not decode what it found, or what
    /// the load it waited for gave. Not moved by `peek`.
    pub decode_failures: u64,
}

impl CacheStats {
    /// Returns the share of hits among hits and misses, from 0 to 1; 0 if there
    /// were neither.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(hydracache::CacheStats::default().hit_ratio(), 0.0);
    /// ```
    #[allow(
        clippy::cast_precision_loss,
        reason = "a ratio of counts beyond 2^53 is still right to 15 digits"
    )]
    pub fn hit_ratio(&self) -> f64 {
        let lookups = self.hits as f64 + self.misses as f64;
        if lookups == 0.0 {
            return 0.0;
        }
        self.hits as f64 / lookups
    }

    /// Adds another shard's counters.
    pub(crate) fn add(self, other: Self) -> Self {
        self.zip(other, u64::wrapping_add)
    }

    /// Every counter before it goes on from zero.
    #[cfg(test)]
    pub(crate) fn full() -> Self {
        Self::default().zip(Self::default(), |_, _| u64::MAX)
    }

    fn zip(self, other: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            hits: op(self.hits, other.hits),
            misses: op(self.misses, other.misses),
            loads: op(self.loads, other.loads),
            load_failures: op(self.load_failures, other.load_failures),
            refreshes: op(self.refreshes, other.refreshes),
            stale_serves: op(self.stale_serves, other.stale_serves),
            timeouts: op(self.timeouts, other.timeouts),
            single_flight_joins: op(self.single_flight_joins, other.single_flight_joins),
            stale_load_discards: op(self.stale_load_discards, other.stale_load_discards),
            invalidations: op(self.invalidations, other.invalidations),
            evictions: op(self.evictions, other.evictions),
            expirations: op(self.expirations, other.expirations),
            rejections: op(self.rejections, other.rejections),
            decode_failures: op(self.decode_failures, other.decode_failures),
        }
    }
}

/// What was counted between two snapshots: the later less the earlier. A counter
/// that would fall below zero is zero, as is one that was full between the two.
impl Sub for CacheStats {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        self.zip(earlier, u64::saturating_sub)
    }
}

/// Counts some more. Under a lock nothing may panic, in no build: what is full goes on from
/// zero.
#[inline]
pub(crate) fn count(counter: &mut u64, more: u64) {
    *counter = counter.wrapping_add(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_nothing_is_zero() {
        assert!(CacheStats::default().hit_ratio().abs() < f64::EPSILON);
    }

    #[test]
    fn a_ratio_survives_the_largest_counts() {
        let stats = CacheStats {
            hits: u64::MAX,
            misses: u64::MAX,
            ..CacheStats::default()
        };
        assert!((stats.hit_ratio() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn what_is_full_goes_on_from_zero() {
        let mut full = CacheStats::full();
        let one = full.zip(full, |_, _| 1);
        assert_eq!(full.add(one), CacheStats::default());
        assert_eq!(full.add(full).add(one).add(one), CacheStats::default());
        count(&mut full.loads, 2);
        assert_eq!(full.loads, 1);
        assert_eq!(
            CacheStats::full() - CacheStats::default(),
            CacheStats::full()
        );
        assert_eq!(one - CacheStats::full(), CacheStats::default());
    }
}
