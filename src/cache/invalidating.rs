//! The verbs that remove or expire entries and fence loads.

use super::HydraCache;
use crate::error::CacheResult;
use crate::tags::{Effect, HashedTag};
use crate::value::Codec;

/// Invalidating. A value read after one of these verbs returned was loaded or put after the call
/// began: entries and running loads are affected alike.
// Every `Result` here is `Ok` today: a remote tier could fail.
impl<C: Codec> HydraCache<C> {
    /// Removes a key. Returns `true` if the key had a fresh entry, `false` if not.
    ///
    /// A stale entry is removed too. The call fences a running load of the key: the leader and the
    /// current waiters get the loaded value, and the value is not stored.
    ///
    /// Remove after the commit of a change, not before: a load between the two would store the
    /// state before the change.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll, and does nothing before.
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

    /// Removes a key: the same as [`remove`](Self::remove).
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll, and does nothing before.
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

    /// Removes every entry with a tag, and returns the number of removed fresh entries.
    ///
    /// Stale entries are removed too, but not counted. The call fences every running load with the
    /// tag: the leader and the current waiters get the loaded value, and the value is not stored.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// The first poll makes every entry with the tag unreachable, however many entries there are,
    /// and fences every load. Dropping the future later changes nothing. Each poll gives back the
    /// memory of up to 256 entries; later writes give back the rest of a dropped future.
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

    /// Removes every entry with at least one of the tags, and returns the number of removed fresh
    /// entries.
    ///
    /// An entry with several of the tags counts once. Loads are fenced as by
    /// [`invalidate_tag`](Self::invalidate_tag).
    ///
    /// The call itself reads the iterator to the end, before the future is polled. Everything else
    /// happens at the first poll.
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
    // Not `async fn`: that future would hold the iterator until the first poll. It would be `Send`
    // only if the iterator is, and in a spawned task, iterators with closures over borrowed tags
    // would fail to compile.
    pub fn invalidate_tags(
        &self,
        tags: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> impl Future<Output = CacheResult<u64>> {
        let tags = tags
            .into_iter()
            .map(|tag| self.engine.hashed_tag(tag.as_ref().into()))
            .collect();
        self.invalidate_hashed(tags, Effect::Remove)
    }

    /// Invalidates or expires all entries with one of the tags.
    async fn invalidate_hashed(&self, tags: Vec<HashedTag>, effect: Effect) -> CacheResult<u64> {
        Ok(self.engine.invalidate(tags, effect).await)
    }

    /// Ends the freshness of a key. Returns `true` if the key had a fresh entry, `false` if not.
    ///
    /// Reads no longer see the value, and loading calls load a new value. If the load fails and the
    /// entry has a [`stale_if_error`] window, the stale value is served until the end of the
    /// window; for an entry without a time to live, this window begins now. An entry without the
    /// window is removed. The call fences a running load of the key as [`remove`](Self::remove)
    /// does. A later `remove` also removes the stale value.
    ///
    /// [`stale_if_error`]: crate::CacheOptions::stale_if_error
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll, and does nothing before.
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
    /// let load = cache.get_or_load("name", options, async || Err::<String, _>("down"));
    /// assert_eq!(block_on(load)?, "Ada");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn expire(&self, key: &str) -> CacheResult<bool> {
        Ok(self.engine.expire(key.as_bytes()))
    }

    /// Ends the freshness of every entry with a tag, as [`expire`](Self::expire) does for a single
    /// key, and returns the number of fresh entries.
    ///
    /// Loads with the tag are fenced as by [`invalidate_tag`](Self::invalidate_tag).
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate_tag`](Self::invalidate_tag): the first poll has the whole effect, and later
    /// polls give back memory.
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
        let tag = self.engine.hashed_tag(tag.into());
        Ok(self.engine.invalidate(vec![tag], Effect::Expire).await)
    }

    /// Removes every key rejected by `keep`, and returns the number of removed fresh entries.
    ///
    /// The call visits shard after shard. `keep` is called once for each key of the shard with an
    /// entry or a running load, under no lock, and returns `true` to keep the key. `keep` is also
    /// asked about expired entries that still take memory: if the clock goes back, no rejected entry
    /// comes back. Each removal is a [`remove`](Self::remove), so loads are fenced too. Keys of typed caches
    /// are left out.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Panics
    ///
    /// Panics if `keep` panics. The keys rejected before are removed.
    ///
    /// # Cancel safety
    ///
    /// Yields after every 256 keys of a shard. A dropped call has removed a part of the rejected
    /// keys.
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

    /// Removes every expired entry, and returns the number of removed entries.
    ///
    /// An expired entry is absent for every call at once, but its memory is given back later: by a
    /// `get` of the key, or by writes, a little each time. In a cache without writes, expired
    /// entries stay in memory, and the [listener] hears nothing of them. A call of `tidy`, for
    /// example every minute, gives back the memory and tells the listener. The call also finishes
    /// the work of invalidations with dropped futures, and forgets each
    /// [`error_backoff`](crate::CacheOptions::error_backoff) that is over.
    ///
    /// Fresh entries, and stale entries inside a window, stay. The call is no read, fences no load,
    /// and counts each removed entry under the reason for its end: `expirations`, or
    /// `invalidations` after an invalidation. Entries of typed caches are included.
    ///
    /// [listener]: crate::CacheBuilder::on_removal
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// Yields after 256 entries of a shard. A dropped call has removed a part of the entries;
    /// another call, or later writes, remove the rest.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, ManualClock};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local().clock(clock.clone()).build();
    /// let minute = Duration::from_secs(60);
    /// block_on(cache.put("name", "Ada", CacheOptions::new().ttl(minute)))?;
    /// block_on(cache.put("rate", 7, CacheOptions::new().ttl(2 * minute)))?;
    /// clock.advance(minute);
    ///
    /// assert_eq!(cache.entry_count(), 2); // "name" is expired, and still in memory
    /// assert_eq!(block_on(cache.tidy())?, 1);
    /// assert_eq!(cache.entry_count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tidy(&self) -> CacheResult<u64> {
        Ok(self.engine.tidy().await)
    }

    /// Removes every entry, also of typed caches, and fences every running load.
    ///
    /// The leaders and the current waiters get the loaded values, and the values are not stored. A
    /// flush ends every [`error_backoff`](crate::CacheOptions::error_backoff), and does not count
    /// as invalidations.
    ///
    /// # Errors
    ///
    /// Never fails; the `Result` leaves room for a remote tier.
    ///
    /// # Cancel safety
    ///
    /// As [`invalidate_tag`](Self::invalidate_tag), for the whole cache.
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
