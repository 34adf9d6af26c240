//! Invalidations that reach every shard.
//!
//! The first poll makes everything that is named unreachable, shard by shard, in
//! a few steps however many entries there are. From then on dropping the future
//! changes nothing. The memory is given back in slices, with a yield between two,
//! so that no poll runs long; what a dropped future leaves, later writes give
//! back.

use futures_lite::future::yield_now;

use super::{Engine, SWEEP_SLICE};
use crate::key::SmallBytes;
use crate::sync::Arc;
use crate::tags::{Effect, HashedTag, TagInvalidation};
use crate::value::Codec;

impl<C: Codec> Engine<C> {
    /// Ends everything that carries one of the tags, or its freshness, and counts what was
    /// fresh.
    ///
    /// The journal is written before a shard is visited: a load that names its own tags and
    /// lands in between sees what was written, and one that landed before is visited.
    pub(crate) async fn invalidate(&self, names: Vec<SmallBytes>, effect: Effect) -> u64 {
        let invalidation = Arc::new(TagInvalidation::new(effect, self.now().get()));
        let hashed = |name| HashedTag::new(name, &self.hashing);
        let tags: Vec<HashedTag> = names.into_iter().map(hashed).collect();
        // guard: the log is written before a shard is visited
        self.log.record(tags.iter().map(|tag| tag.hash));
        for shard in &self.shards {
            shard.invalidate(&tags, &invalidation);
        }
        drop(tags);
        self.sweep_slices().await;
        invalidation.count()
    }

    /// Ends every entry, and fences every load, whose key is not to be kept. Says how many
    /// were fresh.
    pub(crate) async fn retain(&self, mut keep: impl FnMut(&str) -> bool) -> u64 {
        let mut removed = 0;
        for shard in &self.shards {
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

    /// Ends everything.
    pub(crate) async fn flush(&self) {
        let at = self.now().get();
        for shard in &self.shards {
            shard.flush(at);
        }
        self.sweep_slices().await;
    }

    /// Gives back what is unreachable, until a look at each shard found nothing
    /// left. Others may add to it meanwhile, but an entry takes longer to write
    /// than to give back, and whoever ends entries gives back as well.
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
