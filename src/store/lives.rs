//! The times of the entries that have more than one.

use super::Id;
use crate::freshness::Times;
use crate::grow::reach_with;

/// By entry: nothing for one that has a deadline alone, as for all beyond the end.
#[derive(Debug, Default)]
pub(super) struct Lives(Vec<Option<Box<Times>>>);

impl Lives {
    #[inline]
    pub(super) fn of(&self, id: Id) -> Option<&Times> {
        self.0.get(id as usize)?.as_deref()
    }

    pub(super) fn of_mut(&mut self, id: Id) -> Option<&mut Times> {
        self.0.get_mut(id as usize)?.as_deref_mut()
    }

    /// Says which times an entry has that has none. `capacity` is for how many entries
    /// there will soon be room.
    pub(super) fn set(&mut self, id: Id, times: Box<Times>, capacity: usize) {
        reach_with(&mut self.0, id, capacity, || None);
        self.0[id as usize] = Some(times);
    }

    #[inline]
    pub(super) fn take(&mut self, id: Id) -> Option<Box<Times>> {
        self.0.get_mut(id as usize)?.take()
    }
}
