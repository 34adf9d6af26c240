//! Stored bytes of a key or of a tag's name.
//!
//! Most keys and names are short, so up to 22 bytes are stored in place, and only longer bytes go
//! to the heap. A `SmallBytes` always takes 24 bytes. The bytes are UTF-8, except for keys and
//! tags of typed caches.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The number of bytes stored in place: 24, less a byte for the length and a byte for the
/// variant.
const INLINE: usize = 22;

/// Immutable bytes, stored in place if there are at most 22.
#[derive(Clone)]
pub(crate) struct SmallBytes(Repr);

#[derive(Clone)]
enum Repr {
    /// The first `len` bytes are used.
    Inline { len: u8, bytes: [u8; INLINE] },
    /// More than `INLINE` bytes.
    Heap(Box<[u8]>),
}

impl SmallBytes {
    /// Returns the bytes. There is no method for a `str`: look-ups compare bytes, and a `str`
    /// would cost a check for UTF-8.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(bytes) => bytes,
        }
    }

    /// Returns `true` if the bytes are on the heap, `false` if in place.
    #[inline]
    pub(crate) fn is_on_heap(&self) -> bool {
        matches!(self.0, Repr::Heap(_))
    }

    /// Returns the number of bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns `true` if the bytes are equal to `bytes`, `false` if not.
    #[inline]
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        self.as_bytes() == bytes
    }
}

impl From<&[u8]> for SmallBytes {
    #[inline]
    fn from(all: &[u8]) -> Self {
        match u8::try_from(all.len()) {
            // The rest stays zero. Only the first `len` bytes are ever compared or hashed.
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

// By the bytes and not derived: the form follows from the length, and a comparison of the forms
// would be a second test.
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
        // A readable text for assertions in tests; errors show keys by `display`.
        String::from_utf8_lossy(self.as_bytes()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn small_bytes_take_three_words() {
        assert_eq!(size_of::<SmallBytes>(), 24);
    }

    #[test]
    fn texts_of_every_length_are_stored_unchanged() {
        for len in 0..64 {
            let text = "é".repeat(len);
            assert_eq!(SmallBytes::from(text.as_str()).as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn equal_texts_have_equal_hashes_and_others_do_not() {
        let state = RandomState::new();
        let hash = |text: &str| state.hash_one(SmallBytes::from(text));
        assert_eq!(hash("a"), hash("a"));
        assert_ne!(hash("a"), hash("b"));
    }

    #[test]
    fn texts_of_up_to_22_bytes_allocate_nothing() {
        let short = "x".repeat(22);
        let count = |text: &str| {
            allocation_counter::measure(|| drop(SmallBytes::from(text).clone())).count_total
        };
        assert_eq!(count(&short), 0);
        let is_on_heap = |len| SmallBytes::from("x".repeat(len).as_str()).is_on_heap();
        assert!(!is_on_heap(22) && is_on_heap(23));
        // The text and the clone.
        assert_eq!(count(&"x".repeat(23)), 2);
    }
}
