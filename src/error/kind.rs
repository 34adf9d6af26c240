//! The kinds of errors, and every text of an error message.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::key::display;

/// Any error that can be sent to another thread.
///
/// The cache converts the error of a loader to this type, and a [`Codec`](crate::Codec) returns
/// this type. Own error types, `&str`, `String` and `anyhow::Error` convert with `?`.
///
/// # Examples
///
/// ```
/// use hydracache::BoxError;
///
/// fn parse(text: &str) -> Result<u8, BoxError> {
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(parse("7").ok(), Some(7));
/// assert!(parse("seven").unwrap_err().is::<std::num::ParseIntError>());
/// ```
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The kind of an error. A message names the key or the typed cache, and a remedy.
///
/// A message leaves out the text of the source: a reporter that walks the chain (`{:#}` of anyhow)
/// would print the text twice.
#[derive(Debug, thiserror::Error)]
pub(super) enum ErrorKind {
    #[error("the loader for key {key} failed")]
    Load {
        key: DisplayKey,
        /// Shared by all keys of a loader. `Arc<BoxError>` is not an error: `thiserror` derefs
        /// the field, so `source()` returns the loader's own error.
        source: Arc<BoxError>,
    },

    #[error(
        "the load of key {key} panicked in the call that ran it: \
         see that call's panic, and load again"
    )]
    Panic { key: DisplayKey },

    // `given` is the value of the option, not the passed time: the option is the remedy.
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

    // Each pair of names is the type of the keys and the type of the values.
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

    #[error("a key of type `{key}` for the typed cache {name} cannot be encoded")]
    EncodeKey {
        name: DisplayKey,
        key: &'static str,
        source: BoxError,
    },

    #[error("the value{key} of type `{name}` cannot be encoded")]
    Encode {
        key: ForKey,
        name: &'static str,
        source: BoxError,
    },

    // The cause is a type, not a value, so the message lists the attributes to look for.
    #[error(
        "the value{key} of type `{name}` was encoded and cannot be decoded again: \
         a format without names cannot read the serde attributes `untagged`, `tag`, \
         `skip_serializing_if`, `serialize_with` without its counterpart, nor types such as \
         `serde_json::Value`; change the type, use a typed cache, or another codec"
    )]
    NotReadBack {
        key: ForKey,
        name: &'static str,
        source: BoxError,
    },

    #[error(
        "the value{key} of type `{name}` would be read back as another value: \
         look for the serde attributes `skip` on a variant, `skip_serializing_if`, \
         `skip_serializing` or `skip_deserializing` alone, and `serialize_with` without its \
         counterpart; change the type, use a typed cache, or another codec"
    )]
    Changed { key: ForKey, name: &'static str },

    #[error(
        "the entry of key {key} cannot be decoded as `{name}`: \
         remove it, put it again, or load over it"
    )]
    Decode {
        key: DisplayKey,
        name: &'static str,
        source: BoxError,
    },
}

/// The key of a value for a message; nothing for a value without a key.
pub(super) struct ForKey(Option<DisplayKey>);

impl ForKey {
    pub(super) fn new(key: Option<&[u8]>) -> Self {
        Self(key.map(DisplayKey::new))
    }
}

impl fmt::Display for ForKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(key) => write!(f, " for key {key}"),
            None => Ok(()),
        }
    }
}

/// Shows the key alone.
impl fmt::Debug for ForKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key for a message: in quotes, escaped, and cut to 64 characters.
pub(super) struct DisplayKey(String);

impl DisplayKey {
    /// The limit in characters, not bytes.
    const MAX_CHARS: usize = 64;

    pub(super) fn new(key: &[u8]) -> Self {
        // A character has at most four bytes, so this many bytes hold 65 characters. The last
        // character may be cut in half, and is not shown.
        let key = display(key, 4 * (Self::MAX_CHARS + 1));
        Self(match key.char_indices().nth(Self::MAX_CHARS) {
            // `{:?}` escapes line breaks: a key cannot forge a line of a log.
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

/// Shows the same text as [`Display`](fmt::Display): a key in quotes needs no second quotes.
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
        // The ellipsis is outside the quotes: not a part of the key.
        assert_eq!(display(65), format!("\"{}\"…", "é".repeat(64)));
    }

    /// Returns an error of every kind. A new kind does not compile here until the kind is listed.
    fn every_kind() -> Vec<ErrorKind> {
        let key = || DisplayKey::new(b"key");
        let cause = || BoxError::from("the cause");
        let kinds = vec![
            ErrorKind::Load {
                key: key(),
                source: Arc::new(cause()),
            },
            ErrorKind::Panic { key: key() },
            ErrorKind::Timeout {
                key: key(),
                given: Duration::ZERO,
            },
            ErrorKind::NoTimer { key: key() },
            ErrorKind::Dropped { key: key() },
            ErrorKind::WrongType {
                key: key(),
                held: "u8",
                asked: "u16",
            },
            ErrorKind::WrongTypes {
                name: key(),
                held: ["u8", "u8"],
                asked: ["u8", "u16"],
            },
            ErrorKind::EncodeKey {
                name: key(),
                key: "u8",
                source: cause(),
            },
            ErrorKind::Encode {
                key: ForKey::new(Some(b"key")),
                name: "u8",
                source: cause(),
            },
            ErrorKind::NotReadBack {
                key: ForKey::new(None),
                name: "u8",
                source: cause(),
            },
            ErrorKind::Changed {
                key: ForKey::new(Some(b"key")),
                name: "u8",
            },
            ErrorKind::Decode {
                key: key(),
                name: "u8",
                source: cause(),
            },
        ];
        for kind in &kinds {
            match kind {
                ErrorKind::Load { .. }
                | ErrorKind::Panic { .. }
                | ErrorKind::Timeout { .. }
                | ErrorKind::NoTimer { .. }
                | ErrorKind::Dropped { .. }
                | ErrorKind::WrongType { .. }
                | ErrorKind::WrongTypes { .. }
                | ErrorKind::EncodeKey { .. }
                | ErrorKind::Encode { .. }
                | ErrorKind::NotReadBack { .. }
                | ErrorKind::Changed { .. }
                | ErrorKind::Decode { .. } => {}
            }
        }
        kinds
    }

    #[test]
    fn messages_leave_out_the_text_of_the_source() {
        let mut with_source = 0;
        for kind in every_kind() {
            let mut texts = vec![kind.to_string()];
            let mut source = kind.source();
            while let Some(error) = source {
                let text = error.to_string();
                assert!(!texts.iter().any(|outer| outer.contains(&text)), "{kind}");
                texts.push(text);
                source = error.source();
            }
            with_source += usize::from(texts.len() > 1);
        }
        assert_eq!(with_source, 5);
    }

    #[test]
    fn line_breaks_in_keys_are_escaped() {
        assert_eq!(DisplayKey::new(b"a\n\"b").to_string(), r#""a\n\"b""#);
    }
}
