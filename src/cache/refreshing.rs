//! The loading verbs for a current or stale value: with details, forced, or in the background.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::HydraCache;
use crate::error::{BoxError, CacheResult};
use crate::load::{Fetched, Full, Loaded, Old, Owned, Plain, Value, WithSource, load, refresh};
use crate::options::CacheOptions;
use crate::value::Codec;

/// Refreshing: loading with a current or stale value available.
impl<C: Codec> HydraCache<C> {
    /// Returns the value of a key with source, age and time left, and loads the value if necessary:
    /// the full form of [`get_or_load`](Self::get_or_load).
    ///
    /// The loader gets the value to be replaced, fresh or stale, or `None`. The loader returns a
    /// [`Loaded`] with an optional time to live and tags, and may also forbid storing
    /// ([`no_store`](Loaded::no_store)) or say that the old value is [`unchanged`](Old::unchanged).
    /// Tags chosen by the loader are fenced like tags in the options: an invalidation of such a tag
    /// during the load discards the value. For this, the cache remembers the last 65,536
    /// invalidated tags. A load older than this memory is discarded if the loader chose tags.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load).
    ///
    /// # Panics
    ///
    /// As [`get_or_load`](Self::get_or_load).
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_load`](Self::get_or_load).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, Loaded, Source};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let load = async |_| {
    ///     let hour = Duration::from_secs(3600); // from the header of the answer
    ///     Ok::<_, std::io::Error>(Loaded::new(String::from("the page")).ttl(hour))
    /// };
    /// let first = block_on(cache.fetch("page", CacheOptions::new(), load))?;
    /// let second = block_on(cache.fetch("page", CacheOptions::new(), load))?;
    /// assert_eq!((first.source, second.source), (Source::Loaded, Source::Hit));
    /// assert!(second.time_left > Some(Duration::from_secs(3590)));
    /// # Ok(())
    /// # }
    /// ```
    // The only verb on a plain cache whose loader gets the old value and returns a `Loaded`.
    pub fn fetch<V, E, F, Fut>(
        &self,
        key: &str,
        options: CacheOptions,
        loader: F,
    ) -> impl Future<Output = CacheResult<Fetched<V>>>
    where
        V: Serialize + DeserializeOwned,
        E: Into<BoxError>,
        F: FnOnce(Option<Old<V>>) -> Fut,
        Fut: Future<Output = Result<Loaded<V>, E>>,
    {
        let key = key.as_bytes();
        load::<WithSource<V>, _, _>(&self.engine, key, options.into(), None, Full(loader))
    }

    /// Loads the value of a key now, in any state of the key, and replaces the entry.
    ///
    /// The call joins no load. Loads of a key are ordered by their start: the value replaces the value
    /// of an older load, and an older load that ends later stores nothing. Later callers that have to
    /// wait join this load. Until the load completes, other callers get the current value. The call
    /// loads during an [`error_backoff`] too.
    ///
    /// Counts a refresh, and a hit if the entry was fresh, else a miss.
    ///
    /// [`error_backoff`]: CacheOptions::error_backoff
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load). A failed load is an error, window or not. The entry
    /// stays, and so does an older load.
    ///
    /// # Panics
    ///
    /// As [`get_or_load`](Self::get_or_load).
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_load`](Self::get_or_load). The entry stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.put("rate", 7_u32, CacheOptions::new()))?;
    /// let load = async || Ok::<u32, std::io::Error>(8);
    /// assert_eq!(block_on(cache.refresh("rate", CacheOptions::new(), load))?, 8);
    /// assert_eq!(block_on(cache.get::<u32>("rate"))?, Some(8));
    /// # Ok(())
    /// # }
    /// ```
    // The loader may borrow, so the caller drives the load, in every state of the key.
    pub fn refresh<V, E, F, Fut>(
        &self,
        key: &str,
        options: CacheOptions,
        loader: F,
    ) -> impl Future<Output = CacheResult<V>>
    where
        V: Serialize + DeserializeOwned,
        E: Into<BoxError>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        let key = key.as_bytes();
        refresh::<Value<V>, _, _>(&self.engine, key, options.into(), Plain(loader))
    }

    /// Returns the value of a key as [`get_or_load`](Self::get_or_load) does, with an owned loader:
    /// the load may run in the background.
    ///
    /// A load runs in the background if the cache has a [`spawner`] and a [`timer`], and a value to
    /// be served meanwhile. Then no caller waits after [`refresh_ahead`] or in the window of
    /// [`stale_while_revalidate`]. In the window of [`stale_if_error`] alone, callers wait, for
    /// [`soft_timeout`] at most. Without a spawner, or without a value, the caller drives the load.
    /// If [`max_background_loads`] are already running, the current value is returned, and no load
    /// starts.
    ///
    /// The closure is called in the task of this call, in the background too, and may read
    /// task-locals. Only the returned future goes to the spawner.
    ///
    /// [`spawner`]: crate::CacheBuilder::spawner
    /// [`timer`]: crate::CacheBuilder::timer
    /// [`max_background_loads`]: crate::CacheBuilder::max_background_loads
    /// [`refresh_ahead`]: CacheOptions::refresh_ahead
    /// [`stale_while_revalidate`]: CacheOptions::stale_while_revalidate
    /// [`stale_if_error`]: CacheOptions::stale_if_error
    /// [`soft_timeout`]: CacheOptions::soft_timeout
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load). If the runtime drops the background load while the
    /// caller waits, the call returns the stale value, else an error.
    ///
    /// # Panics
    ///
    /// As [`get_or_load`](Self::get_or_load). In the background, a panic unwinds into the runtime.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_load`](Self::get_or_load). A background load goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::{block_on, yield_now};
    /// use hydracache::{CacheOptions, HydraCache, ManualClock};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local()
    ///     .clock(clock.clone())
    ///     .timer(clock.clone())
    ///     .spawner(|load| smol::spawn(load).detach())
    ///     .build();
    /// let minute = Duration::from_secs(60);
    /// let options = CacheOptions::new().ttl(minute).stale_while_revalidate(10 * minute);
    /// let load = |name: &'static str| {
    ///     let loader = move || async move { Ok::<_, std::io::Error>(name.to_owned()) };
    ///     block_on(cache.get_or_refresh("name", options.clone(), loader))
    /// };
    ///
    /// assert_eq!(load("Ada")?, "Ada"); // missing: the caller waits
    /// clock.advance(minute);
    /// assert_eq!(load("Grace")?, "Ada"); // stale, at once; the load runs in the background
    /// while block_on(cache.get::<String>("name"))?.as_deref() != Some("Grace") {
    ///     block_on(yield_now()); // until the background load completes
    /// }
    /// # Ok(())
    /// # }
    /// ```
    // `Send + 'static`, unlike the loaders above: the load may outlive the call, on another thread.
    // Without a spawner the bounds stay, so that adding a spawner later breaks no caller.
    pub fn get_or_refresh<V, E, F, Fut>(
        &self,
        key: &str,
        options: CacheOptions,
        loader: F,
    ) -> impl Future<Output = CacheResult<V>>
    where
        V: Serialize + DeserializeOwned + 'static,
        E: Into<BoxError> + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
    {
        let key = key.as_bytes();
        let loader = Owned(Plain(loader));
        load::<Value<V>, _, _>(&self.engine, key, options.into(), None, loader)
    }
}
