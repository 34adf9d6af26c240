//! Running a loader to the end, within the timeouts, and completing the load.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::leader::{Leader, Overrides};
use super::loaded::Loaded;
use super::loader::Loader;
use super::served::{OnFailure, Served, open_old, serve_on_failure};
use super::timeouts::Timeouts;
use crate::error::{CacheError, CacheResult};
use crate::shard::OldEntry;
use crate::value::{Access, Codec};

/// Calls a loader, with the old value for a full loader. An undecodable old value cannot be served
/// after a failed load either.
pub(crate) fn start<A, L, C>(
    leader: &mut Leader<'_, C>,
    old: Option<Box<OldEntry>>,
    on_failure: &mut OnFailure,
    loader: L,
) -> L::Future
where
    A: Access,
    L: Loader<A>,
    C: Codec,
{
    let mut old_value = None;
    if let Some(old) = old.filter(|_| L::IS_FULL) {
        leader.set_old(&old.found.value);
        match open_old::<A, C>(&leader.engine, leader.key(), *old) {
            Ok(old) => old_value = old,
            Err(_) => *on_failure = OnFailure::Error,
        }
    }
    leader.run(|| loader.call(old_value))
}

/// Runs a loader to the end, within the timeouts, and completes the load. `needs_age`: whether
/// the entry keeps the time of storing.
///
/// The future of the loader is dropped before the load ends. Otherwise the next loader of the key
/// could meet a lock or a transaction of this loader:
///
/// 1. The loader of A holds a transaction. A's `load_timeout` ends, and A frees the slot.
/// 2. B claims the slot, and its loader begins a second transaction.
/// 3. A drops the future of its loader, and so ends the first transaction.
///
/// A loader that is a race of two futures has ended while the slower one is still there, so the
/// order matters after a success too.
pub(crate) fn drive<A, L, C>(
    leader: &mut Leader<'_, C>,
    mut loading: Pin<&mut Option<L::Future>>,
    mut timeouts: Option<Box<Timeouts>>,
    on_failure: OnFailure,
    needs_age: bool,
) -> impl Future<Output = CacheResult<Served<A>>>
where
    A: Access,
    L: Loader<A>,
    C: Codec,
{
    async move {
        if timeouts.is_none() {
            timeouts = leader.timeouts();
        }
        let ended = poll_fn(|cx| {
            let Some(loader) = loading.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let polled = leader.poll(|| loader.poll(cx));
            match (polled, &mut timeouts) {
                (Poll::Ready(result), _) => Poll::Ready(Ok(result)),
                (Poll::Pending, Some(timeouts)) => {
                    let (timer, now) = (leader.engine.timer(), leader.engine.now());
                    timeouts.poll_hard(timer, &now, cx).map(Err)
                }
                (Poll::Pending, None) => Poll::Pending,
            }
        });
        let ended = ended.await;
        // The caller's code: the drop of the future, and the conversions.
        let ended = leader.run(|| {
            // guard: the future of a loader is dropped before the slot is free
            loading.set(None);
            ended.map(|result| match result {
                Ok(value) => Ok(value.into()),
                Err(error) => Err(Arc::new(error.into())),
            })
        });
        let error = match ended {
            Ok(Ok(loaded)) => return complete(leader, loaded, needs_age),
            Ok(Err(error)) => leader.fail(CacheError::load(leader.key().bytes, error), true),
            Err(time) => leader.time_out(time),
        };
        serve_after(leader, error, on_failure)
    }
}

/// Completes a load with the value from the loader.
pub(crate) fn complete<A: Access, C: Codec>(
    leader: &mut Leader<'_, C>,
    loaded: Loaded<A::Value>,
    needs_age: bool,
) -> CacheResult<Served<A>> {
    let Loaded {
        value,
        ttl,
        no_store,
        tags,
        unchanged,
    } = loaded;
    let unchanged = unchanged.filter(|value| leader.is_old(value));
    // Hashed before the shard is locked.
    let mut hashed_tags = Vec::new();
    if !tags.is_empty() {
        hashed_tags.extend(tags.into_iter().map(|name| leader.engine.hashed_tag(name)));
    }
    let overrides = Overrides {
        ttl,
        no_store,
        tags: &hashed_tags,
        is_unchanged: unchanged.is_some(),
    };
    // A panic in the encoding is a panic of the load.
    leader.set_running();
    match leader
        .engine
        .encode_as::<A>(leader.key().bytes, value, unchanged)
    {
        Ok((encoded, held)) => {
            let fresh_until = leader.complete(encoded, &overrides, needs_age);
            Ok(Served::loaded(held, fresh_until))
        }
        Err(error) => Err(leader.fail(error, false)),
    }
}

/// Serves the stale value after a failed load, or returns the error if there is no such value.
pub(crate) fn serve_after<A: Access, C: Codec>(
    leader: &Leader<'_, C>,
    error: CacheError,
    on_failure: OnFailure,
) -> CacheResult<Served<A>> {
    serve_on_failure(&leader.engine, leader.key(), on_failure).ok_or(error)
}
