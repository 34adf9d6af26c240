//! What a loading call answers with.

use std::sync::Arc;

use super::loaded::{Fetched, Old, Source};
use crate::engine::Engine;
use crate::error::{CacheError, CacheResult};
use crate::key::{Key, Lookup};
use crate::runtime::Moment;
use crate::shard::{Replaced, Stored};
use crate::stats::count;
use crate::value::{Codec, Form, Own, Read, Shared};

/// A value, and where it comes from.
pub(crate) struct Answer<V> {
    pub(crate) value: V,
    source: Source,
    /// When it was stored, if that is known.
    stored: Option<Moment>,
    fresh_until: Moment,
}

impl<V> Answer<V> {
    /// Found fresh, by a call that is not told of times.
    fn at_hand(value: V) -> Self {
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
pub(crate) enum Instead {
    /// With the error.
    Nothing,
    /// With whatever may still be served then.
    Old,
    /// With that if it is old, or has a window after its time to live: `refresh` asked for
    /// a new one.
    Windowed,
}

impl Instead {
    pub(crate) fn old_if(old: bool) -> Self {
        if old { Self::Old } else { Self::Nothing }
    }
}

impl<C: Codec> Engine<C> {
    /// Looks for what a loading call need not think about: most of them find it. It only
    /// looks, and counts nothing.
    #[inline]
    pub(crate) fn look_for_sure<T: Form>(&self, key: impl Lookup) -> Option<T::Picked> {
        let shard = self.shard_of(key.hash());
        shard.read_sure::<T>(key, &self.now())
    }

    /// Answers with that. Counts a hit, and nothing if there is none.
    #[inline]
    pub(crate) fn at_hand<T: Form>(&self, key: Key<'_>) -> CacheResult<Option<Answer<T>>> {
        let Some(read) = self.look_for_sure::<T>(key) else {
            return Ok(None);
        };
        let value = self.take(key.bytes, read);
        // What cannot be decoded is to be loaded anew.
        if value.as_ref().is_err_and(CacheError::is_decode) {
            return Ok(None);
        }
        self.tally.count(true);
        value.map(|value| Some(Answer::at_hand(value)))
    }

    /// Answers with what is stored.
    #[inline]
    pub(crate) fn serve<T: Form>(&self, key: &[u8], stored: &Stored) -> CacheResult<Answer<T>> {
        let value = self.open_counted(key, &stored.value)?;
        let source = if stored.is_fresh() {
            Source::Hit
        } else {
            self.tally.count_stale_serve();
            Source::Stale
        };
        Ok(Answer {
            value,
            source,
            stored: stored.dates.stored,
            fresh_until: stored.dates.fresh_until,
        })
    }

    /// Answers with an old value instead of a new one. What there is, the table says now.
    pub(crate) fn instead<T: Form>(&self, key: &[u8], instead: Instead) -> Option<Answer<T>> {
        if instead == Instead::Nothing {
            return None;
        }
        let (at, shard) = self.locate(key);
        let (stored, has_window) = shard.old(at, T::ty(), &self.now())?;
        if instead == Instead::Windowed && stored.is_fresh() && !has_window {
            return None;
        }
        self.serve(key, &stored).ok()
    }

    /// Opens the value that a load may replace, for its loader. An error is that it cannot
    /// be served either.
    pub(crate) fn open_old<T: Form>(
        &self,
        key: &[u8],
        old: Replaced,
    ) -> CacheResult<Option<Old<T::Value>>> {
        let Replaced { stored: old, tags } = old;
        let value: T = self.open_counted(key, &old.value)?;
        let stored = old.dates.stored;
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
    pub(crate) fn open_counted<T: Form>(&self, key: &[u8], read: &Read) -> CacheResult<T> {
        let value = self.open(key, read);
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
    pub(crate) fn fetched<V>(&self, answer: Answer<Own<V>>) -> Fetched<V> {
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
pub(crate) fn value_of<C, V>(_: &Engine<C>, answer: Answer<Own<V>>) -> V {
    answer.value.0
}

/// The same, of one that is shared.
#[inline]
pub(crate) fn shared_of<C, V>(_: &Engine<C>, answer: Answer<Shared<V>>) -> Arc<V> {
    answer.value.0
}
