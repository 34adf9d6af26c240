//! Driving a load: its loader to the end, within its time, and what it gives to the table.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::leader::{Lead, Wishes};
use super::loaded::{Loaded, Old};
use super::serve::{Answer, Instead};
use super::timeouts::Patience;
use crate::error::{BoxError, CacheError, CacheResult};
use crate::shard::Replaced;
use crate::value::{Codec, Form};

/// Calls a loader, with the old value if it is a full one. An old value that cannot be
/// decoded then is none to be served instead of a new one either.
pub(crate) fn start<const FULL: bool, C, T, F, Fut>(
    mut lead: Lead<'_, C>,
    old: Option<Box<Replaced>>,
    instead: Instead,
    loader: F,
) -> (Lead<'_, C>, Fut, Instead)
where
    C: Codec,
    T: Form,
    F: FnOnce(Option<Old<T::Value>>) -> Fut,
{
    let old = old.filter(|_| FULL);
    if let Some(old) = &old {
        lead.give(&old.stored.value);
    }
    let old = old.map(|old| lead.engine.open_old::<T>(lead.key(), *old));
    let (old, instead) = match old.transpose() {
        Ok(old) => (old.flatten(), instead),
        Err(_) => (None, Instead::Nothing),
    };
    let loading = lead.run(|| loader(old));
    (lead, loading, instead)
}

/// Drives a loader to its end, within its time, and lands what it gives.
#[allow(clippy::manual_async_fn, reason = "as of `load`")]
pub(crate) fn drive<const FULL: bool, C, T, L, E, Fut>(
    mut lead: Lead<'_, C>,
    loading: Fut,
    mut patience: Option<Box<Patience>>,
    instead: Instead,
) -> impl Future<Output = CacheResult<Answer<T>>>
where
    C: Codec,
    T: Form,
    L: Into<Loaded<T::Value>>,
    E: Into<BoxError>,
    Fut: Future<Output = Result<L, E>>,
{
    async move {
        if patience.is_none() {
            patience = lead.patience();
        }
        let mut loading = pin!(loading);
        let ended = poll_fn(|cx| {
            let polled = lead.poll(|| loading.as_mut().poll(cx));
            match (polled, &mut patience) {
                (Poll::Ready(given), _) => Poll::Ready(Ok(given)),
                (Poll::Pending, Some(patience)) => {
                    let (timer, now) = (lead.engine.timer(), lead.engine.now());
                    patience.poll_hard(timer, &now, cx).map(Err)
                }
                (Poll::Pending, None) => Poll::Pending,
            }
        });
        let error = match ended.await {
            Ok(Ok(given)) => return land::<FULL, C, T>(&mut lead, given.into()),
            Ok(Err(error)) => CacheError::load(lead.key(), Arc::new(error.into())),
            Err(time) => {
                lead.engine.tally.count_timeout();
                CacheError::timeout(lead.key(), time)
            }
        };
        fail(&mut lead, error, instead)
    }
}

/// Stores what a loader gave, unless the load was fenced, and answers those who wait.
pub(crate) fn land<const FULL: bool, C: Codec, T: Form>(
    lead: &mut Lead<'_, C>,
    given: Loaded<T::Value>,
) -> CacheResult<Answer<T>> {
    let Loaded {
        value,
        ttl,
        tags,
        unchanged,
    } = given;
    let unchanged = unchanged.filter(|read| lead.was_given(read));
    let wishes = Wishes {
        ttl,
        tags: &tags,
        unchanged: unchanged.is_some(),
    };
    // If encoding panics, it is the load that did.
    lead.begin();
    match lead.engine.seal(lead.key(), value, unchanged) {
        Ok((encoded, value)) => {
            let fresh_until = lead.land(encoded, &wishes, FULL && T::HAS_AGE);
            Ok(Answer::loaded(value, fresh_until))
        }
        Err(error) => Err(lead.fail(error, false)),
    }
}

/// Ends a load that failed, with an old value if there is one that may stand for it.
pub(crate) fn fail<C: Codec, T: Form>(
    lead: &mut Lead<'_, C>,
    error: CacheError,
    instead: Instead,
) -> CacheResult<Answer<T>> {
    let error = lead.fail(error, true);
    lead.engine.instead(lead.key(), instead).ok_or(error)
}
