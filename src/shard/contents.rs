//! Entries, types and tags, kept in step: none changes without the others.

use std::mem;

use bytes::Bytes;

use super::cost::cost;
use super::entry_status::{EntryTimes, Liveness, Probe};
use super::entry_types::EntryTypes;
use crate::key::{Hashing, Key, Lookup, SmallBytes};
use crate::removal::RemovalCause;
use crate::runtime::{Moment, Now};
use crate::store::{Deadlines, Entry, EntryId, Lifetime, Rank, State, Store};
use crate::sync::Arc;
#[cfg(test)]
use crate::tags::HashedTag;
use crate::tags::{PinnedTags, Tags};
use crate::value::{Access, NewValue, StoredValue, TypedValue};

/// The stored entries of a shard, with types, tags and the cost.
#[derive(Debug)]
pub(super) struct Contents {
    hashing: Hashing,
    store: Store<StoredValue>,
    types: EntryTypes,
    pub(super) tags: Tags,
    /// The sum of the costs of all entries, without the tags.
    cost: usize,
}

impl Contents {
    /// The largest number of entries.
    pub(super) const MAX_ENTRIES: usize = Store::<StoredValue>::MAX_ENTRIES;

    pub(super) fn new(hashing: Hashing) -> Self {
        Self {
            store: Store::new(hashing.clone()),
            types: EntryTypes::new(hashing.clone()),
            tags: Tags::new(hashing.clone()),
            hashing,
            cost: 0,
        }
    }

    /// Returns empty contents with the same hashing.
    pub(super) fn empty_copy(&self) -> Self {
        Self::new(self.hashing.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.store.len()
    }

    /// Finds an entry, live or not.
    #[inline]
    pub(super) fn find(&self, key: impl Lookup) -> Option<EntryId> {
        self.store.find(key)
    }

    /// Finds an entry and the state of the entry.
    #[allow(clippy::inline_always, reason = "every hit calls probe: measured")]
    #[inline(always)]
    pub(super) fn probe(&self, key: impl Lookup, now: &Now<'_>) -> Probe {
        let Some(id) = self.store.find_timed(key, now) else {
            return Probe::Missing;
        };
        // Cheap for most hits: a counter of dead tags, and one time of the entry.
        // guard: a read returns no entry with a dead tag
        if self.tags.is_invalidated(id) || now.is_past(self.store.surely_fresh_until(id)) {
            return Probe::Checked(id, self.state(id, now));
        }
        Probe::Fresh(id)
    }

    /// Returns the state of an entry, from times and tags.
    pub(super) fn state(&self, id: EntryId, now: &Now<'_>) -> State {
        let Some(dead) = self.tags.invalidated(id) else {
            return self.store.state(id, now);
        };
        match self.store.deadlines(id) {
            // Expired by a tag, and not yet swept: the state as if already expired.
            Some(times) if !dead.removed => times.state_if_expired(dead.first.at(), now.get()),
            _ => State::Expired,
        }
    }

    /// Returns the times of an entry with a known state.
    pub(super) fn times(&self, id: EntryId, state: State) -> EntryTimes {
        let (end, times) = self.end_and_deadlines(id);
        // An invalidation may have ended the time to live early.
        let fresh_until = if state.is_fresh() { end } else { Moment::ZERO };
        EntryTimes {
            stored: times.map(|times| times.stored),
            fresh_until,
            state,
        }
    }

    /// Returns the end of an entry's time to live, and the record of times.
    pub(super) fn end_and_deadlines(&self, id: EntryId) -> (Moment, Option<&Deadlines>) {
        self.store.end_and_deadlines(id)
    }

    /// Ends the freshness of an entry. Returns `true` if a stale value is left, `false` if not.
    pub(super) fn expire(&mut self, id: EntryId, now: &Now<'_>) -> bool {
        // An entry without a record of times has no window, and needs no time.
        self.store.deadlines(id).is_some() && self.store.expire(id, now.get())
    }

    /// Ends the freshness of an entry with an expired tag, and attaches live tags. Returns
    /// `true` if a stale value is left and the entry stays, `false` if the entry must be
    /// removed. The live tags must not raise the cost above `max_bytes`.
    pub(super) fn survives_expire(&mut self, id: EntryId, max_bytes: usize) -> bool {
        let dead = self.tags.invalidated(id).filter(|dead| !dead.removed);
        let Some(expired) = dead.map(|dead| dead.first.at()) else {
            return false;
        };
        // Without live tags no later `invalidate_tag` would reach the entry.
        let for_tags = max_bytes.saturating_sub(self.cost);
        self.store.expire(id, expired) && self.tags.reattach(id, for_tags)
    }

    /// Finds an entry for a read without a loader.
    #[inline]
    pub(super) fn find_fresh(&self, key: Key<'_>, now: &Now<'_>) -> Option<EntryId> {
        self.probe(key, now).fresh()
    }

    /// Returns an unpredictable number for a hash and a write.
    pub(super) fn random(&self, hash: u64, write: usize) -> u64 {
        // The seed of the hashing makes the number unpredictable.
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&hash.to_ne_bytes());
        bytes[8..].copy_from_slice(&(write as u64).to_ne_bytes());
        self.hashing.hash(&bytes)
    }

    /// Returns the names of an entry's tags.
    pub(super) fn tag_names(&self, id: EntryId) -> Vec<SmallBytes> {
        self.tags.names_of(id).cloned().collect()
    }

    pub(super) fn key(&self, id: EntryId) -> &SmallBytes {
        self.store.key(id)
    }

    #[inline]
    pub(super) fn bytes(&self, id: EntryId) -> &Bytes {
        self.store.value(id).bytes()
    }

    /// Returns the part of an entry's value that this form of access needs.
    #[inline]
    pub(super) fn snapshot<A: Access>(&self, id: EntryId) -> A::Snapshot {
        A::snapshot(self.store.value(id), || self.types.get(id))
    }

    /// Returns a handle of an entry's value, and the type.
    #[inline]
    pub(super) fn value(&self, id: EntryId) -> TypedValue {
        TypedValue {
            handle: self.store.value(id).handle(),
            ty: self.types.get(id),
        }
    }

    /// Returns the reason for a removal of the entry now.
    #[inline]
    pub(super) fn liveness(&self, id: EntryId, now: &Now<'_>) -> Liveness {
        // guard: an entry with a dead tag is not counted as live
        self.liveness_if_invalidated(id).unwrap_or_else(|| {
            if self.store.state(id, now).is_fresh() {
                Liveness::Live
            } else {
                Liveness::Expired
            }
        })
    }

    /// Returns the liveness of an entry with a dead tag, as of the first invalidation.
    #[inline]
    fn liveness_if_invalidated(&self, id: EntryId) -> Option<Liveness> {
        // An entry already expired at that time was not live, and is not counted.
        let invalidation = self.tags.invalidated(id)?.first;
        let state = self.store.state(id, &Now::Known(invalidation.at()));
        Some(if state.is_fresh() {
            Liveness::Invalidated(Arc::clone(invalidation))
        } else {
            Liveness::Expired
        })
    }

    /// Records a read, for the policy and for the time to idle.
    #[inline]
    pub(super) fn record_read(&self, id: EntryId, now: &Now<'_>) {
        self.store.record_read(id);
        // An entry with one time has no time to idle.
        if let Some(times) = self.store.deadlines(id) {
            times.note_read(|| now.get());
        }
    }

    /// Returns the sum of the costs of all entries, tags included.
    #[inline]
    pub(super) fn cost(&self) -> usize {
        self.cost + self.tags.cost()
    }

    /// Returns the cost of an entry without the tags.
    #[inline]
    pub(super) fn cost_of(&self, id: EntryId) -> usize {
        // A record of times is charged with the entry.
        let timed = self.store.deadlines(id).is_some();
        cost(self.store.key(id).len(), self.store.value(id).cost(), timed)
    }

    /// Stores an entry under a key that is not stored yet.
    #[inline]
    pub(super) fn insert(
        &mut self,
        (key, hash): (SmallBytes, u64),
        value: NewValue,
        lifetime: Lifetime,
        tags: PinnedTags,
    ) -> EntryId {
        let id = self.store.insert(key, hash, value.stored, lifetime);
        self.types.set(id, value.ty);
        self.tags.attach(id, tags);
        self.cost += self.cost_of(id);
        id
    }

    /// Returns the policy's rank of an entry.
    pub(super) fn rank(&self, id: EntryId) -> Rank {
        self.store.rank(id)
    }

    /// Gives a new entry the rank of the replaced entry, and one read more.
    pub(super) fn restore_rank(&mut self, id: EntryId, rank: Rank) {
        self.store.restore_rank(id, rank);
    }

    /// Removes all tags from an entry that is about to be replaced.
    #[inline]
    pub(super) fn detach_tags(&mut self, id: EntryId) {
        // guard: a replaced entry leaves the lists of the old tags
        self.tags.detach(id);
    }

    /// Replaces the value and the times of an entry without tags, and attaches tags. Returns
    /// the old value.
    #[inline]
    pub(super) fn replace(
        &mut self,
        id: EntryId,
        value: NewValue,
        lifetime: Lifetime,
        tags: PinnedTags,
    ) -> StoredValue {
        // The cost depends on the times: subtract before, add after.
        self.cost -= self.cost_of(id);
        self.tags.attach(id, tags);
        self.types.set(id, value.ty);
        let old = self.store.replace(id, value.stored, lifetime);
        self.cost += self.cost_of(id);
        old
    }

    /// Removes an entry with tags and times.
    #[inline]
    pub(super) fn remove(&mut self, id: EntryId) -> Entry<StoredValue> {
        self.cost -= self.cost_of(id);
        self.tags.detach(id);
        self.store.remove(id).0
    }

    /// Returns the number of used places, and the number of reserved places.
    pub(super) fn usage(&self) -> (usize, usize) {
        let (tags_used, tags_reserved) = self.tags.usage();
        let used = self.store.len() + tags_used;
        (used, self.store.capacity() + tags_reserved)
    }

    /// Moves all entries, and the tags pinned by loads, to new tables of the needed size.
    /// Returns the old tables, for the trash. Tags are bound again by name: no member and no
    /// load may have a dead tag.
    pub(super) fn compact<'a>(&mut self, loads: impl Iterator<Item = &'a mut PinnedTags>) -> Self {
        let new = self.empty_copy();
        let mut old = mem::replace(self, new);
        for pinned in loads {
            *pinned = self.tags.pin(old.tags.pinned_names(pinned));
        }
        // In any order: the new policy starts without knowledge.
        let mut next = 0;
        while let Some(id) = old.next_from(next) {
            next = id;
            let tags = self.tags.pin(old.tags.names_of(id));
            let (ty, hash) = (old.types.get(id), old.store.hash_of(id));
            let (entry, lifetime) = old.store.remove(id);
            // Numbers of types belong to one table: pass the type itself.
            let value = NewValue {
                stored: entry.value,
                ty,
            };
            self.insert((entry.key, hash), value, lifetime, tags);
        }
        old
    }

    /// Removes up to `max` entries chosen by the policy, and passes each to `out`. Returns the
    /// number of removed entries, and the liveness of each entry that was not live.
    #[inline]
    pub(super) fn evict(
        &mut self,
        max: usize,
        now: &Now<'_>,
        mut out: impl FnMut(Entry<StoredValue>, RemovalCause),
    ) -> (usize, Vec<Liveness>) {
        let (tags, total, mut livenesses) = (&mut self.tags, &mut self.cost, Vec::new());
        let evicted = self.store.evict(max, |id, entry, lifetime| {
            let timed = matches!(lifetime, Lifetime::Timed(_));
            let mut cause = RemovalCause::Evicted;
            // Only these need a look: an expired entry with one time was swept before.
            if timed || tags.is_invalidated(id) {
                let liveness = match tags.invalidated(id) {
                    Some(dead) if lifetime.state(dead.first.at()).is_fresh() => {
                        Liveness::Invalidated(Arc::clone(dead.first))
                    }
                    None if lifetime.state(now.get()).is_fresh() => Liveness::Live,
                    _ => Liveness::Expired,
                };
                cause = liveness.cause(cause);
                if !matches!(liveness, Liveness::Live) {
                    livenesses.push(liveness);
                }
            }
            tags.detach(id);
            *total -= cost(entry.key.len(), entry.value.cost(), timed);
            out(entry, cause);
        });
        (evicted, livenesses)
    }

    /// Returns the smallest id of a stored entry that is not below `id`.
    pub(super) fn next_from(&self, id: EntryId) -> Option<EntryId> {
        self.store.next_from(id)
    }

    /// Returns the next entry with a dead tag, and the liveness of the entry.
    #[inline]
    pub(super) fn next_invalidated(&mut self) -> Option<(EntryId, Liveness)> {
        if !self.tags.has_dead_members() {
            return None;
        }
        let id = self.tags.next_dead_member()?;
        Some((id, self.liveness_if_invalidated(id)?))
    }

    /// Returns an expired entry. `budget`: see [`Store::next_expired`].
    #[inline]
    pub(super) fn next_expired(&mut self, now: &Now<'_>, budget: &mut usize) -> Option<EntryId> {
        // If no entry can expire, the clock is not read.
        self.can_expire()
            .then(|| self.store.next_expired(now.get(), budget))?
    }

    /// Returns `true` if a look at some entry may read the clock, `false` if no look does.
    #[inline]
    pub(super) fn may_ask_time(&self) -> bool {
        self.store.can_expire() || self.store.has_deadlines()
    }

    /// Returns `true` if any entry can expire, `false` if all entries stay until removed.
    #[inline]
    pub(super) fn can_expire(&self) -> bool {
        self.store.can_expire()
    }
}

#[cfg(any(test, fuzzing))]
impl Contents {
    /// Checks every invariant inside.
    pub(super) fn validate(&self) {
        let ids = self.store.validate();
        self.tags.validate(&ids);
        let costs = ids.iter().map(|&id| self.cost_of(id));
        assert_eq!(self.cost, costs.sum::<usize>());
    }
}

#[cfg(test)]
impl Contents {
    pub(super) fn hashed_tag(&self, name: impl Into<SmallBytes>) -> HashedTag {
        HashedTag::new(name.into(), &self.hashing)
    }
}
