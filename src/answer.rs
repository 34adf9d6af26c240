//! What a loading call answers with.

use serde::de::DeserializeOwned;

use crate::clock::Moment;
use crate::codec::Codec;
use crate::encoded::Encoded;
use crate::engine::Engine;
use crate::error::CacheResult;
use crate::fetched::{Fetched, Old, Source};
use crate::shard::Stored;
use crate::text::Text;
use crate::types::TypeTag;

/// A value, and where it comes from.
pub(crate) struct Answer<V> {
    pub(crate) value: V,
    source: Source,
    /// When it was stored, if that is known.
    stored: Option<Moment>,
    fresh_until: Moment,
}

impl<V> Answer<V> {
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
    /// Answers with what is stored.
    #[inline]
    pub(crate) fn serve<V: DeserializeOwned>(
        &self,
        key: &[u8],
        stored: &Stored,
    ) -> CacheResult<Answer<V>> {
        let value = self.decode_counted(key, &stored.value)?;
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
    pub(crate) fn instead<V: DeserializeOwned>(
        &self,
        key: &[u8],
        instead: Instead,
    ) -> Option<Answer<V>> {
        if instead == Instead::Nothing {
            return None;
        }
        let (at, shard) = self.locate(key);
        let (stored, has_window) = shard.old(at, TypeTag::of::<V>(), &self.now())?;
        if instead == Instead::Windowed && stored.is_fresh() && !has_window {
            return None;
        }
        self.serve(key, &stored).ok()
    }

    /// Decodes the value that a load may replace.
    pub(crate) fn open_old<V: DeserializeOwned>(
        &self,
        key: &[u8],
        old: Stored,
        tags: Vec<Text>,
    ) -> Option<Old<V>> {
        let value = self.decode_counted(key, &old.value).ok()?;
        let stored = old.dates.stored;
        let age = stored.map(|stored| self.now().get().since(stored));
        Some(Old {
            value,
            age: age.unwrap_or_default(),
            tags: tags.into_iter().collect(),
            encoded: old.value,
        })
    }

    /// Decodes a value, and counts it if that cannot be done.
    #[inline]
    pub(crate) fn decode_counted<V: DeserializeOwned>(
        &self,
        key: &[u8],
        encoded: &Encoded,
    ) -> CacheResult<V> {
        let value = self.decode(key, encoded);
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
        shard.count(|stats| stats.decode_failures += 1);
    }

    /// The value, with where it comes from and its times.
    pub(crate) fn fetched<V>(&self, answer: Answer<V>) -> Fetched<V> {
        let now = self.now();
        let age = answer.stored.map(|stored| now.get().since(stored));
        let time_left = match answer.fresh_until {
            Moment::NEVER => None,
            until => Some(until.since(now.get())),
        };
        Fetched {
            value: answer.value,
            source: answer.source,
            age: age.unwrap_or_default(),
            time_left,
        }
    }
}

/// The value alone, which is what most verbs give.
#[inline]
pub(crate) fn value_of<C, V>(_: &Engine<C>, answer: Answer<V>) -> V {
    answer.value
}
