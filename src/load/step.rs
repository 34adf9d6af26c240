//! A step of a loading call: a look, and the next move of the call.

use super::join::Join;
use super::leader::Leader;
use super::loader::Loader;
use super::overdue::{end_overdue, time_out};
use super::permit::Permit;
use super::served::{OnFailure, Served, decode_counted, serve};
use super::timeouts::background_time;
use crate::engine::Engine;
use crate::error::{CacheError, CacheResult};
use crate::key::Key;
use crate::options::CallOptions;
use crate::shard::{
    BackgroundTask, Claimed, Flight, FoundEntry, LoadLookup, LoadRequest, NoHit, OldEntry,
};
use crate::sync::Arc;
use crate::value::{Access, Codec, TypedValue};

/// The next move of a call.
pub(crate) enum Step<'a, C: Codec, A: Access> {
    Serve(Served<A>),
    Join(Join),
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

/// The facts about a loader that a step needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoaderKind {
    /// The loader sees the old value and may choose tags.
    is_full: bool,
    /// The loader was handed over, so that the load may run in the background.
    may_run_alone: bool,
}

impl LoaderKind {
    /// A loader without arguments, which stays with its call.
    pub(crate) const PLAIN: Self = Self {
        is_full: false,
        may_run_alone: false,
    };

    pub(crate) fn of<A: Access, L: Loader<A>>() -> Self {
        Self {
            is_full: L::IS_FULL,
            may_run_alone: L::MAY_RUN_ALONE,
        }
    }
}

/// The place of a look among the looks of a call. The first look counts as a hit or a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    First,
    /// The first look was made, but not counted: a load must start. The claim looks again as a
    /// writer; a value stored in between is served, and the call still counts a miss.
    MustLoad,
    Again,
}

impl Look {
    /// Returns the look after a first look without a hit.
    pub(crate) fn after(no_hit: NoHit) -> Self {
        match no_hit {
            NoHit::MustLoad => Self::MustLoad,
            NoHit::Unsure => Self::First,
        }
    }
}

/// The reason of a step to look again, or to fail.
enum Failed {
    Error(CacheError),
    /// The stored value cannot be decoded, and so counts as missing.
    Undecodable(TypedValue),
    /// The deadline of a background load has passed.
    Overdue(Arc<Flight>),
}

/// Finds out what to do: serve a value, join a load, or lead one. Counts the first look of
/// a call. A value that cannot be decoded counts as missing.
pub(crate) fn step<'k, A: Access, C: Codec>(
    engine: &'k Engine<C>,
    key: Key<'k>,
    options: &mut CallOptions<'_>,
    loader: LoaderKind,
    mut look: Look,
) -> CacheResult<Step<'k, C, A>> {
    let mut undecodable: Option<TypedValue> = None;
    loop {
        let mut request = LoadRequest::new(A::type_tag(), &engine.log);
        request.undecodable = undecodable.as_ref();
        let lookup = match look {
            Look::MustLoad => LoadLookup::Missing(None),
            Look::First | Look::Again => {
                let shard = engine.shard_of(key.hash);
                shard.probe_load(key, &request, &engine.now())
            }
        };
        let is_hit = lookup.is_hit();
        // guard: a miss is counted after the call has joined or claimed
        // Tests and loaders wait on `CacheStats::misses`: once a miss is visible, the call has
        // joined a load or claimed the slot.
        let done = match lookup {
            LoadLookup::Hit(found) => serve_step(engine, key, &found),
            lookup => join_or_claim(engine, key, options, loader, request, lookup),
        };
        // A load past its deadline leaves, and the look is made again.
        let answered = match done {
            Err(Failed::Overdue(flight)) => {
                if end_overdue(engine, key, &flight) {
                    continue;
                }
                // The loader waits for itself.
                let time = flight.background.as_ref().map(|task| task.time);
                let served = time_out(engine, key, time.unwrap_or_default(), OnFailure::Stale);
                served.map(Step::Serve).map_err(Failed::Error)
            }
            done => done,
        };
        let is_undecodable = matches!(answered, Err(Failed::Undecodable(_)));
        if look != Look::Again {
            engine.counters.count_lookup(is_hit && !is_undecodable);
            look = Look::Again;
        }
        match answered {
            Ok(step) => return Ok(step),
            Err(Failed::Error(error)) => return Err(error),
            Err(Failed::Undecodable(value)) => undecodable = Some(value),
            Err(Failed::Overdue(_)) => {}
        }
    }
}

/// Joins the load that a look found, or claims the slot if there is none.
fn join_or_claim<'k, A: Access, C: Codec>(
    engine: &'k Engine<C>,
    key: Key<'k>,
    options: &mut CallOptions<'_>,
    loader: LoaderKind,
    mut request: LoadRequest<'_>,
    lookup: LoadLookup,
) -> Result<Step<'k, C, A>, Failed> {
    let shard = engine.shard_of(key.hash);
    let options = options.resolve(&engine.settings.default_options);
    if matches!(lookup, LoadLookup::Missing(_) | LoadLookup::Join { .. }) {
        engine.check_timer(key.bytes, options)?;
    }
    let mut permit = None;
    let lookup = match lookup {
        LoadLookup::Missing(old) => {
            // 1. A fresh value counts as one that a load refreshes only if it can be
            //    decoded.
            if let Some(old) = old.as_ref().filter(|old| old.is_fresh()) {
                let decoded = decode_counted::<A, C>(engine, key, &old.value);
                decoded.map_err(|error| Failed::of(error, &old.value))?;
            }
            // 2. A load that may run in the background needs a permit.
            if let Some(old) = old {
                if loader.may_run_alone && Permit::has_background(engine) {
                    permit = Permit::acquire(engine);
                    if permit.is_none() {
                        return serve_step(engine, key, &old);
                    }
                    let time = background_time(options.extra.as_deref());
                    let deadline = engine.now().get().after(time);
                    let extra = options.extra.as_deref();
                    let backoff = extra.and_then(|extra| extra.error_backoff);
                    let backoff = backoff.unwrap_or_default();
                    let task = BackgroundTask::new(time, backoff, deadline);
                    request.background = Some(Arc::new(task));
                }
            }
            // 3. While a load may choose tags, invalidated tags are logged.
            let reader = loader.is_full.then(|| engine.log.reader());
            request.started_at = reader.as_ref().map(|reader| reader.sequence);
            // 4. The look as a writer. The clock is asked again: a back-off that began a
            //    moment ago would lie in the future of an older reading.
            let lookup = shard.claim(key, &request, &options.tags, &engine.now());
            if let (LoadLookup::Lead(_), Some(reader)) = (&lookup, reader) {
                reader.keep_open();
            }
            lookup
        }
        lookup => lookup,
    };
    match lookup {
        LoadLookup::Hit(found) => serve_step(engine, key, &found),
        LoadLookup::BackedOff(error) => Err(Failed::Error(error)),
        LoadLookup::Overdue(flight) => Err(Failed::Overdue(flight)),
        LoadLookup::Join { flight, has_old } => {
            if !flight.ty.reads_as(request.ty) {
                let (held, asked) = (flight.ty.name(), request.ty.name());
                return Err(CacheError::wrong_type(key.bytes, held, asked).into());
            }
            let joined_at = flight.started_at.map(|_| engine.log.sequence());
            Ok(Step::Join(Join {
                flight,
                has_old,
                joined_at,
                is_own: false,
            }))
        }
        LoadLookup::Lead(Claimed { flight, old }) => {
            let leader = Leader::new(engine, key, flight, options);
            let permit = permit.filter(|_| old.is_some());
            Ok(Step::Lead(Claim {
                leader,
                old,
                permit,
            }))
        }
        LoadLookup::Missing(_) => unreachable!("a claim never returns `Missing`"),
    }
}

/// Claims the slot for a refresh.
pub(super) fn claim_refresh<'k, A: Access, C: Codec>(
    engine: &'k Engine<C>,
    key: Key<'k>,
    options: &mut CallOptions<'_>,
    loader: LoaderKind,
) -> CacheResult<Leader<'k, C>> {
    let shard = engine.shard_of(key.hash);
    let options = options.resolve(&engine.settings.default_options);
    engine.check_timer(key.bytes, options)?;
    let mut request = LoadRequest::new(A::type_tag(), &engine.log);
    let reader = loader.is_full.then(|| engine.log.reader());
    request.started_at = reader.as_ref().map(|reader| reader.sequence);
    let claimed = shard.claim_refresh(key, &request, &options.tags, &engine.now());
    let is_fresh = |old: &Option<FoundEntry>| old.as_ref().is_some_and(FoundEntry::is_fresh);
    let is_hit = claimed.as_ref().map_or(true, |(_, old)| is_fresh(old));
    engine.counters.count_lookup(is_hit);
    let (flight, _) = claimed
        .map_err(|held| CacheError::wrong_type(key.bytes, held.name(), request.ty.name()))?;
    if let Some(reader) = reader {
        reader.keep_open();
    }
    Ok(Leader::new(engine, key, flight, options))
}

/// Serves the value found by a step.
fn serve_step<'k, A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    found: &FoundEntry,
) -> Result<Step<'k, C, A>, Failed> {
    match serve(engine, key, found) {
        Ok(served) => Ok(Step::Serve(served)),
        Err(error) => Err(Failed::of(error, &found.value)),
    }
}

impl Failed {
    fn of(error: CacheError, value: &TypedValue) -> Self {
        if error.is_decode() {
            Self::Undecodable(value.clone())
        } else {
            Self::Error(error)
        }
    }
}

impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Self {
        Self::Error(error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, OnceLock, Weak};
    use std::time::Duration;

    use super::*;
    use crate::engine::Settings;
    use crate::options::CacheOptions;
    use crate::runtime::Clock;
    use crate::value::{ByValue, Postcard};

    /// A clock that looks at the counter of misses each time the cache asks for the time. (A
    /// clock must not call the cache; the counter is no call, and takes no lock.)
    #[derive(Clone, Default)]
    struct Witness {
        engine: Arc<OnceLock<Weak<Engine<Postcard>>>>,
        time: Arc<AtomicU64>,
        asked: Arc<AtomicU64>,
        misses: Arc<AtomicU64>,
    }

    impl Clock for Witness {
        fn now(&self) -> Duration {
            if let Some(engine) = self.engine.get().and_then(Weak::upgrade) {
                let misses = engine.counters.misses();
                self.misses.fetch_max(misses, Ordering::Relaxed);
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
            Duration::from_secs(self.time.load(Ordering::Relaxed))
        }
    }

    /// The claim asks for the time, because the entry may have expired.
    #[test]
    fn miss_is_not_yet_counted_while_the_call_claims() {
        let clock = Witness::default();
        let settings = Settings::plain(10, clock.clone());
        let engine = Arc::new(Engine::new(settings, Postcard));
        let set = clock.engine.set(Arc::downgrade(&engine));
        assert!(set.is_ok());
        let ttl = CacheOptions::new().ttl(Duration::from_secs(1));
        engine.put(b"key", &7_u8, &ttl).unwrap();
        clock.time.store(1, Ordering::Relaxed);

        let asked = clock.asked.load(Ordering::Relaxed);
        let (key, mut options) = (engine.key_of(b"key"), ttl.into());
        let next = step::<ByValue<u8>, _>(
            &engine,
            key,
            &mut options,
            LoaderKind::PLAIN,
            Look::MustLoad,
        );
        assert!(matches!(next, Ok(Step::Lead(_))));
        assert!(clock.asked.load(Ordering::Relaxed) > asked);
        assert_eq!(clock.misses.load(Ordering::Relaxed), 0, "counted too early");
        assert_eq!(engine.counters.misses(), 1);
    }
}
