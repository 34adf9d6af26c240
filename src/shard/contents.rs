//! Entries and their tags, kept in step: neither changes without the other.

use std::mem;

use bytes::Bytes;

use super::kinds::Kinds;
use super::trash::Trash;
use crate::clock::{Moment, Now};
use crate::encoded::Encoded;
use crate::hash::Hashing;
use crate::store::{Entry, Id, Standing, Store};
use crate::sync::Arc;
use crate::tags::{Doom, Held, Tags};
use crate::text::{Key, Text};

#[derive(Debug)]
pub(super) struct Contents {
    hashing: Hashing,
    store: Store<Bytes>,
    kinds: Kinds,
    pub(super) tags: Tags,
    /// What all entries cost.
    cost: usize,
}

/// What an entry costs of `max_bytes`, beside its key and its value.
const ENTRY_COST: usize = 104;

/// What a tag costs.
const TAG_COST: usize = 28;

/// What an entry costs of `max_bytes`.
#[inline]
pub(super) fn cost(key: usize, value: usize, tags: usize) -> usize {
    let beside = ENTRY_COST.saturating_add(tags.saturating_mul(TAG_COST));
    key.saturating_add(value).saturating_add(beside)
}

/// What a look-up comes upon.
#[derive(Debug)]
pub(super) enum Found {
    Live(Id),
    /// An entry that nobody may see.
    Gone,
    Nothing,
}

/// How it stands with an entry.
#[derive(Debug)]
pub(super) enum Fate {
    Live,
    /// Its time had come, or had when an invalidation came over it.
    Expired,
    /// An invalidation of one of its tags ended it.
    Doomed(Arc<Doom>),
}

impl Contents {
    /// The most entries that can be kept.
    pub(super) const MOST: usize = Store::<Bytes>::MOST;

    pub(super) fn new(hashing: Hashing) -> Self {
        Self {
            store: Store::new(hashing.clone()),
            kinds: Kinds::new(hashing.clone()),
            tags: Tags::new(hashing.clone()),
            hashing,
            cost: 0,
        }
    }

    /// An empty one that hashes alike.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.hashing.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.store.len()
    }

    #[inline]
    pub(super) fn find(&self, key: Key<'_>) -> Option<Id> {
        self.store.find(key)
    }

    /// What there is under a key.
    #[allow(clippy::inline_always, reason = "every hit runs through it: measured")]
    #[inline(always)]
    pub(super) fn look_up(&self, key: Key<'_>, now: &Now<'_>) -> Found {
        let Some(id) = self.store.find_at(key, now) else {
            return Found::Nothing;
        };
        if self.tags.doom_over(id).is_some() || now.is_past(self.store.deadline(id)) {
            return Found::Gone;
        }
        Found::Live(id)
    }

    /// The entry of a key, if it may be seen.
    #[inline]
    pub(super) fn find_live(&self, key: Key<'_>, now: &Now<'_>) -> Option<Id> {
        match self.look_up(key, now) {
            Found::Live(id) => Some(id),
            Found::Gone | Found::Nothing => None,
        }
    }

    #[inline]
    pub(super) fn bytes(&self, id: Id) -> &Bytes {
        self.store.value(id)
    }

    /// The bytes of an entry, and which type they are.
    #[inline]
    pub(super) fn value(&self, id: Id) -> Encoded {
        Encoded {
            bytes: self.bytes(id).clone(),
            ty: self.kinds.of(id),
        }
    }

    /// How it stands with an entry now. Only a live one may be seen.
    #[inline]
    pub(super) fn fate(&self, id: Id, now: &Now<'_>) -> Fate {
        self.doomed(id).unwrap_or_else(|| {
            if now.is_past(self.store.deadline(id)) {
                Fate::Expired
            } else {
                Fate::Live
            }
        })
    }

    /// The fate of an entry that carries a dead tag: settled when the doom came.
    #[inline]
    fn doomed(&self, id: Id) -> Option<Fate> {
        let doom = self.tags.doom_over(id)?;
        Some(if Now::Known(doom.at).is_past(self.store.deadline(id)) {
            Fate::Expired
        } else {
            Fate::Doomed(Arc::clone(doom))
        })
    }

    #[inline]
    pub(super) fn touch(&self, id: Id) {
        self.store.touch(id);
    }

    /// What all entries cost together.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// What one of them costs.
    #[inline]
    pub(super) fn cost_of(&self, id: Id) -> usize {
        let (key, tags) = (self.store.key(id), self.tags.count_of(id));
        cost(key.len(), self.bytes(id).len(), tags)
    }

    /// Stores under a key, with its hash, that is not stored.
    #[inline]
    pub(super) fn insert(
        &mut self,
        (key, hash): (Text, u64),
        value: Encoded,
        deadline: Moment,
        tags: Held,
    ) -> Id {
        let id = self.store.insert(key, hash, value.bytes, deadline);
        self.kinds.set(id, value.ty, self.store.capacity());
        self.tags.enroll(id, tags, self.store.capacity());
        self.cost += self.cost_of(id);
        id
    }

    /// How an entry stands with the policy, for one that is stored in its place.
    pub(super) fn standing(&self, id: Id) -> Standing {
        self.store.standing(id)
    }

    /// Lets a new entry stand as another did, and one use better.
    pub(super) fn reinstate(&mut self, id: Id, standing: Standing) {
        self.store.reinstate(id, standing);
    }

    /// Puts a value in the place of another. Gives the old one.
    #[inline]
    pub(super) fn replace(
        &mut self,
        id: Id,
        value: Encoded,
        deadline: Moment,
        tags: Held,
    ) -> Bytes {
        self.cost -= self.cost_of(id);
        self.tags.leave(id);
        self.tags.enroll(id, tags, self.store.capacity());
        self.kinds.set(id, value.ty, self.store.capacity());
        let old = self.store.replace(id, value.bytes, deadline);
        self.cost += self.cost_of(id);
        old
    }

    #[inline]
    pub(super) fn remove(&mut self, id: Id) -> Entry<Bytes> {
        let entry = self.store.remove(id);
        let tags = self.tags.leave(id);
        self.cost -= cost(entry.key.len(), entry.value.len(), tags);
        entry
    }

    /// How many places are used, and how many reserved.
    pub(super) fn places(&self) -> (usize, usize) {
        let (tags_used, tags_reserved) = self.tags.places();
        let used = self.store.len() + tags_used;
        (used, self.store.capacity() + tags_reserved)
    }

    /// Moves all that is kept, and the tags that loads hold, to tables of its size.
    /// Gives the old ones, for the trash.
    ///
    /// Tags are bound anew by their names, so no member and no load may have a dead
    /// one.
    pub(super) fn compact<'a>(&mut self, loads: impl Iterator<Item = &'a mut Held>) -> Self {
        let new = self.anew();
        let mut old = mem::replace(self, new);
        for held in loads {
            *held = self.tags.hold(old.tags.names_held(held));
        }
        // In any order: what the policy knew of them is forgotten.
        let mut next = 0;
        while let Some(id) = old.next_from(next) {
            next = id;
            let tags = self.tags.hold(old.tags.names_of(id));
            let deadline = old.store.deadline(id);
            let (ty, hash) = (old.kinds.of(id), old.store.hash_of(id));
            let entry = old.store.remove(id);
            let value = Encoded {
                bytes: entry.value,
                ty,
            };
            self.insert((entry.key, hash), value, deadline, tags);
        }
        old
    }

    /// Takes out up to `most` entries that the policy lets go, and says how many.
    #[inline]
    pub(super) fn evict(&mut self, most: usize, trash: &mut Trash) -> usize {
        let (tags, total) = (&mut self.tags, &mut self.cost);
        self.store.evict(most, |id, entry| {
            let tags = tags.leave(id);
            *total -= cost(entry.key.len(), entry.value.len(), tags);
            trash.entry(entry);
        })
    }

    /// The first id from this one on that names an entry.
    pub(super) fn next_from(&self, id: Id) -> Option<Id> {
        self.store.next_from(id)
    }

    /// An entry that a doom ended and that still takes up room, with its fate.
    #[inline]
    pub(super) fn next_doomed(&mut self) -> Option<(Id, Fate)> {
        if !self.tags.is_dying() {
            return None;
        }
        let id = self.tags.next_dead()?;
        Some((id, self.doomed(id)?))
    }

    /// An entry whose time has come. `patience`: see [`Store::next_expired`].
    #[inline]
    pub(super) fn next_expired(&mut self, now: &Now<'_>, patience: &mut usize) -> Option<Id> {
        // While none can expire, nobody need ask the time.
        self.can_expire()
            .then(|| self.store.next_expired(now.get(), patience))?
    }

    /// Whether any entry can expire.
    #[inline]
    pub(super) fn can_expire(&self) -> bool {
        self.store.can_expire()
    }
}

#[cfg(test)]
impl Contents {
    pub(super) fn validate(&self) {
        let ids = self.store.validate();
        self.tags.validate(&ids);
        let costs = ids.into_iter().map(|id| self.cost_of(id));
        assert_eq!(self.cost, costs.sum::<usize>());
    }
}
