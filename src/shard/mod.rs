//! One lock over entries, tags and loads: a whole small cache.
//!
//! This is the one file that takes the lock. Every function here is one critical
//! section: no guard leaves it, nothing in it waits, and no code of the caller's
//! runs in it but the clock. What an act takes out goes to the trash, which is
//! emptied after the unlock.

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

use std::sync::PoisonError;

use bytes::Bytes;

use self::core::Core;
pub(crate) use self::core::Limits;
use self::entry_status::Probe;
pub(crate) use self::flight::{Flight, FlightResult, FlightValue};
pub(crate) use self::invalidation_log::InvalidationLog;
pub(crate) use self::requests::{
    Claimed, Completed, Completion, Failure, FoundEntry, LoadLookup, LoadRequest, NewEntry,
    OldEntry, Peeked,
};
use self::trash::Trash;
use crate::key::{Hashing, Key, Lookup, SmallBytes};
use crate::options::TagNames;
use crate::removal::Listener;
use crate::runtime::{Moment, Now};
use crate::stats::CacheStats;
use crate::store::{EntryId, State};
use crate::sync::{Arc, RwLock};
use crate::tags::TagInvalidation;
use crate::value::{Access, TypeTag, TypedValue};

/// Shares no line of the processor's cache with another, so that two threads in two do
/// not slow each other.
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

    /// Runs one act under the lock, and tells of what it took out and drops it after the
    /// unlock.
    ///
    /// What an act is given must be borrowed: were it moved in, a panic of the clock
    /// would drop it under the lock.
    #[inline]
    fn write_with_trash<R>(&self, act: impl FnOnce(&mut Core, &mut Trash) -> R) -> R {
        // Dropped in reverse: first the guard, then the trash.
        let mut trash = Trash::new(self.listener.is_some());
        let result = self.write(|core| act(core, &mut trash));
        if let Some(listener) = &self.listener {
            trash.notify(listener);
        }
        result
    }

    /// Runs an act that takes nothing out.
    #[inline]
    fn write<R>(&self, act: impl FnOnce(&mut Core) -> R) -> R {
        // A clock may panic in here, but it is asked before anything is changed: what
        // a poisoned lock guards is sound.
        let mut core = self.core.write().unwrap_or_else(PoisonError::into_inner);
        act(&mut core)
    }

    /// Runs an act that changes nothing, beside others of its kind.
    #[inline]
    fn read<R>(&self, act: impl FnOnce(&Core) -> R) -> R {
        let core = self.core.read().unwrap_or_else(PoisonError::into_inner);
        act(&core)
    }

    /// Looks a key up and tells the policy.
    #[inline]
    fn probe_fresh<R>(
        &self,
        key: impl Lookup,
        now: &Now<'_>,
        pick: impl FnOnce(&Core, EntryId) -> R,
    ) -> Result<R, Probe> {
        self.read(|core| {
            let found = core.probe(key, now);
            found.fresh().map(|id| pick(core, id)).ok_or(found)
        })
    }

    /// The same. What is there but gone leaves.
    #[inline]
    fn get_fresh<R>(
        &self,
        key: Key<'_>,
        now: &Now<'_>,
        pick: impl FnOnce(&Core, EntryId) -> R,
    ) -> Option<R> {
        let found = self.probe_fresh(key, now, pick);
        if let Err(Probe::Checked(_, State::Expired)) = found {
            self.remove_expired(key, now);
        }
        found.ok()
    }

    /// Takes out what a look-up found gone, if it still is.
    pub(crate) fn remove_expired(&self, key: Key<'_>, now: &Now<'_>) {
        self.write_with_trash(|core, trash| core.remove_expired(key, now, trash));
    }

    /// Reads an entry and tells the policy.
    #[inline]
    pub(crate) fn get(&self, key: Key<'_>, now: &Now<'_>) -> Option<TypedValue> {
        self.get_fresh(key, now, Core::value)
    }

    /// As `read`, of the bytes alone.
    #[inline]
    pub(crate) fn get_bytes(&self, key: Key<'_>, now: &Now<'_>) -> Option<Bytes> {
        self.get_fresh(key, now, Core::bytes)
    }

    /// As `read`, of what a form of values needs. It only looks: of the caller's it runs
    /// nothing but the clock, and what is gone stays.
    #[inline]
    pub(crate) fn peek_as<T: Access>(
        &self,
        key: impl Lookup,
        now: &Now<'_>,
    ) -> Peeked<T::Snapshot> {
        match self.probe_fresh(key, now, Core::snapshot::<T>) {
            Ok(snapshot) => Peeked::Fresh(snapshot),
            Err(Probe::Checked(_, State::Expired)) => Peeked::Expired,
            Err(_) => Peeked::Missing,
        }
    }

    /// What a loading call need not think about: see [`Core::find_hit`].
    #[inline]
    pub(crate) fn find_hit<T: Access>(
        &self,
        key: impl Lookup,
        now: &Now<'_>,
    ) -> Option<T::Snapshot> {
        self.read(|core| core.find_hit::<T>(key, now))
    }

    /// Reads an entry and leaves no trace.
    pub(crate) fn peek(&self, key: Key<'_>, now: &Now<'_>) -> Option<TypedValue> {
        self.read(|core| core.peek(key, now))
    }

    /// Whether a live entry is there.
    pub(crate) fn contains(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.read(|core| core.contains(key, now))
    }

    /// Stores an entry, or not, as its size, time and the capacity say. Either way
    /// what was there is gone and a load in progress is fenced. Says how many writes
    /// the shard has had.
    #[inline]
    pub(crate) fn put(
        &self,
        key: Key<'_>,
        write: &mut NewEntry<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> usize {
        self.write_with_trash(|core, trash| core.put(key, write, tags, now, trash))
    }

    /// As `put`, if what a read without a loader sees still is what was read.
    pub(crate) fn put_if(
        &self,
        key: Key<'_>,
        read: Option<&TypedValue>,
        write: &mut NewEntry<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> Option<usize> {
        self.write_with_trash(|core, trash| {
            let still = core.is_unchanged(key, read, now);
            still.then(|| core.put(key, write, tags, now, trash))
        })
    }

    /// As `remove`, under the same condition. Whether it held.
    pub(crate) fn remove_if(&self, key: Key<'_>, read: Option<&TypedValue>, now: &Now<'_>) -> bool {
        self.write_with_trash(|core, trash| {
            let still = core.is_unchanged(key, read, now);
            if still {
                core.remove(key, now, trash);
            }
            still
        })
    }

    /// Gives back a little of what is gone but still takes up room.
    pub(crate) fn reclaim(&self, now: &Now<'_>) {
        self.write_with_trash(|core, trash| {
            core.reclaim(now, trash);
            core.compact(trash);
        });
    }

    /// Removes an entry and fences a load in progress. Whether a live entry left.
    pub(crate) fn remove(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.write_with_trash(|core, trash| core.remove(key, now, trash))
    }

    /// Ends the freshness of an entry and fences a load in progress. Whether it was fresh.
    pub(crate) fn expire(&self, key: Key<'_>, now: &Now<'_>) -> bool {
        self.write_with_trash(|core, trash| core.expire(key, now, trash))
    }

    /// Looks for a value; if there is none, for a load to join. Takes no seat.
    #[inline]
    pub(crate) fn probe_load(
        &self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        now: &Now<'_>,
    ) -> LoadLookup {
        self.read(|core| core.probe_load(key, request, now))
    }

    /// Looks again and, if a load has to begin, takes the seat for it. Whoever looks, joins
    /// or stores meanwhile comes before all of this or after it.
    pub(crate) fn claim(
        &self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> LoadLookup {
        self.write(|core| core.claim(key, request, tags, now))
    }

    /// Takes the seat for a load, from another load too, unless there is a fresh entry of
    /// another type. Gives what there is.
    pub(crate) fn claim_refresh(
        &self,
        key: Key<'_>,
        request: &LoadRequest<'_>,
        tags: &TagNames,
        now: &Now<'_>,
    ) -> Result<(Arc<Flight>, Option<FoundEntry>), TypeTag> {
        self.write(|core| core.claim_refresh(key, request, tags, now))
    }

    /// What may be served instead of a load that failed, and whether it has a window after
    /// its time to live.
    pub(crate) fn stale_value(
        &self,
        key: Key<'_>,
        ty: TypeTag,
        now: &Now<'_>,
    ) -> Option<(FoundEntry, bool)> {
        self.read(|core| core.stale_value(key, ty, now))
    }

    /// Ends a load: stores its value if the load still has its seat and its tags.
    pub(crate) fn complete(
        &self,
        key: Key<'_>,
        landing: Completion<'_>,
        now: &Now<'_>,
    ) -> Completed {
        self.write_with_trash(|core, trash| core.complete(key, landing, now, trash))
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

    /// Makes everything unreachable that carries one of these tags.
    pub(crate) fn invalidate(&self, names: &[SmallBytes], invalidation: &Arc<TagInvalidation>) {
        self.write(|core| core.invalidate(names, invalidation));
    }

    /// Makes everything unreachable. `at` is the flush's time.
    pub(crate) fn flush(&self, at: Moment) {
        self.write_with_trash(|core, trash| core.flush(at, trash));
    }

    /// Gives the memory of up to `most` unreachable entries back, and says of how
    /// many it did. Fewer than `most` means that none is left.
    pub(crate) fn sweep(&self, most: usize) -> usize {
        self.write_with_trash(|core, trash| core.sweep(most, trash))
    }

    /// The keys that are fresh; or all that may still be served or are being loaded, in
    /// order.
    pub(crate) fn keys(&self, all: bool, now: &Now<'_>) -> Vec<String> {
        self.read(|core| core.keys(all, now))
    }

    /// How many entries are held. Those that are unreachable but not swept count.
    pub(crate) fn len(&self) -> usize {
        self.read(Core::len)
    }

    /// What was counted under the lock: all but hits and misses.
    pub(crate) fn stats(&self) -> CacheStats {
        self.read(|core| core.stats)
    }

    /// Counts something that happened outside the lock.
    pub(crate) fn count(&self, count: impl FnOnce(&mut CacheStats)) {
        self.write(|core| count(&mut core.stats));
    }

    /// Checks every inner invariant.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn validate(&self) {
        self.read(Core::validate);
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn tables(&self) -> [usize; 4] {
        self.read(Core::tables)
    }
}
