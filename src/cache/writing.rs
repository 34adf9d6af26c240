use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::HydraCache;
use crate::error::CacheResult;
use crate::options::CacheOptions;
use crate::value::Codec;

/// Writing. Each of these is ready at its first poll and does nothing before it.
impl<C: Codec> HydraCache<C> {
    /// Stores a value under a key, in place of whatever is there.
    ///
    /// The value may borrow: put a `&str` and get a `String`. A load of the key
    /// that began before gives its value to those who wait for it, and does not
    /// overwrite this one.
    ///
    /// A time to live of zero, a value larger than the cache's `max_entry_bytes`, an
    /// entry that costs more than its shard's part of `max_bytes`, and a capacity of zero
    /// store nothing: what was there is removed all the same, and the call succeeds.
    ///
    /// # Errors
    ///
    /// If the value cannot be encoded ([`is_encode`]); then nothing has changed.
    ///
    /// [`is_encode`]: crate::CacheError::is_encode
    ///
    /// # Panics
    ///
    /// If encoding does; then nothing has changed.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll: there is nothing to cancel.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let options = CacheOptions::new().ttl(Duration::from_secs(60)).tag("names");
    /// block_on(cache.put("name", "Ada", options))?;
    /// assert_eq!(block_on(cache.get::<String>("name"))?.as_deref(), Some("Ada"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put<V: Serialize>(
        &self,
        key: &str,
        value: V,
        options: CacheOptions,
    ) -> CacheResult<()> {
        self.engine.put(key.as_bytes(), &value, &options)
    }

    /// Stores a value as [`put`](Self::put) does if the key has no fresh entry, and returns
    /// whether it did.
    ///
    /// The look and the store are one step. No counter of reads moves.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    ///
    /// # Panics
    ///
    /// As [`put`](Self::put).
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll: there is nothing to cancel.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let options = CacheOptions::new();
    /// assert!(block_on(cache.put_if_absent("winner", "Ada", options.clone()))?);
    /// assert!(!block_on(cache.put_if_absent("winner", "Bob", options))?);
    /// assert_eq!(block_on(cache.get::<String>("winner"))?.as_deref(), Some("Ada"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_if_absent<V: Serialize>(
        &self,
        key: &str,
        value: V,
        options: CacheOptions,
    ) -> CacheResult<bool> {
        self.engine.put_if_absent(key.as_bytes(), &value, options)
    }

    /// Replaces a value by what is made of it, and returns that.
    ///
    /// `change` is given the fresh value of the key, or `None`; what it returns is stored as
    /// [`put`](Self::put) does, and `None` removes the entry as [`remove`](Self::remove)
    /// does. It runs under no lock: if the entry has changed meanwhile, nothing is stored and
    /// `change` is called again, with what there is now. So no change of others is lost,
    /// and none of this one's is made twice. Loads in progress are fenced. No counter of
    /// reads moves.
    ///
    /// # Errors
    ///
    /// If the entry is of another type ([`is_wrong_type`]) or cannot be decoded
    /// ([`is_decode`]), or the new value cannot be encoded ([`is_encode`]); then nothing has
    /// changed.
    ///
    /// [`is_wrong_type`]: crate::CacheError::is_wrong_type
    /// [`is_decode`]: crate::CacheError::is_decode
    /// [`is_encode`]: crate::CacheError::is_encode
    ///
    /// # Panics
    ///
    /// If `change` does, or encoding or decoding; then nothing has changed.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll: there is nothing to cancel.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// for _ in 0..3 {
    ///     let count = |old: Option<u32>| Some(old.unwrap_or(0) + 1);
    ///     block_on(cache.update("visits", CacheOptions::new(), count))?;
    /// }
    /// assert_eq!(block_on(cache.get::<u32>("visits"))?, Some(3));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update<V: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        options: CacheOptions,
        change: impl FnMut(Option<V>) -> Option<V>,
    ) -> CacheResult<Option<V>> {
        self.engine.update(key.as_bytes(), options, change)
    }

    /// Stores bytes that are encoded already, as [`put`](Self::put) stores a value.
    ///
    /// They have no type: a typed read decodes them as what it asks for, or says
    /// that it cannot. What is stored is in memory of its own: bytes that nobody shares
    /// are moved, others are copied, so that a slice does not keep its buffer alive.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll: there is nothing to cancel.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{Bytes, CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let encoded = Bytes::from_static(b"\x03Ada");
    /// block_on(cache.put_bytes("name", encoded, CacheOptions::new()))?;
    /// assert_eq!(block_on(cache.get::<String>("name"))?.as_deref(), Some("Ada"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_bytes(
        &self,
        key: &str,
        bytes: Bytes,
        options: CacheOptions,
    ) -> CacheResult<()> {
        self.engine.put_bytes(key.as_bytes(), bytes, &options);
        Ok(())
    }
}
