//! The times of the entries that have more than one.

use super::entry::EntryId;
use super::freshness::Deadlines;
use crate::index::IndexVec;

#[derive(Debug, Default)]
pub(super) struct Lifetimes {
    /// By entry: nothing for one that has a deadline alone, as for all beyond the end.
    by_entry: IndexVec<Option<Box<Deadlines>>>,
    len: usize,
}

impl Lifetimes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, id: EntryId) -> Option<&Deadlines> {
        self.by_entry.get(id)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: EntryId) -> Option<&mut Deadlines> {
        self.by_entry.get_mut(id)?.as_deref_mut()
    }

    /// Says which times an entry has that has none. `capacity` is for how many entries
    /// there will soon be room.
    pub(super) fn set(&mut self, id: EntryId, times: Box<Deadlines>) {
        self.by_entry.extend_to(id, || None);
        self.by_entry[id] = Some(times);
        self.len += 1;
    }

    #[inline]
    pub(super) fn take(&mut self, id: EntryId) -> Option<Box<Deadlines>> {
        let times = self.by_entry.get_mut(id)?.take();
        self.len -= usize::from(times.is_some());
        times
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn validate(&self) {
        assert_eq!(self.len, self.by_entry.iter().flatten().count());
    }
}
