use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::HydraCache;
use crate::error::CacheResult;
use crate::value::Codec;

/// Reading. Each of these is ready at its first poll and does nothing before it.
impl<C: Codec> HydraCache<C> {
    /// Returns the value of a key, or `None` if there is none.
    ///
    /// Counts a hit or a miss, and tells the eviction policy that the entry was
    /// read.
    ///
    /// # Errors
    ///
    /// If the key holds another type ([`is_wrong_type`]), or its bytes cannot be
    /// decoded ([`is_decode`]). The entry stays as it is.
    ///
    /// [`is_wrong_type`]: crate::CacheError::is_wrong_type
    /// [`is_decode`]: crate::CacheError::is_decode
    ///
    /// # Panics
    ///
    /// If decoding does; the cache is as it was.
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
    /// block_on(cache.put("answer", 42_i64, CacheOptions::new()))?;
    ///
    /// assert_eq!(block_on(cache.get::<i64>("answer"))?, Some(42));
    /// assert_eq!(block_on(cache.get::<i64>("question"))?, None);
    /// assert!(block_on(cache.get::<u64>("answer")).unwrap_err().is_wrong_type());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get<V: DeserializeOwned>(&self, key: &str) -> CacheResult<Option<V>> {
        self.engine.get(key.as_bytes())
    }

    /// Returns the stored form of a key's value, without decoding it.
    ///
    /// Works for every key, whatever its type, and counts as [`get`](Self::get)
    /// does. The bytes are shared, not copied.
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
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.put("name", "Ada", CacheOptions::new()))?;
    /// assert_eq!(block_on(cache.get_bytes("name"))?.as_deref(), Some(&b"\x03Ada"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_bytes(&self, key: &str) -> CacheResult<Option<Bytes>> {
        Ok(self.engine.get_bytes(key.as_bytes()))
    }

    /// Returns the value of a key as [`get`](Self::get) does, without a trace.
    ///
    /// No counter moves and the eviction policy does not learn of it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
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
    /// block_on(cache.put("answer", 42_i64, CacheOptions::new()))?;
    /// assert_eq!(block_on(cache.peek::<i64>("answer"))?, Some(42));
    /// assert_eq!(cache.stats().hits, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peek<V: DeserializeOwned>(&self, key: &str) -> CacheResult<Option<V>> {
        self.engine.peek(key.as_bytes())
    }

    /// Returns whether a key has a live entry, of whatever type.
    ///
    /// Leaves no trace, as [`peek`](Self::peek). The answer may be out of date as
    /// soon as it is given: to load what is missing, use
    /// [`get_or_load`](Self::get_or_load).
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
    /// assert!(!block_on(cache.contains_key("name")));
    /// block_on(cache.put("name", "Ada", CacheOptions::new()))?;
    /// assert!(block_on(cache.contains_key("name")));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn contains_key(&self, key: &str) -> bool {
        self.engine.contains(key.as_bytes())
    }
}
