//! Background loads after their deadline, and calls without time left.

use std::time::Duration;

use super::served::{OnFailure, Served, serve_on_failure};
use crate::engine::Engine;
use crate::error::{CacheError, CacheResult};
use crate::key::Key;
use crate::shard::{Failure, Flight, TaskEnd};
use crate::sync::Arc;
use crate::value::{Access, Codec};

/// Ends a background load past the deadline, by the clock or by the timer of a waiter. Drops the
/// future of the load in the thread of the caller, so the next loader finds no lock or transaction
/// of the ended loader. A thread in the middle of a poll drops the future after the poll. Returns
/// `false` if the thread of the caller polls the load: the caller is the loader, and waits for the
/// own load.
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

/// Answers a call without time left: with the stale value, or else with the timeout error.
pub(super) fn time_out<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    time: Duration,
    on_failure: OnFailure,
) -> CacheResult<Served<A>> {
    let stale = serve_on_failure(engine, key, on_failure);
    stale.ok_or_else(|| CacheError::timeout(key.bytes, time))
}
