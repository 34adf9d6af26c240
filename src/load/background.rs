//! Loads that no caller drives.
//!
//! A loader that was handed over to the cache runs on the spawner if the entry has a value that
//! can be served meanwhile, and the caller waits for the load no longer than it must. Such a
//! load has a deadline and a permit, is one for its key, and is fenced like any other load: a
//! loader that hangs holds its key until the deadline and no longer.

use std::pin::pin;

use super::call::{Call, Claim, Look, Next};
use super::drive::{drive, start};
use super::join::Join;
use super::leader::Leader;
use super::loader::Loader;
use super::permit::Permit;
use super::reply::Reply;
use super::served::{OnFailure, serve, serve_on_failure};
use super::timeouts::Timeouts;
use crate::engine::Handle;
use crate::error::{CacheError, CacheResult};
use crate::key::Key;
use crate::options::CallOptions;
use crate::shard::{NoHit, OldEntry};
use crate::sync::Arc;
use crate::value::{Access, Codec};

/// Loads a value with a loader that the cache may keep. `no_hit`: what a first look has found,
/// if the verb made one.
pub(crate) fn load_owned<R, L, C>(
    engine: &Handle<C>,
    key: Key<'_>,
    mut options: CallOptions<'_>,
    no_hit: Option<NoHit>,
    loader: L,
) -> impl Future<Output = CacheResult<R::Output>>
where
    R: Reply + 'static,
    L: Loader<<R::Access as Access>::Value, Future: Send> + Send + 'static,
    C: Codec,
{
    async move {
        let mut call = Call::new(&mut options, L::IS_FULL, true);
        let look = no_hit.map_or(Look::First, Look::after);
        let claim = match call.lead_or_serve(&**engine, &key, look).await? {
            Next::Serve(served) => return Ok(R::reply(engine, served)),
            Next::Lead(claim) => claim,
        };
        let Claim {
            mut leader,
            old,
            permit,
        } = claim;
        // 1. Without a permit the caller runs the loader, as with any other verb.
        let Some(permit) = permit else {
            let timeouts = call.timeouts;
            drop(options);
            let mut on_failure = OnFailure::stale_if(old.is_some());
            let loading = start::<R::Access, L, C>(&mut leader, old, &mut on_failure, loader);
            let loading = pin!(loading);
            let served = drive::<R, L, C>(&mut leader, loading, timeouts, on_failure).await?;
            return Ok(R::reply(engine, served));
        };
        // 2. With a permit the spawner does.
        let join = spawn::<R, L, C>(engine, &call, leader, old.clone(), permit, loader);
        // 3. The caller gets the stale value, if the window allows, or waits.
        let servable = old.filter(|old| old.found.times.state.is_servable());
        let stale = servable.and_then(|old| serve(engine, key, &old.found).ok());
        if let Some(served) = stale {
            return Ok(R::reply(engine, served));
        }
        let served = match call.join(engine, &key, &join).await {
            Some(served) => served?,
            // The spawner or its runtime dropped the load.
            None => serve_on_failure(engine, key, OnFailure::Stale)
                .ok_or_else(|| CacheError::dropped(key.bytes))?,
        };
        Ok(R::reply(engine, served))
    }
}

/// Hands a load to the spawner, and returns what its caller may wait for.
fn spawn<R, L, C>(
    engine: &Handle<C>,
    call: &Call<'_, '_>,
    leader: Leader<'_, C>,
    old: Option<Box<OldEntry>>,
    permit: Permit<'_, C>,
    loader: L,
) -> Join
where
    R: Reply + 'static,
    L: Loader<<R::Access as Access>::Value, Future: Send> + Send + 'static,
    C: Codec,
{
    let join = Join {
        flight: Arc::clone(leader.flight()),
        has_old: true,
        // No invalidation can lie between the start of the load and this call.
        joined_at: None,
        is_own: true,
    };
    let permit = permit.into_owned(engine);
    let mut leader = leader.into_owned(Handle::clone(engine));
    let deadline = Timeouts::for_background(call.extra(), &engine.now());
    let background = async move {
        // Waiters, the caller among them, serve the stale value themselves.
        let mut on_failure = OnFailure::Error;
        let loading = start::<R::Access, L, C>(&mut leader, old, &mut on_failure, loader);
        let loading = pin!(loading);
        let timeouts = Some(Box::new(deadline));
        // The flight has the result.
        let _ = drive::<R, L, C>(&mut leader, loading, timeouts, on_failure).await;
        drop(permit);
    };
    if let Some(spawner) = &engine.settings.spawner {
        spawner.spawn(Box::pin(background));
    }
    join
}
