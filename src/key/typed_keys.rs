//! The keys of a typed cache.

use std::sync::atomic::{AtomicBool, Ordering};

use postcard::ser_flavors::Flavor;
use postcard::{Error, serialize_with_flavor};
use serde::Serialize;

use super::hash::Hashing;
use super::lookup::{KeyBody, TypedKey, hash_name};
use super::namespace::prefix;
use super::plain::PlainKey;

/// How many bytes of a key need no memory of their own.
const INLINE: usize = 64;

/// How the keys of a typed cache are made.
#[derive(Debug)]
pub(crate) struct TypedKeys {
    prefix: Box<[u8]>,
    /// How a key begins, and room for the rest of it. None if that is longer.
    prefix_buffer: Option<[u8; INLINE]>,
    hash: u64,
    /// Whether a key was neither text nor number. Then the next is not asked.
    must_encode: AtomicBool,
}

impl TypedKeys {
    pub(crate) fn new(name: &str, hashing: &Hashing) -> Self {
        let prefix = prefix(name);
        let mut prefix_buffer = [0; INLINE];
        let start = prefix_buffer.get_mut(..prefix.len());
        let fits = start.map(|start| start.copy_from_slice(&prefix));
        Self {
            prefix_buffer: fits.map(|()| prefix_buffer),
            hash: hash_name(hashing, name.as_bytes()),
            must_encode: AtomicBool::new(false),
            prefix,
        }
    }

    /// How each begins.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Gives the cache's key of a caller's key, in place.
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

    /// The same, for it to be looked for: see [`PlainKey`], which is why `look` may only look.
    /// Of a key that fails when it was given already, `look` has looked.
    #[inline]
    pub(crate) fn probe_with<K: Serialize + ?Sized, R>(
        &self,
        hashing: &Hashing,
        key: &K,
        look: impl Fn(&TypedKey<'_>) -> R,
    ) -> Result<R, Error> {
        let must_encode = &self.must_encode;
        if !must_encode.load(Ordering::Relaxed) {
            let look = |body: KeyBody<'_>| look(&self.parts(hashing, body));
            if let Ok(found) = key.serialize(PlainKey { look, must_encode }) {
                return Ok(found);
            }
            // Whatever it is: encoding it says so again.
        }
        self.with_encoded(key, |whole| {
            look(&self.parts(hashing, KeyBody::Encoded(&whole[self.prefix.len()..])))
        })
    }

    #[inline]
    fn parts<'a>(&'a self, hashing: &Hashing, body: KeyBody<'a>) -> TypedKey<'a> {
        TypedKey::new(hashing, self.hash, &self.prefix, body)
    }

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

/// A key that is being encoded. It never lacks room: a key type need not expect an error.
struct KeyBuffer {
    start: [u8; INLINE],
    /// More than there is room for at the start if it has moved.
    len: usize,
    /// All of it, once it has moved.
    long: Vec<u8>,
}

impl KeyBuffer {
    #[inline]
    fn as_bytes(&self) -> &[u8] {
        self.start.get(..self.len).unwrap_or(&self.long)
    }

    #[cold]
    fn push_long(&mut self, bytes: &[u8]) {
        if let Some(start) = self.start.get(..self.len) {
            self.long.extend_from_slice(start);
        }
        self.long.extend_from_slice(bytes);
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

    /// Written or not, it is one key; and a number is written as postcard does.
    fn check<K: Serialize + ?Sized>(name: &str, key: &K) {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let keys = TypedKeys::new(name, &hashing);
        let whole = keys
            .with_encoded(key, |whole| SmallBytes::from(whole))
            .unwrap();
        let written = postcard::to_allocvec(key).unwrap();
        let expected = [keys.prefix(), &written].concat();
        assert_eq!(whole.as_bytes(), expected);
        for composite in [false, true] {
            keys.must_encode.fetch_or(composite, Ordering::Relaxed);
            keys.probe_with(&hashing, key, |parts| {
                assert_eq!(parts.hash(), hash_key(&hashing, whole.as_bytes()));
                assert!(parts.matches(&whole));
            })
            .unwrap();
        }
    }

    #[test]
    fn texts_of_every_length() {
        for len in 0..300 {
            let text = "x".repeat(len);
            check("users", text.as_str());
            check(&text, &7_u8);
            check(&text, "a text");
            check(&text, &(7_u64, "a text"));
        }
    }

    #[test]
    fn numbers_of_every_size() {
        for bits in 0..64 {
            for number in [0, 1, u64::MAX].map(|it: u64| (1_u64 << bits).wrapping_sub(1) ^ it) {
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
    fn keys_of_every_form() {
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
        enum Access {
            Unit,
            Number(u64),
            SmallBytes { text: String },
        }
        check("ids", &Id(300));
        check("ids", &Outer(Inner("text")));
        check("ids", &Raw(b"bytes"));
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
        check("ids", &Access::Unit);
        check("ids", &Access::Number(300));
        let text = "text".into();
        check("ids", &Access::SmallBytes { text });
    }

    #[test]
    fn a_composite_key_is_asked_once_whatever_it_makes_of_the_error() {
        struct Own;
        impl Serialize for Own {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let given = (1, 2).serialize(serializer);
                given.map_err(|_| serde::ser::Error::custom("an error of its own"))
            }
        }
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let keys = TypedKeys::new("n", &hashing);
        let is_composite = || keys.must_encode.load(Ordering::Relaxed);
        keys.probe_with(&hashing, "text", |_| ()).unwrap();
        assert!(!is_composite());
        keys.probe_with(&hashing, &Own, |_| ()).unwrap();
        assert!(is_composite());
    }

    #[test]
    fn what_a_key_says_after_it_was_written_is_an_error_too() {
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
    fn a_short_key_allocates_nothing() {
        let hashing = Hashing::new(KeyHasher::Foldhash);
        let keys = TypedKeys::new("users", &hashing);
        let count = |len| {
            let text = "x".repeat(len);
            allocation_counter::measure(|| drop(keys.with_encoded(&text, <[u8]>::len))).count_total
        };
        assert_eq!((count(56), count(57) > 0), (0, true));
    }
}
