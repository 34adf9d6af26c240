//! The call that claimed the slot of a key, and runs the loader.

use std::borrow::Cow;
use std::ops::Deref;
use std::task::Poll;
use std::time::Duration;

use super::timeouts::Timeouts;
use crate::engine::{Engine, Handle};
use crate::error::CacheError;
use crate::key::Key;
use crate::options::{CacheOptions, SharedExtra};
use crate::runtime::Moment;
use crate::shard::{Completion, Failure, Flight, FlightResult, NewEntry, Shard, StoreMode};
use crate::sync::Arc;
use crate::tags::HashedTag;
use crate::value::{Codec, NewValue, TypedValue};

/// The cache of a load: borrowed by the call, or kept by a load that outlives the call.
pub(crate) enum EngineRef<'a, C> {
    Borrowed(&'a Engine<C>),
    Owned(Handle<C>),
}

impl<C> Deref for EngineRef<'_, C> {
    type Target = Engine<C>;

    fn deref(&self) -> &Engine<C> {
        match self {
            Self::Borrowed(engine) => engine,
            Self::Owned(engine) => engine,
        }
    }
}

/// The settings of a loader for the loaded value, in place of the call's options.
pub(crate) struct Overrides<'a> {
    pub(crate) ttl: Option<Duration>,
    /// Whether the loader forbids storing.
    pub(crate) no_store: bool,
    /// The tags that the loader chose.
    pub(crate) tags: &'a [HashedTag],
    /// Whether the value is the old one.
    pub(crate) is_unchanged: bool,
}

/// The guard of a load in progress. Dropped before the load ends, the guard abandons the
/// load: the slot is free, and the waiters look again.
pub(crate) struct Leader<'a, C: Codec> {
    pub(crate) engine: EngineRef<'a, C>,
    key: Cow<'a, [u8]>,
    hash: u64,
    flight: Arc<Flight>,
    ttl: Option<Duration>,
    extra: Option<SharedExtra>,
    /// The old value that the loader got, and may return as unchanged.
    old: Option<Box<TypedValue>>,
    phase: Phase,
}

/// How far a load is, for `Drop` to tell a panic from a cancellation.
/// `std::thread::panicking` cannot tell: it is also `true` when a future is dropped because
/// another panic unwinds past the future.
#[derive(Clone, Copy)]
enum Phase {
    /// The caller's code runs: the loader, or the encoding of its value. Nothing but a panic
    /// drops the leader here.
    Running,
    /// The loader waits, or the value is being stored. A drop here is a cancellation.
    Suspended,
    /// The waiters have their result.
    Ended,
}

impl<'a, C: Codec> Leader<'a, C> {
    pub(crate) fn new(
        engine: &'a Engine<C>,
        key: Key<'a>,
        flight: Arc<Flight>,
        options: &CacheOptions,
    ) -> Self {
        Self {
            engine: EngineRef::Borrowed(engine),
            key: Cow::Borrowed(key.bytes),
            hash: key.hash,
            flight,
            ttl: options.ttl,
            extra: options.extra.clone(),
            old: None,
            phase: Phase::Suspended,
        }
    }

    /// Returns the record that waiters wait on.
    pub(crate) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    pub(crate) fn key(&self) -> Key<'_> {
        let (hash, bytes) = (self.hash, &*self.key);
        Key { hash, bytes }
    }

    fn shard(&self) -> &Shard {
        self.engine.shard_of(self.hash)
    }

    /// Marks the caller's code as running: a panic from here on is the load's.
    pub(crate) fn set_running(&mut self) {
        self.phase = Phase::Running;
    }

    /// Runs the caller's code.
    pub(crate) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        self.phase = Phase::Running;
        let result = code();
        self.phase = Phase::Suspended;
        result
    }

    /// Polls the loader.
    pub(crate) fn poll<T>(&mut self, loader: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.phase = Phase::Running;
        let polled = loader();
        if polled.is_pending() {
            self.phase = Phase::Suspended;
        }
        polled
    }

    /// Remembers the old value that the loader gets.
    pub(crate) fn set_old(&mut self, old: &TypedValue) {
        self.old = Some(Box::new(old.clone()));
    }

    /// Returns `true` if a value that the loader returned as unchanged is the old value of
    /// this load, `false` if it is the value of another load or of another cache.
    pub(crate) fn is_old(&self, value: &TypedValue) -> bool {
        let old = self.old.as_ref();
        old.is_some_and(|old| value.is_same_as(old))
    }

    /// Ends the load with a value, and stores the value if the load was not fenced. Returns
    /// until when the value is fresh.
    pub(crate) fn complete(
        &mut self,
        value: NewValue,
        overrides: &Overrides<'_>,
        needs_age: bool,
    ) -> Moment {
        // guard: a panic of a listener does not turn a stored load into a failed load
        // The loader has returned. If a listener panics, the value is stored, and the waiters
        // look again and find it.
        self.phase = Phase::Suspended;
        let mut entry = NewEntry {
            value,
            ttl: overrides.ttl.or(self.ttl),
            extra: self.extra.as_deref(),
            needs_age,
            mode: if overrides.no_store {
                StoreMode::Discard
            } else {
                StoreMode::Replace
            },
        };
        let now = self.engine.now();
        let completion = Completion {
            flight: &self.flight,
            entry: &mut entry,
            own_tags: overrides.tags,
            is_unchanged: overrides.is_unchanged,
            log: &self.engine.log,
        };
        let completed = self.shard().complete(self.key(), completion, &now);
        self.engine.reclaim_another_shard(completed.writes, &now);
        match completed.for_waiters {
            Some(value) => self.finish(Some(Ok(value))),
            None => self.set_ended(),
        }
        completed.fresh_until
    }

    /// Returns how long the key is not loaded again if the load fails.
    fn backoff(&self) -> Duration {
        let extra = self.extra.as_ref();
        extra
            .and_then(|extra| extra.error_backoff)
            .unwrap_or_default()
    }

    /// Returns the timeouts of the call, counted from now.
    pub(crate) fn timeouts(&self) -> Option<Box<Timeouts>> {
        Timeouts::new(self.extra.as_deref(), &self.engine.now())
    }

    /// Ends the load with an error. `is_failure`: whether the error counts as a failed load.
    pub(crate) fn fail(&mut self, error: CacheError, is_failure: bool) -> CacheError {
        let failure = if is_failure {
            Failure::Error(&error, self.backoff())
        } else {
            Failure::None
        };
        // As in `complete`: if dropping a replaced error panics, the failure counts once.
        self.phase = Phase::Suspended;
        self.abandon(&failure);
        self.finish(Some(Err(error.clone())));
        error
    }

    /// Ends a load that ran out of time, and returns the error.
    ///
    /// The time of a background load is the load's: the load failed. The time of a leader is the
    /// leader's. The waiters may have more time, so they look again, and no back-off begins:
    ///
    /// 1. Call A, with a `load_timeout` of 10 ms, claims the slot.
    /// 2. Call B, with a minute, joins the load of A.
    /// 3. A's time is over. A gets the error. B claims the slot and loads.
    pub(crate) fn time_out(&mut self, time: Duration) -> CacheError {
        self.engine.counters.count_timeout();
        let error = CacheError::timeout(self.key().bytes, time);
        if self.flight.background.is_some() {
            return self.fail(error, true);
        }
        self.phase = Phase::Suspended;
        self.abandon(&Failure::Error(&error, Duration::ZERO));
        self.finish(None);
        error
    }

    fn abandon(&self, failure: &Failure<'_>) {
        let now = self.engine.now();
        self.shard()
            .abandon(self.key(), &self.flight, failure, &now);
    }

    fn finish(&mut self, result: Option<FlightResult>) {
        self.set_ended();
        self.flight.finish(result);
    }

    fn set_ended(&mut self) {
        self.phase = Phase::Ended;
        if self.flight.started_at.is_some() {
            self.engine.log.close();
        }
    }

    /// Moves the load into a guard that keeps the cache.
    pub(crate) fn into_owned(mut self, engine: Handle<C>) -> Leader<'static, C> {
        let old = self.old.take();
        let owned = Leader {
            engine: EngineRef::Owned(engine),
            key: Cow::Owned(self.key.to_vec()),
            hash: self.hash,
            flight: Arc::clone(&self.flight),
            ttl: self.ttl,
            extra: self.extra.clone(),
            old,
            phase: Phase::Suspended,
        };
        self.phase = Phase::Ended;
        owned
    }
}

impl<C: Codec> Drop for Leader<'_, C> {
    fn drop(&mut self) {
        match self.phase {
            Phase::Ended => {}
            // guard: a dropped leader frees the slot, then wakes the waiters
            Phase::Suspended => {
                // A caller may have ended a background load at the deadline.
                if let Some(time) = self.flight.ended_after() {
                    self.time_out(time);
                    return;
                }
                self.abandon(&Failure::None);
                self.finish(None);
            }
            Phase::Running => {
                let error = CacheError::panic(&self.key);
                self.abandon(&Failure::Error(&error, self.backoff()));
                self.finish(Some(Err(error)));
            }
        }
    }
}
