//! What leaves a shard in one act, to be dropped after the unlock.

use bytes::Bytes;
use smallvec::SmallVec;

use super::backoffs::{Backoff, Backoffs};
use super::contents::Contents;
use super::seats::Seats;
use crate::store::{AT_ONCE, Entry};

/// Most acts take out few entries, if any: those need no memory to wait in.
#[derive(Debug, Default)]
pub(super) struct Trash {
    entries: SmallVec<[Entry<Bytes>; AT_ONCE]>,
    /// A value that was replaced.
    value: Option<Bytes>,
    rest: Vec<Rest>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "they are here to be dropped")]
enum Rest {
    /// Failures hold errors of the caller's.
    Backoff(Backoff),
    Contents(Box<Contents>),
    Seats(Seats),
    Backoffs(Backoffs),
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
        self.rest.push(Rest::Contents(contents));
    }

    pub(super) fn seats(&mut self, seats: Seats) {
        self.rest.push(Rest::Seats(seats));
    }

    pub(super) fn backoff(&mut self, backoff: Option<Backoff>) {
        if let Some(backoff) = backoff {
            self.rest.push(Rest::Backoff(backoff));
        }
    }

    pub(super) fn backoffs(&mut self, backoffs: Backoffs) {
        self.rest.push(Rest::Backoffs(backoffs));
    }
}
