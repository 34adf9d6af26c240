//! Removed entries and values of one operation, for the listener, and for a drop after the
//! unlock.
//!
//! A listener may call the cache, and that call removes entries too. The thread keeps the removals
//! of such calls in a queue, and reports them when the listener has returned. So the listener is
//! never called within itself: one write gives back up to 256 expired entries, and a listener that
//! writes for each of them would need a stack as deep as the number of expired entries.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::backoffs::{Backoff, Backoffs};
use super::contents::Contents;
use super::in_flight::InFlight;
use crate::key::{Key, SmallBytes, display};
use crate::removal::{Listener, RemovalCause};
use crate::store::{Entry, MAX_EVICTED_AT_ONCE};
use crate::value::StoredValue;

/// Most operations remove few entries, if any: few entries take no memory on the heap.
#[derive(Debug, Default)]
pub(super) struct Trash {
    entries: SmallVec<[Entry<StoredValue>; MAX_EVICTED_AT_ONCE]>,
    /// The cause of each removal, if there is a listener.
    causes: SmallVec<[RemovalCause; MAX_EVICTED_AT_ONCE]>,
    /// A replaced value.
    value: Option<StoredValue>,
    /// The key of the replaced value, and the cause, if there is a listener.
    replaced_key: Option<(SmallBytes, RemovalCause)>,
    /// Set if there is a listener.
    has_listener: bool,
    /// Other things to drop: rare, and so behind one pointer.
    dropped: Vec<Dropped>,
}

// Each variant runs code of the caller when dropped, or frees much memory. Neither belongs
// under the lock.
#[derive(Debug)]
#[expect(dead_code, reason = "the variants exist to be dropped")]
enum Dropped {
    /// With an error of the caller.
    Backoff(Backoff),
    Contents(Box<Contents>),
    InFlight(InFlight),
    Backoffs(Backoffs),
}

impl Trash {
    /// Creates an empty trash.
    #[inline]
    pub(super) fn new(has_listener: bool) -> Self {
        Self {
            has_listener,
            ..Self::default()
        }
    }

    /// Adds a removed entry.
    #[inline]
    pub(super) fn entry(&mut self, entry: Entry<StoredValue>, cause: RemovalCause) {
        self.entries.push(entry);
        if self.has_listener {
            // Without a listener nobody reads the cause.
            self.causes.push(cause);
        }
    }

    /// Adds a replaced value. An operation replaces at most one value.
    #[inline]
    pub(super) fn replaced(&mut self, value: StoredValue, key: Key<'_>, cause: RemovalCause) {
        debug_assert!(
            self.value.is_none(),
            "the earlier value would be dropped under the lock"
        );
        self.value = Some(value);
        if self.has_listener {
            self.replaced_key = Some((key.bytes.into(), cause));
        }
    }

    /// Adds whole tables.
    pub(super) fn contents(&mut self, contents: Box<Contents>) {
        self.dropped.push(Dropped::Contents(contents));
    }

    /// Adds the slots of all loads.
    pub(super) fn loads(&mut self, loads: InFlight) {
        self.dropped.push(Dropped::InFlight(loads));
    }

    /// Adds a failure, if there is one.
    pub(super) fn backoff(&mut self, backoff: Option<Backoff>) {
        if let Some(backoff) = backoff {
            self.dropped.push(Dropped::Backoff(backoff));
        }
    }

    /// Adds all failures.
    pub(super) fn backoffs(&mut self, backoffs: Backoffs) {
        self.dropped.push(Dropped::Backoffs(backoffs));
    }

    /// Calls the listener for every removed entry, then drops the entries. Code of the caller: only
    /// after the unlock.
    ///
    /// If this thread already runs a listener, the trash waits in the queue of the thread.
    pub(super) fn report(self, listener: &Listener) {
        if self.causes.is_empty() && self.replaced_key.is_none() {
            return;
        }
        let is_outermost = WAITING.try_with(|waiting| {
            let mut waiting = waiting.borrow_mut();
            let is_outermost = waiting.is_none();
            waiting.get_or_insert_default();
            is_outermost
        });
        match is_outermost {
            Ok(false) => queue(Arc::clone(listener), self),
            Ok(true) => {
                let _queue = Outermost;
                self.notify(listener);
                drop(self);
                while let Some((listener, trash)) = next_waiting() {
                    trash.notify(&listener);
                }
            }
            // The thread is ending, and the queue is already dropped.
            Err(_) => self.notify(listener),
        }
    }

    fn notify(&self, listener: &Listener) {
        let notify = |key: &SmallBytes, value: &StoredValue, cause: RemovalCause| {
            listener(&display(key.as_bytes(), usize::MAX), value.bytes(), cause);
        };
        if let (Some(value), Some((key, cause))) = (&self.value, &self.replaced_key) {
            notify(key, value, *cause);
        }
        // With a listener, both lists have one element for each removed entry.
        for (entry, cause) in self.entries.iter().zip(&self.causes) {
            notify(&entry.key, &entry.value, *cause);
        }
    }
}

type Waiting = VecDeque<(Listener, Trash)>;

thread_local! {
    /// The removals by calls of the running listener. `None`: this thread runs no listener.
    static WAITING: RefCell<Option<Waiting>> = const { RefCell::new(None) };
}

/// Adds a trash to the queue of this thread.
fn queue(listener: Listener, trash: Trash) {
    let _ = WAITING.try_with(|waiting| {
        let mut waiting = waiting.borrow_mut();
        waiting.get_or_insert_default().push_back((listener, trash));
    });
}

/// Takes the oldest trash from the queue of this thread.
fn next_waiting() -> Option<(Listener, Trash)> {
    let next = WAITING.try_with(|waiting| waiting.borrow_mut().as_mut()?.pop_front());
    next.ok().flatten()
}

/// Ends the queue of this thread. The queue is empty, unless a listener has panicked.
struct Outermost;

impl Drop for Outermost {
    fn drop(&mut self) {
        // Dropped entries run code of the caller, so the queue leaves the cell first.
        let left = WAITING.try_with(|waiting| waiting.borrow_mut().take());
        drop(left);
    }
}
