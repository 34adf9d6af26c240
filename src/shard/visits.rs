//! The invalidations that visit the shards now.
//!
//! An invalidation visits one shard after the other. A loader may read through the cache, from a
//! shard without a visit so far:
//!
//! 1. Invalidation A of tag `g` visits shard 0.
//! 2. Load B, with tag `g`, claims a slot in shard 0. The loader reads an entry with tag `g` from
//!    shard 5, and builds a list from the entry.
//! 3. A visits shard 5: the entry is unreachable.
//! 4. B completes in shard 0. The list was made from the invalidated entry.
//!
//! So an invalidation is listed here during the visits, and is a single moment for loads. A load with
//! a named tag and a claim during the visits is *early*: the load is not stored, and is joined only
//! while no listed invalidation has ended. The same applies, at the completion, to tags chosen by
//! the loader.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use smallvec::SmallVec;

use crate::sync::{Arc, Mutex};

/// The names of an invalidation.
#[derive(Debug)]
pub(crate) enum Named {
    /// The hashes of tags, sorted. Two names with one hash discard a load without need, and do no
    /// other harm.
    Tags(SmallVec<[u64; 4]>),
    /// All entries: a flush.
    Everything,
}

impl Named {
    /// Returns the names of an invalidation of tags with these hashes.
    pub(crate) fn tags(hashes: impl Iterator<Item = u64>) -> Self {
        let mut hashes: SmallVec<[u64; 4]> = hashes.collect();
        hashes.sort_unstable();
        Self::Tags(hashes)
    }

    /// Returns the hashes of the tags, none for a flush.
    pub(super) fn hashes(&self) -> &[u64] {
        match self {
            Self::Tags(hashes) => hashes,
            Self::Everything => &[],
        }
    }

    /// Returns `true` if the invalidation reaches a load with a tag of this hash, `false` if not.
    fn has(&self, hash: u64) -> bool {
        self.hashes().binary_search(&hash).is_ok()
    }
}

/// The number of ended invalidations when an early load claimed its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Early(u64);

/// The list of the invalidations that visit the shards now.
#[derive(Debug, Default)]
pub(super) struct Visits {
    /// The number of listed invalidations, readable without the lock. Almost always zero.
    active: AtomicUsize,
    list: Mutex<VisitList>,
}

/// The data under the lock.
#[derive(Debug, Default)]
struct VisitList {
    listed: SmallVec<[Arc<Named>; 2]>,
    /// How many listed invalidations have ended.
    ended: u64,
}

impl Visits {
    /// Runs `act` under the lock. The small lock is the last lock taken.
    fn write<R>(&self, act: impl FnOnce(&mut VisitList) -> R) -> R {
        // No code of the caller runs under this lock, so poisoning is ignored.
        act(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lists an invalidation, before the first visit.
    pub(super) fn begin(&self, named: Arc<Named>) {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.write(|list| list.listed.push(named));
    }

    /// Removes an invalidation from the list, after the last visit.
    pub(super) fn end(&self, named: &Arc<Named>) {
        self.write(|list| {
            list.ended += 1;
            let place = list
                .listed
                .iter()
                .position(|other| Arc::ptr_eq(other, named));
            // The caller holds a handle too, so nothing is freed under the lock.
            place.map(|place| list.listed.swap_remove(place))
        });
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns `true` if an invalidation may visit the shards now, `false` if none does.
    ///
    /// A relaxed read suffices. The caller holds the lock of a shard: an earlier visit released this
    /// lock, and a later visit will find the load.
    #[inline]
    fn is_any(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
    }

    /// Returns a mark for a starting load, if a listed invalidation names a tag of the load.
    #[inline]
    pub(super) fn early(&self, hashes: impl Iterator<Item = u64>) -> Option<Early> {
        if !self.is_any() {
            return None;
        }
        let hashes: SmallVec<[u64; 4]> = hashes.collect();
        self.write(|list| {
            let mut all = list.listed.iter();
            let is_named = all.any(|named| match &**named {
                Named::Everything => true,
                tags @ Named::Tags(_) => hashes.iter().any(|&hash| tags.has(hash)),
            });
            is_named.then_some(Early(list.ended))
        })
    }

    /// Returns `true` if an early load may still be joined: no listed invalidation has ended since
    /// the load started. Returns `false` otherwise.
    pub(super) fn is_joinable(&self, early: Early) -> bool {
        self.write(|list| list.ended == early.0)
    }

    /// Returns `true` if a listed invalidation names one of these tags, `false` if not. A flush
    /// needs no answer here: a flush fences each load by its slot.
    #[inline]
    pub(super) fn names_any(&self, hashes: impl Iterator<Item = u64>) -> bool {
        if !self.is_any() {
            return false;
        }
        self.write(|list| {
            let mut hashes = hashes;
            hashes.any(|hash| list.listed.iter().any(|named| named.has(hash)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn early(visits: &Visits, tags: &[u64]) -> Option<Early> {
        visits.early(tags.iter().copied())
    }

    #[test]
    fn load_with_a_named_tag_is_early_during_the_visits() {
        let visits = Visits::default();
        assert_eq!(early(&visits, &[1]), None);
        let named = Arc::new(Named::tags([5, 1].into_iter()));
        visits.begin(Arc::clone(&named));
        assert_eq!(early(&visits, &[2]), None);
        let mark = early(&visits, &[2, 1]).unwrap();
        assert!(visits.is_joinable(mark));
        assert!(visits.names_any([5].into_iter()) && !visits.names_any([4].into_iter()));
        visits.end(&named);
        assert!(!visits.is_joinable(mark));
        assert_eq!(early(&visits, &[1]), None);
    }

    #[test]
    fn every_load_is_early_during_a_flush() {
        let visits = Visits::default();
        let [flush, other] = [Named::Everything, Named::tags([1].into_iter())].map(Arc::new);
        visits.begin(Arc::clone(&flush));
        visits.begin(Arc::clone(&other));
        visits.end(&other);
        assert!(early(&visits, &[]).is_some());
        visits.end(&flush);
        assert_eq!(early(&visits, &[]), None);
    }
}
