//! The times of the entries that have more than one.

use super::entry::Id;
use super::freshness::Times;
use crate::index::reach_with;

#[derive(Debug, Default)]
pub(super) struct Lives {
    /// By entry: nothing for one that has a deadline alone, as for all beyond the end.
    of: Vec<Option<Box<Times>>>,
    len: usize,
}

impl Lives {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn of(&self, id: Id) -> Option<&Times> {
        self.of.get(id as usize)?.as_deref()
    }

    pub(super) fn of_mut(&mut self, id: Id) -> Option<&mut Times> {
        self.of.get_mut(id as usize)?.as_deref_mut()
    }

    /// Says which times an entry has that has none. `capacity` is for how many entries
    /// there will soon be room.
    pub(super) fn set(&mut self, id: Id, times: Box<Times>, capacity: usize) {
        reach_with(&mut self.of, id, capacity, || None);
        self.of[id as usize] = Some(times);
        self.len += 1;
    }

    #[inline]
    pub(super) fn take(&mut self, id: Id) -> Option<Box<Times>> {
        let times = self.of.get_mut(id as usize)?.take();
        self.len -= usize::from(times.is_some());
        times
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn validate(&self) {
        assert_eq!(self.len, self.of.iter().flatten().count());
    }
}
