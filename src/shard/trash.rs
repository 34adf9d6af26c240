//! What leaves a shard in one act, to be told of and dropped after the unlock.

use smallvec::SmallVec;

use super::backoffs::{Backoff, Backoffs};
use super::contents::Contents;
use super::in_flight::InFlight;
use crate::key::{Key, SmallBytes, display};
use crate::removal::{Listener, RemovalCause};
use crate::store::{Entry, MAX_EVICTED_AT_ONCE};
use crate::value::StoredValue;

/// Most acts take out few entries, if any: those need no memory to wait in.
#[derive(Debug, Default)]
pub(super) struct Trash {
    entries: SmallVec<[Entry<StoredValue>; MAX_EVICTED_AT_ONCE]>,
    /// Why each of them left, if somebody listens.
    causes: SmallVec<[RemovalCause; MAX_EVICTED_AT_ONCE]>,
    /// A value that was replaced.
    value: Option<StoredValue>,
    /// Its key, and why it left, if somebody listens.
    replaced_for: Option<(SmallBytes, RemovalCause)>,
    /// Whether anybody listens.
    has_listener: bool,
    dropped: Vec<Dropped>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "they are here to be dropped")]
enum Dropped {
    /// Failures hold errors of the caller's.
    Backoff(Backoff),
    Contents(Box<Contents>),
    InFlight(InFlight),
    Backoffs(Backoffs),
}

impl Trash {
    #[inline]
    pub(super) fn new(has_listener: bool) -> Self {
        Self {
            has_listener,
            ..Self::default()
        }
    }

    #[inline]
    pub(super) fn entry(&mut self, entry: Entry<StoredValue>, cause: RemovalCause) {
        self.entries.push(entry);
        if self.has_listener {
            self.causes.push(cause);
        }
    }

    /// At most one value is replaced in an act.
    #[inline]
    pub(super) fn replaced(&mut self, value: StoredValue, key: Key<'_>, cause: RemovalCause) {
        debug_assert!(self.value.is_none(), "a value that would be dropped here");
        self.value = Some(value);
        if self.has_listener {
            self.replaced_for = Some((key.bytes.into(), cause));
        }
    }

    pub(super) fn contents(&mut self, contents: Box<Contents>) {
        self.dropped.push(Dropped::Contents(contents));
    }

    pub(super) fn loads(&mut self, loads: InFlight) {
        self.dropped.push(Dropped::InFlight(loads));
    }

    pub(super) fn backoff(&mut self, backoff: Option<Backoff>) {
        if let Some(backoff) = backoff {
            self.dropped.push(Dropped::Backoff(backoff));
        }
    }

    pub(super) fn backoffs(&mut self, backoffs: Backoffs) {
        self.dropped.push(Dropped::Backoffs(backoffs));
    }

    /// Tells of every entry that left. Foreign code: after the unlock.
    pub(super) fn notify(&self, listener: &Listener) {
        let notify = |key: &SmallBytes, value: &StoredValue, cause: RemovalCause| {
            listener(&display(key.as_bytes(), usize::MAX), value.bytes(), cause);
        };
        if let (Some(value), Some((key, cause))) = (&self.value, &self.replaced_for) {
            notify(key, value, *cause);
        }
        for (entry, cause) in self.entries.iter().zip(&self.causes) {
            notify(&entry.key, &entry.value, *cause);
        }
    }
}
