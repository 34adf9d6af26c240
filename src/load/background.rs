//! Loads that no caller drives.
//!
//! A loader that the cache was handed, of an entry that can still be served, runs where the
//! spawner puts it, and the caller does not wait for it longer than it must. Such a load
//! has a deadline and a place among few, one load a key, and is fenced like any other: a
//! loader that hangs holds its key until the deadline and no longer.

use super::call::{Seat, Step, Wait};
use super::drive::{drive, start};
use super::leader::Leader;
use super::loaded::{Loaded, Old};
use super::serve::{OnFailure, Served};
use super::timeouts::Timeouts;
use crate::engine::{Engine, Handle};
use crate::error::{BoxError, CacheError, CacheResult};
use crate::options::CallOptions;
use crate::sync::Arc;
use crate::value::{Access, Codec};

/// A loading call with a loader that the cache may keep.
#[allow(clippy::manual_async_fn, reason = "as of `load`")]
pub(crate) fn load_owned<const FULL: bool, C, T, A, L, E, F, Fut>(
    engine: &Handle<C>,
    key: &[u8],
    mut terms: CallOptions<'_>,
    loader: F,
    pick: fn(&Engine<C>, Served<T>) -> A,
) -> impl Future<Output = CacheResult<A>>
where
    C: Codec,
    T: Access,
    T::Value: 'static,
    L: Into<Loaded<T::Value>> + 'static,
    E: Into<BoxError> + 'static,
    F: FnOnce(Option<Old<T::Value>>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<L, E>> + Send + 'static,
{
    async move {
        let at = engine.key_of(key);
        let mut timeouts = None;
        let mut first = true;
        let seat = loop {
            let wait = match engine.next_step::<FULL, true, T>(at, &mut terms, first)? {
                Step::Have(answer) => return Ok(pick(engine, answer)),
                Step::Lead(seat) => break seat,
                Step::Wait(wait) => wait,
            };
            let waited = engine.wait(key, &wait, terms.extra(), &mut timeouts).await;
            if let Some(answer) = waited {
                return answer.map(|answer| pick(engine, answer));
            }
            first = false;
        };
        let Seat {
            lead,
            old: at_hand,
            permit,
        } = seat;
        let Some(permit) = permit else {
            let instead = OnFailure::old_if(at_hand.is_some());
            let (lead, loading, instead) =
                start::<FULL, _, T, _, _>(lead, at_hand, instead, loader);
            let driven = drive::<FULL, _, T, _, _, _>(lead, loading, timeouts, instead);
            return driven.await.map(|answer| pick(engine, answer));
        };
        let wait = Wait {
            flight: Arc::clone(lead.flight()),
            old: true,
            // It began before any mark could matter to it.
            note: None,
            own: true,
        };
        let permit = permit.away(engine);
        let lead = Leader::away(lead, Handle::clone(engine));
        let deadline = Timeouts::of_background(terms.extra(), &engine.now());
        let old = at_hand.clone();
        let background = async move {
            let (lead, loading, instead) =
                start::<FULL, _, T, _, _>(lead, old, OnFailure::Error, loader);
            let deadline = Some(Box::new(deadline));
            let driven = drive::<FULL, _, T, _, _, _>(lead, loading, deadline, instead);
            // Whoever waits has the answer from the flight.
            let _ = driven.await;
            drop(permit);
        };
        if let Some(spawner) = &engine.settings.spawner {
            spawner.spawn(Box::pin(background));
        }
        let servable = at_hand.filter(|old| old.stored.times.state.is_servable());
        if let Some(answer) = servable.and_then(|old| engine.serve(key, &old.stored).ok()) {
            return Ok(pick(engine, answer));
        }
        let waited = engine.wait(key, &wait, terms.extra(), &mut timeouts).await;
        let answer = waited.unwrap_or_else(|| {
            // What was handed over was dropped.
            let old = engine.instead(key, OnFailure::Stale);
            old.ok_or_else(|| CacheError::dropped(key))
        });
        answer.map(|answer| pick(engine, answer))
    }
}
