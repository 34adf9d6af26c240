//! What leaves a shard in one act, to be dropped after the unlock.

use bytes::Bytes;
use smallvec::SmallVec;

use super::contents::Contents;
use super::seats::Seats;
use crate::store::{AT_ONCE, Entry};

/// Most acts take out few entries, if any: those need no memory to wait in.
#[derive(Debug, Default)]
pub(super) struct Trash {
    entries: SmallVec<[Entry<Bytes>; AT_ONCE]>,
    /// A value that was replaced.
    value: Option<Bytes>,
    tables: Vec<Table>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "they are here to be dropped")]
enum Table {
    Contents(Box<Contents>),
    Seats(Seats),
}

impl Trash {
    #[inline]
    pub(super) fn entry(&mut self, entry: Entry<Bytes>) {
        self.entries.push(entry);
    }

    /// At most one value is replaced in an act.
    #[inline]
    pub(super) fn value(&mut self, value: Bytes) {
        debug_assert!(self.value.is_none(), "a value that would be dropped here");
        self.value = Some(value);
    }

    pub(super) fn contents(&mut self, contents: Box<Contents>) {
        self.tables.push(Table::Contents(contents));
    }

    pub(super) fn seats(&mut self, seats: Seats) {
        self.tables.push(Table::Seats(seats));
    }
}
