use serde::Serialize;
use serde::de::DeserializeOwned;

use super::HydraCache;
use crate::error::{BoxError, CacheResult};
use crate::load::{
    Fetched, Full, Loaded, Old, Plain, Value, WithSource, load, load_owned, refresh,
};
use crate::options::CacheOptions;
use crate::value::Codec;

/// Loading with an old value at hand: in full, at once, or in the background.
impl<C: Codec> HydraCache<C> {
    /// Returns the value of a key and where it comes from, loading it if need be: the full
    /// form of [`get_or_load`](Self::get_or_load).
    ///
    /// The loader is given the value that it may replace, if there is one, and gives a
    /// [`Loaded`], which may choose its own time to live and tags, say that it is not to be
    /// stored, or that the old value is [`unchanged`](Old::unchanged). The tags it chooses
    /// are fenced like those of the options: an invalidation of one of them that came while
    /// it ran discards what it loaded. The cache remembers the last 65,536 invalidated tags
    /// for that; a load that is older than this, and chooses tags, is not stored.
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
    ///     let hour = Duration::from_secs(3600); // what the answer's header says
    ///     Ok::<_, std::io::Error>(Loaded::new(String::from("the page")).ttl(hour))
    /// };
    /// let first = block_on(cache.fetch("page", CacheOptions::new(), load))?;
    /// let second = block_on(cache.fetch("page", CacheOptions::new(), load))?;
    /// assert_eq!((first.source, second.source), (Source::Loaded, Source::Hit));
    /// assert!(second.time_left > Some(Duration::from_secs(3590)));
    /// # Ok(())
    /// # }
    /// ```
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
        let (key, options) = (self.engine.key_of(key.as_bytes()), options.into());
        load::<WithSource<V>, _, _>(&self.engine, key, options, None, Full(loader))
    }

    /// Loads the value of a key now, whatever there is, and replaces it.
    ///
    /// It joins no load that began before, and fences it as a put does; callers who come
    /// later join this one if they have to wait. What is there is served to others until the
    /// new value lands. An [`error_backoff`] does not hold it up.
    ///
    /// Counts a hit or a miss by what there was, and a refresh.
    ///
    /// [`error_backoff`]: CacheOptions::error_backoff
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load); what there was stays. An entry that is stale, or
    /// has a window after its time to live, is returned instead of a failure.
    ///
    /// # Panics
    ///
    /// As [`get_or_load`](Self::get_or_load).
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_load`](Self::get_or_load): what there was stays.
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
    /// # Ok(())
    /// # }
    /// ```
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
        let (key, options) = (self.engine.key_of(key.as_bytes()), options.into());
        refresh::<Value<V>, _, _>(&self.engine, key, options, Plain(loader))
    }

    /// Returns the value of a key as [`get_or_load`](Self::get_or_load) does, with a loader
    /// that the cache may keep: it may go to the background.
    ///
    /// It does if the builder was given a [`spawner`], and there is a value to be served in
    /// the meantime. Then nobody waits for it in the window of refreshing ahead and in
    /// that of [`stale_while_revalidate`]; in the window of [`stale_if_error`] alone callers
    /// wait, for [`soft_timeout`] at most. Without a spawner, or a value, the caller drives it.
    /// Without a place among the [`max_background_loads`] what there is is served, and
    /// nothing starts.
    ///
    /// [`spawner`]: crate::CacheBuilder::spawner
    /// [`max_background_loads`]: crate::CacheBuilder::max_background_loads
    /// [`stale_while_revalidate`]: CacheOptions::stale_while_revalidate
    /// [`stale_if_error`]: CacheOptions::stale_if_error
    /// [`soft_timeout`]: CacheOptions::soft_timeout
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load).
    ///
    /// # Panics
    ///
    /// As [`get_or_load`](Self::get_or_load); in the background, through the runtime.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_load`](Self::get_or_load); what went to the background goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local()
    ///     .spawner(|load| smol::spawn(load).detach())
    ///     .build();
    /// let options = CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .stale_while_revalidate(Duration::from_secs(600));
    /// let load = || async { Ok::<_, std::io::Error>(String::from("Ada")) };
    /// assert_eq!(smol::block_on(cache.get_or_refresh("name", options, load))?, "Ada");
    /// # Ok(())
    /// # }
    /// ```
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
        let (key, options) = (self.engine.key_of(key.as_bytes()), options.into());
        load_owned::<Value<V>, _, _>(&self.engine, key, options, None, Plain(loader))
    }
}
