//! Background loads after their deadline, and calls without time left.

use std::time::Duration;

use super::served::{OnFailure, Served, serve_on_failure};
use crate::engine::Engine;
use crate::error::{CacheError, CacheResult};
use crate::key::Key;
use crate::shard::{Failure, Flight, TaskEnd};
use crate::sync::Arc;
use crate::value::{Access, Codec};

/// Ends a background load whose deadline has passed, by the clock or by the timer of a waiter. The
/// future of the load is dropped here, in the thread of the caller, so the next loader finds no lock
/// or transaction of the last one. If another thread polls the future at this moment, that thread
/// drops it after the poll. Returns `false` if this very thread polls the load: the caller is the
/// loader, which waits for itself.
pub(super) fn end_overdue<C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    flight: &Arc<Flight>,
) -> bool {
    let Some(task) = &flight.background else {
        return true;
    };
    // guard: a load past its deadline is dropped before the next load starts
    let end = task.end_overdue();
    if end == TaskEnd::PolledHere {
        return false;
    }
    // A dropped leader has freed the slot. While another thread polls or drops the load, the slot is
    // freed here, so that a hung poll does not hold the key.
    let error = CacheError::timeout(key.bytes, task.time);
    let failure = Failure::Overdue(&error, task.backoff);
    let shard = engine.shard_of(key.hash);
    shard.abandon(key, flight, &failure, &engine.now());
    true
}

/// Answers a call whose time is over, with the stale value if there is one.
pub(super) fn time_out<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    time: Duration,
    on_failure: OnFailure,
) -> CacheResult<Served<A>> {
    let stale = serve_on_failure(engine, key, on_failure);
    stale.ok_or_else(|| CacheError::timeout(key.bytes, time))
}
