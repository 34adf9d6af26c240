//! What leaves a shard in one act, to be dropped after the unlock.

use bytes::Bytes;

use super::contents::Contents;
use super::seats::Seats;
use crate::store::Entry;

/// One entry leaves in most acts that take out any: the first of each kind needs no
/// memory to wait in.
#[derive(Debug, Default)]
pub(super) struct Trash {
    entry: Option<Entry<Bytes>>,
    entries: Vec<Entry<Bytes>>,
    /// A value that was replaced.
    pub(super) value: Option<Bytes>,
    /// Our own, but perhaps large.
    pub(super) contents: Vec<Contents>,
    /// Likewise.
    pub(super) seats: Option<Seats>,
}

impl Trash {
    /// A value's memory may have an owner whose `Drop` is foreign code.
    pub(super) fn entry(&mut self, entry: Entry<Bytes>) {
        if let Some(earlier) = self.entry.replace(entry) {
            self.entries.push(earlier);
        }
    }
}
