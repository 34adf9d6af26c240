//! A queue of entry ids, first in, first out, with removal from the middle.

use std::collections::VecDeque;

use crate::index::{Index, IndexVec, growth};
use crate::store::entry::EntryId;

/// Marks a hole: the slot of a removed id.
const NONE: EntryId = EntryId::MAX;

/// A queue of slots. The first element of a slot is the id; the others are data of the entry.
/// A slot is found by number. Numbers grow by one from slot to slot, and wrap.
#[derive(Debug)]
pub(super) struct Queue<const WIDTH: usize> {
    /// The slots, holes included, oldest first.
    slots: VecDeque<[Index; WIDTH]>,
    /// The number of the first slot.
    front: Index,
    /// The number of slots that are no holes.
    len: usize,
}

impl<const WIDTH: usize> Default for Queue<WIDTH> {
    fn default() -> Self {
        Self {
            slots: VecDeque::new(),
            front: 0,
            len: 0,
        }
    }
}

impl<const WIDTH: usize> Queue<WIDTH> {
    /// Returns the number of ids in the queue.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of the next pushed slot.
    pub(super) fn next(&self) -> Index {
        self.front.wrapping_add(self.slots.len() as Index)
    }

    /// Appends a slot and returns the number of the slot.
    #[inline]
    pub(super) fn push(&mut self, slot: [Index; WIDTH]) -> Index {
        let number = self.next();
        // A `VecDeque` would double: reserve as `IndexVec` does.
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(growth(self.slots.len()));
        }
        self.slots.push_back(slot);
        self.len += 1;
        number
    }

    /// Returns the oldest id, and drops the holes before the id.
    #[inline]
    pub(super) fn oldest(&mut self) -> Option<EntryId> {
        loop {
            let id = self.slots.front()?[0];
            if id != NONE {
                return Some(id);
            }
            self.slots.pop_front();
            self.front = self.front.wrapping_add(1);
        }
    }

    /// Removes and returns the oldest slot.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<[Index; WIDTH]> {
        // After this call the first slot is no hole.
        self.oldest()?;
        self.front = self.front.wrapping_add(1);
        self.len -= 1;
        self.slots.pop_front()
    }

    /// Removes a slot by number, and leaves a hole. When more than half of the slots are holes,
    /// closes the holes and corrects `numbers`, the numbers of all ids.
    pub(super) fn remove(&mut self, number: Index, numbers: &mut IndexVec<Index>) {
        let index = number.wrapping_sub(self.front) as usize;
        self.slots[index][0] = NONE;
        self.len -= 1;
        // Closing costs one step for each slot, paid for by the removals since the last
        // closing. The constant spares short queues.
        if self.slots.len() > 2 * self.len + 32 {
            let next = self.next();
            self.slots.retain(|slot| slot[0] != NONE);
            self.slots.shrink_to(2 * self.len);
            // Keep `next`, and number backwards from there: the newest numbers change the
            // least.
            self.front = next.wrapping_sub(self.len as Index);
            let mut number = self.front;
            for slot in &self.slots {
                numbers[slot[0]] = number;
                number = number.wrapping_add(1);
            }
        }
    }
}

#[cfg(any(test, fuzzing))]
impl<const WIDTH: usize> Queue<WIDTH> {
    /// Returns an empty queue with `front` as the first number.
    #[cfg(test)]
    pub(super) fn from(front: Index) -> Self {
        Self {
            front,
            ..Self::default()
        }
    }

    /// Returns the slots from the oldest to the newest, without holes.
    pub(super) fn slots(&self) -> impl Iterator<Item = &[Index; WIDTH]> {
        self.slots.iter().filter(|slot| slot[0] != NONE)
    }

    /// Returns the ids, after a check of the numbers.
    pub(super) fn validate(&self, numbers: &IndexVec<Index>) -> Vec<EntryId> {
        // Each id must lead back to the slot of the id.
        for (index, slot) in self.slots.iter().enumerate() {
            let number = self.front.wrapping_add(index as Index);
            assert!(slot[0] == NONE || numbers[slot[0]] == number);
        }
        let ids: Vec<EntryId> = self.slots().map(|slot| slot[0]).collect();
        assert_eq!(ids.len(), self.len);
        ids
    }
}
