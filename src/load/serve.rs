//! What a loading call answers with.

use std::sync::Arc;

use super::loaded::{Fetched, Old, Source};
use crate::engine::Engine;
use crate::error::{CacheError, CacheResult};
use crate::key::{Key, Lookup};
use crate::runtime::Moment;
use crate::shard::{FoundEntry, OldEntry};
use crate::stats::count;
use crate::value::{Access, ByArc, ByValue, Codec, TypedValue};

/// A value, and where it comes from.
pub(crate) struct Served<V> {
    pub(crate) value: V,
    source: Source,
    /// When it was stored, if that is known.
    stored: Option<Moment>,
    fresh_until: Moment,
}

impl<V> Served<V> {
    /// Found fresh, by a call that is not told of times.
    fn find_hit(value: V) -> Self {
        Self {
            value,
            source: Source::Hit,
            stored: None,
            fresh_until: Moment::NEVER,
        }
    }

    pub(crate) fn loaded(value: V, fresh_until: Moment) -> Self {
        Self {
            value,
            source: Source::Loaded,
            stored: None,
            fresh_until,
        }
    }

    pub(crate) fn joined(value: V, fresh_until: Moment) -> Self {
        Self {
            value,
            source: Source::Joined,
            stored: None,
            fresh_until,
        }
    }
}

/// What a call is answered with whose load failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// With the error.
    Error,
    /// With whatever may still be served then.
    Stale,
    /// With that if it is old, or has a window after its time to live: `refresh` asked for
    /// a new one.
    StaleOnly,
}

impl OnFailure {
    pub(crate) fn old_if(old: bool) -> Self {
        if old { Self::Stale } else { Self::Error }
    }
}

impl<C: Codec> Engine<C> {
    /// Looks for what a loading call need not think about: most of them find it. It only
    /// looks, and counts nothing.
    #[inline]
    pub(crate) fn peek_hit<T: Access>(&self, key: impl Lookup) -> Option<T::Snapshot> {
        let shard = self.shard_of(key.hash());
        shard.find_hit::<T>(key, &self.now())
    }

    /// Answers with that. Counts a hit, and nothing if there is none.
    #[inline]
    pub(crate) fn find_hit<T: Access>(&self, key: Key<'_>) -> CacheResult<Option<Served<T>>> {
        let Some(read) = self.peek_hit::<T>(key) else {
            return Ok(None);
        };
        let value = self.finish(key.bytes, read);
        // What cannot be decoded is to be loaded anew.
        if value.as_ref().is_err_and(CacheError::is_decode) {
            return Ok(None);
        }
        self.counters.count_lookup(true);
        value.map(|value| Some(Served::find_hit(value)))
    }

    /// Answers with what is stored.
    #[inline]
    pub(crate) fn serve<T: Access>(
        &self,
        key: &[u8],
        stored: &FoundEntry,
    ) -> CacheResult<Served<T>> {
        let value = self.decode_counted(key, &stored.value)?;
        let source = if stored.is_fresh() {
            Source::Hit
        } else {
            self.counters.count_stale_serve();
            Source::Stale
        };
        Ok(Served {
            value,
            source,
            stored: stored.times.stored,
            fresh_until: stored.times.fresh_until,
        })
    }

    /// Answers with an old value instead of a new one. What there is, the table says now.
    pub(crate) fn instead<T: Access>(&self, key: &[u8], instead: OnFailure) -> Option<Served<T>> {
        if instead == OnFailure::Error {
            return None;
        }
        let (at, shard) = self.locate(key);
        let (stored, has_window) = shard.stale_value(at, T::type_tag(), &self.now())?;
        if instead == OnFailure::StaleOnly && stored.is_fresh() && !has_window {
            return None;
        }
        self.serve(key, &stored).ok()
    }

    /// Opens the value that a load may replace, for its loader. An error is that it cannot
    /// be served either.
    pub(crate) fn open_old<T: Access>(
        &self,
        key: &[u8],
        old: OldEntry,
    ) -> CacheResult<Option<Old<T::Value>>> {
        let OldEntry { stored: old, tags } = old;
        let value: T = self.decode_counted(key, &old.value)?;
        let stored = old.times.stored;
        let age = stored.map(|stored| self.now().get().since(stored));
        Ok(value.into_old().map(|value| Old {
            value,
            age: age.unwrap_or_default(),
            tags: tags.into_iter().collect(),
            read: old.value,
        }))
    }

    /// Opens a value, and counts it if it cannot be decoded.
    #[inline]
    pub(crate) fn decode_counted<T: Access>(
        &self,
        key: &[u8],
        read: &TypedValue,
    ) -> CacheResult<T> {
        let value = self.decode_as(key, read);
        if let Err(error) = &value {
            if error.is_decode() {
                self.count_decode_failure(key);
            }
        }
        value
    }

    #[cold]
    fn count_decode_failure(&self, key: &[u8]) {
        let (_, shard) = self.locate(key);
        shard.count(|stats| count(&mut stats.decode_failures, 1));
    }

    /// The value, with where it comes from and its times.
    pub(crate) fn fetched<V>(&self, answer: Served<ByValue<V>>) -> Fetched<V> {
        let now = self.now();
        let age = answer.stored.map(|stored| now.get().since(stored));
        let time_left = match answer.fresh_until {
            Moment::NEVER => None,
            until => Some(until.since(now.get())),
        };
        Fetched {
            value: answer.value.0,
            source: answer.source,
            age: age.unwrap_or_default(),
            time_left,
        }
    }
}

/// The value alone, which is what most verbs give.
#[inline]
pub(crate) fn value_of<C, V>(_: &Engine<C>, answer: Served<ByValue<V>>) -> V {
    answer.value.0
}

/// The same, of one that is shared.
#[inline]
pub(crate) fn shared_of<C, V>(_: &Engine<C>, answer: Served<ByArc<V>>) -> Arc<V> {
    answer.value.0
}
