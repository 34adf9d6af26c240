//! Look-ups by a plain key, a text or an integer, without encoding the key.

use std::sync::atomic::{AtomicBool, Ordering};

use postcard::Error;
use serde::Serialize;
use serde::ser::{Impossible, Serializer};

use super::lookup::KeyBody;

/// A serializer that calls `look` with the encoding of a plain key.
///
/// A plain key is an integer, or a text or bytes of fewer than 128 bytes, inside any number of
/// newtype structs. Every other key is an error, and `look` is not called.
///
/// `look` runs inside `serialize` of the key type: a lock held by that code is held while `look`
/// runs.
pub(super) struct PlainKey<'a, F> {
    pub(super) look: F,
    /// Set to `true` by a key of a type that must be encoded. A flag and not the error alone,
    /// because the key type may replace the error.
    pub(super) must_encode: &'a AtomicBool,
}

/// The bits of the number in each byte of postcard's encoding (a varint).
const BITS: u32 = 7;

/// The highest bit of each byte: set in every byte except the last.
const MORE: u64 = 0x8080_8080_8080_8080;

impl<R, F: Fn(KeyBody<'_>) -> R> PlainKey<'_, F> {
    /// Looks with a text or bytes.
    #[inline]
    fn text(self, bytes: &[u8]) -> Result<R, Error> {
        // The length must fit into a single byte. The next key of this type may be shorter, so
        // `must_encode` stays `false`.
        if bytes.len() >= 1 << BITS {
            return Err(Error::SerializeBufferFull);
        }
        Ok((self.look)(KeyBody::Text(bytes)))
    }

    /// Looks with an unsigned number as a varint: seven bits in each byte, the lowest first, and
    /// the highest bit set in all bytes except the last. Up to eight bytes are built in a
    /// register, so that no byte is written to memory alone.
    #[inline]
    fn number(self, number: u64) -> R {
        let byte = |place| (number >> (BITS * place) & 0x7F) << (8 * place);
        // 1. Spread the lowest 56 bits over eight bytes.
        let bytes = (0..8).fold(0, |bytes, place| bytes | byte(place));
        // 2. A longer number has all eight marks, and one or two bytes more.
        let rest = number >> (8 * BITS);
        if rest != 0 {
            return self.long_number(bytes | MORE, rest);
        }
        // 3. Mark all bytes except the last. Zero has one byte too, hence `| 1`.
        let len = (u64::BITS - (number | 1).leading_zeros()).div_ceil(BITS);
        let bytes = (bytes | MORE & ((1 << (8 * (len - 1))) - 1)).to_le_bytes();
        (self.look)(KeyBody::Encoded(&bytes[..len as usize]))
    }

    /// Looks with a number of nine or ten bytes. `rest` has the highest eight bits.
    ///
    /// The ninth byte is `rest` unchanged: the highest bit of `rest` is the mark for a tenth
    /// byte, and the tenth byte is then always 1.
    fn long_number(self, first: u64, rest: u64) -> R {
        let mut bytes = [0, 0, 0, 0, 0, 0, 0, 0, rest.to_le_bytes()[0], 1];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        let len = if rest >> BITS == 0 { 9 } else { 10 };
        (self.look)(KeyBody::Encoded(&bytes[..len]))
    }

    /// Reports a key that must be encoded.
    #[cold]
    fn other<T>(&self) -> Result<T, Error> {
        self.must_encode.store(true, Ordering::Relaxed);
        Err(Error::WontImplement)
    }

    /// Looks with a signed number, in zigzag form: a number near zero has a short encoding.
    #[inline]
    fn signed(self, number: i64) -> R {
        // 0, -1, 1, -2, 2, .. become 0, 1, 2, 3, 4, ..
        self.number(u64::from_ne_bytes(
            (number << 1 ^ number >> 63).to_ne_bytes(),
        ))
    }
}

/// Defines the methods for all other types: each returns an error.
macro_rules! others {
    ($($name:ident($($argument:ty),*) -> $made:ty;)*) => {$(
        #[inline]
        fn $name(self, $(_: $argument),*) -> Result<$made, Error> {
            self.other()
        }
    )*};
}

impl<R, F: Fn(KeyBody<'_>) -> R> Serializer for PlainKey<'_, F> {
    type Ok = R;
    type Error = Error;
    type SerializeSeq = Impossible<R, Error>;
    type SerializeTuple = Impossible<R, Error>;
    type SerializeTupleStruct = Impossible<R, Error>;
    type SerializeTupleVariant = Impossible<R, Error>;
    type SerializeMap = Impossible<R, Error>;
    type SerializeStruct = Impossible<R, Error>;
    type SerializeStructVariant = Impossible<R, Error>;

    /// Returns `false`, as postcard does: some types write themselves differently otherwise.
    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<R, Error> {
        self.text(text.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<R, Error> {
        self.text(bytes)
    }

    // A byte is written unchanged, without a mark. The same holds for `i8`.
    #[inline]
    fn serialize_u8(self, number: u8) -> Result<R, Error> {
        Ok((self.look)(KeyBody::Encoded(&[number])))
    }

    #[inline]
    fn serialize_u16(self, number: u16) -> Result<R, Error> {
        Ok(self.number(number.into()))
    }

    #[inline]
    fn serialize_u32(self, number: u32) -> Result<R, Error> {
        Ok(self.number(number.into()))
    }

    #[inline]
    fn serialize_u64(self, number: u64) -> Result<R, Error> {
        Ok(self.number(number))
    }

    #[inline]
    fn serialize_i8(self, number: i8) -> Result<R, Error> {
        Ok((self.look)(KeyBody::Encoded(&number.to_ne_bytes())))
    }

    #[inline]
    fn serialize_i16(self, number: i16) -> Result<R, Error> {
        Ok(self.signed(number.into()))
    }

    #[inline]
    fn serialize_i32(self, number: i32) -> Result<R, Error> {
        Ok(self.signed(number.into()))
    }

    #[inline]
    fn serialize_i64(self, number: i64) -> Result<R, Error> {
        Ok(self.signed(number))
    }

    // Postcard writes a newtype struct as the inner value. Not so an enum: the variant comes first.
    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        inner: &T,
    ) -> Result<R, Error> {
        inner.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<R, Error> {
        self.other()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<R, Error> {
        self.other()
    }

    // The text of a `Display` has an unknown length, and would have to be collected first.
    fn collect_str<T: std::fmt::Display + ?Sized>(self, _: &T) -> Result<R, Error> {
        self.other()
    }

    others! {
        serialize_bool(bool) -> R;
        serialize_i128(i128) -> R;
        serialize_u128(u128) -> R;
        serialize_f32(f32) -> R;
        serialize_f64(f64) -> R;
        serialize_char(char) -> R;
        serialize_none() -> R;
        serialize_unit() -> R;
        serialize_unit_struct(&'static str) -> R;
        serialize_unit_variant(&'static str, u32, &'static str) -> R;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeStructVariant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bytes that `look` was called with, or the error; and whether the next key is
    /// tried without encoding.
    fn try_plain<K: Serialize + ?Sized>(key: &K) -> (Result<Vec<u8>, Error>, bool) {
        let must_encode = AtomicBool::new(false);
        let look = |body: KeyBody<'_>| match body {
            KeyBody::Text(bytes) | KeyBody::Encoded(bytes) => bytes.to_vec(),
        };
        let must = &must_encode;
        let looked = key.serialize(PlainKey {
            look,
            must_encode: must,
        });
        (looked, !must.load(Ordering::Relaxed))
    }

    fn plain<K: Serialize + ?Sized>(key: &K) -> Result<Vec<u8>, Error> {
        try_plain(key).0
    }

    #[test]
    fn numbers_and_short_texts_are_plain_keys() {
        assert_eq!(plain(""), Ok(Vec::new()));
        assert_eq!(plain(&"x".repeat(127)), Ok(vec![b'x'; 127]));
        assert_eq!(plain(&7_u8), Ok(vec![7]));
        assert_eq!(plain(&-1_i16), Ok(vec![1]));
        assert_eq!(plain(&-(1_i64 << 55)).map(|key| key.len()), Ok(8));
        // The least and a large number of every encoded length.
        for len in 1..=10 {
            let least = 1_u64 << (7 * (len - 1));
            for number in [least, least | (least - 1)] {
                assert_eq!(plain(&number), Ok(postcard::to_allocvec(&number).unwrap()));
            }
        }
        assert_eq!(plain(&u64::MAX).map(|key| key.len()), Ok(10));
        assert_eq!(plain(&i64::MIN).map(|key| key.len()), Ok(10));
    }

    #[test]
    fn other_types_set_must_encode_and_long_texts_do_not() {
        let long = Err(Error::SerializeBufferFull);
        assert_eq!(try_plain(&"x".repeat(128)), (long, true));
        let other = Err(Error::WontImplement);
        assert_eq!(try_plain(&(7, 8)), (other.clone(), false));
        assert_eq!(try_plain(&1.5), (other.clone(), false));
        assert_eq!(try_plain(&Some(7)), (other, false));
    }
}
