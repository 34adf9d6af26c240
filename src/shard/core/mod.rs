//! What stands under a shard's lock, and every act on it.

mod loading;
mod storing;
mod sweeping;

use std::collections::VecDeque;

use bytes::Bytes;

use super::backoffs::Backoffs;
use super::contents::Contents;
use super::entry_status::{Liveness, Probe};
use super::in_flight::{InFlight, Slot};
use super::requests::NewEntry;
use super::trash::Trash;
use crate::key::{Hashing, Key, Lookup, SmallBytes, display, is_text};
use crate::options::TagNames;
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::stats::{CacheStats, count};
use crate::store::{EntryId, State};
use crate::sync::Arc;
use crate::tags::{Effect, HashedTag, PinnedTags, TagInvalidation};
use crate::value::{Access, TypedValue};

/// What a shard may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) entries: usize,
    /// The sum of what the entries cost: see [`cost`](super::cost::cost).
    pub(crate) bytes: usize,
    /// The largest value.
    pub(crate) entry_bytes: usize,
    /// How many entries may leave at once to make room for one, if there are many.
    pub(crate) evicted_at_once: usize,
}

#[derive(Debug)]
pub(super) struct Core {
    limits: Limits,
    contents: Contents,
    in_flight: InFlight,
    backoffs: Backoffs,
    /// What flushes made unreachable; the oldest at the front.
    flushed: VecDeque<Flushed>,
    pub(super) stats: CacheStats,
    /// How many values were stored, or would have been.
    writes: usize,
}

/// What a flush made unreachable and that still takes up room.
#[derive(Debug)]
struct Flushed {
    contents: Box<Contents>,
    /// When it was flushed.
    at: Moment,
    /// No entry with a smaller id is left.
    next: EntryId,
}

impl Core {
    pub(super) fn new(limits: Limits, hashing: Hashing) -> Self {
        let entries = limits.entries.min(Contents::MAX_ENTRIES);
        Self {
            limits: Limits { entries, ..limits },
            contents: Contents::new(hashing),
            in_flight: InFlight::default(),
            backoffs: Backoffs::default(),
            flushed: VecDeque::new(),
            stats: CacheStats::default(),
            writes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    pub(super) fn contains(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.contents.find_fresh(key, now).is_some()
    }

    #[inline]
    pub(super) fn peek(&self, key: Key<'_>, now: &Now<'_>) -> Option<TypedValue> {
        let id = self.contents.find_fresh(key, now)?;
        Some(self.contents.value(id))
    }

    /// Whether what a read without a loader sees is what was read before.
    pub(super) fn is_unchanged(
        &self,
        key: Key<'_>,
        read: Option<&TypedValue>,
        now: &Now<'_>,
    ) -> bool {
        match (self.peek(key, now), read) {
            (Some(stored), Some(read)) => read.is_same_as(&stored),
            (None, None) => true,
            _ => false,
        }
    }

    #[inline]
    pub(super) fn value(&self, id: EntryId) -> TypedValue {
        self.contents.value(id)
    }

    #[inline]
    pub(super) fn bytes(&self, id: EntryId) -> Bytes {
        self.contents.bytes(id).clone()
    }

    #[inline]
    pub(super) fn snapshot<T: Access>(&self, id: EntryId) -> T::Snapshot {
        self.contents.snapshot::<T>(id)
    }

    /// Looks a key up, and tells the policy if what is there is fresh.
    #[inline]
    pub(super) fn probe(&self, key: impl Lookup, now: &Now<'_>) -> Probe {
        let found = self.contents.probe(key, now);
        if let Some(id) = found.fresh() {
            self.contents.record_read(id, now);
        }
        found
    }

    /// Takes out what a look-up found gone, if it still is.
    pub(super) fn remove_expired(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) {
        if let Some(id) = self.contents.find(key) {
            if self.contents.state(id, now) == State::Expired {
                let liveness = self.contents.liveness(id, now);
                self.remove_entry(id, &liveness, RemovalCause::Invalidated, trash);
            }
        }
    }

    pub(super) fn remove(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> bool {
        let id = self.contents.find(key);
        let liveness = id.map(|id| self.contents.liveness(id, now));
        let live = matches!(liveness, Some(Liveness::Live));
        count(&mut self.stats.invalidations, live.into());
        if let (Some(id), Some(liveness)) = (id, liveness) {
            self.remove_entry(id, &liveness, RemovalCause::Invalidated, trash);
        }
        self.fence(key);
        self.clear_backoff(key, trash);
        live
    }

    /// Ends the freshness of an entry and fences the load of its key. Whether it was fresh.
    pub(super) fn expire(&mut self, key: Key<'_>, now: &Now<'_>, trash: &mut Trash) -> bool {
        let id = self.contents.find(key);
        let liveness = id.map(|id| self.contents.liveness(id, now));
        let live = matches!(liveness, Some(Liveness::Live));
        match (id, liveness) {
            (Some(id), Some(Liveness::Live | Liveness::Expired))
                if self.contents.expire(id, now.get()) => {}
            // Its tag was expired, and it may have something left all the same.
            (Some(id), Some(Liveness::Invalidated(invalidation)))
                if self.contents.survives_expire(id) =>
            {
                invalidation.count_one();
            }
            (Some(id), Some(liveness)) => {
                let liveness = if live { Liveness::Expired } else { liveness };
                self.remove_entry(id, &liveness, RemovalCause::Invalidated, trash);
            }
            _ => {}
        }
        self.fence(key);
        live
    }

    #[inline]
    pub(super) fn put(
        &mut self,
        key: Key<'_>,
        write: &mut NewEntry<'_>,
        tags: &TagNames,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> usize {
        self.ask_time(write.needs_time(), now);
        self.fence(key);
        let tags = self.pin(tags);
        self.store(key, write, tags, now, trash);
        self.compact(trash);
        self.writes
    }

    pub(super) fn keys(&self, all: bool, now: &Now<'_>) -> Vec<String> {
        let text = |key: &SmallBytes| {
            let bytes = key.as_bytes();
            is_text(bytes).then(|| display(bytes, usize::MAX).into_owned())
        };
        let mut keys = Vec::new();
        let mut next = Some(0);
        while let Some(id) = next.and_then(|id| self.contents.next_from(id)) {
            let state = self.contents.state(id, now);
            if state.is_fresh() || (all && state != State::Expired) {
                keys.extend(text(self.contents.key(id)));
            }
            next = id.checked_add(1);
        }
        if all {
            keys.extend(self.in_flight.keys().filter_map(text));
            keys.sort_unstable();
            keys.dedup();
        }
        keys
    }

    pub(super) fn invalidate(&mut self, tags: &[HashedTag], invalidation: &Arc<TagInvalidation>) {
        for tag in tags {
            self.contents.tags.invalidate(tag, invalidation);
        }
    }

    /// Takes an entry out and counts it as its fate says. `cause` is that of the act.
    #[inline]
    fn remove_entry(
        &mut self,
        id: EntryId,
        liveness: &Liveness,
        cause: RemovalCause,
        trash: &mut Trash,
    ) {
        trash.entry(self.contents.remove(id), liveness.cause(cause));
        self.count_liveness(liveness);
    }

    #[inline]
    fn count_liveness(&mut self, liveness: &Liveness) {
        match liveness {
            // It leaves by an act of its own, which has its own counter or none.
            Liveness::Live => {}
            Liveness::Expired => count(&mut self.stats.expirations, 1),
            Liveness::Invalidated(invalidation) => {
                match invalidation.effect {
                    Effect::Remove => count(&mut self.stats.invalidations, 1),
                    Effect::Expire => count(&mut self.stats.expirations, 1),
                }
                invalidation.count_one();
            }
        }
    }

    #[inline]
    fn pin(&mut self, tags: &TagNames) -> PinnedTags {
        if tags.is_empty() {
            return PinnedTags::default();
        }
        self.contents.tags.pin(tags.iter())
    }

    /// Fences the load of a key: it will find its seat taken, and not store.
    #[inline]
    fn fence(&mut self, key: Key<'_>) {
        let slot = self.in_flight.take(key);
        self.release_slot(slot);
    }

    /// Lets a key be loaded though a load of it failed.
    #[inline]
    fn clear_backoff(&mut self, key: Key<'_>, trash: &mut Trash) {
        if !self.backoffs.is_empty() {
            trash.backoff(self.backoffs.take(key));
        }
    }

    /// Lets go of what a seat held. Its flight lives on in its leader.
    #[inline]
    fn release_slot(&mut self, slot: Option<Slot>) {
        if let Some(slot) = slot {
            self.contents.tags.unpin(slot.tags);
            self.contents.tags.unpin(slot.old_tags);
        }
    }

    /// Asks the time if a write may need it, while nothing is changed yet: a clock
    /// is foreign code and may panic.
    #[inline]
    fn ask_time(&self, needed: bool, now: &Now<'_>) {
        if needed || self.contents.may_ask_time() {
            now.get();
        }
    }
}

#[cfg(any(test, fuzzing))]
impl Core {
    /// Checks every inner invariant.
    pub(super) fn validate(&self) {
        self.contents.validate();
        for flushed in &self.flushed {
            flushed.contents.validate();
        }
        assert!(self.contents.len() <= self.limits.entries);
        assert!(self.contents.cost() <= self.limits.bytes);
        assert_eq!(self.contents.tags.reserved(), self.in_flight.pinned_count());
    }

    /// How much is in the tables: entries, tags, loads in progress, failures remembered.
    pub(super) fn tables(&self) -> [usize; 4] {
        let contents = &self.contents;
        let loads = self.in_flight.usage().0;
        [
            contents.len(),
            contents.tags.usage().0,
            loads,
            self.backoffs.len(),
        ]
    }
}

#[cfg(test)]
mod full;
#[cfg(test)]
mod tests;
