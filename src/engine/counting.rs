//! Statistics, exact at the moment of the call.

use super::{Engine, SWEEP_SLICE};
use crate::shard::Shard;
use crate::stats::CacheStats;
use crate::value::Codec;

impl<C: Codec> Engine<C> {
    pub(crate) fn stats(&self) -> CacheStats {
        self.sweep_all();
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

    pub(crate) fn entry_count(&self) -> u64 {
        self.sweep_all();
        self.shards.iter().map(|shard| shard.len() as u64).sum()
    }

    /// Gives back all that invalidations left unreachable: only then is it known
    /// of each entry who ended it, and how many are left.
    fn sweep_all(&self) {
        for shard in &self.shards {
            while shard.sweep(SWEEP_SLICE) == SWEEP_SLICE {}
        }
    }
}
