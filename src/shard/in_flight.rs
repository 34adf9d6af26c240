//! The loads in flight, one for a key.

use hashbrown::HashTable;

use super::flight::Flight;
use crate::key::{Key, Lookup, SmallBytes};
use crate::sync::Arc;
use crate::tags::PinnedTags;

/// The place of a load in the table. Removing the slot fences the load: a value is stored only
/// while the slot of the key holds the flight of the load.
#[derive(Debug)]
pub(super) struct Slot {
    key: SmallBytes,
    hash: u64,
    pub(super) flight: Arc<Flight>,
    /// The call's tags, as their names were bound when the load started.
    pub(super) tags: PinnedTags,
    /// The tags of the old value, which the loader may return as unchanged.
    pub(super) old_tags: PinnedTags,
    /// Whether one of `old_tags` was dead when the tables were rebuilt.
    pub(super) old_is_dead: bool,
}

/// Finds the slot of a key.
#[derive(Debug, Default)]
pub(super) struct InFlight(HashTable<Slot>);

impl InFlight {
    #[inline]
    pub(super) fn get(&self, key: impl Lookup) -> Option<&Slot> {
        if self.0.is_empty() {
            return None;
        }
        let hash = key.hash();
        let is_slot = |slot: &Slot| slot.hash == hash && key.matches(&slot.key);
        self.0.find(hash, is_slot)
    }

    /// Adds the slot of a key without a slot.
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

    /// Removes the slot of a key, and so fences the load.
    #[inline]
    pub(super) fn take(&mut self, key: Key<'_>) -> Option<Slot> {
        self.take_if(key, |_| true)
    }

    /// Removes the slot of a key if the slot has this very flight.
    pub(super) fn take_own(&mut self, key: Key<'_>, flight: &Arc<Flight>) -> Option<Slot> {
        // guard: a load completes only in the slot of the same load
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

    /// Returns how many slots are used, and how many are reserved.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.0.len(), self.0.capacity())
    }

    /// Returns how many tags the loads pin.
    #[cfg(any(test, fuzzing))]
    pub(super) fn pinned_count(&self) -> usize {
        let pinned = |slot: &Slot| slot.tags.len() + slot.old_tags.len();
        self.0.iter().map(pinned).sum()
    }

    /// Removes the slots of loads with a dead tag, and forgets old tags of which one is dead.
    pub(super) fn drop_dead(&mut self, is_dead: impl Fn(&PinnedTags) -> bool) {
        self.0.retain(|slot| !is_dead(&slot.tags));
        for slot in self.0.iter_mut().filter(|slot| is_dead(&slot.old_tags)) {
            slot.old_is_dead = true;
            slot.old_tags = PinnedTags::default();
        }
    }

    /// Gives back the memory of unused slots.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit(|slot| slot.hash);
    }

    /// Returns the tags that the loads pin.
    pub(super) fn pinned_mut(&mut self) -> impl Iterator<Item = &mut PinnedTags> {
        self.0
            .iter_mut()
            .flat_map(|slot| [&mut slot.tags, &mut slot.old_tags])
    }
}
