//! The load protocol: look up, serve or join or lead, load, complete.
//!
//! A call looks for its key among the readers of the shard. If there is nothing to serve and
//! no load to join, the call looks again as a writer and, in the same critical section, claims
//! the slot of the key. Then the call is the leader: it runs the loader and completes the load.
//! The value is stored only if the slot is still the leader's. Every fence takes the slot away:
//!
//! 1. A claims the slot and reads version 1 from the database.
//! 2. B writes version 2 to the database and calls `remove`, which takes A's slot.
//! 3. C finds nothing, claims the slot and reads version 2.
//! 4. A completes. The slot is C's, so version 1 is not stored. A and A's waiters get version
//!    1: their calls began before the invalidation returned.
//! 5. C completes and stores version 2.
//!
//! A waiter whose leader was dropped looks again: nobody inherits a load.

use std::pin::pin;

use super::drive::{drive, start};
use super::handover::Handover;
use super::join::join;
use super::loader::Loader;
use super::reply::Reply;
use super::served::{OnFailure, Served, find_hit, serve, serve_on_failure};
use super::step::{Claim, LoaderKind, Look, Step, claim_refresh, step};
use super::timeouts::Timeouts;
use crate::engine::{Engine, Handle};
use crate::error::{CacheError, CacheResult};
use crate::options::CallOptions;
use crate::shard::NoHit;
use crate::value::Codec;

/// Loads a value, for every loading verb of one key. `no_hit`: the result of a first look, if
/// the verb made one.
pub(crate) fn load<R, L, C>(
    engine: &Handle<C>,
    key: &[u8],
    mut options: CallOptions<'_>,
    no_hit: Option<NoHit>,
    loader: L,
) -> impl Future<Output = CacheResult<R::Output>>
where
    R: Reply,
    L: Loader<R::Access>,
    C: Codec,
{
    async move {
        let key = engine.key_of(key);
        // 1. The look that most calls end with. A hit carries no times, so verbs that report them
        //    look closer.
        let mut look = no_hit.map_or(Look::First, Look::after);
        if !R::REPORTS_AGE && no_hit.is_none() {
            match find_hit::<R::Access, C>(engine, key)? {
                Ok(value) => return Ok(R::reply(engine, Served::hit(value))),
                Err(no_hit) => look = Look::after(no_hit),
            }
        }
        // 2. Serve a value, wait for a load, or claim the slot.
        let loader_kind = LoaderKind::of::<R::Access, L>();
        let mut timeouts = None;
        let claim = loop {
            let other = match step(engine, key, &mut options, loader_kind, look)? {
                Step::Serve(served) => return Ok(R::reply(engine, served)),
                Step::Lead(claim) => break claim,
                Step::Join(other) => other,
            };
            Timeouts::start(&mut timeouts, options.extra(), &engine.now());
            if let Some(served) = join(engine, &key, &other, &mut timeouts).await {
                return Ok(R::reply(engine, served?));
            }
            look = Look::Again;
        };
        let Claim {
            mut leader,
            old,
            permit,
        } = claim;
        // 3. A load that the spawner runs: the caller gets the stale value, or waits.
        if let Some(permit) = permit {
            let handover = Handover {
                leader,
                old: old.clone(),
                permit,
                timeouts: Timeouts::for_background(options.extra(), &engine.now()),
                needs_age: R::REPORTS_AGE,
            };
            let own = loader.hand_over(engine, handover);
            let servable = old.filter(|old| old.found.times.state.is_servable());
            // Matched in place: a named value would live over the wait, and make the future as
            // little `Send` as the value is.
            if let Some(served) = servable.and_then(|old| serve(engine, key, &old.found).ok()) {
                return Ok(R::reply(engine, served));
            }
            Timeouts::start(&mut timeouts, options.extra(), &engine.now());
            let served = match join(engine, &key, &own, &mut timeouts).await {
                Some(served) => served?,
                // The spawner or its runtime dropped the load.
                None => serve_on_failure(engine, key, OnFailure::Stale)
                    .ok_or_else(|| CacheError::dropped(key.bytes))?,
            };
            return Ok(R::reply(engine, served));
        }
        // 4. A load that this call runs.
        drop(options);
        let mut on_failure = OnFailure::stale_if(old.is_some());
        let loading = start::<R::Access, L, C>(&mut leader, old, &mut on_failure, loader);
        // Pinned once and passed by reference: moved into `drive`, the loader's future would
        // count twice in the size of this one.
        let loading = pin!(Some(loading));
        let needs_age = R::REPORTS_AGE;
        let driven =
            drive::<R::Access, L, C>(&mut leader, loading, timeouts, on_failure, needs_age);
        Ok(R::reply(engine, driven.await?))
    }
}

/// Loads now, even over a fresh value and over another load.
pub(crate) fn refresh<R, L, C>(
    engine: &Engine<C>,
    key: &[u8],
    mut options: CallOptions<'_>,
    loader: L,
) -> impl Future<Output = CacheResult<R::Output>>
where
    R: Reply,
    L: Loader<R::Access>,
    C: Codec,
{
    async move {
        let key = engine.key_of(key);
        let loader_kind = LoaderKind::of::<R::Access, L>();
        let mut leader = claim_refresh::<R::Access, C>(engine, key, &mut options, loader_kind)?;
        drop(options);
        let loading = pin!(Some(leader.run(|| loader.call(None))));
        // The caller asked for a new value: an old one is no answer.
        let (on_failure, needs_age) = (OnFailure::Error, R::REPORTS_AGE);
        let driven = drive::<R::Access, L, C>(&mut leader, loading, None, on_failure, needs_age);
        Ok(R::reply(engine, driven.await?))
    }
}
