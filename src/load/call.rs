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
use super::join::{Join, join};
use super::leader::Leader;
use super::loader::Loader;
use super::permit::Permit;
use super::reply::Reply;
use super::served::{OnFailure, Served, find_hit};
use super::timeouts::Timeouts;
use crate::engine::Engine;
use crate::error::CacheResult;
use crate::key::Key;
use crate::options::{CallOptions, ExtraOptions};
use crate::runtime::Now;
use crate::shard::{NoHit, OldEntry};
use crate::value::{Access, Codec};

/// One loading call, for one key or many.
///
/// The options stay with the verb, whose future is smaller so.
pub(crate) struct Call<'a, 'o> {
    pub(super) options: &'a mut CallOptions<'o>,
    pub(super) timeouts: Option<Box<Timeouts>>,
    /// Whether the loader sees the old value and may choose tags.
    pub(super) is_full: bool,
    /// Whether the loader was handed over, so that the load may run in the background.
    pub(super) may_run_alone: bool,
}

/// What a call does next.
pub(crate) enum Step<'a, C: Codec, A: Access> {
    Serve(Served<A>),
    Join(Join),
    Lead(Claim<'a, C>),
}

/// What a call does once it need not wait any more.
pub(crate) enum Next<'a, C: Codec, A: Access> {
    Serve(Served<A>),
    Lead(Claim<'a, C>),
}

/// The slot of a key, which a call has claimed.
pub(crate) struct Claim<'a, C: Codec> {
    pub(crate) leader: Leader<'a, C>,
    /// The value that the load may replace.
    pub(crate) old: Option<Box<OldEntry>>,
    /// Given if the load may run in the background.
    pub(crate) permit: Option<Permit<'a, C>>,
}

/// Which look of a call a step makes. The first one is counted as a hit or a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    First,
    /// The first look was made, not yet counted, and found that a load must start.
    MustLoad,
    Again,
}

impl Look {
    /// Returns the look that follows a first one without a hit.
    pub(crate) fn after(no_hit: NoHit) -> Self {
        match no_hit {
            NoHit::MustLoad => Self::MustLoad,
            NoHit::Unsure => Self::First,
        }
    }
}

/// Loads a value, for every verb whose loader stays with the call. `no_hit`: what a first look
/// has found, if the verb made one.
pub(crate) fn load<R, L, C>(
    engine: &Engine<C>,
    key: Key<'_>,
    mut options: CallOptions<'_>,
    no_hit: Option<NoHit>,
    loader: L,
) -> impl Future<Output = CacheResult<R::Output>>
where
    R: Reply,
    L: Loader<<R::Access as Access>::Value>,
    C: Codec,
{
    async move {
        let mut look = no_hit.map_or(Look::First, Look::after);
        if !L::IS_FULL && no_hit.is_none() {
            match find_hit::<R::Access, C>(engine, key)? {
                Ok(value) => return Ok(R::reply(engine, Served::hit(value))),
                Err(no_hit) => look = Look::after(no_hit),
            }
        }
        let mut call = Call::new(&mut options, L::IS_FULL, false);
        let Claim {
            mut leader, old, ..
        } = match call.lead_or_serve(engine, &key, look).await? {
            Next::Serve(served) => return Ok(R::reply(engine, served)),
            Next::Lead(claim) => claim,
        };
        let timeouts = call.timeouts;
        drop(options);
        let mut on_failure = OnFailure::stale_if(old.is_some());
        let loading = start::<R::Access, L, C>(&mut leader, old, &mut on_failure, loader);
        // Pinned once and passed by reference: moved into `drive`, the loader's future would
        // count twice in the size of this one.
        let loading = pin!(loading);
        let served = drive::<R, L, C>(&mut leader, loading, timeouts, on_failure).await?;
        Ok(R::reply(engine, served))
    }
}

/// Loads now, even over a fresh value and over another load.
pub(crate) fn refresh<R, L, C>(
    engine: &Engine<C>,
    key: Key<'_>,
    mut options: CallOptions<'_>,
    loader: L,
) -> impl Future<Output = CacheResult<R::Output>>
where
    R: Reply,
    L: Loader<<R::Access as Access>::Value>,
    C: Codec,
{
    async move {
        let mut call = Call::new(&mut options, L::IS_FULL, false);
        let mut leader = call.claim_refresh::<R::Access, C>(engine, key)?;
        drop(options);
        let loading = pin!(leader.run(|| loader.call(None)));
        let on_failure = OnFailure::StaleOnly;
        let served = drive::<R, L, C>(&mut leader, loading, None, on_failure).await?;
        Ok(R::reply(engine, served))
    }
}

impl<'a, 'o> Call<'a, 'o> {
    pub(crate) fn new(
        options: &'a mut CallOptions<'o>,
        is_full: bool,
        may_run_alone: bool,
    ) -> Self {
        Self {
            options,
            timeouts: None,
            is_full,
            may_run_alone,
        }
    }

    /// Returns the options beyond time to live and tags, of a call that has made a step.
    pub(crate) fn extra(&self) -> Option<&ExtraOptions> {
        self.options.extra()
    }

    /// Steps and waits until there is a value, or this call leads.
    ///
    /// The key is borrowed here and in `join`, so that nested futures do not repeat it.
    pub(crate) fn lead_or_serve<'k, A: Access, C: Codec>(
        &mut self,
        engine: &'k Engine<C>,
        key: &Key<'k>,
        mut look: Look,
    ) -> impl Future<Output = CacheResult<Next<'k, C, A>>> {
        async move {
            loop {
                let other = match self.step(engine, *key, look)? {
                    Step::Serve(served) => return Ok(Next::Serve(served)),
                    Step::Lead(claim) => return Ok(Next::Lead(claim)),
                    Step::Join(other) => other,
                };
                if let Some(served) = self.join(engine, key, &other).await {
                    return served.map(Next::Serve);
                }
                look = Look::Again;
            }
        }
    }

    /// Waits for a load that this call does not drive. `None` means: look again.
    pub(crate) fn join<A: Access, C: Codec>(
        &mut self,
        engine: &Engine<C>,
        key: &Key<'_>,
        other: &Join,
    ) -> impl Future<Output = Option<CacheResult<Served<A>>>> {
        self.start_timeouts(&engine.now());
        join(engine, key, other, &mut self.timeouts)
    }

    /// Starts the timeouts of the call, unless an earlier wait has.
    fn start_timeouts(&mut self, now: &Now<'_>) {
        if self.timeouts.is_none() {
            self.timeouts = Timeouts::new(self.options.extra(), now);
        }
    }

    /// Returns the timeouts for one of several waits of the call.
    pub(crate) fn timeouts_of_wait(&mut self, now: &Now<'_>) -> Option<Box<Timeouts>> {
        self.start_timeouts(now);
        let timeouts = self.timeouts.as_ref();
        timeouts.map(|timeouts| Box::new(timeouts.for_another_wait()))
    }
}
