//! The one async protocol: look up, lead or join, load, land.
//!
//! A caller looks for its key and, in the same critical section, joins the load
//! in progress or takes the seat for one. A leader runs its loader and lands: the
//! value is stored only if the leader still has the seat. Whatever fences the
//! load takes the seat away:
//!
//! 1. A takes the seat and reads version 1 from the database.
//! 2. B writes version 2 there and calls `remove`, which takes A's seat.
//! 3. C looks for the key, finds nothing, takes the seat and reads version 2.
//! 4. A lands. The seat is C's, so version 1 is not stored; A and those who
//!    waited for A get it, since they began before the invalidation.
//! 5. C lands and stores version 2.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Now;
use crate::codec::Codec;
use crate::encoded::Encoded;
use crate::engine::Engine;
use crate::error::{BoxError, CacheError, CacheResult};
use crate::flight::{Flight, Outcome};
use crate::options::CacheOptions;
use crate::shard::{Look, Request, Shard, Write};
use crate::sync::Arc;
use crate::text::Key;
use crate::types::TypeTag;

/// What a call does next.
enum Step<'a, V> {
    Have(V),
    Wait(Arc<Flight>),
    Lead(Lead<'a>),
}

impl<C: Codec> Engine<C> {
    /// Every loading call is this one.
    #[allow(
        clippy::manual_async_fn,
        reason = "the future of an `async fn` holds its arguments twice: 408 bytes in place of 296"
    )]
    pub(crate) fn load<V, E, F, Fut>(
        &self,
        key: &str,
        options: CacheOptions,
        loader: F,
    ) -> impl Future<Output = CacheResult<V>>
    where
        V: Serialize + DeserializeOwned,
        E: Into<BoxError>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        async move {
            let mut first = true;
            let mut lead = loop {
                let flight = match self.next_step(key, &options, first)? {
                    Step::Have(value) => return Ok(value),
                    Step::Lead(lead) => break lead,
                    Step::Wait(flight) => flight,
                };
                if let Some(outcome) = flight.wait().await {
                    return self.joined(key, outcome);
                }
                first = false;
            };
            let ttl = self.ttl(&options);
            drop(options);
            let mut loading = pin!(loader());
            let ended = poll_fn(|cx| lead.poll(|| loading.as_mut().poll(cx))).await;
            self.arrive(lead, key, ttl, ended)
        }
    }

    /// Ends a load whose loader has ended.
    fn arrive<V: Serialize, E: Into<BoxError>>(
        &self,
        lead: Lead<'_>,
        key: &str,
        ttl: Option<Duration>,
        loaded: Result<V, E>,
    ) -> CacheResult<V> {
        let value = match loaded {
            Ok(value) => value,
            Err(error) => return Err(lead.fail(CacheError::load(key, error.into()))),
        };
        match self.encode(key, &value) {
            Ok(encoded) => {
                let now = self.now();
                let write = Write {
                    value: encoded,
                    ttl,
                };
                let writes = lead.land(write, &now);
                self.tidy_another(writes, &now);
                Ok(value)
            }
            Err(error) => Err(lead.fail(error)),
        }
    }

    #[inline]
    /// Finds out what there is to do. The first look of a call is counted; what
    /// cannot be decoded is a miss.
    fn next_step<'a, V: DeserializeOwned>(
        &'a self,
        key: &'a str,
        options: &CacheOptions,
        first: bool,
    ) -> CacheResult<Step<'a, V>> {
        let (at, shard) = self.locate(key);
        let ty = TypeTag::of::<V>();
        let mut uncounted = first;
        let mut undecodable: Option<Encoded> = None;
        loop {
            let request = Request {
                ty,
                tags: &options.tags,
                undecodable: undecodable.as_ref(),
            };
            let look = shard.look(at, &request, &self.now());
            if std::mem::take(&mut uncounted) {
                self.tally.count(matches!(look, Look::Hit(_)));
            }
            match look {
                Look::Lead(flight) => return Ok(Step::Lead(Lead::new(shard, at, flight))),
                Look::Join(flight) if flight.ty.reads_as(ty) => return Ok(Step::Wait(flight)),
                Look::Join(flight) => return Err(CacheError::wrong_type(key, flight.ty, ty)),
                Look::Hit(found) => match self.decode(key, &found) {
                    Ok(value) => return Ok(Step::Have(value)),
                    Err(error) if error.is_decode() => {
                        shard.count(|stats| stats.decode_failures += 1);
                        if first && undecodable.is_none() {
                            self.tally.uncount_hit();
                        }
                        undecodable = Some(found);
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Takes the answer of another call's load.
    fn joined<V: DeserializeOwned>(&self, key: &str, outcome: &Outcome) -> CacheResult<V> {
        self.tally.count_join();
        let encoded = outcome.as_ref().map_err(CacheError::clone)?;
        let value = self.decode(key, encoded);
        if value.as_ref().is_err_and(CacheError::is_decode) {
            let (_, shard) = self.locate(key);
            shard.count(|stats| stats.decode_failures += 1);
        }
        value
    }
}

/// The caller that has the seat of a key. Dropped before it ends, its load is
/// over: the seat is free and those who waited are told.
struct Lead<'a> {
    shard: &'a Shard,
    key: Key<'a>,
    flight: Arc<Flight>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// The caller's code runs: the loader, or the encoding of its value. A drop
    /// in this state comes from a panic in it, since nothing else leaves it.
    Running,
    /// The loader waits. A drop in this state is a cancellation.
    Suspended,
    /// All who waited have their answer.
    Ended,
}

impl<'a> Lead<'a> {
    fn new(shard: &'a Shard, key: Key<'a>, flight: Arc<Flight>) -> Self {
        Self {
            shard,
            key,
            flight,
            state: State::Running,
        }
    }

    fn poll<T>(&mut self, loader: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.state = State::Running;
        let polled = loader();
        if polled.is_pending() {
            self.state = State::Suspended;
        }
        polled
    }

    /// Ends with a value, and stores it if the load was not fenced. Says how many
    /// writes the shard has had.
    fn land(mut self, mut write: Write, now: &Now<'_>) -> usize {
        let (writes, for_waiters) = self.shard.land(self.key, &self.flight, &mut write, now);
        match for_waiters {
            Some(value) => self.end(Some(Ok(value))),
            None => self.state = State::Ended,
        }
        writes
    }

    /// Ends with an error.
    fn fail(mut self, error: CacheError) -> CacheError {
        self.shard.give_up(self.key, &self.flight, error.is_load());
        self.end(Some(Err(error.clone())));
        error
    }

    fn end(&mut self, outcome: Option<Outcome>) {
        self.state = State::Ended;
        self.flight.end(outcome);
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let panicked = match self.state {
            State::Ended => return,
            State::Suspended => false,
            State::Running => true,
        };
        self.shard.give_up(self.key, &self.flight, panicked);
        let outcome = panicked.then(|| Err(CacheError::panic(self.key.text)));
        self.end(outcome);
    }
}
