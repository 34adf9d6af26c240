//! The internal counters, and the public snapshot.

mod striped;

pub(crate) use self::striped::StripedCounters;

use std::ops::Sub;

/// The counters of a cache since `build`, from [`HydraCache::stats`](crate::HydraCache::stats).
///
/// Every counter only grows. Subtract an earlier snapshot to count a period.
///
/// A snapshot reads one shard after another, so a snapshot may contain a part of a concurrent
/// call. If no other call runs, the snapshot is exact.
///
/// After `u64::MAX` a counter continues at zero, and no call fails: at a billion per second, this
/// happens after 584 years.
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
    /// Calls that found a fresh entry: `get`, `get_bytes` and every loading call.
    ///
    /// Each call counts once, at the first look-up; a call for many keys counts once for each key.
    /// An entry of another type is a hit, and so is an entry that `get` cannot decode. A loading
    /// call counts undecodable bytes as a miss, and counts nothing if decoding panics. Not moved
    /// by `contains_key`, `peek`, `update`, `remove` and `put`.
    pub hits: u64,
    /// Calls that found no fresh entry: the same calls as for [`hits`](Self::hits).
    ///
    /// A waiter of another call's load counts a miss too, and counts before waiting: a test can
    /// watch this counter until all callers wait.
    pub misses: u64,
    /// Started loads. A call for many keys counts once for each key given to the loader. Not
    /// moved by a call that joins another call's load.
    pub loads: u64,
    /// Loads that failed: the loader returned an error, panicked or ran out of time, or the
    /// encoding of the value panicked.
    ///
    /// Not moved by a load whose leader was dropped, nor by a value that cannot be encoded.
    pub load_failures: u64,
    /// Loads that began while the key had a fresh value (`refresh_ahead`) or a stale value inside
    /// `stale_while_revalidate`; and all loads of `refresh`.
    pub refreshes: u64,
    /// Calls that returned a stale value. Each such call counts a miss too, at the first look-up.
    pub stale_serves: u64,
    /// Loads and waits that ended by `load_timeout`, also if the call then returned a stale value.
    ///
    /// A background load counts at the deadline: `load_timeout`, else 30 seconds. Not moved by
    /// `soft_timeout`.
    pub timeouts: u64,
    /// Calls that returned the value or the error of another call's load.
    ///
    /// Not moved by a waiter that looked the key up again, because the load was dropped or the
    /// loaded value could not be decoded, nor by a waiter that returned a stale value instead.
    pub single_flight_joins: u64,
    /// Loads that ended with a value and were fenced, so the value was not stored: after the load
    /// began, the key, a tag of the load or the whole cache was invalidated or expired, or the
    /// key was put or refreshed.
    pub stale_load_discards: u64,
    /// Fresh entries removed by `remove`, `invalidate_key`, `invalidate_tag`, `invalidate_tags` or
    /// `retain`, or by an `update` to `None`. Not moved by `flush` or by overwriting.
    pub invalidations: u64,
    /// Fresh entries removed to hold `max_capacity` or `max_bytes`. Not moved by the removal of
    /// stale or expired entries.
    pub evictions: u64,
    /// Entries removed after the end of the time to live, or after `expire`, for any reason: a
    /// look-up, a write that gave the memory back, a replacing load, a removal, a flush.
    ///
    /// An expired entry is counted when the memory is given back, not at the instant of expiry.
    pub expirations: u64,
    /// Values that were not stored, because the value is larger than `max_entry_bytes`, the entry
    /// with the names of all tags costs more than the part of `max_bytes` of the shard, the
    /// capacity is zero, or the shard has 2^32 tags and pairs of entry and tag.
    ///
    /// Not moved by a time to live of zero alone.
    pub rejections: u64,
    /// Failed decodings, by `get` or a loading call, of an entry or of another call's loaded
    /// value. Not moved by `peek`, nor by the check of a new value before it is stored.
    pub decode_failures: u64,
}

impl CacheStats {
    /// Returns the ratio of hits to hits and misses, from 0 to 1; 0 if there are neither.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::CacheStats;
    ///
    /// assert_eq!(CacheStats::default().hit_ratio(), 0.0);
    /// let mut stats = CacheStats::default();
    /// (stats.hits, stats.misses) = (3, 1);
    /// assert_eq!(stats.hit_ratio(), 0.75);
    /// ```
    #[allow(
        clippy::cast_precision_loss,
        reason = "a ratio of counts beyond 2^53 is still right to 15 digits"
    )]
    pub fn hit_ratio(&self) -> f64 {
        // Added as floats: the sum of two full counters does not fit into a `u64`.
        let lookups = self.hits as f64 + self.misses as f64;
        // Not NaN: a gauge of a new cache should show a number.
        if lookups == 0.0 {
            return 0.0;
        }
        self.hits as f64 / lookups
    }

    /// Adds the counters of another shard.
    pub(crate) fn add(self, other: Self) -> Self {
        // Wrapping, as in `count`: the sum of the shards may be beyond `u64::MAX` too.
        self.zip(other, u64::wrapping_add)
    }

    /// Returns every counter at `u64::MAX`.
    #[cfg(test)]
    pub(crate) fn full() -> Self {
        Self::default().zip(Self::default(), |_, _| u64::MAX)
    }

    /// Combines two snapshots counter by counter. A new field must be added here: the literal
    /// names every field, so the compiler tells.
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

/// Subtracts an earlier snapshot, counter by counter. A difference below zero becomes zero, also
/// if a counter passed `u64::MAX` between the snapshots.
impl Sub for CacheStats {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        // Saturating: snapshots in the wrong order must not panic in a metrics task.
        self.zip(earlier, u64::saturating_sub)
    }
}

/// Adds `more` to a counter. Wraps, because nothing may panic under a lock, not even in a debug
/// build.
#[inline]
pub(crate) fn count(counter: &mut u64, more: u64) {
    *counter = counter.wrapping_add(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hit_ratio_without_lookups_is_zero() {
        assert!(CacheStats::default().hit_ratio().abs() < f64::EPSILON);
    }

    #[test]
    fn hit_ratio_of_the_largest_counts_is_right() {
        let stats = CacheStats {
            hits: u64::MAX,
            misses: u64::MAX,
            ..CacheStats::default()
        };
        assert!((stats.hit_ratio() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn full_counters_continue_at_zero() {
        let mut full = CacheStats::full();
        let one = full.zip(full, |_, _| 1);
        assert_eq!(full.add(one), CacheStats::default());
        assert_eq!(full.add(full).add(one).add(one), CacheStats::default());
        // One addition wraps to zero, the second counts.
        count(&mut full.loads, 2);
        assert_eq!(full.loads, 1);
        assert_eq!(
            CacheStats::full() - CacheStats::default(),
            CacheStats::full()
        );
        assert_eq!(one - CacheStats::full(), CacheStats::default());
    }
}
