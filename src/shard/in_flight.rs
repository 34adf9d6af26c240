//! The loads in flight: for each key a slot, with the loads of the key in the order of their
//! starts.
//!
//! A key has more than one load after a `refresh`, which claims the slot over another load. The
//! loads are ordered by their start: a load is stored unless a newer load of the key has been
//! stored. A newer load that fails or is dropped takes nothing from an older load:
//!
//! 1. Load A claims the slot and reads version 1.
//! 2. Refresh B claims the slot over A. Callers that come now join B.
//! 3. If B completes first, version 2 is stored, and A finds no place at the end.
//! 4. If A completes first, version 1 is stored, and B replaces it. If B fails, A stores version 1
//!    as if B had not been.

use hashbrown::HashTable;
use smallvec::{SmallVec, smallvec};

use super::flight::Flight;
use super::visits::Early;
use crate::key::{Key, Lookup, SmallBytes};
use crate::sync::Arc;
use crate::tags::PinnedTags;

/// A load in flight. Removing the load from the slot fences the load: a value is stored only
/// while the slot of the key holds the flight of the load.
#[derive(Debug)]
pub(super) struct RunningLoad {
    pub(super) flight: Arc<Flight>,
    /// The call's tags, as their names were bound when the load started.
    pub(super) tags: PinnedTags,
    /// The tags of the old value, which the loader may return as unchanged.
    pub(super) old_tags: PinnedTags,
    /// Whether one of `old_tags` was dead when the tables were rebuilt.
    pub(super) old_is_dead: bool,
    /// Set if an invalidation of one of the tags visited the shards at the start. The load is not
    /// stored.
    pub(super) early: Option<Early>,
}

/// The loads of a key, oldest first, at least one.
pub(super) type Loads = SmallVec<[RunningLoad; 1]>;

/// The place of the loads of a key.
#[derive(Debug)]
struct Slot {
    key: SmallBytes,
    hash: u64,
    loads: Loads,
}

/// Finds the slot of a key.
#[derive(Debug, Default)]
pub(super) struct InFlight(HashTable<Slot>);

impl InFlight {
    /// Returns the loads of a key, oldest first.
    #[inline]
    pub(super) fn get(&self, key: impl Lookup) -> &[RunningLoad] {
        if self.0.is_empty() {
            return &[];
        }
        let hash = key.hash();
        let is_slot = |slot: &Slot| slot.hash == hash && key.matches(&slot.key);
        self.0.find(hash, is_slot).map_or(&[], |slot| &slot.loads)
    }

    /// Adds a load that starts now, after every other load of the key.
    pub(super) fn add(&mut self, key: Key<'_>, load: RunningLoad) {
        if let Some(slot) = self.0.find_mut(key.hash, |slot| slot.is_of(key)) {
            slot.loads.push(load);
            return;
        }
        let slot = Slot {
            key: key.bytes.into(),
            hash: key.hash,
            loads: smallvec![load],
        };
        self.0.insert_unique(key.hash, slot, |slot| slot.hash);
    }

    /// Removes all loads of a key, and so fences them.
    #[inline]
    pub(super) fn take(&mut self, key: Key<'_>) -> Loads {
        if self.0.is_empty() {
            return Loads::new();
        }
        let found = self.0.find_entry(key.hash, |slot| slot.is_of(key));
        found.map_or_else(|_| Loads::new(), |found| found.remove().0.loads)
    }

    /// Removes the load with this very flight. Returns the load, and how many loads of the key
    /// began earlier.
    pub(super) fn take_own(
        &mut self,
        key: Key<'_>,
        flight: &Arc<Flight>,
    ) -> Option<(RunningLoad, usize)> {
        if self.0.is_empty() {
            return None;
        }
        let found = self.0.find_entry(key.hash, |slot| slot.is_of(key));
        let mut found = found.ok()?;
        // guard: a load completes only in the slot of the same load
        let is_own = |load: &RunningLoad| Arc::ptr_eq(&load.flight, flight);
        let loads = &mut found.get_mut().loads;
        let older = loads.iter().position(is_own)?;
        let own = loads.remove(older);
        if loads.is_empty() {
            found.remove();
        }
        Some((own, older))
    }

    /// Removes the oldest loads of a key, `count` of them.
    pub(super) fn take_oldest(&mut self, key: Key<'_>, count: usize) -> Loads {
        if count == 0 {
            return Loads::new();
        }
        let Ok(mut found) = self.0.find_entry(key.hash, |slot| slot.is_of(key)) else {
            return Loads::new();
        };
        let loads = &mut found.get_mut().loads;
        let oldest = loads.drain(..count.min(loads.len())).collect();
        if loads.is_empty() {
            found.remove();
        }
        oldest
    }

    /// Removes the loads of a key that `is_fenced` accepts.
    pub(super) fn take_fenced(
        &mut self,
        key: Key<'_>,
        is_fenced: impl Fn(&RunningLoad) -> bool,
    ) -> Loads {
        let Ok(mut found) = self.0.find_entry(key.hash, |slot| slot.is_of(key)) else {
            return Loads::new();
        };
        let loads = std::mem::take(&mut found.get_mut().loads);
        let (fenced, others): (Loads, Loads) = loads.into_iter().partition(is_fenced);
        if others.is_empty() {
            found.remove();
        } else {
            found.get_mut().loads = others;
        }
        fenced
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
        let loads = self.0.iter().flat_map(|slot| &slot.loads);
        loads
            .map(|load| load.tags.len() + load.old_tags.len())
            .sum()
    }

    /// Removes the loads with a dead tag, and forgets old tags of which one is dead.
    pub(super) fn drop_dead(&mut self, is_dead: impl Fn(&PinnedTags) -> bool) {
        self.0.retain(|slot| {
            slot.loads.retain(|load| !is_dead(&load.tags));
            !slot.loads.is_empty()
        });
        let loads = self.0.iter_mut().flat_map(|slot| &mut slot.loads);
        for load in loads.filter(|load| is_dead(&load.old_tags)) {
            load.old_is_dead = true;
            load.old_tags = PinnedTags::default();
        }
    }

    /// Gives back the memory of unused slots.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit(|slot| slot.hash);
    }

    /// Returns the tags that the loads pin.
    pub(super) fn pinned_mut(&mut self) -> impl Iterator<Item = &mut PinnedTags> {
        let loads = self.0.iter_mut().flat_map(|slot| &mut slot.loads);
        loads.flat_map(|load| [&mut load.tags, &mut load.old_tags])
    }
}

impl Slot {
    /// Returns `true` if the slot is the slot of this key, `false` if not.
    fn is_of(&self, key: Key<'_>) -> bool {
        self.hash == key.hash && self.key.is(key.bytes)
    }
}
