//! The answer of a loading call: a value with a source, and the reads that find or serve a
//! value.

use super::loaded::{Old, Source};
use crate::engine::Engine;
use crate::error::{CacheError, CacheResult};
use crate::key::Key;
use crate::runtime::Moment;
use crate::shard::{FoundEntry, NoHit, OldEntry};
use crate::stats::count;
use crate::value::{Access, Codec, TypedValue};

/// A value with the source and the times.
pub(crate) struct Served<A: Access> {
    pub(crate) value: A::Held,
    pub(crate) source: Source,
    /// When the value was stored, if the entry keeps that time.
    pub(crate) stored: Option<Moment>,
    pub(crate) fresh_until: Moment,
}

impl<A: Access> Served<A> {
    /// A fresh value, for a verb that reports no times.
    pub(crate) fn hit(value: A::Held) -> Self {
        Self::from(value, Source::Hit, Moment::NEVER)
    }

    /// The value of a load run or handed over by this call.
    pub(crate) fn loaded(value: A::Held, fresh_until: Moment) -> Self {
        Self::from(value, Source::Loaded, fresh_until)
    }

    /// The value of another call's load.
    pub(crate) fn joined(value: A::Held, fresh_until: Moment) -> Self {
        Self::from(value, Source::Joined, fresh_until)
    }

    fn from(value: A::Held, source: Source, fresh_until: Moment) -> Self {
        Self {
            value,
            source,
            stored: None,
            fresh_until,
        }
    }
}

/// The answer of a call whose load failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// The error.
    Error,
    /// The old value, if still servable at that moment; otherwise the error.
    Stale,
}

impl OnFailure {
    /// Returns `Stale` if there is an old value, `Error` if there is none.
    pub(crate) fn stale_if(has_old: bool) -> Self {
        if has_old { Self::Stale } else { Self::Error }
    }
}

/// Looks for a fresh value, the usual case of a loading call. Counts a hit, or nothing.
#[inline]
pub(crate) fn find_hit<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
) -> CacheResult<Result<A::Held, NoHit>> {
    let snapshot = match engine.find_hit::<A>(key) {
        Ok(snapshot) => snapshot,
        Err(no_hit) => return Ok(Err(no_hit)),
    };
    let value = engine.finish::<A>(key.bytes, snapshot);
    // An undecodable value is loaded again, after a look that counts it.
    if value.as_ref().is_err_and(CacheError::is_decode) {
        return Ok(Err(NoHit::Unsure));
    }
    engine.counters.count_lookup(true);
    value.map(Ok)
}

/// Serves a stored value, fresh or stale.
#[inline]
pub(crate) fn serve<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    found: &FoundEntry,
) -> CacheResult<Served<A>> {
    let value = decode_counted::<A, C>(engine, key, &found.value)?;
    let source = if found.is_fresh() {
        Source::Hit
    } else {
        engine.counters.count_stale_serve();
        Source::Stale
    };
    Ok(Served {
        value,
        source,
        stored: found.times.stored,
        fresh_until: found.times.fresh_until,
    })
}

/// Serves the stale value after a failed load. Reads the table again, because the entry may
/// have been evicted or invalidated meanwhile.
pub(crate) fn serve_on_failure<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    on_failure: OnFailure,
) -> Option<Served<A>> {
    if on_failure == OnFailure::Error {
        return None;
    }
    let shard = engine.shard_of(key.hash);
    let found = shard.stale_value(key, A::type_tag(), &engine.now())?;
    serve(engine, key, &found).ok()
}

/// Decodes the old value for the loader. After an error, the old value cannot be served for a
/// failed load either.
pub(crate) fn open_old<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    old: OldEntry,
) -> CacheResult<Option<Old<A::Value>>> {
    let OldEntry { found, tags } = old;
    let held = decode_counted::<A, C>(engine, key, &found.value)?;
    let stored = found.times.stored;
    let age = stored.map(|stored| engine.now().get().since(stored));
    Ok(A::into_old(held).map(|value| Old {
        value,
        age: age.unwrap_or_default(),
        tags: tags.into_iter().collect(),
        read: found.value,
    }))
}

/// Decodes a stored value, and counts a failure to do so.
#[inline]
pub(crate) fn decode_counted<A: Access, C: Codec>(
    engine: &Engine<C>,
    key: Key<'_>,
    read: &TypedValue,
) -> CacheResult<A::Held> {
    let value = engine.decode_as::<A>(key.bytes, read);
    if value.as_ref().is_err_and(CacheError::is_decode) {
        let shard = engine.shard_of(key.hash);
        shard.count(|stats| count(&mut stats.decode_failures, 1));
    }
    value
}
