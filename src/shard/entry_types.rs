//! Which type each value was stored as.
//!
//! A type is kept once and an entry has its number: four bytes in place of eight,
//! outside the entry, since a read of bytes does not ask for it; a cache of bytes alone
//! has none. Types are never forgotten: there are no more of them than the program has.

use hashbrown::HashTable;

use crate::index::IndexVec;
use crate::key::Hashing;
use crate::store::EntryId;
use crate::value::TypeTag;

#[derive(Debug)]
pub(super) struct EntryTypes {
    hashing: Hashing,
    known: Vec<TypeTag>,
    /// Finds a type's number.
    numbers: HashTable<u32>,
    /// By entry: its type's number and one; 0 is none, as is all beyond the end.
    numbers_by_entry: IndexVec<u32>,
}

impl EntryTypes {
    pub(super) fn new(hashing: Hashing) -> Self {
        Self {
            hashing,
            known: Vec::new(),
            numbers: HashTable::new(),
            numbers_by_entry: IndexVec::new(),
        }
    }

    #[inline]
    pub(super) fn get(&self, id: EntryId) -> Option<TypeTag> {
        let number = self.numbers_by_entry.get(id)?.checked_sub(1)?;
        Some(self.known[number as usize])
    }

    /// Says what an entry was stored as. `capacity` is for how many entries there
    /// will soon be room.
    #[inline]
    pub(super) fn set(&mut self, id: EntryId, kind: Option<TypeTag>) {
        let Some(kind) = kind else {
            if let Some(of) = self.numbers_by_entry.get_mut(id) {
                *of = 0;
            }
            return;
        };
        self.numbers_by_entry.extend_to(id, || 0);
        self.numbers_by_entry[id] = self.number(kind) + 1;
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
