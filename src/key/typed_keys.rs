//! Making the stored keys of a typed cache from the caller's keys.

use std::sync::atomic::{AtomicBool, Ordering};

use postcard::ser_flavors::Flavor;
use postcard::{Error, serialize_with_flavor};
use serde::Serialize;

use super::hash::Hashing;
use super::lookup::{KeyBody, TypedKey, hash_name};
use super::namespace::prefix;
use super::plain::PlainKey;

/// The number of bytes of a stored key, prefix included, encoded without an allocation.
const INLINE: usize = 64;

/// Makes the stored keys of a typed cache.
#[derive(Debug)]
pub(crate) struct TypedKeys {
    prefix: Box<[u8]>,
    /// The prefix, with room for the rest of a key. `None` if the prefix is longer.
    prefix_buffer: Option<[u8; INLINE]>,
    /// The part of the name in the hash of each key.
    hash: u64,
    /// Whether a key was neither a text nor an integer. The next keys are then encoded without
    /// another try. Shared by all threads, and only a hint: `Relaxed` is enough.
    must_encode: AtomicBool,
}

impl TypedKeys {
    /// Prepares the prefix and the hash of a name, once for all keys.
    pub(crate) fn new(name: &str, hashing: &Hashing) -> Self {
        let prefix = prefix(name);
        let mut prefix_buffer = [0; INLINE];
        // `None` for a name of more than 62 bytes: every key of this cache is then on the heap.
        let start = prefix_buffer.get_mut(..prefix.len());
        let fits = start.map(|start| start.copy_from_slice(&prefix));
        Self {
            prefix_buffer: fits.map(|()| prefix_buffer),
            hash: hash_name(hashing, name.as_bytes()),
            must_encode: AtomicBool::new(false),
            prefix,
        }
    }

    /// Returns the prefix of all keys.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Calls `act` with the stored form of a caller's key. The buffer is on the stack, unless the
    /// key is long.
    ///
    /// # Errors
    ///
    /// If postcard cannot encode the key.
    #[inline]
    pub(crate) fn with_encoded<K: Serialize + ?Sized, R>(
        &self,
        key: &K,
        act: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Error> {
        let mut whole = self.begin();
        serialize_with_flavor(key, &mut whole)?;
        Ok(act(whole.as_bytes()))
    }

    /// Calls `look` with a caller's key, and encodes the key only if the key is not plain.
    ///
    /// `look` must not change anything, because `look` may run twice or in vain: [`PlainKey`]
    /// calls `look` inside `serialize`, and the key type may return an error afterwards.
    ///
    /// # Errors
    ///
    /// If postcard cannot encode the key. `look` may have been called all the same.
    #[inline]
    pub(crate) fn probe_with<K: Serialize + ?Sized, R>(
        &self,
        hashing: &Hashing,
        key: &K,
        look: impl Fn(&TypedKey<'_>) -> R,
    ) -> Result<R, Error> {
        let must_encode = &self.must_encode;
        // 1. Try the key without encoding, unless an earlier key was not plain.
        if !must_encode.load(Ordering::Relaxed) {
            let look = |body: KeyBody<'_>| look(&self.typed_key(hashing, body));
            if let Ok(found) = key.serialize(PlainKey { look, must_encode }) {
                return Ok(found);
            }
            // The error does not matter here: the key is long, or not plain, or encoding the
            // key returns the error again.
        }
        // 2. Encode the key.
        self.with_encoded(key, |whole| {
            look(&self.typed_key(hashing, KeyBody::Encoded(&whole[self.prefix.len()..])))
        })
    }

    #[inline]
    fn typed_key<'a>(&'a self, hashing: &Hashing, body: KeyBody<'a>) -> TypedKey<'a> {
        TypedKey::new(hashing, self.hash, &self.prefix, body)
    }

    /// Returns a buffer with the prefix.
    #[inline]
    fn begin(&self) -> KeyBuffer {
        let (start, long) = match self.prefix_buffer {
            Some(prefix_buffer) => (prefix_buffer, Vec::new()),
            None => ([0; INLINE], self.prefix.to_vec()),
        };
        KeyBuffer {
            start,
            len: self.prefix.len(),
            long,
        }
    }
}

/// The buffer of a key during encoding. The buffer grows, so writing never fails: a key type sees
/// no error from here.
struct KeyBuffer {
    start: [u8; INLINE],
    /// The number of bytes in `start`. Above `INLINE` if all bytes are in `long`.
    len: usize,
    /// All bytes of a key longer than `INLINE`.
    long: Vec<u8>,
}

impl KeyBuffer {
    #[inline]
    fn as_bytes(&self) -> &[u8] {
        // The range is out of bounds exactly if the bytes are in `long`.
        self.start.get(..self.len).unwrap_or(&self.long)
    }

    #[cold]
    fn push_long(&mut self, bytes: &[u8]) {
        // At the first call, move the bytes from `start`.
        if let Some(start) = self.start.get(..self.len) {
            self.long.extend_from_slice(start);
        }
        self.long.extend_from_slice(bytes);
        // Any number above `INLINE` will do: the length of a long key is that of `long`.
        self.len = self.len.max(INLINE + 1);
    }
}

impl Flavor for &mut KeyBuffer {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> Result<(), Error> {
        match self.start.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len += 1;
            }
            None => self.push_long(&[byte]),
        }
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // Once the bytes are in `long`, this range is out of bounds as well.
        let end = self.len + bytes.len();
        match self.start.get_mut(self.len..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.push_long(bytes),
        }
        Ok(())
    }

    fn finalize(self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::hash::KeyHasher;
    use crate::key::lookup::{Lookup, hash_key};
    use crate::key::small_bytes::SmallBytes;

    /// Asserts that the encoded key is the prefix and postcard's encoding, and that a look-up
    /// finds this key with and without encoding.
    fn check<K: Serialize + ?Sized>(name: &str, key: &K) {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let keys = TypedKeys::new(name, &hashing);
        let whole = keys
            .with_encoded(key, |whole| SmallBytes::from(whole))
            .unwrap();
        let written = postcard::to_allocvec(key).unwrap();
        let expected = [keys.prefix(), &written].concat();
        assert_eq!(whole.as_bytes(), expected);
        // First as a new typed cache would, then with encoding forced.
        for must_encode in [false, true] {
            keys.must_encode.fetch_or(must_encode, Ordering::Relaxed);
            keys.probe_with(&hashing, key, |probed| {
                assert_eq!(probed.hash(), hash_key(&hashing, whole.as_bytes()));
                assert!(probed.matches(&whole));
            })
            .unwrap();
        }
    }

    #[test]
    fn texts_and_names_of_every_length_are_found() {
        for len in 0..300 {
            let text = "x".repeat(len);
            check("users", text.as_str());
            check(&text, &7_u8);
            check(&text, "a text");
            check(&text, &(7_u64, "a text"));
        }
    }

    #[test]
    fn numbers_of_every_size_are_found() {
        // Around each power of two, and the complements: every length and both signs.
        for bits in 0..64 {
            for number in [0, 1, u64::MAX].map(|mask: u64| (1_u64 << bits).wrapping_sub(1) ^ mask) {
                #[allow(clippy::cast_possible_truncation, reason = "every number will do")]
                #[allow(clippy::cast_possible_wrap, reason = "every number will do")]
                {
                    check("n", &number);
                    check("n", &(number as u32));
                    check("n", &(number as u16));
                    check("n", &(number as u8));
                    check("n", &(number as i64));
                    check("n", &(number as i32));
                    check("n", &(number as i16));
                    check("n", &(number as i8));
                    check("n", &u128::from(number));
                }
            }
        }
    }

    #[test]
    fn keys_of_every_form_are_found() {
        #[derive(Serialize)]
        struct Id(u64);
        #[derive(Serialize)]
        struct Inner(&'static str);
        #[derive(Serialize)]
        struct Outer(Inner);
        struct Raw(&'static [u8]);
        impl Serialize for Raw {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.0)
            }
        }
        #[derive(Serialize)]
        struct Pair {
            a: u8,
            b: String,
        }
        #[derive(Serialize)]
        enum Form {
            Unit,
            Number(u64),
            Text { text: String },
        }
        // Plain keys, in newtypes and by hand.
        check("ids", &Id(300));
        check("ids", &Outer(Inner("text")));
        check("ids", &Raw(b"bytes"));
        // Keys to encode.
        check("ids", &std::net::Ipv4Addr::LOCALHOST);
        check("ids", &std::net::IpAddr::from([127, 0, 0, 1]));
        check("ids", &-300_i128);
        check("ids", &300_usize);
        check("ids", &-300_isize);
        check("ids", &"text".to_owned());
        check("ids", &Some("text"));
        check("ids", &None::<u8>);
        check("ids", &());
        check("ids", &true);
        check("ids", &'é');
        check("ids", &1.5_f64);
        check("ids", &vec![1_u8, 2]);
        let (a, b) = (7, "b".into());
        check("ids", &Pair { a, b });
        check("ids", &Form::Unit);
        check("ids", &Form::Number(300));
        let text = "text".into();
        check("ids", &Form::Text { text });
    }

    #[test]
    fn key_type_that_replaces_the_error_sets_must_encode() {
        struct Own;
        impl Serialize for Own {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let written = (1, 2).serialize(serializer);
                written.map_err(|_| serde::ser::Error::custom("an own error"))
            }
        }
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let keys = TypedKeys::new("n", &hashing);
        let must_encode = || keys.must_encode.load(Ordering::Relaxed);
        keys.probe_with(&hashing, "text", |_| ()).unwrap();
        assert!(!must_encode());
        keys.probe_with(&hashing, &Own, |_| ()).unwrap();
        assert!(must_encode());
    }

    #[test]
    fn error_after_the_key_was_written_is_returned() {
        struct Late;
        impl Serialize for Late {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u8(7)?;
                Err(serde::ser::Error::custom("late"))
            }
        }
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let keys = TypedKeys::new("n", &hashing);
        let error = Err(Error::SerdeSerCustom);
        assert_eq!(keys.with_encoded(&Late, |_| ()), error);
        assert_eq!(keys.probe_with(&hashing, &Late, |_| ()), error);
    }

    #[test]
    fn short_keys_allocate_nothing() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let keys = TypedKeys::new("users", &hashing);
        let count = |len| {
            let text = "x".repeat(len);
            allocation_counter::measure(|| drop(keys.with_encoded(&text, <[u8]>::len))).count_total
        };
        // 64 bytes less the prefix of 7 bytes and the length of 1 byte are 56.
        assert_eq!((count(56), count(57) > 0), (0, true));
    }
}
