//! Statistics and the number of entries, exact at the moment of the call.

use super::{Engine, SWEEP_SLICE};
use crate::shard::Shard;
use crate::stats::CacheStats;
use crate::value::Codec;

impl<C: Codec> Engine<C> {
    /// Returns the sum over the shards, with the counters of read-only calls.
    pub(crate) fn stats(&self) -> CacheStats {
        self.sweep_all();
        // Read-only calls count in stripes, outside of the shards.
        let all = self.shards.iter().map(Shard::stats);
        let read = CacheStats {
            hits: self.counters.hits(),
            misses: self.counters.misses(),
            single_flight_joins: self.counters.joins(),
            stale_serves: self.counters.stale_serves(),
            timeouts: self.counters.timeouts(),
            ..CacheStats::default()
        };
        all.fold(read, CacheStats::add)
    }

    /// Returns the number of stored entries: expired entries included, unreachable entries not.
    pub(crate) fn entry_count(&self) -> u64 {
        self.sweep_all();
        self.shards.iter().map(|shard| shard.len() as u64).sum()
    }

    /// Sweeps all entries that invalidations made unreachable. Only the sweep finds the
    /// invalidation behind each entry, and so the counter for the entry; and only then is the
    /// number of entries right.
    fn sweep_all(&self) {
        for shard in &self.shards {
            // In slices, so that the lock is free between two slices.
            while shard.sweep(SWEEP_SLICE) == SWEEP_SLICE {}
        }
    }
}
