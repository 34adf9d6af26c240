//! The one async protocol: look up, lead or join, load, land.
//!
//! A caller looks for its key; if there is nothing to be served, it joins the load in
//! progress or, in one critical section with another look, takes the seat for one. A
//! leader runs its loader and lands: the value is stored only if the leader still has the
//! seat. Whatever fences the load takes the seat away:
//!
//! 1. A takes the seat and reads version 1 from the database.
//! 2. B writes version 2 there and calls `remove`, which takes A's seat.
//! 3. C looks for the key, finds nothing, takes the seat and reads version 2.
//! 4. A lands. The seat is C's, so version 1 is not stored; A and those who
//!    waited for A get it, since they began before the invalidation.
//! 5. C lands and stores version 2.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::drive::{drive, start};
use super::leader::Leader;
use super::loaded::{Loaded, Old};
use super::permit::Permit;
use super::serve::{OnFailure, Served};
use super::timeouts::{Timeouts, deadline};
use crate::engine::Engine;
use crate::error::{BoxError, CacheError, CacheResult};
use crate::key::Key;
use crate::options::{CacheOptions, CallOptions, ExtraOptions};
use crate::shard::{Claimed, Flight, FlightValue, FoundEntry, LoadLookup, LoadRequest, OldEntry};
use crate::sync::Arc;
use crate::value::{Access, Codec, TypedValue};

/// What a call does next.
pub(crate) enum Step<'a, C: Codec, T> {
    Have(Served<T>),
    Wait(Wait),
    Lead(Seat<'a, C>),
}

/// The seat of a key, which a call has.
pub(crate) struct Seat<'a, C: Codec> {
    pub(crate) lead: Leader<'a, C>,
    /// The value that the load would take the place of.
    pub(crate) old: Option<Box<OldEntry>>,
    /// The load may run in the background.
    pub(crate) permit: Option<Permit<'a, C>>,
}

/// Another's load that a call waits for.
pub(crate) struct Wait {
    pub(crate) flight: Arc<Flight>,
    /// Whether there was an old value to be served if it fails.
    pub(crate) old: bool,
    /// The journal's sequence, if the load may name tags of its own.
    pub(crate) note: Option<u64>,
    /// Whether this call began the load, and handed it over.
    pub(crate) own: bool,
}

impl<C: Codec> Engine<C> {
    /// Every loading call is this one. `FULL` loaders are given the old value and may name
    /// tags. Who has `LOOKED` found nothing at hand.
    #[allow(
        clippy::manual_async_fn,
        reason = "the future of an `async fn` holds its arguments twice"
    )]
    pub(crate) fn load<const FULL: bool, const LOOKED: bool, T, A, L, E, F, Fut>(
        &self,
        key: &[u8],
        mut terms: CallOptions<'_>,
        loader: F,
        pick: fn(&Self, Served<T>) -> A,
    ) -> impl Future<Output = CacheResult<A>>
    where
        T: Access,
        L: Into<Loaded<T::Value>>,
        E: Into<BoxError>,
        F: FnOnce(Option<Old<T::Value>>) -> Fut,
        Fut: Future<Output = Result<L, E>>,
    {
        async move {
            let at = self.key_of(key);
            if !(FULL || LOOKED) {
                if let Some(answer) = self.find_hit(at)? {
                    return Ok(pick(self, answer));
                }
            }
            let mut timeouts = None;
            let mut first = true;
            let Seat { lead, old, .. } = loop {
                let wait = match self.next_step::<FULL, false, T>(at, &mut terms, first)? {
                    Step::Have(answer) => return Ok(pick(self, answer)),
                    Step::Lead(seat) => break seat,
                    Step::Wait(wait) => wait,
                };
                let waited = self.wait(key, &wait, terms.extra(), &mut timeouts).await;
                if let Some(answer) = waited {
                    return answer.map(|answer| pick(self, answer));
                }
                first = false;
            };
            let instead = OnFailure::old_if(old.is_some());
            drop(terms);
            let (lead, loading, instead) = start::<FULL, _, T, _, _>(lead, old, instead, loader);
            let driven = drive::<FULL, _, T, _, _, _>(lead, loading, timeouts, instead);
            Ok(pick(self, driven.await?))
        }
    }

    /// Loads now, whatever there is.
    #[allow(clippy::manual_async_fn, reason = "as of `load`")]
    pub(crate) fn refresh<const FULL: bool, T, A, L, E, F, Fut>(
        &self,
        key: &[u8],
        mut terms: CallOptions<'_>,
        loader: F,
        pick: fn(&Self, Served<T>) -> A,
    ) -> impl Future<Output = CacheResult<A>>
    where
        T: Access,
        L: Into<Loaded<T::Value>>,
        E: Into<BoxError>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<L, E>>,
    {
        async move {
            let options = terms.resolve(&self.settings.default_options);
            self.check_timer(key, options)?;
            let (at, shard) = self.locate(key);
            let mut request = LoadRequest::new(T::type_tag());
            let open = FULL.then(|| self.log.reader());
            request.started = open.as_ref().map(|open| open.sequence);
            let seated = shard.claim_refresh(at, &request, &options.tags, &self.now());
            let fresh = |old: &Option<FoundEntry>| old.as_ref().is_some_and(FoundEntry::is_fresh);
            let is_hit = seated.as_ref().map_or(true, |(_, old)| fresh(old));
            self.counters.count_lookup(is_hit);
            let (flight, _) = seated
                .map_err(|held| CacheError::wrong_type(key, held.name(), request.ty.name()))?;
            if let Some(open) = open {
                open.keep_open();
            }
            let mut lead = Leader::new(self, at, flight, options);
            drop(terms);
            let loading = lead.run(loader);
            let driven = drive::<FULL, _, T, _, _, _>(lead, loading, None, OnFailure::StaleOnly);
            Ok(pick(self, driven.await?))
        }
    }

    /// Finds out what there is to do. The first look of a call is counted; what
    /// cannot be decoded is a miss. `OWNED` loaders may run in the background.
    #[inline]
    pub(crate) fn next_step<'a, const FULL: bool, const OWNED: bool, T: Access>(
        &'a self,
        at: Key<'a>,
        terms: &mut CallOptions<'_>,
        first: bool,
    ) -> CacheResult<Step<'a, C, T>> {
        let shard = self.shard_of(at.hash);
        let mut uncounted = first;
        let mut undecodable: Option<TypedValue> = None;
        loop {
            let mut request = LoadRequest::new(T::type_tag());
            request.undecodable = undecodable.as_ref();
            let look = shard.probe_load(at, &request, &self.now());
            let is_hit = look.is_hit();
            let found = match look {
                LoadLookup::Hit(stored) => Ok(self.step_of(at.bytes, stored)),
                other => {
                    let options = terms.resolve(&self.settings.default_options);
                    self.further::<FULL, OWNED, T>(at, options, request, other)
                }
            };
            let unread = matches!(&found, Ok(Further::Unusable(_, error)) if error.is_decode());
            if std::mem::take(&mut uncounted) {
                // Not before the seat: whoever sees a miss of a call that loads can rely on
                // its having joined.
                self.counters.count_lookup(is_hit && !unread);
            }
            let (stored, error) = match found? {
                Further::Step(step) => return Ok(step),
                Further::Unusable(stored, error) => (stored, error),
            };
            if !unread {
                return Err(error);
            }
            undecodable = Some(stored.value);
        }
    }

    /// Goes on from a look that found nothing to serve.
    fn further<'a, const FULL: bool, const OWNED: bool, T: Access>(
        &'a self,
        at: Key<'a>,
        options: &CacheOptions,
        mut request: LoadRequest<'_>,
        look: LoadLookup,
    ) -> CacheResult<Further<'a, C, T>> {
        if matches!(look, LoadLookup::Missing(_) | LoadLookup::Join { .. }) {
            self.check_timer(at.bytes, options)?;
        }
        let (key, shard) = (at.bytes, self.shard_of(at.hash));
        let mut permit = None;
        let look = match look {
            LoadLookup::Missing(old) => {
                // A fresh value that cannot be decoded is none: found out before it counts
                // as one that is to be loaded anew.
                if let Some(old) = old.as_ref().filter(|old| old.is_fresh()) {
                    if let Err(error) = self.decode_counted::<T>(key, &old.value) {
                        return Ok(Further::Unusable(old.clone(), error));
                    }
                }
                if let Some(old) = old.filter(|_| OWNED && self.has_background()) {
                    permit = self.permit();
                    if permit.is_none() {
                        return Ok(self.step_of(key, old));
                    }
                    let time = deadline(options.extra.as_deref());
                    request.until = Some(self.now().get().after(time));
                }
                let open = FULL.then(|| self.log.reader());
                request.started = open.as_ref().map(|open| open.sequence);
                // By the time of the act: what failed a moment ago has not come yet otherwise.
                let look = shard.claim(at, &request, &options.tags, &self.now());
                if let (LoadLookup::Lead(_), Some(open)) = (&look, open) {
                    open.keep_open();
                }
                look
            }
            look => look,
        };
        match look {
            LoadLookup::Hit(stored) => Ok(self.step_of(key, stored)),
            LoadLookup::Failed(error) => Err(error),
            LoadLookup::Join { flight, old } => {
                if !flight.ty.reads_as(request.ty) {
                    return Err(CacheError::wrong_type(
                        key,
                        flight.ty.name(),
                        request.ty.name(),
                    ));
                }
                let note = flight.started.map(|_| self.log.sequence());
                Ok(Further::Step(Step::Wait(Wait {
                    flight,
                    old,
                    note,
                    own: false,
                })))
            }
            LoadLookup::Lead(Claimed { flight, old }) => {
                let lead = Leader::new(self, at, flight, options);
                let permit = permit.filter(|_| old.is_some());
                let seat = Seat { lead, old, permit };
                Ok(Further::Step(Step::Lead(seat)))
            }
            LoadLookup::Missing(_) => unreachable!("a seat is taken or there is no need of it"),
        }
    }

    fn step_of<T: Access>(&self, key: &[u8], stored: FoundEntry) -> Further<'_, C, T> {
        match self.serve(key, &stored) {
            Ok(answer) => Further::Step(Step::Have(answer)),
            Err(error) => Further::Unusable(stored, error),
        }
    }

    /// Waits for a load that this call does not drive. `None` is to look again.
    #[allow(clippy::manual_async_fn, reason = "as of `load`")]
    pub(crate) fn wait<T: Access>(
        &self,
        key: &[u8],
        wait: &Wait,
        extra: Option<&ExtraOptions>,
        timeouts: &mut Option<Box<Timeouts>>,
    ) -> impl Future<Output = Option<CacheResult<Served<T>>>> {
        async move {
            if timeouts.is_none() {
                *timeouts = Timeouts::of(extra, &self.now());
            }
            if let Some(until) = wait.flight.until {
                let left = until.since(self.now().get());
                Timeouts::bound(timeouts, left, &self.now());
            }
            let mut end = pin!(wait.flight.wait());
            let mut old = wait.old;
            let waited = poll_fn(|cx| {
                if let Poll::Ready(outcome) = end.as_mut().poll(cx) {
                    return Poll::Ready(Waited::Ended(outcome.as_ref()));
                }
                match timeouts {
                    Some(timeouts) => self.run_out(key, wait, &mut old, timeouts, cx),
                    None => Poll::Pending,
                }
            });
            match waited.await {
                Waited::Ended(None) => None,
                Waited::Ended(Some(Ok(landed))) => {
                    let marked = wait
                        .note
                        .is_some_and(|note| landed.overlap.overlaps_until(note));
                    (!marked).then(|| self.joined(key, wait.own, landed))
                }
                Waited::Ended(Some(Err(error))) => {
                    let old = OnFailure::old_if(wait.old && !error.is_encode());
                    Some(self.instead(key, old).ok_or_else(|| {
                        if !wait.own {
                            self.counters.count_join();
                        }
                        error.clone()
                    }))
                }
                Waited::OutOfTime(time) => {
                    // One of its own that is in the background runs out by itself.
                    if !wait.own {
                        self.counters.count_timeout();
                    }
                    let old = self.instead(key, OnFailure::old_if(wait.old));
                    Some(old.ok_or_else(|| CacheError::timeout(key, time)))
                }
                Waited::Enough(answer) => Some(Ok(answer)),
            }
        }
    }

    /// Whether a call that waits does so no longer. `old`: there may be an old value, which
    /// it need not wait for longer than the soft timeout.
    fn run_out<T: Access>(
        &self,
        key: &[u8],
        wait: &Wait,
        old: &mut bool,
        timeouts: &mut Timeouts,
        cx: &mut Context<'_>,
    ) -> Poll<Waited<'static, T>> {
        if let Poll::Ready(time) = timeouts.poll_hard(self.timer(), &self.now(), cx) {
            return Poll::Ready(Waited::OutOfTime(time));
        }
        if *old && timeouts.poll_soft(self.timer(), &self.now(), cx).is_ready() {
            match self.instead(key, OnFailure::Stale) {
                Some(answer) => return Poll::Ready(Waited::Enough(answer)),
                None => *old = false,
            }
        }
        if wait.flight.until.is_some() {
            let over = timeouts.poll_bound(self.timer(), &self.now(), cx);
            return over.map(|()| Waited::Ended(None));
        }
        Poll::Pending
    }

    /// Takes the answer of a load that ran elsewhere.
    fn joined<T: Access>(
        &self,
        key: &[u8],
        own: bool,
        landed: &FlightValue,
    ) -> CacheResult<Served<T>> {
        if !own {
            self.counters.count_join();
        }
        let value = self.decode_counted(key, &landed.value)?;
        Ok(if own {
            Served::loaded(value, landed.fresh_until)
        } else {
            Served::joined(value, landed.fresh_until)
        })
    }
}

enum Further<'a, C: Codec, T> {
    /// What is there is of another type, or cannot be decoded.
    Unusable(FoundEntry, CacheError),
    Step(Step<'a, C, T>),
}

enum Waited<'a, T> {
    Ended(Option<&'a CacheResult<FlightValue>>),
    OutOfTime(Duration),
    /// There was an old value, and it was waited for a better one long enough.
    Enough(Served<T>),
}
