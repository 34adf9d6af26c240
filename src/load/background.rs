//! Loads that no caller drives.
//!
//! A loader that was handed over runs on the spawner if there is an old value, which can be
//! served meanwhile, and the caller waits no longer than necessary. Such a load has a deadline
//! and a permit, is the only load of the key, and is fenced like any other load: a hung loader
//! holds the key until the deadline, and no longer.

use std::pin::pin;

use super::drive::{drive, start};
use super::join::Join;
use super::leader::Leader;
use super::loader::Loader;
use super::permit::Permit;
use super::served::OnFailure;
use super::timeouts::Timeouts;
use crate::engine::Handle;
use crate::shard::OldEntry;
use crate::sync::Arc;
use crate::value::{Access, Codec};

/// The parts of a load that moves to the spawner.
pub(crate) struct Background<'a, C: Codec> {
    pub(crate) leader: Leader<'a, C>,
    pub(crate) old: Option<Box<OldEntry>>,
    pub(crate) permit: Permit<'a, C>,
    /// The deadline of the load.
    pub(crate) timeouts: Timeouts,
}

/// Hands a load to the spawner, and returns the load for the caller to wait for.
pub(crate) fn run_in_background<A, L, C>(
    engine: &Handle<C>,
    background: Background<'_, C>,
    loader: L,
) -> Join
where
    A: Access + 'static,
    L: Loader<A, Future: Send> + Send + 'static,
    C: Codec,
{
    let Background {
        leader,
        old,
        permit,
        timeouts,
    } = background;
    let join = Join {
        flight: Arc::clone(leader.flight()),
        has_old: true,
        // No invalidation can lie between the start of the load and this call.
        joined_at: None,
        is_own: true,
    };
    // The future keeps the cache: the caller may be gone when the load ends.
    let permit = permit.into_owned(engine);
    let mut leader = leader.into_owned(Handle::clone(engine));
    let load = async move {
        // Waiters, the caller among them, serve the stale value themselves.
        let mut on_failure = OnFailure::Error;
        let loading = start::<A, L, C>(&mut leader, old, &mut on_failure, loader);
        let loading = pin!(loading);
        let timeouts = Some(Box::new(timeouts));
        // The flight tells the result.
        let _ = drive::<A, L, C>(&mut leader, loading, timeouts, on_failure, false).await;
        drop(permit);
    };
    if let Some(spawner) = &engine.settings.spawner {
        spawner.spawn(Box::pin(load));
    }
    join
}
