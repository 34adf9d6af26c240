//! The verbs that read and never load.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::HydraCache;
use crate::error::CacheResult;
use crate::value::Codec;

/// Reading. Each of these verbs is ready at the first poll, and does nothing before.
// Async all the same: a remote tier would have to wait.
impl<C: Codec> HydraCache<C> {
    /// Returns the value of a key, or `None` without a fresh entry.
    ///
    /// Counts a hit or a miss, and is a use for the eviction policy. If the entry is expired, gives
    /// back the memory.
    ///
    /// # Errors
    ///
    /// - The key holds another type ([`is_wrong_type`]).
    /// - The bytes cannot be decoded ([`is_decode`]).
    ///
    /// Either way the entry stays unchanged, and a hit is counted.
    ///
    /// [`is_wrong_type`]: crate::CacheError::is_wrong_type
    /// [`is_decode`]: crate::CacheError::is_decode
    ///
    /// # Panics
    ///
    /// Panics if the decoding panics. The entry stays unchanged.
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

    /// Returns the encoded value of a key, or `None` without a fresh entry.
    ///
    /// Works for a key of any type, and counts as [`get`](Self::get) does. The bytes are shared
    /// with the entry, not copied.
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
    /// No counter moves, and for the eviction policy and a time to idle the call is no read. An
    /// expired entry stays in memory.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), with no counter moved.
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

    /// Returns `true` if a key has a fresh entry of any type, `false` if not.
    ///
    /// Leaves no trace, like [`peek`](Self::peek). Another caller may change the answer at any
    /// moment: to load a missing value, call [`get_or_load`](Self::get_or_load) without asking
    /// first.
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
