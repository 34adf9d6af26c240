//! Entries and their tags, kept in step: neither changes without the other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Now;
use crate::store::{Id, Key, Store};
use crate::tags::{Doom, Held, Membership, Tags};
use crate::types::TypeTag;

#[derive(Debug)]
pub(super) struct Contents {
    store: Store<Item>,
    pub(super) tags: Tags,
}

/// What is stored under a key.
#[derive(Debug)]
struct Item {
    found: Found,
    tags: Membership,
}

/// What a reader gets of an entry: the encoded value, and which type it was.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) bytes: Bytes,
    /// `None` of bytes that were put as such.
    pub(crate) kind: Option<TypeTag>,
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

    pub(super) fn found(&self, id: Id) -> &Found {
        &self.store.value(id).found
    }

    /// How it stands with an entry now. Only a live one may be seen.
    pub(super) fn fate(&self, id: Id, now: &Now<'_>) -> Fate {
        let deadline = self.store.deadline(id);
        match self.tags.doom_over(self.store.value(id).tags) {
            Some(doom) if deadline.is_none_or(|deadline| deadline > doom.at) => {
                Fate::Doomed(Arc::clone(doom))
            }
            Some(_) => Fate::Expired,
            None if now.is_past(deadline) => Fate::Expired,
            None => Fate::Live,
        }
    }

    pub(super) fn touch(&mut self, id: Id) {
        self.store.touch(id);
    }

    /// Stores under a key that is not stored.
    pub(super) fn insert(
        &mut self,
        key: Key<'_>,
        found: Found,
        deadline: Option<Duration>,
        tags: Held,
    ) {
        let (store, all) = (&mut self.store, &mut self.tags);
        store.insert(key, deadline, |id| Item {
            found,
            tags: all.enroll(id, tags),
        });
    }

    pub(super) fn remove(&mut self, id: Id) -> Found {
        let item = self.store.remove(id);
        self.tags.leave(item.tags);
        item.found
    }

    /// Hands out what is reserved for entries and tags that are all gone.
    pub(super) fn shed(&mut self) -> Option<Self> {
        let (store, tags) = (self.store.shed(), self.tags.shed());
        (store.is_some() || tags.is_some()).then(|| Self {
            store: store.unwrap_or_else(Store::new),
            tags: tags.unwrap_or_else(Tags::new),
        })
    }

    /// The entry to evict.
    pub(super) fn victim(&self) -> Option<Id> {
        self.store.victim()
    }

    /// An entry that a doom ended and that still takes up room.
    pub(super) fn next_dead(&mut self) -> Option<Id> {
        self.tags.next_dead()
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
