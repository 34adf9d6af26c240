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
    /// The log comes first, for a load whose loader chooses tag `g`:
    ///
    /// 1. The load starts at sequence 7 and reads version 1.
    /// 2. The invalidation of `g` is logged as number 8, then visits the shards.
    /// 3. If the load completes before the visit to its shard, the visit finds the entry. If the
    ///    load completes after the visit, it finds number 8 in the log, and stores nothing.
    pub(crate) async fn invalidate(&self, tags: Vec<HashedTag>, effect: Effect) -> u64 {
        let invalidation = Arc::new(TagInvalidation::new(effect, self.now().get()));
        // guard: the log is written before a shard is visited
        self.log.record(tags.iter().map(|tag| tag.hash));
        for (number, some) in tags.chunks(NAMES_PER_LOCK).enumerate() {
            self.pause_before_step(number);
            for shard in &self.shards {
                shard.invalidate(some, &invalidation);
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
        let at = self.now().get();
        for shard in &self.shards {
            shard.flush(at);
        }
        self.sweep_slices().await;
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
