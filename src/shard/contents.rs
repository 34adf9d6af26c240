//! Entries and their tags, kept in step: neither changes without the other.

use std::mem;
use std::time::Duration;

use crate::clock::Now;
use crate::encoded::Encoded;
use crate::store::{Entry, Id, Store};
use crate::sync::Arc;
use crate::tags::{Doom, Held, Membership, Tags};
use crate::text::Key;

#[derive(Debug)]
pub(super) struct Contents {
    store: Store<Item>,
    pub(super) tags: Tags,
}

/// What is stored under a key.
#[derive(Debug)]
pub(super) struct Item {
    value: Encoded,
    tags: Membership,
}

impl Item {
    fn without_tags(value: Encoded) -> Self {
        let tags = Membership::default();
        Self { value, tags }
    }
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
    pub(super) const MOST: usize = Store::<Item>::MOST;

    pub(super) fn new() -> Self {
        Self {
            store: Store::new(),
            tags: Tags::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.store.len()
    }

    pub(super) fn find(&self, key: Key<'_>) -> Option<Id> {
        self.store.find(key)
    }

    pub(super) fn value(&self, id: Id) -> &Encoded {
        &self.store.value(id).value
    }

    /// How it stands with an entry now. Only a live one may be seen.
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
    fn doomed(&self, id: Id) -> Option<Fate> {
        let doom = self.tags.doom_over(self.store.value(id).tags)?;
        let deadline = self.store.deadline(id);
        Some(match deadline {
            Some(deadline) if deadline <= doom.at => Fate::Expired,
            _ => Fate::Doomed(Arc::clone(doom)),
        })
    }

    pub(super) fn touch(&mut self, id: Id) {
        self.store.touch(id);
    }

    /// Stores under a key that is not stored.
    pub(super) fn insert(
        &mut self,
        key: Key<'_>,
        value: Encoded,
        deadline: Option<Duration>,
        tags: Held,
    ) {
        self.insert_entry(
            Entry {
                key: key.text.into(),
                hash: key.hash,
                deadline,
                value,
            },
            tags,
        );
    }

    fn insert_entry(&mut self, entry: Entry<Encoded>, tags: Held) {
        let id = self.store.insert(entry.map(Item::without_tags));
        self.store.value_mut(id).tags = self.tags.enroll(id, tags);
    }

    pub(super) fn remove(&mut self, id: Id) -> Encoded {
        let item = self.store.remove(id).value;
        self.tags.leave(item.tags);
        item.value
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
        let mut old = mem::replace(self, Self::new());
        for held in loads {
            *held = self.tags.hold(old.tags.names_held(held));
        }
        // The first to be evicted goes first, and so is the first to be evicted.
        while let Some(id) = old.store.victim() {
            let carried = old.tags.names_of(old.store.value(id).tags);
            let tags = self.tags.hold(carried);
            let entry = old.store.remove(id);
            self.insert_entry(entry.map(|item| item.value), tags);
        }
        old
    }

    /// The entry to evict.
    pub(super) fn victim(&self) -> Option<Id> {
        self.store.victim()
    }

    /// An entry that a doom ended and that still takes up room, with its fate.
    pub(super) fn next_doomed(&mut self) -> Option<(Id, Fate)> {
        let id = self.tags.next_dead()?;
        Some((id, self.doomed(id)?))
    }

    /// An entry whose time has come.
    pub(super) fn next_expired(&self, now: &Now<'_>) -> Option<Id> {
        let (deadline, id) = self.store.first_to_expire()?;
        now.is_past(Some(deadline)).then_some(id)
    }

    /// Whether any entry can expire: while none can, nobody need ask the time.
    pub(super) fn can_expire(&self) -> bool {
        self.store.first_to_expire().is_some()
    }
}

#[cfg(test)]
impl Contents {
    pub(super) fn validate(&self) {
        let ids = self.store.validate();
        let members: Vec<_> = ids
            .into_iter()
            .map(|id| (id, self.store.value(id).tags))
            .collect();
        self.tags.validate(&members);
    }
}
