//! A key that is looked for, by its hash and by what it is.
//!
//! While a look-up waits for memory the processor runs ahead, into the next one; but a
//! read of bytes that were just written, in other pieces, waits for all before it (a
//! store-forwarding stall). So the key of a typed cache is not encoded to be looked for:
//! it is hashed, and compared, where the caller has it.

use super::hash::Hashing;
use super::namespace::split;
use super::small_bytes::SmallBytes;

/// A key as a call gives it, with its hash: computed once by whoever first needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) hash: u64,
    pub(crate) bytes: &'a [u8],
}

/// The key of a typed cache in two parts, with its hash.
#[derive(Debug)]
pub(crate) struct TypedKey<'a> {
    hash: u64,
    /// How the keys of that cache begin.
    prefix: &'a [u8],
    body: KeyBody<'a>,
}

/// A key as postcard writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyBody<'a> {
    /// A text, or bytes, which its length goes before: fewer than 128.
    Text(&'a [u8]),
    Encoded(&'a [u8]),
}

impl<'a> KeyBody<'a> {
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

impl<'a> TypedKey<'a> {
    /// `hash_of_name`: see [`hash_name`].
    #[inline]
    pub(crate) fn new(
        hashing: &Hashing,
        hash_of_name: u64,
        prefix: &'a [u8],
        body: KeyBody<'a>,
    ) -> Self {
        Self {
            hash: hash_body(hashing, hash_of_name, body),
            prefix,
            body,
        }
    }
}

/// What is looked for.
pub(crate) trait Lookup: Copy {
    fn hash(self) -> u64;

    /// Whether it is this one.
    fn matches(self, stored: &SmallBytes) -> bool;
}

impl Lookup for Key<'_> {
    #[inline]
    fn hash(self) -> u64 {
        self.hash
    }

    #[inline]
    fn matches(self, stored: &SmallBytes) -> bool {
        stored.is(self.bytes)
    }
}

/// By reference: it is put together piece by piece, and a copy would be taken in one.
impl Lookup for &TypedKey<'_> {
    #[inline]
    fn hash(self) -> u64 {
        self.hash
    }

    #[inline]
    fn matches(self, stored: &SmallBytes) -> bool {
        let stored = stored.as_bytes();
        let prefix = self.prefix.len();
        match self.body {
            // The key first: it tells more of them apart than the name does.
            KeyBody::Text(text) => {
                stored.len() == prefix + 1 + text.len()
                    && stored.ends_with(text)
                    && usize::from(stored[prefix]) == text.len()
                    && stored.starts_with(self.prefix)
            }
            KeyBody::Encoded(bytes) => {
                stored.len() == prefix + bytes.len()
                    && stored.ends_with(bytes)
                    && stored.starts_with(self.prefix)
            }
        }
    }
}

/// The hash of a key that is kept.
#[inline]
pub(crate) fn hash_key(hashing: &Hashing, key: &[u8]) -> u64 {
    let Some((name, body)) = split(key) else {
        return hashing.hash(key);
    };
    hash_body(hashing, hash_name(hashing, name), KeyBody::Encoded(body))
}

/// The part that the name of a typed cache has in the hashes of its keys. Turned, so that
/// a key does not undo a name that is like it.
pub(crate) fn hash_name(hashing: &Hashing, name: &[u8]) -> u64 {
    hashing.hash(name).rotate_left(23)
}

#[inline]
fn hash_body(hashing: &Hashing, hash_of_name: u64, body: KeyBody<'_>) -> u64 {
    hashing.hash(body.hashed()) ^ hash_of_name
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
                let whole = SmallBytes::from([b"\xFFn\xFF", &written[..]].concat().as_slice());
                let hash = hash_key(&hashing, whole.as_bytes());
                for body in [KeyBody::Text(&text), KeyBody::Encoded(&written)] {
                    let parts = TypedKey::new(&hashing, name, b"\xFFn\xFF", body);
                    assert_eq!(parts.hash(), hash);
                    assert!(parts.matches(&whole));
                }
            }
        }
    }

    #[test]
    fn another_key_is_told_apart() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let parts = |body| TypedKey::new(&hashing, 0, b"\xFFn\xFF", body);
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
            assert!(
                !parts(KeyBody::Text(b"ab")).matches(&other.into()),
                "{other:?}"
            );
            assert!(!parts(KeyBody::Encoded(b"\x02ab")).matches(&other.into()));
        }
    }

    #[test]
    fn other_keys_have_other_hashes() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let hash = |body| hash_body(&hashing, 0, body);
        let mut hashes = vec![
            hash(KeyBody::Text(b"ab")),
            hash(KeyBody::Text(b"ac")),
            hash(KeyBody::Text(b"a")),
            hash(KeyBody::Encoded(b"\x05ab")),
            hash(KeyBody::Encoded(b"\x06ab")),
            hash(KeyBody::Encoded(b"\x05\x06")),
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
            |name: &[u8], key| hash_body(&hashing, hash_name(&hashing, name), KeyBody::Text(key));
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
        let of_keys = |n| hash_body(&hashing, name, KeyBody::Encoded(&key(n)));
        varied(std::array::from_fn(of_keys));
        let of_names = |n| hash_body(&hashing, hash_name(&hashing, &key(n)), KeyBody::Text(b"ab"));
        varied(std::array::from_fn(of_names));
    }
}
