//! First in, first out, of ids that may leave from the middle.

use std::collections::VecDeque;

use crate::index::{Index, IndexVec, growth};
use crate::store::entry::EntryId;

/// In the place of an id that has left.
const NONE: EntryId = EntryId::MAX;

/// A queue of slots: an id first, and what is kept beside it. Each slot has a number, by
/// which it is found; numbers go up by one and wrap.
#[derive(Debug)]
pub(super) struct Queue<const WIDTH: usize> {
    slots: VecDeque<[Index; WIDTH]>,
    /// The number of the first slot.
    front: Index,
    /// How many slots have an id.
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
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number that the next slot gets.
    pub(super) fn next(&self) -> Index {
        self.front.wrapping_add(self.slots.len() as Index)
    }

    /// Gives the slot's number.
    #[inline]
    pub(super) fn push(&mut self, slot: [Index; WIDTH]) -> Index {
        let number = self.next();
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(growth(self.slots.len()));
        }
        self.slots.push_back(slot);
        self.len += 1;
        number
    }

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

    #[inline]
    pub(super) fn pop(&mut self) -> Option<[Index; WIDTH]> {
        self.oldest()?;
        self.front = self.front.wrapping_add(1);
        self.len -= 1;
        self.slots.pop_front()
    }

    /// Takes a slot out by its number, and leaves a hole. Once most slots are holes they
    /// are closed, which changes `numbers`, those of all ids, for the newest the least.
    pub(super) fn remove(&mut self, number: Index, numbers: &mut IndexVec<Index>) {
        let index = number.wrapping_sub(self.front) as usize;
        self.slots[index][0] = NONE;
        self.len -= 1;
        if self.slots.len() > 2 * self.len + 32 {
            let next = self.next();
            self.slots.retain(|slot| slot[0] != NONE);
            self.slots.shrink_to(2 * self.len);
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
    /// A queue whose first number is this one.
    #[cfg(test)]
    pub(super) fn from(front: Index) -> Self {
        Self {
            front,
            ..Self::default()
        }
    }

    /// From the oldest to the newest.
    pub(super) fn slots(&self) -> impl Iterator<Item = &[Index; WIDTH]> {
        self.slots.iter().filter(|slot| slot[0] != NONE)
    }

    /// The ids, after a check of their numbers.
    pub(super) fn validate(&self, numbers: &IndexVec<Index>) -> Vec<EntryId> {
        for (index, slot) in self.slots.iter().enumerate() {
            let number = self.front.wrapping_add(index as Index);
            assert!(slot[0] == NONE || numbers[slot[0]] == number);
        }
        let ids: Vec<EntryId> = self.slots().map(|slot| slot[0]).collect();
        assert_eq!(ids.len(), self.len);
        ids
    }
}
