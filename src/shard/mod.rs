//! A lock over entries, tags and loads: a whole small cache.
//!
//! Only this file takes the lock. Every function here is one critical section: no guard
//! leaves the function, nothing waits under the lock, and none of the caller's code runs
//! there except `Clock::now`. Removed entries go to the trash, which is dropped after the
//! unlock.

mod background_task;
mod backoffs;
mod contents;
mod core;
mod cost;
mod entry_status;
mod entry_types;
mod flight;
mod in_flight;
mod invalidation_log;
mod requests;
mod trash;
mod visits;

use std::sync::PoisonError;

use bytes::Bytes;

pub(crate) use self::background_task::{BackgroundTask, TaskEnd};
use self::core::Core;
pub(crate) use self::core::Limits;
use self::entry_status::Probe;
pub(crate) use self::flight::{Flight, FlightResult, FlightValue};
pub(crate) use self::invalidation_log::InvalidationLog;
pub(crate) use self::requests::{
    Claimed, Completed, Completion, Failure, FoundEntry, LoadLookup, LoadRequest, NewEntry, NoHit,
    OldEntry, Peeked, StoreMode, Written,
};
use self::trash::Trash;
pub(crate) use self::visits::Named;
use crate::key::{Hashing, Key, Lookup};
use crate::options::TagNames;
use crate::removal::Listener;
use crate::runtime::Now;
use crate::stats::CacheStats;
use crate::store::{EntryId, State};
use crate::sync::{Arc, RwLock};
use crate::tags::{HashedTag, TagInvalidation};
use crate::value::{Access, TypeTag, TypedValue};

/// A lock over one part of the cache. The alignment keeps two shards out of one cache line,
/// so that two threads in two shards do not slow each other.
#[repr(align(128))]
pub(crate) struct Shard {
    core: RwLock<Core>,
    listener: Option<Listener>,
}

impl Shard {
    pub(crate) fn new(limits: Limits, hashing: Hashing, listener: Option<Listener>) -> Self {
        Self {
            core: RwLock::new(Core::new(limits, hashing)),
            listener,
        }
    }

    /// Runs an act under the writers' lock. After the unlock, tells the listener of the
    /// entries that the act removed, and drops them.
    ///
    /// Acts borrow their arguments: an argument that was moved in would be dropped under the
    /// lock if the clock panicked.
    #[inline]
    fn write_with_trash<R>(&self, act: impl FnOnce(&mut Core, &mut Trash) -> R) -> R {
        // Locals are dropped in reverse order: first the guard, then the trash.
        let mut trash = Trash::new(self.listener.is_some());
        let result = self.write(|core| act(core, &mut trash));
        if let Some(listener) = &self.listener {
            trash.report(listener);
        }
        result
    }

    /// Runs an act under the writers' lock, which removes nothing.
    #[inline]
    fn write<R>(&self, act: impl FnOnce(&mut Core) -> R) -> R {
        // A clock that panics poisons the lock. Every act asks the clock before it changes
        // anything, so the state behind a poisoned lock is sound.
        let mut core = self.core.write().unwrap_or_else(PoisonError::into_inner);
        act(&mut core)
    }

    /// Runs an act under the readers' lock.
    #[inline]
    fn read<R>(&self, act: impl FnOnce(&Core) -> R) -> R {
        let core = self.core.read().unwrap_or_else(PoisonError::into_inner);
        act(&core)
    }

    /// Finds a fresh entry, records the read and takes from the entry what `take` needs.
    #[inline]
    fn probe_fresh<R>(
        &self,
        key: impl Lookup,
        now: &Now<'_>,
        take: impl FnOnce(&Core, EntryId) -> R,
    ) -> Result<R, Probe> {
        self.read(|core| {
            let probe = core.probe(key, now);
            probe.fresh().map(|id| take(core, id)).ok_or(probe)
        })
    }

    /// Does the same, and removes an expired entry.
    #[inline]
    fn get_fresh<R>(
        &self,
        key: Key<'_>,
        now: &Now<'_>,
        take: impl FnOnce(&Core, EntryId) -> R,
    ) -> Option<R> {
        let found = self.probe_fresh(key, now, take);
        if let Err(Probe::Checked(_, State::Expired)) = found {
            self.remove_expired(key, now);
        }
        found.ok()
    }

    /// Removes an entry that a reader found expired, if the entry still is.
    pub(crate) fn remove_expired(&self, key: Key<'_>, now: &Now<'_>) {
        self.write_with_trash(|core, trash| core.remove_expired(key, now, trash));
    }

    /// Returns the fresh value of a key, and records the read.
    #[inline]
    pub(crate) fn get(&self, key: Key<'_>, now: &Now<'_>) -> Option<TypedValue> {
        self.get_fresh(key, now, Core::value)
    }

    /// Returns the encoded bytes of a fresh value, and records the read.
    #[inline]
    pub(crate) fn get_bytes(&self, key: Key<'_>, now: &Now<'_>) -> Option<Bytes> {
        self.get_fresh(key, now, Core::bytes)
    }

    /// Looks for a fresh value and records the read. Removes nothing, and runs none of the
    /// caller's code except the clock.
    #[inline]
    pub(crate) fn peek_as<A: Access>(
        &self,
        key: impl Lookup,
        now: &Now<'_>,
    ) -> Peeked<A::Snapshot> {
        match self.probe_fresh(key, now, Core::snapshot::<A>) {
            Ok(snapshot) => Peeked::Fresh(snapshot),
            Err(Probe::Checked(_, State::Expired)) => Peeked::Expired,
            Err(_) => Peeked::Missing,
        }
    }

    /// Finds the value that most loading calls find: see [`Core::find_hit`].
    #[inline]
    pub(crate) fn find_hit<A: Access>(
        &self,
        key: impl Lookup,
        now: &Now<'_>,
    ) -> Result<A::Snapshot, NoHit> {
        self.read(|core| core.find_hit::<A>(key, now))
    }

    /// Returns the fresh value of a key, and leaves no trace in the policy.
    pub(crate) fn peek(&self, key: Key<'_>, now: &Now<'_>) -> Option<TypedValue> {
        self.read(|core| core.peek(key, now))
    }

    /// Returns `true` if the key has a fresh entry, `false` otherwise.
    pub(crate) fn contains(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.read(|core| core.contains(key, now))
    }

    /// Stores an entry, unless its size, its time to live or the capacity forbids. In both
    /// cases the previous entry is removed and a load in flight is fenced.
    #[inline]
    pub(crate) fn put(
        &self,
        key: Key<'_>,
        entry: &mut NewEntry<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> Written {
        // guard: an entry and the tags of the entry are stored in one critical section
        self.write_with_trash(|core, trash| core.put(key, entry, tags, now, trash))
    }

    /// Stores an entry as `put` does, if the key still has the value that was read. Returns
    /// `None` if the key has another value.
    pub(crate) fn put_if(
        &self,
        key: Key<'_>,
        read: Option<&TypedValue>,
        entry: &mut NewEntry<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> Option<Written> {
        self.write_with_trash(|core, trash| {
            let is_unchanged = core.is_unchanged(key, read, now);
            // guard: an update stores only over the value that the update read
            is_unchanged.then(|| core.put(key, entry, tags, now, trash))
        })
    }

    /// Removes an entry, if the key still has the value that was read. Returns `true` if so,
    /// `false` if the key has another value.
    pub(crate) fn remove_if(&self, key: Key<'_>, read: Option<&TypedValue>, now: &Now<'_>) -> bool {
        self.write_with_trash(|core, trash| {
            let is_unchanged = core.is_unchanged(key, read, now);
            // guard: an update removes only the value that the update read
            if is_unchanged {
                core.remove(key, now, trash);
            }
            is_unchanged
        })
    }

    /// Sweeps a few entries of each kind that is unreachable or expired.
    pub(crate) fn reclaim(&self, now: &Now<'_>) {
        self.write_with_trash(|core, trash| {
            core.reclaim(now, trash);
            core.compact(trash);
        });
    }

    /// Removes an entry and fences a load in flight. Returns `true` if the entry was live,
    /// `false` if there was none or it was expired.
    pub(crate) fn remove(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.write_with_trash(|core, trash| core.remove(key, now, trash))
    }

    /// Ends the freshness of an entry and fences a load in flight. Returns `true` if the
    /// entry was fresh, `false` if there was none or it was stale or expired.
    pub(crate) fn expire(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.write_with_trash(|core, trash| core.expire(key, now, trash))
    }

    /// Looks for a value or for a load to join. Claims no slot.
    #[inline]
    pub(crate) fn probe_load(
        &self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        now: &Now<'_>,
    ) -> LoadLookup {
        self.read(|core| core.probe_load(key, request, now))
    }

    /// Looks again and, if a load must start, claims the slot, in one critical section: every
    /// other look, join or store comes before both or after both.
    pub(crate) fn claim(
        &self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> LoadLookup {
        // guard: no writer comes between the look and the claim
        self.write(|core| core.claim(key, request, tags, now))
    }

    /// Claims the slot for a refresh: see [`Core::claim_refresh`].
    pub(crate) fn claim_refresh(
        &self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> Result<(Arc<Flight>, Option<FoundEntry>), TypeTag> {
        self.write(|core| core.claim_refresh(key, request, tags, now))
    }

    /// Returns the value to be served after a failed load.
    pub(crate) fn stale_value(
        &self,
        key: Key<'_>,
        ty: TypeTag,
        now: &Now<'_>,
    ) -> Option<FoundEntry> {
        self.read(|core| core.stale_value(key, ty, now))
    }

    /// Ends a load that has a value, and stores the value unless the load was fenced.
    pub(crate) fn complete(
        &self,
        key: Key<'_>,
        completion: Completion<'_>,
        now: &Now<'_>,
    ) -> Completed {
        // guard: no writer comes between the check of the slot and the store
        self.write_with_trash(|core, trash| core.complete(key, completion, now, trash))
    }

    /// Ends a load that has no value.
    pub(crate) fn abandon(
        &self,
        key: Key<'_>,
        flight: &Arc<Flight>,
        failure: &Failure<'_>,
        now: &Now<'_>,
    ) {
        self.write_with_trash(|core, trash| core.abandon(key, flight, failure, now, trash));
    }

    /// Makes all entries with one of these tags unreachable, or expires them.
    pub(crate) fn invalidate(
        &self,
        tags: &[HashedTag],
        invalidation: &Arc<TagInvalidation>,
        now: &Now<'_>,
    ) {
        self.write(|core| core.invalidate(tags, invalidation, now));
    }

    /// Makes all entries unreachable.
    pub(crate) fn flush(&self, now: &Now<'_>) {
        self.write_with_trash(|core, trash| core.flush(now, trash));
    }

    /// Returns `true` if some entry has times, so that an operation may read the clock; `false`
    /// if none has.
    pub(crate) fn may_ask_time(&self) -> bool {
        self.read(Core::may_ask_time)
    }

    /// Gives back the memory of up to `most` unreachable entries, and returns how many. Fewer
    /// than `most` means that none is left.
    pub(crate) fn sweep(&self, most: usize) -> usize {
        self.write_with_trash(|core, trash| core.sweep(most, trash))
    }

    /// Removes up to `most` unreachable or expired entries: see [`Core::tidy`].
    pub(crate) fn tidy(&self, most: usize, now: &Now<'_>) -> (u64, bool) {
        self.write_with_trash(|core, trash| core.tidy(most, now, trash))
    }

    /// Returns the fresh keys. With `all`: also the keys of all other entries that are not
    /// invalidated, and of loads, in order.
    pub(crate) fn keys(&self, all: bool, now: &Now<'_>) -> Vec<String> {
        self.read(|core| core.keys(all, now))
    }

    /// Returns how many entries take up memory, unreachable entries included.
    pub(crate) fn len(&self) -> usize {
        self.read(Core::len)
    }

    /// Returns the counters that are kept under the lock.
    pub(crate) fn stats(&self) -> CacheStats {
        self.read(|core| core.stats)
    }

    /// Counts an event that happened outside the lock.
    pub(crate) fn count(&self, count: impl FnOnce(&mut CacheStats)) {
        self.write(|core| count(&mut core.stats));
    }

    /// Checks every internal invariant.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn validate(&self) {
        self.read(Core::validate);
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn tables(&self) -> [usize; 4] {
        self.read(Core::tables)
    }
}
