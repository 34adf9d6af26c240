//! The data under the lock of a shard, and every operation on the data.

mod loading;
mod removing;
mod storing;
mod sweeping;

use std::collections::VecDeque;

use bytes::Bytes;

use super::backoffs::Backoffs;
use super::contents::Contents;
use super::entry_status::{Liveness, Probe};
use super::in_flight::{InFlight, Loads, RunningLoad};
use super::requests::{NewEntry, StoreMode, Written};
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

/// The bounds of a shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The largest number of entries.
    pub(crate) entries: usize,
    /// The largest sum of the costs of all entries: see [`cost`](super::cost::cost).
    pub(crate) bytes: usize,
    /// The length of the largest value.
    pub(crate) entry_bytes: usize,
    /// The largest number of entries evicted to make room for one entry, in a shard with many
    /// entries.
    pub(crate) evicted_at_once: usize,
}

/// A small cache: entries, loads in flight and back-offs, for single-threaded use.
#[derive(Debug)]
pub(super) struct Core {
    limits: Limits,
    contents: Contents,
    in_flight: InFlight,
    backoffs: Backoffs,
    /// The entries of flushes, not yet swept; oldest flush first.
    flushed: VecDeque<Flushed>,
    pub(super) stats: CacheStats,
    /// The number of stored values, refused values included. Wraps.
    writes: usize,
}

/// The entries of a flush, unreachable, until swept.
#[derive(Debug)]
struct Flushed {
    contents: Box<Contents>,
    /// The time of the flush.
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

    /// Returns the number of entries, expired entries included, flushed entries not.
    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    /// Returns `true` if a read without a loader sees an entry, `false` if not.
    pub(super) fn contains(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.contents.find_fresh(key, now).is_some()
    }

    /// Returns the value for a read without a loader, and records no read.
    #[inline]
    pub(super) fn peek(&self, key: Key<'_>, now: &Now<'_>) -> Option<TypedValue> {
        let id = self.contents.find_fresh(key, now)?;
        Some(self.contents.value(id))
    }

    /// Returns `true` if a read without a loader still sees the value `read`, or still sees
    /// none. Returns `false` if the value has changed.
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
    pub(super) fn snapshot<A: Access>(&self, id: EntryId) -> A::Snapshot {
        self.contents.snapshot::<A>(id)
    }

    /// Finds an entry with the state, and records a read if the entry is fresh.
    #[inline]
    pub(super) fn probe(&self, key: impl Lookup, now: &Now<'_>) -> Probe {
        let found = self.contents.probe(key, now);
        if let Some(id) = found.fresh() {
            self.contents.record_read(id, now);
        }
        found
    }

    /// Stores a value, or removes the old value if the new value is refused.
    #[inline]
    pub(super) fn put(
        &mut self,
        key: Key<'_>,
        entry: &mut NewEntry<'_>,
        tags: &TagNames,
        now: &Now<'_>,
        trash: &mut Trash,
    ) -> Written {
        // 1. Read the clock while nothing is changed.
        self.ask_time(entry.needs_time(), now);
        // 2. The put is newer than the load of the key.
        // guard: a put fences the load of the key
        self.fence(key);
        // 3. Store with pinned tags, as a load does.
        let tags = if entry.mode == StoreMode::Update {
            self.pin_with_old(key, tags)
        } else {
            self.pin(tags)
        };
        let stored = self.store(key, entry, tags, now, trash);
        self.compact(trash);
        Written {
            writes: self.writes,
            is_stored: stored.is_some(),
        }
    }

    /// Pins the tags of these names, and the tags of the fresh entry of a key.
    fn pin_with_old(&mut self, key: Key<'_>, tags: &TagNames) -> PinnedTags {
        // The entry is fresh, so every tag of the entry is alive, and bound to its name.
        let mut names = tags.clone();
        if let Some(id) = self.contents.find(key) {
            names.extend(self.contents.tag_names(id));
        }
        self.pin(&names)
    }

    /// Returns the keys of fresh entries. With `all`, also the keys of all other entries that an
    /// earlier time could bring back, and of loads in flight, sorted, each key once.
    pub(super) fn keys(&self, all: bool, now: &Now<'_>) -> Vec<String> {
        // Keys of typed caches are no text, and left out.
        let text = |key: &SmallBytes| {
            let bytes = key.as_bytes();
            is_text(bytes).then(|| display(bytes, usize::MAX).into_owned())
        };
        let mut keys = Vec::new();
        let mut next = Some(0);
        while let Some(id) = next.and_then(|id| self.contents.next_from(id)) {
            // At the origin of time only an invalidated entry is expired.
            let at_origin = || self.contents.state(id, &Now::Known(Moment::ZERO));
            // guard: retain asks about entries that only the clock has expired
            if self.contents.state(id, now).is_fresh() || (all && at_origin() != State::Expired) {
                keys.extend(text(self.contents.key(id)));
            }
            next = id.checked_add(1);
        }
        // An entry and a load may have one key.
        if all {
            keys.extend(self.in_flight.keys().filter_map(text));
            keys.sort_unstable();
            keys.dedup();
        }
        keys
    }

    /// Makes these tags dead. The members are unreachable from now on, and swept later.
    pub(super) fn invalidate(
        &mut self,
        tags: &[HashedTag],
        invalidation: &Arc<TagInvalidation>,
        now: &Now<'_>,
    ) {
        if self.may_ask_time() {
            invalidation.set_time(now.get());
        }
        for tag in tags {
            self.contents.tags.invalidate(tag, invalidation);
        }
        // Removal or expiry: the cause of the failure may be gone.
        self.backoffs.end_tagged(tags);
    }

    /// Removes an entry and counts the removal by liveness. `cause` is the cause of the
    /// operation.
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

    /// Counts a removal under the counter of the liveness.
    #[inline]
    fn count_liveness(&mut self, liveness: &Liveness) {
        match liveness {
            // The operation has a counter of its own, or none.
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

    /// Pins the tags of these names.
    #[inline]
    fn pin(&mut self, tags: &TagNames) -> PinnedTags {
        if tags.is_empty() {
            return PinnedTags::default();
        }
        self.contents.tags.pin(tags.iter())
    }

    /// Fences the loads of a key: a load finds no slot at the end, and does not store.
    #[inline]
    fn fence(&mut self, key: Key<'_>) {
        // Without the fence:
        // 1. Load A claims the slot, and reads the database.
        // 2. B changes the database, and removes or puts the key.
        // 3. A completes, and stores the old row over B's change.
        //
        // With the fence, step 2 takes the slot of A, so A returns the value without storing.
        let loads = self.in_flight.take(key);
        self.release_loads(loads);
    }

    /// Ends the back-off of a key, so that the key may be loaded.
    #[inline]
    fn clear_backoff(&mut self, key: Key<'_>, trash: &mut Trash) {
        if !self.backoffs.is_empty() {
            trash.backoff(self.backoffs.take(key));
        }
    }

    /// Ends the pins of loads without a slot.
    #[inline]
    fn release_loads(&mut self, loads: Loads) {
        for load in loads {
            self.release(load);
        }
    }

    /// Ends the pins of a load. The flight lives on in the leader and the waiters.
    #[inline]
    fn release(&mut self, load: RunningLoad) {
        self.contents.tags.unpin(load.tags);
        self.contents.tags.unpin(load.old_tags);
    }

    /// Reads the clock if a write may need the time. Comes before any change: the clock is code
    /// of the caller and may panic.
    #[inline]
    fn ask_time(&self, needed: bool, now: &Now<'_>) {
        if needed || self.may_ask_time() {
            now.get();
        }
    }

    /// Returns `true` if some entry has times, so that an operation may read the clock; `false`
    /// if none has.
    #[inline]
    pub(super) fn may_ask_time(&self) -> bool {
        self.contents.may_ask_time()
    }
}

#[cfg(any(test, fuzzing))]
impl Core {
    /// Checks every invariant inside.
    pub(super) fn validate(&self) {
        self.contents.validate();
        for flushed in &self.flushed {
            flushed.contents.validate();
        }
        assert!(self.contents.len() <= self.limits.entries);
        assert!(self.contents.cost() <= self.limits.bytes);
        assert_eq!(self.contents.tags.reserved(), self.in_flight.pinned_count());
    }

    /// Returns the sizes of the tables: entries, tags, loads in flight, failures.
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
mod load_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unswept;
