//! Values: encoding, type, and stored form.

mod access;
mod buffer;
mod codec;
mod fingerprint;
mod round_trip;
mod stored;
mod type_tag;

pub(crate) use self::access::{Access, ByArc, ByValue, Unreadable, decode, encode, encode_checked};
pub use self::codec::{Codec, Postcard};
pub(crate) use self::round_trip::{RoundTrips, Unwritable, check_round_trip};
pub(crate) use self::stored::{NewValue, StoredValue, TypedValue};
pub(crate) use self::type_tag::TypeTag;
