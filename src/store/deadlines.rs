//! Entries in the order they expire.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Id;

/// The entries that can expire, and no others.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<(Duration, Id)>);

impl Deadlines {
    pub(super) fn insert(&mut self, deadline: Duration, id: Id) {
        self.0.insert((deadline, id));
    }

    pub(super) fn remove(&mut self, deadline: Duration, id: Id) {
        self.0.remove(&(deadline, id));
    }

    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<(Duration, Id)> {
        self.0.first().copied()
    }
}

#[cfg(test)]
impl Deadlines {
    pub(super) fn validate(&self, entries: &BTreeSet<(Duration, Id)>) {
        assert_eq!(&self.0, entries);
    }
}
