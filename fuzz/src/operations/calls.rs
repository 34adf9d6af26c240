//! Loading calls: their futures, polled by hand, and what each poll of one should give.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hydracache::{CacheError, CacheOptions, HydraCache, Source};

use super::entry::Reading;
use super::input::{Form, Terms, Verb};
use super::loader::{Given, Got, SharedGate, begin};
use super::loading::{End, Look};
use super::model::{Fault, Key, Model};
use super::values::key_name;

#[derive(Clone, Copy, Debug)]
enum Role {
    New,
    Waits {
        flight: usize,
        /// Whether there was an old value, to be served if the load fails.
        old: bool,
        /// Whether there may be one, to be served when the soft timeout comes.
        soon: bool,
        note: usize,
    },
    Leads(usize),
}

pub(crate) struct Call {
    verb: Verb,
    key: Key,
    asked: Form,
    terms: Terms,
    gate: SharedGate,
    future: Pin<Box<dyn Future<Output = Got>>>,
    role: Role,
    /// When it was first polled: the time, and the number of the step.
    began: Option<(u64, u64)>,
}

/// What a poll should give.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    Pending,
    Panic,
    Fault(Fault),
    Value(u32, Source, Duration),
}

/// What a poll stores, in the end.
pub(crate) struct Landing {
    pub(crate) id: u32,
    pub(crate) form: Form,
    pub(crate) ttl: Option<u64>,
    pub(crate) tags: u8,
    pub(crate) dated: bool,
}

impl Call {
    pub(crate) fn new(
        cache: &HydraCache,
        verb: Verb,
        key: Key,
        asked: Form,
        terms: Terms,
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
            terms,
            gate,
            future,
            role: Role::New,
            began: None,
        }
    }

    pub(crate) fn form(&self) -> Form {
        self.asked
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(crate) fn is_full(&self) -> bool {
        self.verb == Verb::Fetch
    }

    /// The load that it drives, or drove.
    pub(crate) fn load(&self) -> Option<usize> {
        match self.role {
            Role::Leads(flight) => Some(flight),
            _ => None,
        }
    }

    /// The step in which it was first polled.
    pub(crate) fn began(&self) -> u64 {
        self.began.map_or(u64::MAX, |(_, step)| step)
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Lets its loader end, if that was not decided yet.
    pub(crate) fn give(&mut self, given: Given) {
        self.gate.with(|gate| {
            gate.given.get_or_insert(given);
        });
    }

    /// The call is dropped, and its load with it.
    pub(crate) fn cancel(self, model: &mut Model) {
        if let Some(flight) = self.load() {
            model.give_up(flight, End::Dropped, 0);
        }
    }

    /// Polls the future. `None` is a panic.
    pub(crate) fn poll(&mut self) -> Option<Poll<Got>> {
        let mut cx = Context::from_waker(Waker::noop());
        let poll = || self.future.as_mut().poll(&mut cx);
        catch_unwind(AssertUnwindSafe(poll)).ok()
    }

    /// What the poll that comes should give; and what it stores.
    pub(crate) fn expect(&mut self, model: &mut Model) -> (Expected, Option<Landing>) {
        let mut first = self.began.is_none();
        let (began, _) = *self.began.get_or_insert((model.now, model.step));
        let passed = model.now - began;
        let hard = self.terms.load_timeout.is_some_and(|time| time <= passed);
        let soft = self.terms.soft_timeout.is_some_and(|time| time <= passed);
        loop {
            match self.role {
                Role::New => {
                    let look = if self.verb == Verb::Refresh {
                        model.sit_anew(self.key, self.asked, &self.terms)
                    } else {
                        model.look(self.key, self.asked, &self.terms, first)
                    };
                    first = false;
                    match look {
                        Look::Serve(id, state) => {
                            let source = if state.is_fresh() {
                                Source::Hit
                            } else {
                                Source::Stale
                            };
                            return (self.value(model, id, source), None);
                        }
                        Look::Fault(fault) => return (Expected::Fault(fault), None),
                        Look::Join { flight, old } => {
                            let note = model.marks();
                            self.role = Role::Waits {
                                flight,
                                old,
                                soon: old,
                                note,
                            };
                        }
                        Look::Lead(flight) => self.role = Role::Leads(flight),
                    }
                }
                Role::Waits {
                    flight,
                    old,
                    soon,
                    note,
                } => {
                    match model.flights[flight].end {
                        Some(End::Dropped) => {
                            self.role = Role::New;
                            continue;
                        }
                        Some(End::Value {
                            marked: Some(marked),
                            ..
                        }) if marked <= note => {
                            self.role = Role::New;
                            continue;
                        }
                        Some(End::Value { id, .. }) => {
                            model.stats.single_flight_joins += 1;
                            return (Expected::Value(id, Source::Joined, Duration::ZERO), None);
                        }
                        Some(End::Fault(fault)) => {
                            if let Some(value) = self.instead(model, old) {
                                return (value, None);
                            }
                            model.stats.single_flight_joins += 1;
                            return (Expected::Fault(fault), None);
                        }
                        None => {}
                    }
                    if hard {
                        model.stats.timeouts += 1;
                        let value = self.instead(model, old);
                        return (value.unwrap_or(Expected::Fault(Fault::Timeout)), None);
                    }
                    if soft && soon {
                        if let Some(value) = self.instead(model, true) {
                            return (value, None);
                        }
                        self.role = Role::Waits {
                            flight,
                            old,
                            soon: false,
                            note,
                        };
                    }
                    return (Expected::Pending, None);
                }
                Role::Leads(flight) => return self.drive(model, flight, hard),
            }
        }
    }

    /// What a poll of its own load gives.
    fn drive(
        &mut self,
        model: &mut Model,
        flight: usize,
        hard: bool,
    ) -> (Expected, Option<Landing>) {
        let old = model.flights[flight].old;
        let pause = self.terms.backoff.unwrap_or(0);
        let readable = old.filter(|old| old.reading == Reading::Value);
        // A full loader is given the old value: if that cannot be, there is none.
        let has_old = if self.is_full() {
            readable.is_some()
        } else {
            old.is_some()
        };
        let fault = match self.gate.with(|gate| gate.given) {
            Some(Given::Value {
                id,
                ttl,
                tags,
                unchanged,
            }) => {
                let full = self.is_full();
                let revived = readable.filter(|_| full && unchanged);
                let own = if full {
                    tags | revived.map_or(0, |old| old.tags)
                } else {
                    0
                };
                let id = revived.map_or(id, |old| old.id);
                let form = revived.map_or(self.asked, |old| old.form);
                let stores = model.land(flight, id, own, revived.is_some());
                let landing = Landing {
                    id,
                    form,
                    ttl: ttl.filter(|_| full).or(self.terms.ttl),
                    tags: own | self.terms.tags,
                    dated: full,
                };
                let value = Expected::Value(id, Source::Loaded, Duration::ZERO);
                return (value, stores.then_some(landing));
            }
            Some(Given::Panic) => {
                model.give_up(flight, End::Fault(Fault::Panic), pause);
                return (Expected::Panic, None);
            }
            Some(Given::Error) => Fault::Load,
            None if hard => {
                model.stats.timeouts += 1;
                Fault::Timeout
            }
            None => return (Expected::Pending, None),
        };
        model.give_up(flight, End::Fault(fault), pause);
        let value = if self.verb == Verb::Refresh {
            model
                .instead(self.key, self.asked, true)
                .map(|id| self.old_value(model, id))
        } else {
            self.instead(model, has_old)
        };
        (value.unwrap_or(Expected::Fault(fault)), None)
    }

    fn instead(&self, model: &mut Model, old: bool) -> Option<Expected> {
        let id = old.then(|| model.instead(self.key, self.asked, false))??;
        Some(self.old_value(model, id))
    }

    /// What was there all the time, fresh or not.
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

    /// Compares what a poll gave with what it should.
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
            let old = old.filter(|old| self.is_full() && old.reading == Reading::Value);
            assert_eq!(gate.old, old.map(|old| old.id), "{}", what());
        });
    }
}

/// Whether an error is of a kind.
pub(crate) fn is(error: &CacheError, fault: Fault) -> bool {
    match fault {
        Fault::Load => error.is_load(),
        Fault::Panic => error.is_panic(),
        Fault::Timeout => error.is_timeout(),
        Fault::WrongType => error.is_wrong_type(),
        Fault::Undecodable => error.is_decode(),
    }
}
