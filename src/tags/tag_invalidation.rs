//! Invalidations of tags.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::runtime::Moment;

/// An invalidation of tags: the effect, the time, and the number of ended entries. All shards
/// share one.
#[derive(Debug)]
pub(crate) struct TagInvalidation {
    /// Removal or expiry.
    pub(crate) effect: Effect,
    /// The time of the first poll, set at the first shard that has entries with times.
    at: OnceLock<Moment>,
    /// The number of live entries ended.
    ended: AtomicU64,
}

/// The effect of an invalidation on the members of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The members are removed.
    Remove,
    /// The members are not fresh any more.
    Expire,
}

impl TagInvalidation {
    pub(crate) fn new(effect: Effect) -> Self {
        Self {
            effect,
            at: OnceLock::new(),
            ended: AtomicU64::new(0),
        }
    }

    /// Sets the time, before the members of a shard with times become unreachable. Every shard
    /// passes the same time.
    pub(crate) fn set_time(&self, at: Moment) {
        self.at.get_or_init(|| at);
    }

    /// Returns the time of the first poll. An entry expired by then was not live, and is not
    /// counted.
    ///
    /// Without a time no member has times, and every answer about a member is the same.
    pub(crate) fn at(&self) -> Moment {
        self.at.get().copied().unwrap_or(Moment::ZERO)
    }

    /// Counts an entry that was live at the time of the invalidation.
    pub(crate) fn count_one(&self) {
        // Relaxed is enough. The order comes from the lock of the shard:
        // 1. A sweeps an entry under the lock of the shard, and counts here.
        // 2. B takes the same lock, finds no dead member, and reads the count: A's step 1 is
        //    included.
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of counted entries. Exact after every shard was swept.
    pub(crate) fn count(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }
}
