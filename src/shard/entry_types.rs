//! Which type each value was stored as.
//!
//! A type is kept once and an entry has its number: four bytes in place of eight,
//! outside the entry, since a read of bytes does not ask for it; a cache of bytes alone
//! has none. Types are never forgotten: there are no more of them than the program has.

use hashbrown::HashTable;

use crate::index::reach;
use crate::key::Hashing;
use crate::store::Id;
use crate::value::TypeTag;

#[derive(Debug)]
pub(super) struct Kinds {
    hashing: Hashing,
    known: Vec<TypeTag>,
    /// Finds a type's number.
    numbers: HashTable<u32>,
    /// By entry: its type's number and one; 0 is none, as is all beyond the end.
    of: Vec<u32>,
}

impl Kinds {
    pub(super) fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            known: Vec::new(),
            numbers: HashTable::new(),
            of: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn of(&self, id: Id) -> Option<TypeTag> {
        let number = self.of.get(id as usize)?.checked_sub(1)?;
        Some(self.known[number as usize])
    }

    /// Says what an entry was stored as. `capacity` is for how many entries there
    /// will soon be room.
    #[inline]
    pub(super) fn set(&mut self, id: Id, kind: Option<TypeTag>, capacity: usize) {
        let Some(kind) = kind else {
            if let Some(of) = self.of.get_mut(id as usize) {
                *of = 0;
            }
            return;
        };
        reach(&mut self.of, id, capacity, 0);
        self.of[id as usize] = self.number(kind) + 1;
    }

    fn number(&mut self, kind: TypeTag) -> u32 {
        let hash = |kind: TypeTag| self.hashing.hash(&kind.address().to_ne_bytes());
        let same = |&number: &u32| self.known[number as usize].address() == kind.address();
        if let Some(&number) = self.numbers.find(hash(kind), same) {
            return number;
        }
        #[allow(clippy::cast_possible_truncation, reason = "a program has fewer types")]
        let number = self.known.len() as u32;
        let known = &mut self.known;
        known.push(kind);
        self.numbers
            .insert_unique(hash(kind), number, |&other| hash(known[other as usize]));
        number
    }
}
