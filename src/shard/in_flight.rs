//! The loads in progress, one a key.

use hashbrown::HashTable;

use super::flight::Flight;
use crate::key::{Key, SmallBytes};
use crate::sync::Arc;
use crate::tags::PinnedTags;

/// A load's place in the table. Whoever takes it out fences the load: a load
/// stores its value only while this very flight has the seat of its key.
#[derive(Debug)]
pub(super) struct Slot {
    key: SmallBytes,
    hash: u64,
    pub(super) flight: Arc<Flight>,
    /// The load's tags, as their names were bound when it began.
    pub(super) tags: PinnedTags,
    /// Those of the value that it may say is unchanged.
    pub(super) old_tags: PinnedTags,
    /// One of these had died when the tables moved.
    pub(super) old_is_dead: bool,
}

#[derive(Debug, Default)]
pub(super) struct InFlight(HashTable<Slot>);

impl InFlight {
    #[inline]
    pub(super) fn get(&self, key: Key<'_>) -> Option<&Slot> {
        if self.0.is_empty() {
            return None;
        }
        self.0.find(key.hash, |slot| {
            slot.hash == key.hash && slot.key.is(key.bytes)
        })
    }

    /// Seats a load of a key that has none.
    pub(super) fn insert(
        &mut self,
        key: Key<'_>,
        flight: Arc<Flight>,
        tags: PinnedTags,
        old_tags: PinnedTags,
    ) {
        let slot = Slot {
            key: key.bytes.into(),
            hash: key.hash,
            flight,
            tags,
            old_tags,
            old_is_dead: false,
        };
        self.0.insert_unique(key.hash, slot, |slot| slot.hash);
    }

    #[inline]
    pub(super) fn take(&mut self, key: Key<'_>) -> Option<Slot> {
        self.take_if(key, |_| true)
    }

    /// Takes the seat of a key if this flight has it.
    pub(super) fn take_own(&mut self, key: Key<'_>, flight: &Arc<Flight>) -> Option<Slot> {
        self.take_if(key, |slot| Arc::ptr_eq(&slot.flight, flight))
    }

    #[inline]
    fn take_if(&mut self, key: Key<'_>, wanted: impl Fn(&Slot) -> bool) -> Option<Slot> {
        if self.0.is_empty() {
            return None;
        }
        let found = self.0.find_entry(key.hash, |slot| {
            slot.hash == key.hash && slot.key.is(key.bytes) && wanted(slot)
        });
        Some(found.ok()?.remove().0)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &SmallBytes> {
        self.0.iter().map(|slot| &slot.key)
    }

    /// How many places are used, and how many reserved.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.0.len(), self.0.capacity())
    }

    /// How many tags the loads hold.
    #[cfg(any(test, fuzzing))]
    pub(super) fn pinned_count(&self) -> usize {
        let held = |slot: &Slot| slot.tags.len() + slot.old_tags.len();
        self.0.iter().map(held).sum()
    }

    /// Gives up what has died: a load with a dead tag, and a dead value's tags.
    pub(super) fn drop_dead(&mut self, is_dead: impl Fn(&PinnedTags) -> bool) {
        self.0.retain(|slot| !is_dead(&slot.tags));
        for slot in self.0.iter_mut().filter(|slot| is_dead(&slot.old_tags)) {
            slot.old_is_dead = true;
            slot.old_tags = PinnedTags::default();
        }
    }

    /// Gives back the room that is not used.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit(|slot| slot.hash);
    }

    /// The tags that the loads hold.
    pub(super) fn pinned_mut(&mut self) -> impl Iterator<Item = &mut PinnedTags> {
        self.0
            .iter_mut()
            .flat_map(|slot| [&mut slot.tags, &mut slot.old_tags])
    }
}
