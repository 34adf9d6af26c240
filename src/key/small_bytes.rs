//! A text that is kept: a key or the name of a tag. Those of typed caches are bytes that
//! no text can be.
//!
//! Most of them are short, so up to 22 bytes stay in place and only longer ones
//! go to the heap. Either way a `SmallBytes` is 24 bytes.

use std::fmt;
use std::hash::{Hash, Hasher};

/// How many bytes stay in place: 24, less the length and the variant.
const INLINE: usize = 22;

#[derive(Clone)]
pub(crate) struct SmallBytes(Repr);

#[derive(Clone)]
enum Repr {
    /// The first `len` bytes are the text.
    Inline { len: u8, bytes: [u8; INLINE] },
    /// A text longer than `INLINE`.
    Heap(Box<[u8]>),
}

impl SmallBytes {
    /// The text as bytes. They are what gets compared: nobody here asks for a
    /// `str`, so nobody pays for checking again that it is one.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(bytes) => bytes,
        }
    }

    /// Whether it is kept on the heap.
    #[inline]
    pub(crate) fn is_on_heap(&self) -> bool {
        matches!(self.0, Repr::Heap(_))
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.as_bytes().len()
    }

    #[inline]
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        self.as_bytes() == bytes
    }
}

impl From<&[u8]> for SmallBytes {
    #[inline]
    fn from(all: &[u8]) -> Self {
        match u8::try_from(all.len()) {
            Ok(len) if all.len() <= INLINE => {
                let mut bytes = [0; INLINE];
                bytes[..all.len()].copy_from_slice(all);
                Self(Repr::Inline { len, bytes })
            }
            _ => Self(Repr::Heap(all.into())),
        }
    }
}

impl From<&str> for SmallBytes {
    #[inline]
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl PartialEq for SmallBytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for SmallBytes {}

impl Hash for SmallBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for SmallBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.as_bytes()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn is_three_words_long() {
        assert_eq!(size_of::<SmallBytes>(), 24);
    }

    #[test]
    fn keeps_every_length() {
        for len in 0..64 {
            let text = "é".repeat(len);
            assert_eq!(SmallBytes::from(text.as_str()).as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn what_is_equal_has_one_hash_and_what_is_not_another() {
        let state = RandomState::new();
        let hash = |text: &str| state.hash_one(SmallBytes::from(text));
        assert_eq!(hash("a"), hash("a"));
        assert_ne!(hash("a"), hash("b"));
    }

    #[test]
    fn up_to_22_bytes_allocate_nothing() {
        let short = "x".repeat(22);
        let count = |text: &str| {
            allocation_counter::measure(|| drop(SmallBytes::from(text).clone())).count_total
        };
        assert_eq!(count(&short), 0);
        let is_apart = |len| SmallBytes::from("x".repeat(len).as_str()).is_on_heap();
        assert!(!is_apart(22) && is_apart(23));
        assert_eq!(count(&"x".repeat(23)), 2);
    }
}
