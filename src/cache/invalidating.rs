use super::HydraCache;
use crate::error::CacheResult;
use crate::key::SmallBytes;
use crate::tags::Effect;
use crate::value::Codec;

/// Invalidating. What a caller reads after one of these returned was loaded or put
/// after it began: entries and loads in progress are reached alike.
impl<C: Codec> HydraCache<C> {
    /// Removes a key, and returns whether it had a live entry.
    ///
    /// A load of the key that began before gives its value to those who wait for
    /// it, and is not stored. Invalidate after the change is committed, not before:
    /// a load between the two would store what was there before the change.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll, and does nothing before it.
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
    /// assert!(block_on(cache.remove("name"))?);
    /// assert!(!block_on(cache.remove("name"))?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn remove(&self, key: &str) -> CacheResult<bool> {
        Ok(self.engine.remove(key.as_bytes()))
    }

    /// Removes a key: the same act as [`remove`](Self::remove).
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll, and does nothing before it.
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
    /// assert!(block_on(cache.invalidate_key("name"))?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn invalidate_key(&self, key: &str) -> impl Future<Output = CacheResult<bool>> {
        self.remove(key)
    }

    /// Removes every entry that carries a tag, and returns how many were live.
    ///
    /// A load whose options have the tag and that began before gives its value to
    /// those who wait for it, and is not stored.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// The first poll makes every entry unreachable, however many there are, and
    /// fences every load; dropping the future after that changes nothing. Each poll
    /// gives a slice of the memory back; what a dropped future left, later writes
    /// give back.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// for key in ["user:1", "user:2"] {
    ///     block_on(cache.put(key, 0_u8, CacheOptions::new().tag("users")))?;
    /// }
    /// assert_eq!(block_on(cache.invalidate_tag("users"))?, 2);
    /// assert_eq!(block_on(cache.invalidate_tag("users"))?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn invalidate_tag(&self, tag: &str) -> impl Future<Output = CacheResult<u64>> {
        self.invalidate_tags([tag])
    }

    /// Removes every entry that carries at least one of the tags, and returns how
    /// many were live.
    ///
    /// An entry that carries several of them counts once.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate_tag`](Self::invalidate_tag), for all tags together.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let both = CacheOptions::new().tags(["users", "tenant:1"]);
    /// block_on(cache.put("user:1", 0_u8, both))?;
    /// assert_eq!(block_on(cache.invalidate_tags(["users", "tenant:1"]))?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn invalidate_tags(
        &self,
        tags: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> CacheResult<u64> {
        // Gathered before the first await, or the future would be `Send` only where
        // the iterator is, and closures over borrowed tags would not do at all.
        let names: Vec<SmallBytes> = tags
            .into_iter()
            .map(|tag| SmallBytes::from(tag.as_ref()))
            .collect();
        Ok(self.engine.invalidate(names, Effect::Remove).await)
    }

    /// Ends the freshness of a key, and returns whether it was fresh.
    ///
    /// The value is gone for every read, and loading calls load anew. It is kept for its
    /// [`stale_if_error`] window, if it has one, to be served if that load fails; without a
    /// time to live that window begins now. A load of the key that began before is
    /// fenced as by [`remove`](Self::remove), and `remove` still reaches what is kept.
    ///
    /// [`stale_if_error`]: crate::CacheOptions::stale_if_error
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll, and does nothing before it.
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
    /// let options = CacheOptions::new().stale_if_error(Duration::from_secs(3600));
    /// block_on(cache.put("name", "Ada", options.clone()))?;
    /// assert!(block_on(cache.expire("name"))?);
    ///
    /// assert_eq!(block_on(cache.get::<String>("name"))?, None);
    /// let load = cache.get_or_load("name", options, async || Err::<String, _>("away"));
    /// assert_eq!(block_on(load)?, "Ada");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn expire(&self, key: &str) -> CacheResult<bool> {
        Ok(self.engine.expire(key.as_bytes()))
    }

    /// Ends the freshness of every entry that carries a tag, as [`expire`](Self::expire)
    /// does of one, and returns how many were fresh.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate_tag`](Self::invalidate_tag): the first poll does it all, and the rest
    /// looks after the memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.put("user:1", 0_u8, CacheOptions::new().tag("users")))?;
    /// assert_eq!(block_on(cache.expire_tag("users"))?, 1);
    /// assert_eq!(block_on(cache.get::<u8>("user:1"))?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn expire_tag(&self, tag: &str) -> CacheResult<u64> {
        Ok(self
            .engine
            .invalidate(vec![tag.into()], Effect::Expire)
            .await)
    }

    /// Removes every key that `keep` does not want kept, and returns how many had a fresh
    /// entry.
    ///
    /// `keep` is asked once for each key that may be served or is being loaded when its
    /// shard's turn comes, under no lock; each removal is one of [`remove`](Self::remove),
    /// loads in progress included.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Panics
    ///
    /// If `keep` does; what it did not want until then is removed.
    ///
    /// # Cancel safety
    ///
    /// Yields after every 256 keys. Dropped, it has removed some of what it was to.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// for key in ["user:1", "user:2", "page:1"] {
    ///     block_on(cache.put(key, 0_u8, CacheOptions::new()))?;
    /// }
    /// assert_eq!(block_on(cache.retain(|key| !key.starts_with("user:")))?, 2);
    /// assert_eq!(cache.entry_count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn retain(&self, keep: impl FnMut(&str) -> bool) -> CacheResult<u64> {
        Ok(self.engine.retain(keep).await)
    }

    /// Removes everything.
    ///
    /// A load that began before gives its value to those who wait for it, and is
    /// not stored. Not counted as invalidations.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate_tag`](Self::invalidate_tag), for everything.
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
    /// block_on(cache.flush())?;
    /// assert_eq!(cache.entry_count(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn flush(&self) -> CacheResult<()> {
        self.engine.flush().await;
        Ok(())
    }
}
