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
/// Postcard does not describe types: fields are written without names. Types that need a
/// self-describing format (serde's `untagged`, `flatten`, `deserialize_any`) need another codec.
/// With postcard such a value is stored and cannot be decoded, so every loading call loads again
/// and counts a `decode_failures` of [`CacheStats`](crate::CacheStats). Bytes left over after a
/// value are an error here, although postcard itself ignores left-over bytes.
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
