//! The loads in progress, one a key.

use hashbrown::HashTable;

use super::flight::Flight;
use crate::key::{Key, Text};
use crate::sync::Arc;
use crate::tags::Held;

/// A load's place in the table. Whoever takes it out fences the load: a load
/// stores its value only while this very flight has the seat of its key.
#[derive(Debug)]
pub(super) struct Seat {
    key: Text,
    hash: u64,
    pub(super) flight: Arc<Flight>,
    /// The load's tags, as their names were bound when it began.
    pub(super) tags: Held,
    /// Those of the value that it may say is unchanged.
    pub(super) old_tags: Held,
    /// One of these had died when the tables moved.
    pub(super) old_is_dead: bool,
}

#[derive(Debug, Default)]
pub(super) struct Seats(HashTable<Seat>);

impl Seats {
    #[inline]
    pub(super) fn get(&self, key: Key<'_>) -> Option<&Seat> {
        if self.0.is_empty() {
            return None;
        }
        self.0.find(key.hash, |seat| {
            seat.hash == key.hash && seat.key.is(key.bytes)
        })
    }

    /// Seats a load of a key that has none.
    pub(super) fn insert(&mut self, key: Key<'_>, flight: Arc<Flight>, tags: Held, old_tags: Held) {
        let seat = Seat {
            key: key.bytes.into(),
            hash: key.hash,
            flight,
            tags,
            old_tags,
            old_is_dead: false,
        };
        self.0.insert_unique(key.hash, seat, |seat| seat.hash);
    }

    #[inline]
    pub(super) fn take(&mut self, key: Key<'_>) -> Option<Seat> {
        self.take_if(key, |_| true)
    }

    /// Takes the seat of a key if this flight has it.
    pub(super) fn take_from(&mut self, key: Key<'_>, flight: &Arc<Flight>) -> Option<Seat> {
        self.take_if(key, |seat| Arc::ptr_eq(&seat.flight, flight))
    }

    #[inline]
    fn take_if(&mut self, key: Key<'_>, wanted: impl Fn(&Seat) -> bool) -> Option<Seat> {
        if self.0.is_empty() {
            return None;
        }
        let found = self.0.find_entry(key.hash, |seat| {
            seat.hash == key.hash && seat.key.is(key.bytes) && wanted(seat)
        });
        Some(found.ok()?.remove().0)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Text> {
        self.0.iter().map(|seat| &seat.key)
    }

    /// How many places are used, and how many reserved.
    pub(super) fn places(&self) -> (usize, usize) {
        (self.0.len(), self.0.capacity())
    }

    /// How many tags the loads hold.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        let held = |seat: &Seat| seat.tags.len() + seat.old_tags.len();
        self.0.iter().map(held).sum()
    }

    /// Gives up what has died: a load with a dead tag, and a dead value's tags.
    pub(super) fn bury(&mut self, is_dead: impl Fn(&Held) -> bool) {
        self.0.retain(|seat| !is_dead(&seat.tags));
        for seat in self.0.iter_mut().filter(|seat| is_dead(&seat.old_tags)) {
            seat.old_is_dead = true;
            seat.old_tags = Held::default();
        }
    }

    /// Gives back the room that is not used.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit(|seat| seat.hash);
    }

    /// The tags that the loads hold.
    pub(super) fn tags_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.0
            .iter_mut()
            .flat_map(|seat| [&mut seat.tags, &mut seat.old_tags])
    }
}
