//! Invalidations, which reach every shard.
//!
//! The first poll makes all named entries unreachable, shard by shard, in a few steps for any
//! number of entries. From then on, dropping the future changes nothing. The memory is given
//! back in slices, with a yield between two slices, so that no poll runs long. Later writes sweep
//! the entries that a dropped future has left.

use std::hint::spin_loop;

use futures_lite::future::yield_now;

use super::{Engine, SWEEP_SLICE};
use crate::key::SmallBytes;
use crate::runtime::Now;
use crate::shard::{Named, Shard};
use crate::sync::Arc;
use crate::tags::{Effect, HashedTag, TagInvalidation};
use crate::value::Codec;

/// The largest number of names that an invalidation looks up in one critical section.
const NAMES_PER_LOCK: usize = 256;

/// The length of the pause between two critical sections of an only shard: some ten
/// microseconds, less than a section takes.
const PAUSE: usize = 256;

impl<C: Codec> Engine<C> {
    /// Hashes the name of a tag, once for all shards.
    pub(crate) fn hashed_tag(&self, name: SmallBytes) -> HashedTag {
        HashedTag::new(name, &self.hashing)
    }

    /// Invalidates or expires all entries with one of the tags, and returns how many were fresh.
    ///
    /// The shards are visited one after the other, and loads start meanwhile. So the invalidation
    /// is listed during the visits: a load with one of the tags that starts or completes now is not
    /// stored. See `shard/visits.rs` and `shard/invalidation_log.rs`.
    pub(crate) async fn invalidate(&self, tags: Vec<HashedTag>, effect: Effect) -> u64 {
        let invalidation = Arc::new(TagInvalidation::new(effect));
        {
            let now = self.time_of_visits();
            let named = Named::tags(tags.iter().map(|tag| tag.hash));
            let _visiting = self.log.begin_visits(named);
            for (number, some) in tags.chunks(NAMES_PER_LOCK).enumerate() {
                self.pause_before_step(number);
                for shard in &self.shards {
                    shard.invalidate(some, &invalidation, &now);
                }
            }
        }
        drop(tags);
        // Everything named is unreachable. The rest gives memory back.
        self.sweep_slices().await;
        invalidation.count()
    }

    /// Lets other calls take the lock between two steps of an invalidation with many names.
    ///
    /// A call that waits for the lock needs some microseconds to wake, and the lock is not fair:
    /// taken again at once, the lock is taken before the waiter wakes, hundreds of times in a row. So
    /// each step visits all shards, and if there is only one, a pause comes in between.
    fn pause_before_step(&self, number: usize) {
        if number > 0 && self.shards.len() == 1 {
            (0..PAUSE).for_each(|_| spin_loop());
        }
    }

    /// Removes every entry whose key `keep` refuses, and fences the load of such a key. Returns
    /// how many entries were fresh.
    ///
    /// `keep` is asked about expired entries too. Otherwise a refused entry comes back:
    ///
    /// 1. The clock shows a time after the end of the entry, and `keep` is not asked.
    /// 2. The call returns, and the clock goes back. The entry is fresh again.
    pub(crate) async fn retain(&self, mut keep: impl FnMut(&str) -> bool) -> u64 {
        let mut removed = 0;
        for shard in &self.shards {
            // The keys are copied, because `keep` is the caller's code and runs without a lock.
            let keys = shard.keys(true, &self.now());
            for (number, key) in (1..).zip(&keys) {
                if !keep(key) {
                    removed += u64::from(self.remove(key.as_bytes()));
                }
                if number % SWEEP_SLICE == 0 {
                    yield_now().await;
                }
            }
        }
        removed
    }

    /// Invalidates all entries and fences all loads.
    pub(crate) async fn flush(&self) {
        {
            let now = self.time_of_visits();
            let _visiting = self.log.begin_visits(Named::Everything);
            for shard in &self.shards {
                shard.flush(&now);
            }
        }
        self.sweep_slices().await;
    }

    /// Removes every unreachable or expired entry, and returns the number of removed entries.
    pub(crate) async fn tidy(&self) -> u64 {
        let mut removed = 0;
        for shard in &self.shards {
            loop {
                // The time is read for each slice: with a time kept over a yield, an entry put
                // after the clock went back could be removed while fresh.
                let (count, may_be_more) = shard.tidy(SWEEP_SLICE, &self.now());
                removed += count;
                if !may_be_more {
                    break;
                }
                yield_now().await;
            }
        }
        removed
    }

    /// Returns the time for an operation that visits every shard. The clock is read here, before
    /// the first change (the clock may panic), but only if an entry has times: a target without a
    /// clock can still flush.
    fn time_of_visits(&self) -> Now<'_> {
        let now = self.now();
        if self.shards.iter().any(Shard::may_ask_time) {
            now.get();
        }
        now
    }

    /// Sweeps every shard, until a look at the shard finds nothing unreachable. Other calls may
    /// add unreachable entries meanwhile, but an entry takes longer to write than to sweep, and
    /// every invalidation sweeps.
    async fn sweep_slices(&self) {
        let mut slice = SWEEP_SLICE;
        for shard in &self.shards {
            loop {
                let swept = shard.sweep(slice);
                if swept < slice {
                    slice -= swept;
                    break;
                }
                yield_now().await;
                slice = SWEEP_SLICE;
            }
        }
    }
}
