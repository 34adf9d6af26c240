//! A key that is one text or one number, without writing it.

use postcard::Error;
use serde::Serialize;
use serde::ser::{Impossible, Serializer};

use crate::key::Rest;

/// Gives on what postcard would write of a key, if that is one text, some bytes, or an
/// integer, each of fewer bytes than there may be, in as many new types as may be. All else
/// is [`Error::WontImplement`].
pub(super) struct Plain<F>(pub(super) F);

/// No more than seven bits of a byte are of the number.
const BITS: u32 = 7;

impl<R, F: FnOnce(Rest<'_>) -> R> Plain<F> {
    #[inline]
    fn text(self, bytes: &[u8]) -> Result<R, Error> {
        // With a length of one byte.
        if bytes.len() >= 1 << BITS {
            return Err(Error::SerializeBufferFull);
        }
        Ok(self.0(Rest::Text(bytes)))
    }

    /// An unsigned number, seven bits a byte, the lowest first; all bytes but the last have
    /// the highest bit. Of up to eight bytes: they are put together in a register.
    #[inline]
    fn number(self, number: u64) -> Result<R, Error> {
        if number >> (8 * BITS) != 0 {
            return Err(Error::SerializeBufferFull);
        }
        let len = (u64::BITS - (number | 1).leading_zeros()).div_ceil(BITS);
        let byte = |place| (number >> (BITS * place) & 0x7F) << (8 * place);
        let bytes = (0..8).fold(0, |bytes, place| bytes | byte(place));
        let more = 0x8080_8080_8080_8080 & ((1 << (8 * (len - 1))) - 1);
        let bytes = (bytes | more).to_le_bytes();
        Ok(self.0(Rest::Written(&bytes[..len as usize])))
    }

    /// A signed one: those that are near zero are short.
    #[inline]
    fn signed(self, number: i64) -> Result<R, Error> {
        self.number(u64::from_ne_bytes(
            (number << 1 ^ number >> 63).to_ne_bytes(),
        ))
    }
}

fn other<T>() -> Result<T, Error> {
    Err(Error::WontImplement)
}

/// What cannot be looked for without being written.
macro_rules! others {
    ($($name:ident($($argument:ty),*) -> $made:ty;)*) => {$(
        #[inline]
        fn $name(self, $(_: $argument),*) -> Result<$made, Error> {
            other()
        }
    )*};
}

impl<R, F: FnOnce(Rest<'_>) -> R> Serializer for Plain<F> {
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
        Ok(self.0(Rest::Written(&[number])))
    }

    #[inline]
    fn serialize_u16(self, number: u16) -> Result<R, Error> {
        self.number(number.into())
    }

    #[inline]
    fn serialize_u32(self, number: u32) -> Result<R, Error> {
        self.number(number.into())
    }

    #[inline]
    fn serialize_u64(self, number: u64) -> Result<R, Error> {
        self.number(number)
    }

    #[inline]
    fn serialize_i8(self, number: i8) -> Result<R, Error> {
        Ok(self.0(Rest::Written(&number.to_ne_bytes())))
    }

    #[inline]
    fn serialize_i16(self, number: i16) -> Result<R, Error> {
        self.signed(number.into())
    }

    #[inline]
    fn serialize_i32(self, number: i32) -> Result<R, Error> {
        self.signed(number.into())
    }

    #[inline]
    fn serialize_i64(self, number: i64) -> Result<R, Error> {
        self.signed(number)
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
        other()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<R, Error> {
        other()
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, _: &T) -> Result<R, Error> {
        other()
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

    /// What is looked for, if it need not be written.
    fn plain<K: Serialize + ?Sized>(key: &K) -> Result<Vec<u8>, Error> {
        key.serialize(Plain(|rest: Rest<'_>| match rest {
            Rest::Text(bytes) | Rest::Written(bytes) => bytes.to_vec(),
        }))
    }

    #[test]
    fn what_is_short_is_not_written() {
        assert_eq!(plain(""), Ok(Vec::new()));
        assert_eq!(plain(&"x".repeat(127)), Ok(vec![b'x'; 127]));
        assert_eq!(plain(&7_u8), Ok(vec![7]));
        assert_eq!(plain(&-1_i16), Ok(vec![1]));
        assert_eq!(plain(&-(1_i64 << 55)).map(|key| key.len()), Ok(8));
        assert_eq!(plain(&((1_u64 << 56) - 1)).map(|key| key.len()), Ok(8));
    }

    /// The next may be short, unless they are composite.
    #[test]
    fn what_is_longer_is_not_ruled_out() {
        let long = Err(Error::SerializeBufferFull);
        assert_eq!(plain(&"x".repeat(128)), long);
        assert_eq!(plain(&(1_u64 << 56)), long);
        assert_eq!(plain(&(-(1_i64 << 55) - 1)), long);
        assert_eq!(plain(&(7, 8)), Err(Error::WontImplement));
        assert_eq!(plain(&1.5), Err(Error::WontImplement));
    }
}
