//! A fingerprint: a single number for the whole output of `Serialize` for a value.
//!
//! Two values are compared by fingerprint, because a value need not be `Eq`. Comparing the bytes of
//! the codec would miss changes: skipped fields can shift a list of records into another list with
//! the same bytes. And an encrypting codec writes other bytes each time. A fingerprint covers the
//! calls of `Serialize`, with the names of fields and variants: a skipped field is a missing call.
//!
//! Elements of sequences and entries of maps count in any order, because a decoded `HashMap` or
//! `HashSet` has another order, at any depth. Fields and tuples count in order.

#[cfg(test)]
mod tests;

use std::fmt::{self, Display};

use serde::ser::{self, Serialize};

/// Returns the fingerprint of a value. `None` if the value refuses to be written.
pub(super) fn fingerprint<V: Serialize + ?Sized>(value: &V) -> Option<u64> {
    value.serialize(Fingerprint).ok()
}

/// The kinds of calls. The numbers are the digits of pi: without any structure.
const INTEGER: u64 = 0x243F_6A88_85A3_08D3;
const FLOAT: u64 = 0x1319_8A2E_0370_7344;
const TEXT: u64 = 0xA409_3822_299F_31D0;
const NONE: u64 = 0x082E_FA98_EC4E_6C89;
const SOME: u64 = 0x4528_21E6_38D0_1377;
const UNIT: u64 = 0xBE54_66CF_34E9_0C6C;
const VARIANT: u64 = 0xC0AC_29B7_C97C_50DD;
const SEQUENCE: u64 = 0x9216_D5D9_8979_FB1B;
const MAP: u64 = 0xD131_0BA6_98DF_B5AC;
const RECORD: u64 = 0x2FFD_72DB_D01A_DFB7;

/// Returns a number of two numbers, in order: the folded product, as foldhash has it.
fn mix(a: u64, b: u64) -> u64 {
    // Not among the kinds above: the product must not be zero for every `b`.
    const KEYS: [u64; 2] = [0xB8E1_AFED_6A26_7E96, 0xBA7C_9045_F12C_7F99];
    let product = u128::from(a ^ KEYS[0]) * u128::from(b ^ KEYS[1]);
    #[allow(clippy::cast_possible_truncation, reason = "both halves are used")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

fn mix_bytes(bytes: &[u8]) -> u64 {
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    let start = mix(TEXT, bytes.len() as u64);
    bytes
        .chunks(8)
        .fold(start, |sum, part| mix(sum, word(part)))
}

/// The variant of an enum. Its name and its number: either may be the one that changes.
fn mix_variant(number: u32, name: &str) -> u64 {
    mix(mix(VARIANT, number.into()), mix_bytes(name.as_bytes()))
}

/// A serializer whose output is the fingerprint.
struct Fingerprint;

/// Fields or elements that count in order.
struct Ordered(u64);

/// Elements or entries that count in any order: a sum.
struct Unordered {
    sum: u64,
    /// The key whose value comes next.
    key: u64,
}

impl Unordered {
    fn new(kind: u64) -> Self {
        Self { sum: kind, key: 0 }
    }

    fn add(&mut self, item: u64) {
        // Mixed first: bare sums of numbers are easily equal.
        self.sum = self.sum.wrapping_add(mix(SEQUENCE, item));
    }
}

/// The error of a value that refuses to be written. Nobody reads the text.
#[derive(Debug)]
struct Refused;

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

/// Integers of every width write the same.
macro_rules! integers {
    ($($method:ident($ty:ty);)*) => {
        $(fn $method(self, v: $ty) -> Result<u64, Refused> {
            self.serialize_i128(v.into())
        })*
    };
}

impl ser::Serializer for Fingerprint {
    type Ok = u64;
    type Error = Refused;
    type SerializeSeq = Unordered;
    type SerializeTuple = Ordered;
    type SerializeTupleStruct = Ordered;
    type SerializeTupleVariant = Ordered;
    type SerializeMap = Unordered;
    type SerializeStruct = Ordered;
    type SerializeStructVariant = Ordered;

    integers! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
    }

    fn serialize_i128(self, v: i128) -> Result<u64, Refused> {
        #[allow(clippy::cast_sign_loss, reason = "the bits count")]
        self.serialize_u128(v as u128)
    }

    fn serialize_u128(self, v: u128) -> Result<u64, Refused> {
        #[allow(clippy::cast_possible_truncation, reason = "both halves are used")]
        let (low, high) = (v as u64, (v >> 64) as u64);
        Ok(mix(mix(INTEGER, low), high))
    }

    fn serialize_f32(self, v: f32) -> Result<u64, Refused> {
        self.serialize_f64(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<u64, Refused> {
        // By the bits: a NaN is equal to itself.
        Ok(mix(FLOAT, v.to_bits()))
    }

    fn serialize_char(self, v: char) -> Result<u64, Refused> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<u64, Refused> {
        self.serialize_bytes(v.as_bytes())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<u64, Refused> {
        Ok(mix_bytes(v))
    }

    fn collect_str<T: Display + ?Sized>(self, v: &T) -> Result<u64, Refused> {
        self.serialize_str(&v.to_string())
    }

    fn serialize_none(self) -> Result<u64, Refused> {
        Ok(NONE)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<u64, Refused> {
        Ok(mix(SOME, v.serialize(self)?))
    }

    fn serialize_unit(self) -> Result<u64, Refused> {
        Ok(UNIT)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<u64, Refused> {
        Ok(UNIT)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        number: u32,
        variant: &'static str,
    ) -> Result<u64, Refused> {
        Ok(mix_variant(number, variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        v: &T,
    ) -> Result<u64, Refused> {
        v.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        number: u32,
        variant: &'static str,
        v: &T,
    ) -> Result<u64, Refused> {
        Ok(mix(mix_variant(number, variant), v.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Unordered, Refused> {
        Ok(Unordered::new(SEQUENCE))
    }

    fn serialize_tuple(self, _: usize) -> Result<Ordered, Refused> {
        Ok(Ordered(RECORD))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Ordered, Refused> {
        Ok(Ordered(RECORD))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        number: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Ordered, Refused> {
        Ok(Ordered(mix_variant(number, variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Unordered, Refused> {
        Ok(Unordered::new(MAP))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Ordered, Refused> {
        Ok(Ordered(RECORD))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        number: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Ordered, Refused> {
        Ok(Ordered(mix_variant(number, variant)))
    }

    /// As postcard: a value that chooses between two forms writes the compact form.
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl ser::SerializeSeq for Unordered {
    type Ok = u64;
    type Error = Refused;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Refused> {
        self.add(v.serialize(Fingerprint)?);
        Ok(())
    }

    fn end(self) -> Result<u64, Refused> {
        Ok(self.sum)
    }
}

impl ser::SerializeMap for Unordered {
    type Ok = u64;
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.key = key.serialize(Fingerprint)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Refused> {
        self.add(mix(self.key, v.serialize(Fingerprint)?));
        Ok(())
    }

    fn end(self) -> Result<u64, Refused> {
        Ok(self.sum)
    }
}

/// Tuples: the elements count in order.
macro_rules! elements {
    ($($trait:ident, $method:ident;)*) => {
        $(impl ser::$trait for Ordered {
            type Ok = u64;
            type Error = Refused;

            fn $method<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Refused> {
                self.0 = mix(self.0, v.serialize(Fingerprint)?);
                Ok(())
            }

            fn end(self) -> Result<u64, Refused> {
                Ok(self.0)
            }
        })*
    };
}

elements! {
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
    SerializeTupleVariant, serialize_field;
}

/// Structs: the fields count with their names. A skipped field does not call, and so shows.
macro_rules! fields {
    ($($trait:ident;)*) => {
        $(impl ser::$trait for Ordered {
            type Ok = u64;
            type Error = Refused;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                v: &T,
            ) -> Result<(), Refused> {
                let field = mix(mix_bytes(name.as_bytes()), v.serialize(Fingerprint)?);
                self.0 = mix(self.0, field);
                Ok(())
            }

            fn end(self) -> Result<u64, Refused> {
                Ok(self.0)
            }
        })*
    };
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}
