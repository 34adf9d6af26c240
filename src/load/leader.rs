//! The caller that has the seat of a key.

use std::borrow::Cow;
use std::ops::Deref;
use std::task::Poll;
use std::time::Duration;

use super::timeouts::Timeouts;
use crate::engine::{Engine, Handle};
use crate::error::CacheError;
use crate::key::Key;
use crate::options::{CacheOptions, SharedExtra, TagNames};
use crate::runtime::Moment;
use crate::shard::{Completion, Failure, Flight, FlightResult, NewEntry, Shard};
use crate::sync::Arc;
use crate::value::{Codec, NewValue, TypedValue};

/// A cache that is borrowed by a call, or kept by a load that outlives its call.
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

/// What a loader wishes for its value.
pub(crate) struct Overrides<'a> {
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: &'a TagNames,
    /// Whether it is the old one.
    pub(crate) unchanged: bool,
}

/// Dropped before it ends, its load is over: the seat is free and those who waited are
/// told.
pub(crate) struct Leader<'a, C: Codec> {
    pub(crate) engine: EngineRef<'a, C>,
    key: Cow<'a, [u8]>,
    hash: u64,
    flight: Arc<Flight>,
    ttl: Option<Duration>,
    extra: Option<SharedExtra>,
    /// The old value that the loader was given: what it may say is unchanged.
    given: Option<Box<TypedValue>>,
    state: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    /// The caller's code runs: the loader, or the encoding of its value. A drop
    /// in this state comes from a panic in it, since nothing else leaves it.
    Running,
    /// The loader waits, or its value lands. A drop in this state is a cancellation.
    Suspended,
    /// All who waited have their answer.
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
            given: None,
            state: Phase::Suspended,
        }
    }

    /// What those who join wait for.
    pub(crate) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    fn seat(&self) -> (Key<'_>, &Shard) {
        let (hash, bytes) = (self.hash, &*self.key);
        (Key { hash, bytes }, self.engine.shard_of(hash))
    }

    /// Code of the caller's is about to run: should it panic, the load did.
    pub(crate) fn begin(&mut self) {
        self.state = Phase::Running;
    }

    /// Runs code of the caller's.
    pub(crate) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        self.state = Phase::Running;
        let result = code();
        self.state = Phase::Suspended;
        result
    }

    /// Notes the old value that the loader is given.
    pub(crate) fn give(&mut self, old: &TypedValue) {
        self.given = Some(Box::new(old.clone()));
    }

    /// Whether a value that is said to be unchanged is the one that the loader was given, and
    /// not that of another load, or of another cache.
    pub(crate) fn was_given(&self, read: &TypedValue) -> bool {
        let given = self.given.as_ref();
        given.is_some_and(|given| read.is_same_as(given))
    }

    /// Polls the loader.
    pub(crate) fn poll<T>(&mut self, loader: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.state = Phase::Running;
        let polled = loader();
        if polled.is_pending() {
            self.state = Phase::Suspended;
        }
        polled
    }

    /// Ends with a value, and stores it if the load was not fenced. Says until when it is
    /// fresh.
    pub(crate) fn land(
        &mut self,
        value: NewValue,
        loaded: &Overrides<'_>,
        needs_age: bool,
    ) -> Moment {
        // The loader has done its part. Should a listener panic, the value is where it
        // belongs, and those who waited look again.
        self.state = Phase::Suspended;
        let mut write = NewEntry {
            value,
            ttl: loaded.ttl.or(self.ttl),
            extra: self.extra.as_deref(),
            needs_age,
        };
        let now = self.engine.now();
        let (key, shard) = self.seat();
        let landing = Completion {
            flight: &self.flight,
            write: &mut write,
            own: loaded.tags,
            unchanged: loaded.unchanged,
            log: &self.engine.log,
        };
        let stop = shard.complete(key, landing, &now);
        self.engine.reclaim_another_shard(stop.writes, &now);
        match stop.for_waiters {
            Some(landed) => self.end(Some(Ok(landed))),
            None => self.over(),
        }
        stop.fresh_until
    }

    /// How long its key is not to be loaded if it fails.
    fn backoff(&self) -> Duration {
        let extra = self.extra.as_ref();
        extra
            .and_then(|extra| extra.error_backoff)
            .unwrap_or_default()
    }

    /// How long its caller waits for it.
    pub(crate) fn timeouts(&self) -> Option<Box<Timeouts>> {
        Timeouts::of(self.extra.as_deref(), &self.engine.now())
    }

    /// Ends with an error. `failed` is whether it counts as a failure of the load.
    pub(crate) fn fail(&mut self, error: CacheError, failed: bool) -> CacheError {
        let failure = if failed {
            Failure::Error(&error, self.backoff())
        } else {
            Failure::None
        };
        // As in `land`: it is told once, should what it takes the place of panic.
        self.state = Phase::Suspended;
        self.give_up(&failure);
        self.end(Some(Err(error.clone())));
        error
    }

    fn give_up(&self, failure: &Failure<'_>) {
        let (key, shard) = self.seat();
        shard.abandon(key, &self.flight, failure, &self.engine.now());
    }

    fn end(&mut self, outcome: Option<FlightResult>) {
        self.over();
        self.flight.finish(outcome);
    }

    fn over(&mut self) {
        self.state = Phase::Ended;
        if self.flight.started.is_some() {
            self.engine.log.close();
        }
    }
}

impl<C: Codec> Leader<'static, C> {
    /// The same load, in a future that keeps the cache.
    pub(crate) fn away(lead: Leader<'_, C>, engine: Handle<C>) -> Self {
        let mut lead = lead;
        let away = Self {
            engine: EngineRef::Owned(engine),
            key: Cow::Owned(lead.key().to_owned()),
            hash: lead.hash,
            flight: Arc::clone(&lead.flight),
            ttl: lead.ttl,
            extra: lead.extra.clone(),
            given: None,
            state: Phase::Suspended,
        };
        lead.state = Phase::Ended;
        away
    }
}

impl<C: Codec> Drop for Leader<'_, C> {
    fn drop(&mut self) {
        match self.state {
            Phase::Ended => {}
            Phase::Suspended => {
                self.give_up(&Failure::None);
                self.end(None);
            }
            Phase::Running => {
                let error = CacheError::panic(&self.key);
                self.give_up(&Failure::Error(&error, self.backoff()));
                self.end(Some(Err(error)));
            }
        }
    }
}
