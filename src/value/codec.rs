//! Values to bytes and back.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;

/// How values become the bytes that are stored, and values again.
///
/// A codec must write a value the same way behind a reference or a smart pointer
/// as by itself, as serde does, and must refuse bytes that it did not use up: a
/// read as another type must not succeed by luck. It is called without any lock
/// held; a panic in it unwinds through the caller.
///
/// # Examples
///
/// A codec that stores a length and checks it, around the default one:
///
/// ```
/// use futures_lite::future::block_on;
/// use hydracache::{BoxError, Bytes, CacheOptions, Codec, HydraCache, Postcard};
/// use serde::{Serialize, de::DeserializeOwned};
///
/// struct Marked;
///
/// impl Codec for Marked {
///     fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
///         let bytes = Postcard.encode(value)?;
///         Ok([b"v1:", &bytes[..]].concat().into())
///     }
///
///     fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
///         Postcard.decode(bytes.strip_prefix(b"v1:").ok_or("no version mark")?)
///     }
/// }
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let cache = HydraCache::local().codec(Marked).build();
/// block_on(cache.put("a", 7_u8, CacheOptions::new()))?;
/// assert_eq!(block_on(cache.get_bytes("a"))?.as_deref(), Some(&b"v1:\x07"[..]));
/// assert_eq!(block_on(cache.get::<u8>("a"))?, Some(7));
/// # Ok(())
/// # }
/// ```
pub trait Codec: Send + Sync + 'static {
    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// If the value has no form in this codec.
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError>;

    /// Decodes what [`encode`](Self::encode) made.
    ///
    /// # Errors
    ///
    /// If the bytes are not a whole `V` and nothing else.
    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError>;
}

/// The default codec: [postcard](https://docs.rs/postcard), compact and fast.
///
/// Postcard does not describe its types: it writes fields without their names.
/// Attributes of serde that need a self-describing format
/// (`untagged`, `flatten`, `deserialize_any`) need another codec: with this one they
/// are stored and then cannot be decoded, so that every loading call loads anew, which
/// `decode_failures` of [`CacheStats`](crate::CacheStats) tells. Bytes left over after a
/// value are an error here, though postcard itself ignores them.
///
/// # Examples
///
/// ```
/// use hydracache::{Codec, Postcard};
///
/// # fn main() -> Result<(), hydracache::BoxError> {
/// let bytes = Postcard.encode("seven")?;
/// assert_eq!(Postcard.decode::<String>(&bytes)?, "seven");
/// assert!(Postcard.decode::<u8>(&bytes).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Postcard;

impl Codec for Postcard {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        let bytes = postcard::to_allocvec(value)?;
        // A boxed slice has no spare capacity for the entry to carry along.
        Ok(bytes.into_boxed_slice().into())
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        let (value, rest) = postcard::take_from_bytes(bytes)?;
        match rest.len() {
            0 => Ok(value),
            left => Err(format!("bytes left over after the value: {left}").into()),
        }
    }
}
