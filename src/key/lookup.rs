//! A key that is looked for, by its hash and by what it is.
//!
//! While a look-up waits for memory the processor runs ahead, into the next one; but a
//! read of bytes that were just written, in other pieces, waits for all before it (a
//! store-forwarding stall). So the key of a typed cache is not encoded to be looked for:
//! it is hashed, and compared, where the caller has it.

use super::hash::Hashing;
use super::namespace::split;
use super::small_bytes::Text;

/// A key as a call gives it, with its hash: computed once by whoever first needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) hash: u64,
    pub(crate) bytes: &'a [u8],
}

/// The key of a typed cache in two parts, with its hash.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    hash: u64,
    /// How the keys of that cache begin.
    space: &'a [u8],
    rest: Rest<'a>,
}

/// A key as postcard writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rest<'a> {
    /// A text, or bytes, which its length goes before: fewer than 128.
    Text(&'a [u8]),
    Encoded(&'a [u8]),
}

impl<'a> Rest<'a> {
    /// What is hashed of it: a text without its length, and what could be one. It need not
    /// be known which type was written.
    #[inline]
    fn hashed(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text,
            Self::Encoded(bytes) => match bytes.split_first() {
                Some((&len, text)) if usize::from(len) == text.len() => text,
                _ => bytes,
            },
        }
    }
}

impl<'a> Parts<'a> {
    /// `hash_of_name`: see [`hash_name`].
    #[inline]
    pub(crate) fn new(
        hashing: &Hashing,
        hash_of_name: u64,
        space: &'a [u8],
        rest: Rest<'a>,
    ) -> Self {
        Self {
            hash: hash_rest(hashing, hash_of_name, rest),
            space,
            rest,
        }
    }
}

/// What is looked for.
pub(crate) trait Lookup: Copy {
    fn hash(self) -> u64;

    /// Whether it is this one.
    fn is(self, stored: &Text) -> bool;
}

impl Lookup for Key<'_> {
    #[inline]
    fn hash(self) -> u64 {
        self.hash
    }

    #[inline]
    fn is(self, stored: &Text) -> bool {
        stored.is(self.bytes)
    }
}

/// By reference: it is put together piece by piece, and a copy would be taken in one.
impl Lookup for &Parts<'_> {
    #[inline]
    fn hash(self) -> u64 {
        self.hash
    }

    #[inline]
    fn is(self, stored: &Text) -> bool {
        let stored = stored.as_bytes();
        let space = self.space.len();
        match self.rest {
            // The key first: it tells more of them apart than the name does.
            Rest::Text(text) => {
                stored.len() == space + 1 + text.len()
                    && stored.ends_with(text)
                    && usize::from(stored[space]) == text.len()
                    && stored.starts_with(self.space)
            }
            Rest::Encoded(bytes) => {
                stored.len() == space + bytes.len()
                    && stored.ends_with(bytes)
                    && stored.starts_with(self.space)
            }
        }
    }
}

/// The hash of a key that is kept.
#[inline]
pub(crate) fn hash_key(hashing: &Hashing, key: &[u8]) -> u64 {
    let Some((name, rest)) = split(key) else {
        return hashing.hash(key);
    };
    hash_rest(hashing, hash_name(hashing, name), Rest::Encoded(rest))
}

/// The part that the name of a typed cache has in the hashes of its keys. Turned, so that
/// a key does not undo a name that is like it.
pub(crate) fn hash_name(hashing: &Hashing, name: &[u8]) -> u64 {
    hashing.hash(name).rotate_left(23)
}

#[inline]
fn hash_rest(hashing: &Hashing, hash_of_name: u64, rest: Rest<'_>) -> u64 {
    hashing.hash(rest.hashed()) ^ hash_of_name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::hash::KeyHasher;

    /// A text of a name in both forms.
    #[test]
    fn both_forms_of_a_text_are_one_key() {
        for hasher in [KeyHasher::Foldhash, KeyHasher::SipHash] {
            let hashing = Hashing::new(hasher);
            let name = hash_name(&hashing, b"n");
            for len in 0..128_u8 {
                let text = vec![b'x'; usize::from(len)];
                let written = [&[len], &text[..]].concat();
                let whole = Text::from([b"\xFFn\xFF", &written[..]].concat().as_slice());
                let hash = hash_key(&hashing, whole.as_bytes());
                for rest in [Rest::Text(&text), Rest::Encoded(&written)] {
                    let parts = Parts::new(&hashing, name, b"\xFFn\xFF", rest);
                    assert_eq!(parts.hash(), hash);
                    assert!(parts.is(&whole));
                }
            }
        }
    }

    #[test]
    fn another_key_is_told_apart() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let parts = |rest| Parts::new(&hashing, 0, b"\xFFn\xFF", rest);
        let others: [&[u8]; 9] = [
            b"\xFFn\xFF",
            // Only longer: all else is as it should be.
            b"\xFFn\xFF\x02_ab",
            b"\xFFn\xFF_\x02ab",
            b"\xFFn\xFF\x02a",
            b"\xFFn\xFF\x02aba",
            b"\xFFn\xFF\x03ab",
            b"\xFFn\xFF\x02ac",
            b"\xFFm\xFF\x02ab",
            b"\x02ab",
        ];
        for other in others {
            assert!(!parts(Rest::Text(b"ab")).is(&other.into()), "{other:?}");
            assert!(!parts(Rest::Encoded(b"\x02ab")).is(&other.into()));
        }
    }

    #[test]
    fn other_keys_have_other_hashes() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let hash = |rest| hash_rest(&hashing, 0, rest);
        let mut hashes = vec![
            hash(Rest::Text(b"ab")),
            hash(Rest::Text(b"ac")),
            hash(Rest::Text(b"a")),
            hash(Rest::Encoded(b"\x05ab")),
            hash(Rest::Encoded(b"\x06ab")),
            hash(Rest::Encoded(b"\x05\x06")),
        ];
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 6);
    }

    /// Whoever chooses names and keys finds none that meet without knowing the seed.
    #[test]
    fn a_key_does_not_undo_a_name() {
        let hashing = Hashing::new(KeyHasher::SipHash);
        let hash =
            |name: &[u8], key| hash_rest(&hashing, hash_name(&hashing, name), Rest::Text(key));
        let mut hashes = vec![
            hash(b"a", b"a"),
            hash(b"b", b"b"),
            hash(b"a", b"b"),
            hash(b"b", b"a"),
        ];
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 4);
    }

    /// The name takes nothing away.
    #[test]
    fn every_bit_of_a_hash_is_of_the_key_and_of_the_name() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let varied = |hashes: [u64; 200]| {
            let ones = hashes.iter().fold(0, |ones, hash| ones | hash);
            let zeros = hashes.iter().fold(0, |zeros, hash| zeros | !hash);
            assert_eq!((ones, zeros), (u64::MAX, u64::MAX));
        };
        let name = hash_name(&hashing, b"n");
        let key = |n: usize| [1, u8::try_from(n).unwrap()];
        let of_keys = |n| hash_rest(&hashing, name, Rest::Encoded(&key(n)));
        varied(std::array::from_fn(of_keys));
        let of_names = |n| hash_rest(&hashing, hash_name(&hashing, &key(n)), Rest::Text(b"ab"));
        varied(std::array::from_fn(of_names));
    }
}
