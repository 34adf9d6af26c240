//! What comes over tags.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::runtime::Moment;

/// One invalidation of tags: when it was, and how many entries it ended.
#[derive(Debug)]
pub(crate) struct TagInvalidation {
    pub(crate) effect: Effect,
    /// The time of its first poll. What had expired by then was not live.
    pub(crate) at: Moment,
    ended: AtomicU64,
}

/// What a doom does to the members it comes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// They are gone.
    Remove,
    /// They are fresh no longer.
    Expire,
}

impl TagInvalidation {
    pub(crate) fn new(effect: Effect, at: Moment) -> Self {
        let ended = AtomicU64::new(0);
        Self { effect, at, ended }
    }

    /// Counts one entry that was live when the doom came.
    pub(crate) fn count_one(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were counted. Exact once every shard has handed out its dead:
    /// each count was made under the lock that the reader took after it.
    pub(crate) fn count(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }
}
