//! The loads in progress, one a key.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::flight::Flight;
use crate::store::Key;
use crate::tags::Held;
use crate::text::Text;

/// A load's place in the table. Whoever takes it out fences the load: a load
/// stores its value only while this very flight has the seat of its key.
#[derive(Debug)]
pub(super) struct Seat {
    key: Text,
    hash: u64,
    pub(super) flight: Arc<Flight>,
    /// The load's tags, as their names were bound when it began.
    pub(super) tags: Held,
}

/// Room for so many loads at once is kept when there is none.
const ROOM_KEPT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Seats(HashTable<Seat>);

impl Seats {
    pub(super) fn get(&self, key: Key<'_>) -> Option<&Seat> {
        self.0.find(key.hash, |seat| seat.is_of(key))
    }

    /// Seats a load of a key that has none.
    pub(super) fn insert(&mut self, key: Key<'_>, flight: Arc<Flight>, tags: Held) {
        let seat = Seat {
            key: key.text.into(),
            hash: key.hash,
            flight,
            tags,
        };
        self.0.insert_unique(key.hash, seat, |seat| seat.hash);
    }

    pub(super) fn take(&mut self, key: Key<'_>) -> Option<Seat> {
        self.take_if(key, |_| true)
    }

    /// Takes the seat of a key if this flight has it.
    pub(super) fn take_from(&mut self, key: Key<'_>, flight: &Arc<Flight>) -> Option<Seat> {
        self.take_if(key, |seat| Arc::ptr_eq(&seat.flight, flight))
    }

    fn take_if(&mut self, key: Key<'_>, wanted: impl Fn(&Seat) -> bool) -> Option<Seat> {
        let found = self
            .0
            .find_entry(key.hash, |seat| seat.is_of(key) && wanted(seat));
        let seat = found.ok()?.remove().0;
        // A stampede's table is not kept after the stampede.
        if self.0.is_empty() && self.0.capacity() > ROOM_KEPT {
            self.0 = HashTable::new();
        }
        Some(seat)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Seat {
    fn is_of(&self, key: Key<'_>) -> bool {
        self.hash == key.hash && self.key.as_bytes() == key.text.as_bytes()
    }
}
