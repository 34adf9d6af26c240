//! Entries and their tags, kept in step: neither changes without the other.

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

#[derive(Debug)]
pub(super) struct Contents {
    hashing: Hashing,
    store: Store<StoredValue>,
    types: EntryTypes,
    pub(super) tags: Tags,
    /// What all entries cost.
    cost: usize,
}

impl Contents {
    /// The most entries that can be kept.
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

    /// An empty one that hashes alike.
    pub(super) fn empty_copy(&self) -> Self {
        Self::new(self.hashing.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.store.len()
    }

    #[inline]
    pub(super) fn find(&self, key: impl Lookup) -> Option<EntryId> {
        self.store.find(key)
    }

    /// What there is under a key.
    #[allow(clippy::inline_always, reason = "every hit runs through it: measured")]
    #[inline(always)]
    pub(super) fn probe(&self, key: impl Lookup, now: &Now<'_>) -> Probe {
        let Some(id) = self.store.find_timed(key, now) else {
            return Probe::Missing;
        };
        if self.tags.is_invalidated(id) || now.is_past(self.store.surely_fresh_until(id)) {
            return Probe::Checked(id, self.state(id, now));
        }
        Probe::Fresh(id)
    }

    /// How it stands with an entry.
    pub(super) fn state(&self, id: EntryId, now: &Now<'_>) -> State {
        let Some(over) = self.tags.invalidated(id) else {
            return self.store.state(id, now);
        };
        match self.store.deadlines(id) {
            Some(times) if !over.removed => times.state_if_expired(over.first.at, now.get()),
            _ => State::Expired,
        }
    }

    /// When an entry was stored, and how it stands with it, which is known.
    pub(super) fn times(&self, id: EntryId, state: State) -> EntryTimes {
        let times = self.store.deadlines(id);
        let fresh_until =
            times.map_or_else(|| self.store.surely_fresh_until(id), |it| it.fresh_until);
        EntryTimes {
            stored: times.map(|times| times.stored),
            // A doom may have ended it before.
            fresh_until: if state.is_fresh() {
                fresh_until
            } else {
                Moment::ZERO
            },
            state,
        }
    }

    /// Whether an entry has a window after its time to live.
    pub(super) fn has_window(&self, id: EntryId) -> bool {
        self.store.deadlines(id).is_some_and(Deadlines::has_window)
    }

    /// Ends the freshness of an entry. Whether anything of it is left to be served.
    pub(super) fn expire(&mut self, id: EntryId, at: Moment) -> bool {
        self.store.expire(id, at)
    }

    /// Lets an entry that a doom expired live on without it, if anything of it is left
    /// to be served. Whether it does.
    pub(super) fn survives_expire(&mut self, id: EntryId) -> bool {
        let over = self.tags.invalidated(id).filter(|over| !over.removed);
        let Some(expired) = over.map(|over| over.first.at) else {
            return false;
        };
        self.store.expire(id, expired) && self.tags.reattach(id)
    }

    /// The entry of a key, if a read without a loader sees it.
    #[inline]
    pub(super) fn find_fresh(&self, key: Key<'_>, now: &Now<'_>) -> Option<EntryId> {
        self.probe(key, now).fresh()
    }

    /// A number that nobody can tell, of a key and a write.
    pub(super) fn random(&self, hash: u64, write: usize) -> u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&hash.to_ne_bytes());
        bytes[8..].copy_from_slice(&(write as u64).to_ne_bytes());
        self.hashing.hash(&bytes)
    }

    /// The names of an entry's tags.
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

    /// What a form of values needs of an entry's.
    #[inline]
    pub(super) fn snapshot<T: Access>(&self, id: EntryId) -> T::Snapshot {
        T::snapshot(self.store.value(id), || self.types.get(id))
    }

    /// What is handed out of an entry's value, and which type it is.
    #[inline]
    pub(super) fn value(&self, id: EntryId) -> TypedValue {
        TypedValue {
            handle: self.store.value(id).handle(),
            ty: self.types.get(id),
        }
    }

    /// Why an entry leaves if it leaves now.
    #[inline]
    pub(super) fn liveness(&self, id: EntryId, now: &Now<'_>) -> Liveness {
        self.liveness_if_invalidated(id).unwrap_or_else(|| {
            if self.store.state(id, now).is_fresh() {
                Liveness::Live
            } else {
                Liveness::Expired
            }
        })
    }

    /// The fate of an entry that carries a dead tag: settled when the first doom came.
    #[inline]
    fn liveness_if_invalidated(&self, id: EntryId) -> Option<Liveness> {
        let invalidation = self.tags.invalidated(id)?.first;
        Some(
            if self
                .store
                .state(id, &Now::Known(invalidation.at))
                .is_fresh()
            {
                Liveness::Invalidated(Arc::clone(invalidation))
            } else {
                Liveness::Expired
            },
        )
    }

    #[inline]
    pub(super) fn record_read(&self, id: EntryId, now: &Now<'_>) {
        self.store.record_read(id);
        if let Some(times) = self.store.deadlines(id) {
            times.note_read(|| now.get());
        }
    }

    /// What all entries cost together.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// What one of them costs.
    #[inline]
    pub(super) fn cost_of(&self, id: EntryId) -> usize {
        let (key, tags) = (self.store.key(id), self.tags.count_of(id));
        let timed = self.store.deadlines(id).is_some();
        cost(key.len(), self.store.value(id).cost(), tags, timed)
    }

    /// Stores under a key, with its hash, that is not stored.
    #[inline]
    pub(super) fn insert(
        &mut self,
        (key, hash): (SmallBytes, u64),
        value: NewValue,
        life: Lifetime,
        tags: PinnedTags,
    ) -> EntryId {
        let id = self.store.insert(key, hash, value.stored, life);
        self.types.set(id, value.ty);
        self.tags.attach(id, tags);
        self.cost += self.cost_of(id);
        id
    }

    /// How an entry stands with the policy, for one that is stored in its place.
    pub(super) fn rank(&self, id: EntryId) -> Rank {
        self.store.rank(id)
    }

    /// Lets a new entry stand as another did, and one use better.
    pub(super) fn restore_rank(&mut self, id: EntryId, rank: Rank) {
        self.store.restore_rank(id, rank);
    }

    /// Puts a value in the place of another. Gives the old one.
    #[inline]
    pub(super) fn replace(
        &mut self,
        id: EntryId,
        value: NewValue,
        life: Lifetime,
        tags: PinnedTags,
    ) -> StoredValue {
        self.cost -= self.cost_of(id);
        self.tags.detach(id);
        self.tags.attach(id, tags);
        self.types.set(id, value.ty);
        let old = self.store.replace(id, value.stored, life);
        self.cost += self.cost_of(id);
        old
    }

    #[inline]
    pub(super) fn remove(&mut self, id: EntryId) -> Entry<StoredValue> {
        self.cost -= self.cost_of(id);
        self.tags.detach(id);
        self.store.remove(id).0
    }

    /// How many places are used, and how many reserved.
    pub(super) fn usage(&self) -> (usize, usize) {
        let (tags_used, tags_reserved) = self.tags.usage();
        let used = self.store.len() + tags_used;
        (used, self.store.capacity() + tags_reserved)
    }

    /// Moves all that is kept, and the tags that loads hold, to tables of its size.
    /// Gives the old ones, for the trash.
    ///
    /// Tags are bound anew by their names, so no member and no load may have a dead
    /// one.
    pub(super) fn compact<'a>(&mut self, loads: impl Iterator<Item = &'a mut PinnedTags>) -> Self {
        let new = self.empty_copy();
        let mut old = mem::replace(self, new);
        for held in loads {
            *held = self.tags.pin(old.tags.pinned_names(held));
        }
        // In any order: what the policy knew of them is forgotten.
        let mut next = 0;
        while let Some(id) = old.next_from(next) {
            next = id;
            let tags = self.tags.pin(old.tags.names_of(id));
            let (ty, hash) = (old.types.get(id), old.store.hash_of(id));
            let (entry, life) = old.store.remove(id);
            let value = NewValue {
                stored: entry.value,
                ty,
            };
            self.insert((entry.key, hash), value, life, tags);
        }
        old
    }

    /// Takes out up to `most` entries that the policy lets go, and gives each to `leave`. Says how many, and gives the
    /// fates of those that were not live.
    #[inline]
    pub(super) fn evict(
        &mut self,
        most: usize,
        now: &Now<'_>,
        mut leave: impl FnMut(Entry<StoredValue>, RemovalCause),
    ) -> (usize, Vec<Liveness>) {
        let (tags, total, mut livenesses) = (&mut self.tags, &mut self.cost, Vec::new());
        let evicted = self.store.evict(most, |id, entry, life| {
            let timed = matches!(life, Lifetime::Timed(_));
            let mut cause = RemovalCause::Evicted;
            // One that has a deadline alone, and no dead tag, would have been reclaimed.
            if timed || tags.is_invalidated(id) {
                let liveness = match tags.invalidated(id) {
                    Some(over) if life.state(over.first.at).is_fresh() => {
                        Liveness::Invalidated(Arc::clone(over.first))
                    }
                    None if life.state(now.get()).is_fresh() => Liveness::Live,
                    _ => Liveness::Expired,
                };
                cause = liveness.cause(cause);
                if !matches!(liveness, Liveness::Live) {
                    livenesses.push(liveness);
                }
            }
            let tags = tags.detach(id);
            *total -= cost(entry.key.len(), entry.value.cost(), tags, timed);
            leave(entry, cause);
        });
        (evicted, livenesses)
    }

    /// The first id from this one on that names an entry.
    pub(super) fn next_from(&self, id: EntryId) -> Option<EntryId> {
        self.store.next_from(id)
    }

    /// An entry that a doom came over and that still takes up room: its fate, and its name
    /// if it is to leave. One that a doom expired may live on.
    #[inline]
    pub(super) fn next_invalidated(&mut self) -> Option<(Option<EntryId>, Liveness)> {
        if !self.tags.has_dead_members() {
            return None;
        }
        let id = self.tags.next_dead_member()?;
        let liveness = self.liveness_if_invalidated(id)?;
        let stays = self.survives_expire(id);
        Some(((!stays).then_some(id), liveness))
    }

    /// An entry whose time has come. `budget`: see [`Store::next_expired`].
    #[inline]
    pub(super) fn next_expired(&mut self, now: &Now<'_>, budget: &mut usize) -> Option<EntryId> {
        // While none can expire, nobody need ask the time.
        self.can_expire()
            .then(|| self.store.next_expired(now.get(), budget))?
    }

    /// Whether an entry may be asked how it stands with it.
    #[inline]
    pub(super) fn may_ask_time(&self) -> bool {
        self.store.can_expire() || self.store.has_deadlines()
    }

    /// Whether any entry can expire.
    #[inline]
    pub(super) fn can_expire(&self) -> bool {
        self.store.can_expire()
    }
}

#[cfg(any(test, fuzzing))]
impl Contents {
    pub(super) fn validate(&self) {
        let ids = self.store.validate();
        self.tags.validate(&ids);
        let costs = ids.into_iter().map(|id| self.cost_of(id));
        assert_eq!(self.cost, costs.sum::<usize>());
    }
}

#[cfg(test)]
impl Contents {
    pub(super) fn hashed_tag(&self, name: impl Into<SmallBytes>) -> HashedTag {
        HashedTag::new(name.into(), &self.hashing)
    }
}
