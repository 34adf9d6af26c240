//! Running loading calls: hand-polled futures, and the expected result of each poll.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hydracache::{CacheError, CacheOptions, HydraCache, Source};

use super::entry::Reading;
use super::input::{CallOptions, Form, Verb};
use super::loader::{Answer, Got, SharedGate, begin};
use super::loading::{End, LookUp};
use super::model::{Fault, Key, Model};
use super::values::key_name;

/// The role of a call in a load.
#[derive(Clone, Copy, Debug)]
enum Role {
    New,
    Waiter {
        flight: usize,
        /// Whether a stale value exists, to be served if the load fails.
        old: bool,
        /// Whether a stale value may be served at the soft timeout.
        may_serve_stale: bool,
        joined_at: usize,
    },
    Leader(usize),
}

pub(crate) struct Call {
    verb: Verb,
    key: Key,
    asked: Form,
    settings: CallOptions,
    gate: SharedGate,
    future: Pin<Box<dyn Future<Output = Got>>>,
    role: Role,
    /// The time and the step of the first poll.
    began: Option<(u64, u64)>,
}

/// The expected result of a poll.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    Pending,
    Panic,
    Fault(Fault),
    Value(u32, Source, Duration),
}

/// The value that a completed load stores.
pub(crate) struct Completion {
    pub(crate) id: u32,
    pub(crate) form: Form,
    pub(crate) ttl: Option<u64>,
    pub(crate) tags: u8,
    pub(crate) by: StoredBy,
}

/// What the storing verb says beyond its options.
#[derive(Clone, Copy, Default)]
pub(crate) struct StoredBy {
    /// The entry keeps the time of storage.
    pub(crate) timed: bool,
    /// The loader said that the value must not be stored.
    pub(crate) no_store: bool,
}

impl Call {
    pub(crate) fn new(
        cache: &HydraCache,
        verb: Verb,
        key: Key,
        asked: Form,
        settings: CallOptions,
        options: CacheOptions,
    ) -> Self {
        let gate = SharedGate::default();
        let begin = match asked {
            Form::Text => begin::<String>,
            _ => begin::<u32>,
        };
        let future = begin(cache.clone(), verb, key_name(key), options, gate.clone());
        Self {
            verb,
            key,
            asked,
            settings,
            gate,
            future,
            role: Role::New,
            began: None,
        }
    }

    pub(crate) fn form(&self) -> Form {
        self.asked
    }

    pub(crate) fn settings(&self) -> &CallOptions {
        &self.settings
    }

    pub(crate) fn is_fetch(&self) -> bool {
        self.verb == Verb::Fetch
    }

    /// The load of the call, if the call is or was its leader.
    pub(crate) fn load(&self) -> Option<usize> {
        match self.role {
            Role::Leader(flight) => Some(flight),
            _ => None,
        }
    }

    /// The step of the first poll.
    pub(crate) fn began(&self) -> u64 {
        self.began.map_or(u64::MAX, |(_, step)| step)
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Sets the answer of the loader, unless already set.
    pub(crate) fn set_answer(&mut self, answer: Answer) {
        self.gate.with(|gate| {
            gate.answer.get_or_insert(answer);
        });
    }

    /// Drops the call, and with it its load.
    pub(crate) fn cancel(self, model: &mut Model) {
        if let Some(flight) = self.load() {
            model.abandon(flight, End::Dropped, 0);
        }
    }

    /// Polls the future. `None` is a panic.
    pub(crate) fn poll(&mut self) -> Option<Poll<Got>> {
        let mut cx = Context::from_waker(Waker::noop());
        let poll = || self.future.as_mut().poll(&mut cx);
        catch_unwind(AssertUnwindSafe(poll)).ok()
    }

    /// The expected result of the next poll, and the value that the poll stores.
    pub(crate) fn expect(&mut self, model: &mut Model) -> (Expected, Option<Completion>) {
        let mut first = self.began.is_none();
        let (began, _) = *self.began.get_or_insert((model.now, model.step));
        let passed = model.now - began;
        let hard = self
            .settings
            .load_timeout
            .is_some_and(|time| time <= passed);
        let soft = self
            .settings
            .soft_timeout
            .is_some_and(|time| time <= passed);
        loop {
            match self.role {
                Role::New => {
                    let look_up = if self.verb == Verb::Refresh {
                        model.claim_refresh(self.key, self.asked, &self.settings)
                    } else {
                        model.look_up(self.key, self.asked, &self.settings, first)
                    };
                    first = false;
                    match look_up {
                        LookUp::Serve(id, state) => {
                            let source = if state.is_fresh() {
                                Source::Hit
                            } else {
                                Source::Stale
                            };
                            return (self.value(model, id, source), None);
                        }
                        LookUp::Fault(fault) => return (Expected::Fault(fault), None),
                        LookUp::Join { flight, old } => {
                            let joined_at = model.invalidations();
                            self.role = Role::Waiter {
                                flight,
                                old,
                                may_serve_stale: old,
                                joined_at,
                            };
                        }
                        LookUp::Lead(flight) => self.role = Role::Leader(flight),
                    }
                }
                Role::Waiter {
                    flight,
                    old,
                    may_serve_stale,
                    joined_at,
                } => {
                    match model.flights[flight].end {
                        Some(End::Dropped) => {
                            self.role = Role::New;
                            continue;
                        }
                        Some(End::Value {
                            invalidated_at: Some(invalidated_at),
                            ..
                        }) if invalidated_at <= joined_at => {
                            self.role = Role::New;
                            continue;
                        }
                        Some(End::Value { id, .. }) => {
                            model.stats.single_flight_joins += 1;
                            return (Expected::Value(id, Source::Joined, Duration::ZERO), None);
                        }
                        Some(End::Fault(fault)) => {
                            if let Some(value) = self.stale_value(model, old) {
                                return (value, None);
                            }
                            model.stats.single_flight_joins += 1;
                            return (Expected::Fault(fault), None);
                        }
                        None => {}
                    }
                    if hard {
                        model.stats.timeouts += 1;
                        let value = self.stale_value(model, old);
                        return (value.unwrap_or(Expected::Fault(Fault::Timeout)), None);
                    }
                    if soft && may_serve_stale {
                        if let Some(value) = self.stale_value(model, true) {
                            return (value, None);
                        }
                        self.role = Role::Waiter {
                            flight,
                            old,
                            may_serve_stale: false,
                            joined_at,
                        };
                    }
                    return (Expected::Pending, None);
                }
                Role::Leader(flight) => return self.drive(model, flight, hard),
            }
        }
    }

    /// The expected result of a poll by the leader.
    fn drive(
        &mut self,
        model: &mut Model,
        flight: usize,
        hard: bool,
    ) -> (Expected, Option<Completion>) {
        let old = model.flights[flight].old;
        let pause = self.settings.backoff.unwrap_or(0);
        let readable = old.filter(|old| old.reading == Reading::Value);
        // The loader of a `fetch` gets the old value, but only a decodable one.
        let has_old = if self.is_fetch() {
            readable.is_some()
        } else {
            old.is_some()
        };
        let fault = match self.gate.with(|gate| gate.answer) {
            Some(Answer::Value {
                id,
                ttl,
                tags,
                unchanged,
            }) => {
                let fetch = self.is_fetch();
                let revived = readable.filter(|_| fetch && unchanged);
                let chosen = if fetch {
                    tags | revived.map_or(0, |old| old.tags)
                } else {
                    0
                };
                let id = revived.map_or(id, |old| old.id);
                let form = revived.map_or(self.asked, |old| old.form);
                let stores = model.complete(flight, id, chosen, revived.is_some());
                let completion = Completion {
                    id,
                    form,
                    ttl: ttl.filter(|_| fetch).or(self.settings.ttl),
                    tags: chosen | self.settings.tags,
                    by: StoredBy {
                        timed: fetch,
                        no_store: fetch && ttl == Some(0),
                    },
                };
                let value = Expected::Value(id, Source::Loaded, Duration::ZERO);
                return (value, stores.then_some(completion));
            }
            Some(Answer::Panic) => {
                model.abandon(flight, End::Fault(Fault::Panic), pause);
                return (Expected::Panic, None);
            }
            Some(Answer::Error) => Fault::Load,
            // The time of the leader is over: the waiters look again, and no back-off begins.
            None if hard => {
                model.stats.timeouts += 1;
                model.stats.load_failures += 1;
                model.abandon(flight, End::Dropped, 0);
                let value = (self.verb != Verb::Refresh).then(|| self.stale_value(model, has_old));
                let value = value.flatten();
                return (value.unwrap_or(Expected::Fault(Fault::Timeout)), None);
            }
            None => return (Expected::Pending, None),
        };
        model.abandon(flight, End::Fault(fault), pause);
        // A failed refresh is an error.
        let value = (self.verb != Verb::Refresh).then(|| self.stale_value(model, has_old));
        let value = value.flatten();
        (value.unwrap_or(Expected::Fault(fault)), None)
    }

    fn stale_value(&self, model: &mut Model, old: bool) -> Option<Expected> {
        let id = old.then(|| model.stale_value(self.key, self.asked))??;
        Some(self.old_value(model, id))
    }

    /// The answer with the current value, fresh or stale.
    fn old_value(&self, model: &Model, id: u32) -> Expected {
        let fresh = model.find_fresh(self.key).is_some();
        self.value(model, id, if fresh { Source::Hit } else { Source::Stale })
    }

    fn value(&self, model: &Model, id: u32, source: Source) -> Expected {
        let age = model
            .entries
            .get(&self.key)
            .map_or(0, |it| it.age(model.now));
        Expected::Value(id, source, Duration::from_nanos(age))
    }

    /// Asserts that a poll gave the expected result.
    pub(crate) fn compare(&self, model: &Model, expected: Expected, got: Option<&Poll<Got>>) {
        let what = || format!("{:?} of {} expected {expected:?}", self.verb, self.key);
        match (expected, got) {
            (Expected::Pending, Some(Poll::Pending)) | (Expected::Panic, None) => {}
            (Expected::Fault(fault), Some(Poll::Ready(Err(error)))) => {
                assert!(is(error, fault), "{}, and got {error}", what());
            }
            (Expected::Value(id, source, age), Some(Poll::Ready(Ok((got, from))))) => {
                assert_eq!(id, *got, "{}", what());
                if let Some(from) = from {
                    assert_eq!((source, age), *from, "{}", what());
                }
            }
            _ => panic!("{}, and got {got:?}", what()),
        }
        let led = self.load();
        self.gate.with(|gate| {
            assert_eq!(gate.was_called, led.is_some(), "{}", what());
            let old = led.and_then(|flight| model.flights[flight].old);
            let old = old.filter(|old| self.is_fetch() && old.reading == Reading::Value);
            assert_eq!(gate.old, old.map(|old| old.id), "{}", what());
        });
    }
}

/// Whether an error is of the expected kind.
pub(crate) fn is(error: &CacheError, fault: Fault) -> bool {
    match fault {
        Fault::Load => error.is_load(),
        Fault::Panic => error.is_panic(),
        Fault::Timeout => error.is_timeout(),
        Fault::WrongType => error.is_wrong_type(),
        Fault::Undecodable => error.is_decode(),
    }
}
