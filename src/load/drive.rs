//! Driving a load: its loader to the end, within its time, and what it gives to the table.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::leader::{Leader, Overrides};
use super::loaded::{Loaded, Old};
use super::serve::{OnFailure, Served};
use super::timeouts::Timeouts;
use crate::error::{BoxError, CacheError, CacheResult};
use crate::shard::OldEntry;
use crate::value::{Access, Codec};

/// Calls a loader, with the old value if it is a full one. An old value that cannot be
/// decoded then is none to be served instead of a new one either.
pub(crate) fn start<const FULL: bool, C, T, F, Fut>(
    mut lead: Leader<'_, C>,
    old: Option<Box<OldEntry>>,
    instead: OnFailure,
    loader: F,
) -> (Leader<'_, C>, Fut, OnFailure)
where
    C: Codec,
    T: Access,
    F: FnOnce(Option<Old<T::Value>>) -> Fut,
{
    let old = old.filter(|_| FULL);
    if let Some(old) = &old {
        lead.give(&old.stored.value);
    }
    let old = old.map(|old| lead.engine.open_old::<T>(lead.key(), *old));
    let (old, instead) = match old.transpose() {
        Ok(old) => (old.flatten(), instead),
        Err(_) => (None, OnFailure::Error),
    };
    let loading = lead.run(|| loader(old));
    (lead, loading, instead)
}

/// Drives a loader to its end, within its time, and lands what it gives.
#[allow(clippy::manual_async_fn, reason = "as of `load`")]
pub(crate) fn drive<const FULL: bool, C, T, L, E, Fut>(
    mut lead: Leader<'_, C>,
    loading: Fut,
    mut timeouts: Option<Box<Timeouts>>,
    instead: OnFailure,
) -> impl Future<Output = CacheResult<Served<T>>>
where
    C: Codec,
    T: Access,
    L: Into<Loaded<T::Value>>,
    E: Into<BoxError>,
    Fut: Future<Output = Result<L, E>>,
{
    async move {
        if timeouts.is_none() {
            timeouts = lead.timeouts();
        }
        let mut loading = pin!(loading);
        let ended = poll_fn(|cx| {
            let polled = lead.poll(|| loading.as_mut().poll(cx));
            match (polled, &mut timeouts) {
                (Poll::Ready(given), _) => Poll::Ready(Ok(given)),
                (Poll::Pending, Some(timeouts)) => {
                    let (timer, now) = (lead.engine.timer(), lead.engine.now());
                    timeouts.poll_hard(timer, &now, cx).map(Err)
                }
                (Poll::Pending, None) => Poll::Pending,
            }
        });
        let error = match ended.await {
            Ok(Ok(given)) => return land::<FULL, C, T>(&mut lead, given.into()),
            Ok(Err(error)) => CacheError::load(lead.key(), Arc::new(error.into())),
            Err(time) => {
                lead.engine.counters.count_timeout();
                CacheError::timeout(lead.key(), time)
            }
        };
        fail(&mut lead, error, instead)
    }
}

/// Stores what a loader gave, unless the load was fenced, and answers those who wait.
pub(crate) fn land<const FULL: bool, C: Codec, T: Access>(
    lead: &mut Leader<'_, C>,
    given: Loaded<T::Value>,
) -> CacheResult<Served<T>> {
    let Loaded {
        value,
        ttl,
        tags,
        unchanged,
    } = given;
    let unchanged = unchanged.filter(|read| lead.was_given(read));
    let overrides = Overrides {
        ttl,
        tags: &tags,
        unchanged: unchanged.is_some(),
    };
    // If encoding panics, it is the load that did.
    lead.begin();
    match lead.engine.encode_as(lead.key(), value, unchanged) {
        Ok((encoded, value)) => {
            let fresh_until = lead.land(encoded, &overrides, FULL && T::REPORTS_AGE);
            Ok(Served::loaded(value, fresh_until))
        }
        Err(error) => Err(lead.fail(error, false)),
    }
}

/// Ends a load that failed, with an old value if there is one that may stand for it.
pub(crate) fn fail<C: Codec, T: Access>(
    lead: &mut Leader<'_, C>,
    error: CacheError,
    instead: OnFailure,
) -> CacheResult<Served<T>> {
    let error = lead.fail(error, true);
    lead.engine.instead(lead.key(), instead).ok_or(error)
}
