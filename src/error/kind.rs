//! What can go wrong, and all the text of it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::key::display;

/// Any error that can be sent to another thread: what a loader's error becomes,
/// and what a [`Codec`](crate::Codec) gives.
pub type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub(super) enum ErrorKind {
    #[error("the loader for key {key} failed: {source}")]
    Load {
        key: DisplayKey,
        /// Shared by the keys of one loader. (The `Arc` is no error itself: `source()`
        /// looks through it.)
        source: Arc<BoxError>,
    },

    #[error(
        "the load of key {key} panicked in the call that ran it: \
         see that call's panic, and load again"
    )]
    Panic { key: DisplayKey },

    #[error(
        "the load of key {key} took longer than the {given:?} it was given: \
         see what its loader waits for, or raise `load_timeout`"
    )]
    Timeout { key: DisplayKey, given: Duration },

    #[error(
        "the call for key {key} has a timeout and the cache has no timer to go by: \
         give `CacheBuilder::timer` one, or enable the feature `async-io`"
    )]
    NoTimer { key: DisplayKey },

    #[error(
        "the background load of key {key} was dropped before it ended: \
         see whether the spawner keeps its futures, and load again"
    )]
    Dropped { key: DisplayKey },

    #[error(
        "key {key} is stored or being loaded as `{held}` and was asked for as `{asked}`: \
         ask for the type it has, or put a value of the other type first"
    )]
    WrongType {
        key: DisplayKey,
        held: &'static str,
        asked: &'static str,
    },

    #[error(
        "the typed cache {name} was opened with keys of `{}` and values of `{}`, and now with \
         keys of `{}` and values of `{}`: use those types, or another name",
        held[0], held[1], asked[0], asked[1]
    )]
    WrongTypes {
        name: DisplayKey,
        held: [&'static str; 2],
        asked: [&'static str; 2],
    },

    #[error("a key of type `{key}` for the typed cache {name} cannot be encoded: {source}")]
    EncodeKey {
        name: DisplayKey,
        key: &'static str,
        source: BoxError,
    },

    #[error("the value for key {key} of type `{name}` cannot be encoded: {source}")]
    Encode {
        key: DisplayKey,
        name: &'static str,
        source: BoxError,
    },

    #[error(
        "the entry of key {key} cannot be decoded as `{name}`: {source}; \
         remove it, put it anew, or load over it"
    )]
    Decode {
        key: DisplayKey,
        name: &'static str,
        source: BoxError,
    },
}

/// A key as messages show it: quoted, escaped, cut.
pub(super) struct DisplayKey(String);

impl DisplayKey {
    /// In characters, not bytes.
    const MAX_CHARS: usize = 64;

    pub(super) fn new(key: &[u8]) -> Self {
        // No character has more than four bytes; one that is cut is not shown.
        let key = display(key, 4 * (Self::MAX_CHARS + 1));
        Self(match key.char_indices().nth(Self::MAX_CHARS) {
            Some((end, _)) => format!("{:?}…", &key[..end]),
            None => format!("{key:?}"),
        })
    }
}

impl fmt::Display for DisplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DisplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_cut_at_64_characters() {
        let display = |len| DisplayKey::new("é".repeat(len).as_bytes()).to_string();
        assert_eq!(display(64), format!("\"{}\"", "é".repeat(64)));
        assert_eq!(display(65), format!("\"{}\"…", "é".repeat(64)));
    }

    #[test]
    fn keys_cannot_break_a_line() {
        assert_eq!(DisplayKey::new(b"a\n\"b").to_string(), r#""a\n\"b""#);
    }
}
