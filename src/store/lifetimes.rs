//! The deadlines of entries with more than one time.

use super::entry::EntryId;
use super::freshness::Deadlines;
use crate::index::IndexVec;

/// Deadlines by entry. Most entries have a single time, and no record here.
#[derive(Debug, Default)]
pub(super) struct Lifetimes {
    /// `None` for an entry with a single time, as for an id beyond the end.
    by_entry: IndexVec<Option<Box<Deadlines>>>,
    /// The number of entries with deadlines.
    len: usize,
}

impl Lifetimes {
    /// Returns the number of entries with deadlines.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the deadlines of an entry, or `None` if the entry has a single time.
    #[inline]
    pub(super) fn get(&self, id: EntryId) -> Option<&Deadlines> {
        self.by_entry.get(id)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: EntryId) -> Option<&mut Deadlines> {
        self.by_entry.get_mut(id)?.as_deref_mut()
    }

    /// Sets the deadlines of an entry without deadlines.
    pub(super) fn set(&mut self, id: EntryId, deadlines: Box<Deadlines>) {
        // The array ends at the largest id with deadlines, so a cache without such entries has
        // no array.
        self.by_entry.extend_to(id, || None);
        self.by_entry[id] = Some(deadlines);
        self.len += 1;
    }

    /// Removes and returns the deadlines of an entry.
    #[inline]
    pub(super) fn take(&mut self, id: EntryId) -> Option<Box<Deadlines>> {
        let deadlines = self.by_entry.get_mut(id)?.take();
        // Most entries have no deadlines: the count must not change for these.
        self.len -= usize::from(deadlines.is_some());
        deadlines
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn validate(&self) {
        let stored = self.by_entry.iter().flatten().count();
        assert_eq!(self.len, stored, "the count of deadlines is wrong");
    }
}
