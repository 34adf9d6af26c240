//! The type of each stored value.
//!
//! A type is stored once, and an entry has the number of the type: four bytes instead of
//! eight. The numbers are outside the entries, since a read of bytes needs no type. A cache
//! of bytes alone has no numbers. Types are never removed: a program has a fixed number of
//! types.

use hashbrown::HashTable;

use crate::index::IndexVec;
use crate::key::Hashing;
use crate::store::EntryId;
use crate::value::TypeTag;

/// Types by entry.
#[derive(Debug)]
pub(super) struct EntryTypes {
    hashing: Hashing,
    /// By number: the type.
    known: Vec<TypeTag>,
    /// Finds the number of a type.
    numbers: HashTable<u32>,
    /// By entry: the number plus 1. Zero means no type, and so does an id beyond the end.
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

    /// Returns the type of an entry, or `None` for bytes without a type.
    #[inline]
    pub(super) fn get(&self, id: EntryId) -> Option<TypeTag> {
        let number = self.numbers_by_entry.get(id)?.checked_sub(1)?;
        Some(self.known[number as usize])
    }

    /// Sets the type of an entry.
    #[inline]
    pub(super) fn set(&mut self, id: EntryId, ty: Option<TypeTag>) {
        // The id may have had a type before. An id beyond the end has none.
        let Some(ty) = ty else {
            if let Some(number) = self.numbers_by_entry.get_mut(id) {
                *number = 0;
            }
            return;
        };
        // The first typed entry allocates the array.
        self.numbers_by_entry.extend_to(id, || 0);
        self.numbers_by_entry[id] = self.number(ty) + 1;
    }

    /// Returns the number of a type, a new number for a new type.
    fn number(&mut self, ty: TypeTag) -> u32 {
        // Equal addresses are one type. A type with two addresses gets two numbers, which does
        // no harm.
        let hash = |ty: TypeTag| self.hashing.hash(&ty.address().to_ne_bytes());
        let same = |&number: &u32| self.known[number as usize].address() == ty.address();
        if let Some(&number) = self.numbers.find(hash(ty), same) {
            return number;
        }
        #[allow(clippy::cast_possible_truncation, reason = "a program has fewer types")]
        let number = self.known.len() as u32;
        let known = &mut self.known;
        known.push(ty);
        self.numbers
            .insert_unique(hash(ty), number, |&other| hash(known[other as usize]));
        number
    }
}
