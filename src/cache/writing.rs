//! The verbs that store a value given by the caller.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::HydraCache;
use crate::error::CacheResult;
use crate::options::CacheOptions;
use crate::value::Codec;

/// Writing. Each of these verbs is ready at the first poll, and does nothing before.
// Values are encoded before the lock is taken: `Serialize` is foreign code.
impl<C: Codec> HydraCache<C> {
    /// Stores a value under a key, and replaces the current entry.
    ///
    /// The value may borrow: put a `&str`, get a `String`. The call fences a running load of the
    /// key: the leader and the current waiters get the loaded value, but the load does not
    /// overwrite the new entry.
    ///
    /// The call only writes, so a value that the codec would read back as another value is stored
    /// without an error. The table of [`Postcard`](crate::Postcard) lists the types and the serde
    /// attributes; [`check_round_trip`](Self::check_round_trip) checks a value in a test.
    ///
    /// The call stores nothing if the time to live is zero and no window follows, if the encoded
    /// value is larger than `max_entry_bytes`, if the entry with the tags costs more than the part of
    /// `max_bytes` of a single shard, or if the capacity is zero. The current entry is removed all the
    /// same, and the call succeeds.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded ([`is_encode`]). Then nothing changed.
    ///
    /// [`is_encode`]: crate::CacheError::is_encode
    ///
    /// # Panics
    ///
    /// Panics if the encoding panics. Then nothing changed.
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

    /// Stores a value as [`put`](Self::put) does, if the key has no fresh entry.
    ///
    /// Returns `true` if the value of this call was stored, `false` if not: either a fresh entry
    /// exists, and nothing changes; or the key had no fresh entry, and the call stores nothing, for
    /// the reasons and with the effects listed at [`put`](Self::put). A stale entry is replaced.
    /// The check and the write are one step. A stored value may be evicted by the next write, as
    /// any value. Neither `hits` nor `misses` moves.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put). The value is encoded before the check, so an encoding error is
    /// returned even if a fresh entry exists.
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

    /// Replaces a value by the result of `change`, and returns the result.
    ///
    /// `change` gets the fresh value of the key, or `None`. A result is stored as
    /// [`put`](Self::put) does. `None` removes the entry as [`remove`](Self::remove) does. Both
    /// fence a running load.
    ///
    /// A fresh entry keeps its tags, and the tags of the options are added. The entry also keeps
    /// each time that the options of the call do not set: the end of the time to live does not
    /// move, and the windows stay. A set time to live counts from now, and the windows follow it.
    /// The idle time starts again. Defaults of the builder apply only if the key has no fresh
    /// entry; then nothing of a stale entry is kept.
    ///
    /// `change` runs under no lock. If the entry changed meanwhile, nothing is stored, and `change`
    /// is called again with the current value. So no concurrent change is lost, and the change of
    /// this call is applied once. Neither `hits` nor `misses` moves. A `change` that writes the same
    /// key makes every attempt fail: such a call never ends. Return the new value instead.
    ///
    /// The number of repetitions has no bound. A `change` that writes or removes its own key, or
    /// calls code that does, finds the entry changed every time, and the call never ends. Let
    /// `change` return the new value instead; a write of the same key belongs before or after the
    /// call, or into the first run of `change` only.
    ///
    /// # Errors
    ///
    /// - The entry has another type ([`is_wrong_type`]) or cannot be decoded ([`is_decode`]).
    /// - The new value cannot be encoded, cannot be decoded again, or would be read back as another
    ///   value ([`is_encode`]; see [`check_round_trip`](Self::check_round_trip)).
    ///
    /// Then nothing changed.
    ///
    /// [`is_wrong_type`]: crate::CacheError::is_wrong_type
    /// [`is_decode`]: crate::CacheError::is_decode
    /// [`is_encode`]: crate::CacheError::is_encode
    ///
    /// # Panics
    ///
    /// Panics if `change`, the encoding or the decoding panics. Then nothing changed.
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
    ///     let count = |visits: Option<u32>| Some(visits.unwrap_or(0) + 1);
    ///     block_on(cache.update("visits", CacheOptions::new(), count))?;
    /// }
    /// assert_eq!(block_on(cache.get::<u32>("visits"))?, Some(3));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A counter of requests in a minute: updates do not prolong the minute.
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
    /// let options = CacheOptions::new().ttl(Duration::from_secs(60)).tag("limits");
    /// block_on(cache.put_if_absent("ip:1", 0_u32, options))?;
    /// let request = || {
    ///     let count = |count: Option<u32>| count.map(|count| count + 1);
    ///     block_on(cache.update("ip:1", CacheOptions::new(), count))
    /// };
    ///
    /// assert_eq!(request()?, Some(1));
    /// clock.advance(Duration::from_secs(59));
    /// assert_eq!(request()?, Some(2));
    /// clock.advance(Duration::from_secs(1)); // the minute is over
    /// assert_eq!(request()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update<V: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        options: CacheOptions,
        change: impl FnMut(Option<V>) -> Option<V>,
    ) -> CacheResult<Option<V>> {
        // The retry loop is in the engine, beside the comparison of entries.
        self.engine.update(key.as_bytes(), options, change)
    }

    /// Stores encoded bytes under a key, as [`put`](Self::put) stores a value.
    ///
    /// The bytes have no type: a typed read decodes the bytes as the requested type, or fails. Like
    /// `put`, the call cannot check what a read will return.
    /// Stored bytes have memory of their own: unshared bytes are moved, shared bytes are copied, so
    /// a stored slice does not keep a larger buffer alive.
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
        // Nothing to encode, so nothing to fail.
        self.engine.put_bytes(key.as_bytes(), bytes, &options);
        Ok(())
    }
}
