//! Waiting for a load that another call, or a spawned task, runs.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::overdue::{end_overdue, time_out};
use super::served::{OnFailure, Served, decode_counted, serve_on_failure};
use super::timeouts::Timeouts;
use crate::engine::Engine;
use crate::error::{CacheError, CacheResult};
use crate::key::Key;
use crate::shard::{Flight, FlightValue};
use crate::sync::Arc;
use crate::value::{Access, Codec};

/// A load that a call waits for.
pub(crate) struct Join {
    pub(crate) flight: Arc<Flight>,
    /// Whether there was an old value, to be served if the load fails.
    pub(crate) has_old: bool,
    /// The sequence of the invalidation log when the call joined, if the loader may choose
    /// tags.
    pub(crate) joined_at: Option<u64>,
    /// Whether this call started the load and handed it to the spawner.
    pub(crate) is_own: bool,
}

/// How a wait ended.
enum Waited<'a, A: Access> {
    /// The flight ended. `None`: without a result, because the load was dropped.
    Ended(Option<&'a CacheResult<FlightValue>>),
    /// The call's `load_timeout`, of this length, is over.
    TimedOut(Duration),
    /// The call's `soft_timeout` is over, and there was a stale value.
    Stale(Served<A>),
    /// The background load should have ended, by the timer.
    Overdue,
}

/// Waits for a load. Returns `None` if the load has no result for this call: then the call looks
/// again. The key is borrowed, so that nested futures do not repeat the key.
///
/// A waiter can be newer than the loaded value, if the loader chooses tags:
///
/// 1. The load of A starts and reads version 1.
/// 2. B invalidates tag `g`, not yet known as a tag of the load.
/// 3. C joins the load, and notes the sequence of the log.
/// 4. The loader of A returns version 1 with tag `g`. C came after the invalidation and must not
///    get version 1: the overlap began before the sequence of C, so C looks again.
pub(crate) fn join<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: &Key<'_>,
    other: &Join,
    timeouts: &mut Option<Box<Timeouts>>,
) -> impl Future<Output = Option<CacheResult<Served<A>>>> {
    async move {
        // A background load may never be polled again: its deadline bounds the wait.
        if let Some(task) = &other.flight.background {
            let left = task.deadline.since(engine.now().get());
            Timeouts::set_deadline(timeouts, left, &engine.now());
        }
        let mut end = pin!(other.flight.wait());
        let mut has_old = other.has_old;
        let waited = poll_fn(|cx| {
            if let Poll::Ready(result) = end.as_mut().poll(cx) {
                return Poll::Ready(Waited::Ended(result.as_ref()));
            }
            match timeouts {
                Some(timeouts) => poll_timeouts(engine, *key, other, &mut has_old, timeouts, cx),
                None => Poll::Pending,
            }
        });
        match waited.await {
            Waited::Ended(result) => result.and_then(|result| answer(engine, *key, other, result)),
            Waited::TimedOut(time) => {
                // An own background load counts its timeout itself.
                if !other.is_own {
                    engine.counters.count_timeout();
                }
                let on_failure = OnFailure::stale_if(other.has_old);
                Some(time_out(engine, *key, time, on_failure))
            }
            Waited::Stale(served) => Some(Ok(served)),
            Waited::Overdue => answer_overdue(engine, *key, other),
        }
    }
}

/// Answers a call whose load has a result. Returns `None` if the call must look again.
fn answer<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    other: &Join,
    result: &CacheResult<FlightValue>,
) -> Option<CacheResult<Served<A>>> {
    match result {
        Ok(value) => {
            let joined_at = other.joined_at;
            let is_stale = joined_at.is_some_and(|sequence| value.overlap.overlaps_until(sequence));
            // guard: a waiter that joined after the invalidation looks again
            let taken = (!is_stale).then(|| take_value(engine, key, other, value));
            // The waiter then finds the same bytes stored, and loads over them. Only the caller of
            // its own background load gets the error: its loader is used up.
            // guard: a waiter that cannot decode the loaded value looks again
            taken.filter(|taken| other.is_own || !is_undecodable(taken))
        }
        Err(error) => {
            // The deadline of a background load is the wish of the call that started the load.
            // Other calls may have more time: they look again.
            if error.is_timeout() && !other.is_own {
                return None;
            }
            let on_failure = OnFailure::stale_if(other.has_old && !error.is_encode());
            let stale = serve_on_failure(engine, key, on_failure);
            Some(stale.ok_or_else(|| {
                if !other.is_own {
                    engine.counters.count_join();
                }
                error.clone()
            }))
        }
    }
}

/// Answers a call that waited for a background load until its deadline.
fn answer_overdue<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    other: &Join,
) -> Option<CacheResult<Served<A>>> {
    let flight = &other.flight;
    let is_ended = end_overdue(engine, key, flight);
    if let Some(result) = flight.result() {
        return answer(engine, key, other, result);
    }
    // No result yet: a thread polls the load. The caller that started the load, and the loader
    // itself, get the error; other callers look again, and load.
    if is_ended && !other.is_own {
        return None;
    }
    let time = flight.background.as_ref().map(|task| task.time);
    let on_failure = OnFailure::stale_if(other.has_old);
    Some(time_out(engine, key, time.unwrap_or_default(), on_failure))
}

/// Polls the timeouts of a waiting call. `has_old` becomes `false` once the old value has
/// expired: from then on the soft timeout has no effect.
fn poll_timeouts<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    join: &Join,
    has_old: &mut bool,
    timeouts: &mut Timeouts,
    cx: &mut Context<'_>,
) -> Poll<Waited<'static, A>> {
    if let Poll::Ready(time) = timeouts.poll_hard(engine.timer(), &engine.now(), cx) {
        return Poll::Ready(Waited::TimedOut(time));
    }
    let soft = |timeouts: &mut Timeouts, cx: &mut Context<'_>| {
        timeouts
            .poll_soft(engine.timer(), &engine.now(), cx)
            .is_ready()
    };
    if *has_old && soft(timeouts, cx) {
        match serve_on_failure(engine, key, OnFailure::Stale) {
            Some(served) => return Poll::Ready(Waited::Stale(served)),
            None => *has_old = false,
        }
    }
    if join.flight.background.is_some() {
        let over = timeouts.poll_deadline(engine.timer(), &engine.now(), cx);
        return over.map(|()| Waited::Overdue);
    }
    Poll::Pending
}

/// Takes the value of a load that ran elsewhere.
fn take_value<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    join: &Join,
    value: &FlightValue,
) -> CacheResult<Served<A>> {
    let held = decode_counted::<A, C>(engine, key, &value.value);
    // An undecodable value is no answer, so not a join either: the waiter looks again.
    if !(join.is_own || is_undecodable(&held)) {
        engine.counters.count_join();
    }
    let held = held?;
    Ok(if join.is_own {
        Served::loaded(held, value.fresh_until)
    } else {
        Served::joined(held, value.fresh_until)
    })
}

/// Returns `true` if a value could not be decoded, `false` if decoded, or of another type.
fn is_undecodable<T>(value: &CacheResult<T>) -> bool {
    value.as_ref().is_err_and(CacheError::is_decode)
}
