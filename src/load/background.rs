//! Loads that no caller drives.
//!
//! A loader that was handed over runs on the spawner if there is an old value, which can be
//! served meanwhile, and the caller waits no longer than necessary. Such a load has a deadline
//! and a permit, and is fenced like any other load: a hung loader holds the key until the
//! deadline, and no longer.

use std::pin::pin;

use super::drive::{drive, start};
use super::handover::Handover;
use super::join::Join;
use super::loaded::Old;
use super::loader::Loader;
use super::served::OnFailure;
use crate::engine::Handle;
use crate::shard::BackgroundTask;
use crate::sync::Arc;
use crate::value::{Access, Codec};

/// A loader that the cache may keep: the load may run on the spawner.
pub(crate) struct Owned<L>(pub(crate) L);

impl<A, L> Loader<A> for Owned<L>
where
    A: Access + 'static,
    L: Loader<A, Future: Send> + Send + 'static,
{
    const IS_FULL: bool = L::IS_FULL;
    const MAY_RUN_ALONE: bool = true;

    type Value = L::Value;
    type Error = L::Error;
    type Future = L::Future;

    fn call(self, old: Option<Old<A::Value>>) -> L::Future {
        self.0.call(old)
    }

    fn hand_over<C: Codec>(self, engine: &Handle<C>, handover: Handover<'_, C>) -> Join {
        run_in_background::<A, L, C>(engine, handover, self.0)
    }
}

/// Calls a loader, hands its future to the spawner, and returns the load for the caller to wait
/// for. The closure runs in the caller's task, where its task-locals are.
fn run_in_background<A, L, C>(engine: &Handle<C>, handover: Handover<'_, C>, loader: L) -> Join
where
    A: Access + 'static,
    L: Loader<A, Future: Send> + Send + 'static,
    C: Codec,
{
    let Handover {
        mut leader,
        old,
        permit,
        timeouts,
        needs_age,
    } = handover;
    let flight = Arc::clone(leader.flight());
    // Waiters, the caller among them, serve the stale value themselves.
    let mut on_failure = OnFailure::Error;
    let loading = start::<A, L, C>(&mut leader, old, &mut on_failure, loader);
    // The future keeps the cache: the caller may be gone when the load ends.
    let permit = permit.into_owned(engine);
    let leader = leader.into_owned(Handle::clone(engine));
    // Dropped in this order, also by a runtime that never polls the load: the future of the loader
    // goes before the key is free.
    let parts = (loading, leader, permit);
    let load = async move {
        // The whole tuple, and not its fields one by one: their order would be unspecified.
        let parts = parts;
        let (loading, mut leader, permit) = parts;
        let loading = pin!(Some(loading));
        let timeouts = Some(Box::new(timeouts));
        // The flight tells the result.
        let _ = drive::<A, L, C>(&mut leader, loading, timeouts, on_failure, needs_age).await;
        drop(permit);
    };
    if let (Some(spawner), Some(task)) = (&engine.settings.spawner, &flight.background) {
        spawner.spawn(BackgroundTask::start(Arc::clone(task), Box::pin(load)));
    }
    Join {
        flight,
        has_old: true,
        // The call began before the load, so the call may take any value of the load.
        joined_at: None,
        is_own: true,
    }
}
