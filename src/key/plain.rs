//! A key that is one text or one number, without encoding it.

use std::sync::atomic::{AtomicBool, Ordering};

use postcard::Error;
use serde::Serialize;
use serde::ser::{Impossible, Serializer};

use super::lookup::KeyBody;

/// Looks with what postcard would write of a key, if that is one integer, or one text, or
/// bytes, of fewer than 128 bytes: in as many new types as may be. All else is an error,
/// and looks with nothing.
///
/// It is the key type that calls: what it holds meanwhile is held while `look` runs.
pub(super) struct PlainKey<'a, F> {
    pub(super) look: F,
    /// Becomes true when a key is of a type that has to be encoded: whatever that type
    /// makes of the error.
    pub(super) must_encode: &'a AtomicBool,
}

/// No more than seven bits of a byte are of the number.
const BITS: u32 = 7;
const MORE: u64 = 0x8080_8080_8080_8080;

impl<R, F: Fn(KeyBody<'_>) -> R> PlainKey<'_, F> {
    #[inline]
    fn text(self, bytes: &[u8]) -> Result<R, Error> {
        // The length has one byte. The next one may have, too: it is asked again.
        if bytes.len() >= 1 << BITS {
            return Err(Error::SerializeBufferFull);
        }
        Ok((self.look)(KeyBody::Text(bytes)))
    }

    /// An unsigned number, seven bits a byte, the lowest first; all bytes but the last have
    /// the highest bit. The first eight are put together in a register.
    #[inline]
    fn number(self, number: u64) -> R {
        let byte = |place| (number >> (BITS * place) & 0x7F) << (8 * place);
        let bytes = (0..8).fold(0, |bytes, place| bytes | byte(place));
        let body = number >> (8 * BITS);
        if body != 0 {
            return self.long_number(bytes | MORE, body);
        }
        let len = (u64::BITS - (number | 1).leading_zeros()).div_ceil(BITS);
        let bytes = (bytes | MORE & ((1 << (8 * (len - 1))) - 1)).to_le_bytes();
        (self.look)(KeyBody::Encoded(&bytes[..len as usize]))
    }

    /// The last byte but one has the bits of `body` as they are: the highest is set where
    /// the last follows.
    fn long_number(self, first: u64, body: u64) -> R {
        let mut bytes = [0, 0, 0, 0, 0, 0, 0, 0, body.to_le_bytes()[0], 1];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        let len = if body >> BITS == 0 { 9 } else { 10 };
        (self.look)(KeyBody::Encoded(&bytes[..len]))
    }

    #[cold]
    fn other<T>(&self) -> Result<T, Error> {
        self.must_encode.store(true, Ordering::Relaxed);
        Err(Error::WontImplement)
    }

    /// A signed one: those that are near zero are short.
    #[inline]
    fn signed(self, number: i64) -> R {
        self.number(u64::from_ne_bytes(
            (number << 1 ^ number >> 63).to_ne_bytes(),
        ))
    }
}

/// What cannot be looked for without being encoded.
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

    /// As postcard is not.
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

    /// What is looked for, if it need not be encoded, and whether the next one is asked.
    fn asked<K: Serialize + ?Sized>(key: &K) -> (Result<Vec<u8>, Error>, bool) {
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
        asked(key).0
    }

    #[test]
    fn a_number_and_a_short_text_are_not_encoded() {
        assert_eq!(plain(""), Ok(Vec::new()));
        assert_eq!(plain(&"x".repeat(127)), Ok(vec![b'x'; 127]));
        assert_eq!(plain(&7_u8), Ok(vec![7]));
        assert_eq!(plain(&-1_i16), Ok(vec![1]));
        assert_eq!(plain(&-(1_i64 << 55)).map(|key| key.len()), Ok(8));
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
    fn after_a_long_text_the_next_is_asked_and_after_another_type_none() {
        let long = Err(Error::SerializeBufferFull);
        assert_eq!(asked(&"x".repeat(128)), (long, true));
        let other = Err(Error::WontImplement);
        assert_eq!(asked(&(7, 8)), (other.clone(), false));
        assert_eq!(asked(&1.5), (other.clone(), false));
        assert_eq!(asked(&Some(7)), (other, false));
    }
}
