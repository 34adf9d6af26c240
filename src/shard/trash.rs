//! What leaves a shard in one act, to be told of and dropped after the unlock.

use smallvec::SmallVec;

use super::backoffs::{Backoff, Backoffs};
use super::contents::Contents;
use super::in_flight::Seats;
use crate::key::{Key, Text, shown};
use crate::removal::{Listener, RemovalCause};
use crate::store::{AT_ONCE, Entry};
use crate::value::Kept;

/// Most acts take out few entries, if any: those need no memory to wait in.
#[derive(Debug, Default)]
pub(super) struct Trash {
    entries: SmallVec<[Entry<Kept>; AT_ONCE]>,
    /// Why each of them left, if somebody listens.
    causes: SmallVec<[RemovalCause; AT_ONCE]>,
    /// A value that was replaced.
    value: Option<Kept>,
    /// Its key, and why it left, if somebody listens.
    value_of: Option<(Text, RemovalCause)>,
    /// Whether anybody listens.
    is_told: bool,
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
    pub(super) fn new(is_told: bool) -> Self {
        Self {
            is_told,
            ..Self::default()
        }
    }

    #[inline]
    pub(super) fn entry(&mut self, entry: Entry<Kept>, cause: RemovalCause) {
        self.entries.push(entry);
        if self.is_told {
            self.causes.push(cause);
        }
    }

    /// At most one value is replaced in an act.
    #[inline]
    pub(super) fn value(&mut self, value: Kept, key: Key<'_>, cause: RemovalCause) {
        debug_assert!(self.value.is_none(), "a value that would be dropped here");
        self.value = Some(value);
        if self.is_told {
            self.value_of = Some((key.bytes.into(), cause));
        }
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

    /// Tells of every entry that left. Foreign code: after the unlock.
    pub(super) fn tell(&self, listener: &Listener) {
        let tell = |key: &Text, value: &Kept, cause: RemovalCause| {
            listener(&shown(key.as_bytes(), usize::MAX), value.bytes(), cause);
        };
        if let (Some(value), Some((key, cause))) = (&self.value, &self.value_of) {
            tell(key, value, *cause);
        }
        for (entry, cause) in self.entries.iter().zip(&self.causes) {
            tell(&entry.key, &entry.value, *cause);
        }
    }
}
