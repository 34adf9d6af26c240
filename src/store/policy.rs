//! Which entry goes when there is no room.

use super::Id;
use crate::ring::{Rings, reach};

#[derive(Debug, Default)]
pub(super) struct Policy {
    marks: Vec<u8>,
    rings: Rings,
}

impl Policy {
    /// An entry was stored under a new id.
    pub(super) fn stored(&mut self, id: Id, _hash: u64, capacity: usize) {
        reach(&mut self.marks, id, capacity, 0);
        if self.marks.len() == 1 {
            self.rings.reach(0, 0);
            self.rings.found(0);
        }
        self.rings.reach(id + 1, capacity + 1);
        self.marks[id as usize] = 0;
        self.rings.push(0, id + 1);
    }

    /// An entry was read.
    #[inline]
    pub(super) fn read(&mut self, id: Id) {
        self.marks[id as usize] = 1;
    }

    /// An entry left, by whatever act.
    pub(super) fn removed(&mut self, id: Id) {
        self.rings.unlink(id + 1);
    }

    /// The entry to let go. The policy has forgotten it.
    pub(super) fn evict(&mut self, _hash: impl Fn(Id) -> u64) -> Option<Id> {
        loop {
            if self.marks.is_empty() {
                return None;
            }
            let id = self.rings.oldest(0)? - 1;
            if self.marks[id as usize] == 0 {
                self.removed(id);
                return Some(id);
            }
            self.marks[id as usize] = 0;
            self.rings.unlink(id + 1);
            self.rings.push(0, id + 1);
        }
    }
}

#[cfg(test)]
impl Policy {
    /// Every id it knows, after a check of the order.
    pub(super) fn validate(&self) -> Vec<Id> {
        if self.marks.is_empty() {
            return Vec::new();
        }
        self.rings.validate(0).into_iter().map(|n| n - 1).collect()
    }
}
