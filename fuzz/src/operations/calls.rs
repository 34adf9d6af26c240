//! Loading calls: their futures, polled by hand, and what each poll of one should give.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hydracache::{CacheError, CacheOptions, CacheResult, Fetched, HydraCache, Loaded, Old, Source};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::Reading;
use super::input::{Form, Terms, Verb, tag_names};
use super::model::{End, Fault, Key, Look, Model};
use super::values::{Value, key_name};

/// What a loader will give. `None` keeps it waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    Value {
        id: u32,
        ttl: Option<u64>,
        tags: u8,
        /// Instead of the value, if there is an old one.
        unchanged: bool,
    },
    Error,
    Panic,
}

/// What a loader was told, and what it is to give.
#[derive(Debug, Default)]
struct Gate {
    was_called: bool,
    old: Option<u32>,
    given: Option<Given>,
}

#[derive(Clone, Debug, Default)]
struct SharedGate(Arc<Mutex<Gate>>);

impl SharedGate {
    fn with<R>(&self, act: impl FnOnce(&mut Gate) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn call(&self, old: Option<u32>) {
        self.with(|gate| {
            assert!(!gate.was_called, "a loader was called twice");
            gate.was_called = true;
            gate.old = old;
        });
    }

    async fn given(&self) -> Given {
        let given = poll_fn(|_| match self.with(|gate| gate.given) {
            Some(given) => Poll::Ready(given),
            None => Poll::Pending,
        });
        given.await
    }

    async fn pass<V: Value>(self, old: Option<Old<V>>) -> Result<Loaded<V>, &'static str> {
        match self.given().await {
            Given::Value {
                id,
                ttl,
                tags,
                unchanged,
            } => {
                let loaded = match old.filter(|_| unchanged) {
                    Some(old) => old.unchanged(),
                    None => Loaded::new(V::of(id)),
                };
                let loaded = loaded.tags(tag_names(tags));
                Ok(match ttl {
                    Some(0) => loaded.no_store(),
                    Some(ttl) => loaded.ttl(Duration::from_nanos(ttl)),
                    None => loaded,
                })
            }
            Given::Error => Err("away"),
            // The hook of the fuzzer would take a panic for a finding.
            Given::Panic => resume_unwind(Box::new("on purpose")),
        }
    }

    async fn pass_plain<V: Value>(self) -> Result<V, &'static str> {
        match self.given().await {
            Given::Value { id, .. } => Ok(V::of(id)),
            Given::Error => Err("away"),
            Given::Panic => resume_unwind(Box::new("on purpose")),
        }
    }
}

/// What a call gave: the number of its value, where it is from and how old it is, if the
/// verb says so.
type Got = CacheResult<(u32, Option<(Source, Duration)>)>;

fn begin<V: Value + Serialize + DeserializeOwned + Send + 'static>(
    cache: HydraCache,
    verb: Verb,
    key: String,
    options: CacheOptions,
    gate: SharedGate,
) -> Pin<Box<dyn Future<Output = Got>>> {
    Box::pin(async move {
        let plain = |got: CacheResult<V>| got.map(|value| (value.id(), None));
        let loader = {
            let gate = gate.clone();
            move || {
                gate.call(None);
                gate.pass_plain::<V>()
            }
        };
        match verb {
            Verb::GetOrLoad => plain(cache.get_or_load(&key, options, loader).await),
            Verb::Refresh => plain(cache.refresh(&key, options, loader).await),
            Verb::GetOrRefresh => plain(cache.get_or_refresh(&key, options, loader).await),
            Verb::Fetch => {
                let loader = |old: Option<Old<V>>| {
                    gate.call(old.as_ref().map(|old| old.value().id()));
                    gate.pass(old)
                };
                let got = cache.fetch(&key, options, loader).await;
                got.map(
                    |Fetched {
                         value, source, age, ..
                     }| (value.id(), Some((source, age))),
                )
            }
        }
    })
}

#[derive(Clone, Copy, Debug)]
enum Role {
    New,
    Waits {
        flight: usize,
        old: bool,
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
                            self.role = Role::Waits { flight, old, note };
                        }
                        Look::Lead(flight) => self.role = Role::Leads(flight),
                    }
                }
                Role::Waits { flight, old, note } => {
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
                    if soft && old {
                        if let Some(value) = self.instead(model, true) {
                            return (value, None);
                        }
                        self.role = Role::Waits {
                            flight,
                            old: false,
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
