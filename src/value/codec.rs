//! Encoding values to bytes, and decoding bytes to values.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;

/// Encodes values to the stored bytes, and decodes the bytes.
///
/// A codec must write a value behind a reference or a smart pointer in the same way as the bare
/// value, as serde does. A codec must refuse left-over bytes, so that a read as another type
/// does not succeed by luck. The cache calls the codec without a lock; a panic in the codec
/// unwinds through the caller. The default is [`Postcard`].
///
/// # Examples
///
/// A codec that writes a version before each value, and checks the version:
///
/// ```
/// use futures_lite::future::block_on;
/// use hydracache::{BoxError, Bytes, CacheOptions, Codec, HydraCache, Postcard};
/// use serde::{Serialize, de::DeserializeOwned};
///
/// struct Versioned;
///
/// impl Codec for Versioned {
///     fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
///         let bytes = Postcard.encode(value)?;
///         Ok([b"v1:", &bytes[..]].concat().into())
///     }
///
///     fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
///         Postcard.decode(bytes.strip_prefix(b"v1:").ok_or("not version 1")?)
///     }
/// }
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let cache = HydraCache::local().codec(Versioned).build();
/// block_on(cache.put("a", 7_u8, CacheOptions::new()))?;
/// assert_eq!(block_on(cache.get_bytes("a"))?.as_deref(), Some(&b"v1:\x07"[..]));
/// assert_eq!(block_on(cache.get::<u8>("a"))?, Some(7));
///
/// let old = Bytes::from_static(b"v0:\x07"); // another version is an error
/// block_on(cache.put_bytes("b", old, CacheOptions::new()))?;
/// assert!(block_on(cache.get::<u8>("b")).is_err_and(|error| error.is_decode()));
/// # Ok(())
/// # }
/// ```
pub trait Codec: Send + Sync + 'static {
    /// Returns the bytes of a value.
    ///
    /// # Errors
    ///
    /// If this codec cannot write the value. The verb returns an error with
    /// [`is_encode`](crate::CacheError::is_encode), and this error as the source.
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError>;

    /// Returns the value of the bytes made by [`encode`](Self::encode).
    ///
    /// # Errors
    ///
    /// If the bytes are not exactly one complete `V`. A reading verb then returns an error
    /// with [`is_decode`](crate::CacheError::is_decode); a loading verb loads and replaces the
    /// bytes.
    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError>;

    /// Returns `true` if the cache may check that this codec gives values back unchanged, `false`
    /// if not. `true` by default.
    ///
    /// The check: a loading verb or an [`update`](crate::HydraCache::update) decodes the bytes of a
    /// new value, and compares the two values as
    /// [`check_round_trip`](crate::HydraCache::check_round_trip) does. A difference is an error,
    /// because the next reader would get another value. A debug build checks every value, a release
    /// build the first 8 values of each type in each cache.
    ///
    /// The bytes themselves are not compared, so a codec that encrypts with a random nonce passes.
    /// Return `false` for a codec that changes values on purpose (JSON may change the last digit of
    /// an `f64`, and cannot tell `Some(None)` from `None`), or if a second decoding is too expensive.
    fn checks_round_trip(&self) -> bool {
        true
    }
}

/// The default codec: [postcard](https://docs.rs/postcard), compact and fast.
///
/// Postcard does not describe types: fields and variants are written without names, by position.
/// Bytes left over after a value are an error here, although postcard itself ignores left-over
/// bytes.
///
/// # Types and attributes
///
/// Serde attributes that change only one of `Serialize` and `Deserialize`, and types that need a
/// self-describing format, do not fit. Loading verbs and `update` read a value back before they
/// store it ([`check_round_trip`](crate::HydraCache::check_round_trip)), and return an error. `put`
/// cannot read, so an error or a wrong value comes later, from `get`. A
/// [typed cache](crate::HydraCache::typed) never decodes, and works with every type that postcard
/// can write.
///
/// | type or serde attribute | loading verbs, `update` | `put`, then `get` |
/// |---|---|---|
/// | numbers, texts, options, tuples, structs, enums | works | works |
/// | `Vec`, `HashMap`, `HashSet`, `BTreeMap` | works | works |
/// | `rename`, `alias`, `default`, `transparent` | works | works |
/// | `with`, or `serialize_with` and `deserialize_with` that fit | works | works |
/// | `skip_serializing_if` with nothing to skip | works | works |
/// | `rust_decimal::Decimal` with `rust_decimal::serde::str` | works | works |
/// | `skip` on a variant before others | error | another value |
/// | `skip_serializing` alone | error | error, another value |
/// | `skip_deserializing` alone | error | error, another value |
/// | `skip_serializing_if` with something to skip | error | error, another value |
/// | `serialize_with` alone | error | another value |
/// | `deserialize_with` alone | error | another value |
/// | `flatten` | error | error |
/// | `untagged` | error | error |
/// | `tag` | error | error |
/// | `tag` and `content` | error | error |
/// | `serde_json::Value` | error | error |
/// | `rust_decimal::Decimal` | error | error |
/// | `bson::Document`, `bson::oid::ObjectId` | error | error |
/// | `skip` on a field | another value | another value |
/// | `serialize_with` that rounds or sorts | another value | another value |
///
/// The last two rows are not seen by the check: `Serialize` writes the same for both values. A
/// skipped field comes back as the default of the field. A wrong value may also need a certain
/// variant or an empty field: in a release build, which checks the first 8 values of each type, the
/// ninth value may be wrong. So check one value of each kind in a test.
///
/// # Examples
///
/// ```
/// use hydracache::{Codec, Postcard};
///
/// # fn main() -> Result<(), hydracache::BoxError> {
/// let bytes = Postcard.encode("seven")?;
/// assert_eq!(Postcard.decode::<String>(&bytes)?, "seven");
/// assert!(Postcard.decode::<u8>(&bytes).is_err()); // left-over bytes
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Postcard;

impl Codec for Postcard {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        let bytes = postcard::to_allocvec(value)?;
        // A boxed slice has no spare capacity, so the cache stores the buffer without a copy.
        Ok(bytes.into_boxed_slice().into())
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        let (value, rest) = postcard::take_from_bytes(bytes)?;
        // Left-over bytes are an error: the bytes of a longer type would else decode as a
        // shorter type.
        match rest.len() {
            0 => Ok(value),
            left => Err(format!("bytes left over after the value: {left}").into()),
        }
    }
}
