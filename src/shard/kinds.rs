//! The types of a shard's values, each kept once.
//!
//! An entry has its type's number: four bytes in place of eight. Types are never
//! forgotten: there are no more of them than the program has.

use hashbrown::HashTable;

use crate::hash::Hashing;
use crate::types::TypeTag;

#[derive(Debug)]
pub(super) struct Kinds {
    hashing: Hashing,
    known: Vec<TypeTag>,
    /// Finds a type's number.
    numbers: HashTable<u32>,
}

impl Kinds {
    pub(super) fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            known: Vec::new(),
            numbers: HashTable::new(),
        }
    }

    /// The type of a number that was given.
    #[inline]
    pub(super) fn of(&self, number: u32) -> Option<TypeTag> {
        let index = number.checked_sub(1)?;
        Some(self.known[index as usize])
    }

    /// The number of a type. No type has zero.
    #[inline]
    pub(super) fn number(&mut self, kind: Option<TypeTag>) -> u32 {
        kind.map_or(0, |kind| self.index(kind) + 1)
    }

    fn index(&mut self, kind: TypeTag) -> u32 {
        let hash = |kind: TypeTag| self.hashing.hash(&kind.address().to_ne_bytes());
        let same = |&index: &u32| self.known[index as usize].address() == kind.address();
        if let Some(&index) = self.numbers.find(hash(kind), same) {
            return index;
        }
        let index = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let known = &mut self.known;
        known.push(kind);
        self.numbers
            .insert_unique(hash(kind), index, |&other| hash(known[other as usize]));
        index
    }
}
