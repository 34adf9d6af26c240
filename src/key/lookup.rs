//! The key of a look-up: the hash, and the comparison with a stored key.
//!
//! While a look-up waits for memory, the processor already runs the next look-up. But a read of
//! bytes written just before, in other pieces, stops the processor until every earlier write is
//! done (a store-forwarding stall). So a look-up of a typed cache does not encode the key: the
//! key is hashed and compared in the caller's memory.

use super::hash::Hashing;
use super::namespace::split;
use super::small_bytes::SmallBytes;

/// A stored form of a key, with the hash. Every call computes the hash once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) hash: u64,
    pub(crate) bytes: &'a [u8],
}

/// A key of a typed cache, in two parts that are not joined, with the hash.
#[derive(Debug)]
pub(crate) struct TypedKey<'a> {
    hash: u64,
    /// The prefix of all keys of the typed cache.
    prefix: &'a [u8],
    body: KeyBody<'a>,
}

/// The part after the prefix: the key in postcard's encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyBody<'a> {
    /// A text or bytes, fewer than 128, without the length. Postcard writes the length before,
    /// as a single byte.
    Text(&'a [u8]),
    /// The complete encoding.
    Encoded(&'a [u8]),
}

impl<'a> KeyBody<'a> {
    /// Returns the bytes to hash: a short text without the length.
    ///
    /// Both forms of a key must have the same hash, and the type of a stored key is unknown here.
    /// So the length is left out of every encoding that could be a short text.
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
    /// Joins a prefix and a key. `hash_of_name` is the result of [`hash_name`].
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

/// A key to look up in the table of a shard.
pub(crate) trait Lookup: Copy {
    /// Returns the hash, equal to [`hash_key`] of the stored form.
    fn hash(self) -> u64;

    /// Returns `true` if `stored` is the same key, `false` if not.
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

/// By reference: the parts were written one after another, and a copy of the whole would be a
/// store-forwarding stall.
impl Lookup for &TypedKey<'_> {
    #[inline]
    fn hash(self) -> u64 {
        self.hash
    }

    #[inline]
    fn matches(self, stored: &SmallBytes) -> bool {
        // Piece by piece: joining the parts would write the bytes that the comparison reads.
        let stored = stored.as_bytes();
        let prefix = self.prefix.len();
        match self.body {
            // The text before the name: all keys of a typed cache have the same name, so the
            // text finds a difference earlier. The length comes first, and guards the index.
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

/// Returns the hash of a stored key.
#[inline]
pub(crate) fn hash_key(hashing: &Hashing, key: &[u8]) -> u64 {
    // The same as the hash of a `TypedKey`, so that a stored key is found by both forms.
    let Some((name, body)) = split(key) else {
        return hashing.hash(key);
    };
    hash_body(hashing, hash_name(hashing, name), KeyBody::Encoded(body))
}

/// Returns the part of the name of a typed cache in the hashes of the keys.
///
/// Rotated, because the parts are combined by xor: without the rotation, a key equal to the name
/// of the typed cache would have the hash zero in every cache.
pub(crate) fn hash_name(hashing: &Hashing, name: &[u8]) -> u64 {
    hashing.hash(name).rotate_left(23)
}

#[inline]
fn hash_body(hashing: &Hashing, hash_of_name: u64, body: KeyBody<'_>) -> u64 {
    // By xor, because the hash of the name is computed once for all keys of the typed cache.
    hashing.hash(body.hashed()) ^ hash_of_name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::hash::KeyHasher;

    #[test]
    fn both_forms_of_a_text_match_the_same_stored_key() {
        for hasher in [KeyHasher::Foldhash, KeyHasher::SipHash] {
            let hashing = Hashing::new(hasher);
            let name = hash_name(&hashing, b"n");
            for len in 0..128_u8 {
                let text = vec![b'x'; usize::from(len)];
                // Postcard writes a length below 128 as a single byte.
                let written = [&[len], &text[..]].concat();
                let whole = SmallBytes::from([b"\xFFn\xFF", &written[..]].concat().as_slice());
                let hash = hash_key(&hashing, whole.as_bytes());
                for body in [KeyBody::Text(&text), KeyBody::Encoded(&written)] {
                    let key = TypedKey::new(&hashing, name, b"\xFFn\xFF", body);
                    assert_eq!(key.hash(), hash);
                    assert!(key.matches(&whole));
                }
            }
        }
    }

    #[test]
    fn similar_keys_do_not_match() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let key = |body| TypedKey::new(&hashing, 0, b"\xFFn\xFF", body);
        let others: [&[u8]; 9] = [
            b"\xFFn\xFF",
            // The right prefix and the right end, with one byte between.
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
                !key(KeyBody::Text(b"ab")).matches(&other.into()),
                "{other:?} must not match"
            );
            assert!(!key(KeyBody::Encoded(b"\x02ab")).matches(&other.into()));
        }
    }

    #[test]
    fn different_keys_have_different_hashes() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let hash = |body| hash_body(&hashing, 0, body);
        let mut hashes = vec![
            hash(KeyBody::Text(b"ab")),
            hash(KeyBody::Text(b"ac")),
            hash(KeyBody::Text(b"a")),
            // Not a text: the first byte is not the length of the rest.
            hash(KeyBody::Encoded(b"\x05ab")),
            hash(KeyBody::Encoded(b"\x06ab")),
            hash(KeyBody::Encoded(b"\x05\x06")),
        ];
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 6);
    }

    /// Without the seed, nobody can choose pairs of names and keys with equal hashes.
    #[test]
    fn key_equal_to_its_name_does_not_cancel_the_hash() {
        let hashing = Hashing::new(KeyHasher::SipHash);
        let hash =
            |name: &[u8], key| hash_body(&hashing, hash_name(&hashing, name), KeyBody::Text(key));
        // Equal pairs and swapped pairs: a plain xor would map both to the same hash.
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

    /// Over 200 keys of a name, and over 200 names of a key, each bit is set and clear.
    #[test]
    fn key_and_name_change_every_bit_of_the_hash() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        // A bit that is never set, or never clear, would make tables uneven.
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
