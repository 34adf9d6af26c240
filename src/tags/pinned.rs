//! Tags pinned for a load or for a new entry, until an entry has the tags.

use std::sync::atomic::AtomicU64;

use smallvec::SmallVec;

use crate::index::Index;

/// Tags pinned even without members, until `attach` or `unpin`. Each tag occurs once, in the
/// order of the indices.
#[derive(Debug, Default)]
#[must_use = "tags stay pinned until attached or unpinned"]
pub(crate) struct PinnedTags {
    // Most loads have few tags: up to four take no memory on the heap.
    pub(super) tags: SmallVec<[Index; 4]>,
    /// The number of dead tags of the shard at the last look that found these tags alive.
    pub(super) checked: AtomicU64,
    /// Set if the tags are charged, for an entry that is about to be stored.
    pub(super) is_charged: bool,
    /// Set if there was no free pair for a tag. An entry with these tags must not be stored: an
    /// invalidation of the missing tag would not reach the entry.
    pub(crate) is_incomplete: bool,
}

impl PinnedTags {
    /// Returns the number of pinned tags.
    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }
}
