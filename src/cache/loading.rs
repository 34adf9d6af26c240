//! The loading verbs with a borrowed loader: the leader drives the load.

use std::convert::Infallible;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::HydraCache;
use crate::error::{BoxError, CacheResult};
use crate::load::{Plain, Value, load};
use crate::options::CacheOptions;
use crate::value::Codec;

/// Loading. For all callers of a missing key, a single loader runs.
impl<C: Codec> HydraCache<C> {
    /// Returns the value of a key, and loads a missing value with `loader`.
    ///
    /// If many callers find the key missing, the first caller is the leader and runs the loader.
    /// All other callers wait, and get the same value or the same error. On a hit, and for a
    /// waiter, the loader is not called. The value is stored with the options of the leader; times
    /// and tags of waiters are not used. For a stale entry, the windows of the entry
    /// ([`stale_while_revalidate`], [`stale_if_error`]) decide when the stale value is served.
    ///
    /// The load is fenced if, after the start of the load, the key is removed, expired, put or
    /// refreshed, a tag of the load is invalidated or expired, or the cache is flushed. The leader
    /// and the current waiters then get the value, and the value is not stored.
    ///
    /// A loader is any closure that returns a future, `async ||` too. The error type must be known,
    /// for example from `Ok::<_, MyError>(..)`; for a loader without errors, call
    /// [`get_or_insert_with`](Self::get_or_insert_with). The loader may load other keys, and may
    /// put or invalidate anything, but a change of the loaded key or of a tag of the load fences
    /// the load. A loader that loads its own missing key waits for itself, for ever, unless a
    /// [`load_timeout`] is set.
    ///
    /// The future borrows the cache and the key, and is `Send` if the loader and the future of the
    /// loader are `Send`.
    ///
    /// [`stale_while_revalidate`]: CacheOptions::stale_while_revalidate
    /// [`stale_if_error`]: CacheOptions::stale_if_error
    /// [`load_timeout`]: CacheOptions::load_timeout
    ///
    /// # Errors
    ///
    /// - The loader fails ([`is_load`]). The error of the loader is the source. Errors are not
    ///   stored: the next call loads again, unless an
    ///   [`error_backoff`](CacheOptions::error_backoff) is set.
    /// - The value cannot be encoded, cannot be decoded again, or would be read back as another
    ///   value ([`is_encode`]; see [`check_round_trip`](Self::check_round_trip)). The leader and the
    ///   waiters get this error, and nothing is stored.
    /// - The key holds, or is being loaded as, another type ([`is_wrong_type`]). Then nothing is
    ///   loaded and nothing is replaced.
    /// - At a waiter: the load panicked ([`is_panic`]).
    /// - A `load_timeout` passed ([`is_timeout`]), or a timeout is set and the cache has no timer
    ///   ([`is_no_timer`]).
    ///
    /// An undecodable entry is not an error here: the call counts a miss and loads. A waiter that
    /// cannot decode the loaded value looks the key up again, and loads over the entry.
    ///
    /// [`is_load`]: crate::CacheError::is_load
    /// [`is_encode`]: crate::CacheError::is_encode
    /// [`is_wrong_type`]: crate::CacheError::is_wrong_type
    /// [`is_panic`]: crate::CacheError::is_panic
    /// [`is_timeout`]: crate::CacheError::is_timeout
    /// [`is_no_timer`]: crate::CacheError::is_no_timer
    ///
    /// # Panics
    ///
    /// Panics at the leader if the loader, or the encoding of the value, panics. The key can be
    /// loaded again at once.
    ///
    /// # Cancel safety
    ///
    /// A dropped leader ends the load, and one of the waiters starts another load. A dropped waiter
    /// affects nothing. An unpolled leader delays the waiters of the load, and nothing else: after
    /// `remove` or `put`, later callers no longer wait for the load.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// use futures_lite::future::{block_on, yield_now, zip};
    /// use hydracache::{CacheError, CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), CacheError> {
    /// let cache = HydraCache::local().build();
    /// let queries = Cell::new(0);
    /// let load = || async {
    ///     queries.set(queries.get() + 1);
    ///     yield_now().await; // the database works
    ///     Ok::<_, std::io::Error>(String::from("Ada"))
    /// };
    ///
    /// let (leader, waiter) = block_on(zip(
    ///     cache.get_or_load("user:7", CacheOptions::new(), load),
    ///     cache.get_or_load("user:7", CacheOptions::new(), load),
    /// ));
    /// assert_eq!((leader?, waiter?), ("Ada".into(), "Ada".into()));
    /// assert_eq!(queries.get(), 1);
    /// # Ok(())
    /// # }
    /// ```
    // Not `async fn`: the future of the engine is returned itself. A future around that future
    // would hold the arguments a second time.
    pub fn get_or_load<V, E, F, Fut>(
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
        load::<Value<V>, _, _>(&self.engine, key, options.into(), None, Plain(loader))
    }

    /// Returns the value of a key, and inserts the result of a fallible loader if the value is
    /// missing.
    ///
    /// The same as [`get_or_load`](Self::get_or_load), under the name used by other caches. Callers
    /// of both verbs share a single load.
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
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// let cache = HydraCache::local().build();
    /// let parse = |text: &'static str| {
    ///     let loader = || async move { text.parse::<u16>() };
    ///     block_on(cache.try_get_or_insert_with("port", CacheOptions::new(), loader))
    /// };
    /// assert!(parse("80 80").unwrap_err().is_load()); // not stored
    /// assert_eq!(parse("80").unwrap(), 80);
    /// ```
    // An alias: no second code path to keep in step.
    pub fn try_get_or_insert_with<V, E, F, Fut>(
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
        self.get_or_load(key, options, loader)
    }

    /// Returns the value of a key, and inserts the result of a loader if the value is missing.
    ///
    /// As [`get_or_load`](Self::get_or_load), for a loader without errors. Callers of both verbs
    /// share a single load.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load): a waiter may get the error of another loader.
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
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let sum = cache.get_or_insert_with("sum", CacheOptions::new(), || async {
    ///     (1..=100_u32).sum::<u32>()
    /// });
    /// assert_eq!(block_on(sum)?, 5050);
    /// assert_eq!(block_on(cache.get::<u32>("sum"))?, Some(5050));
    /// # Ok(())
    /// # }
    /// ```
    // The error type of the loader is `Infallible`: only a waiter can get the error of a loader.
    pub fn get_or_insert_with<V, F, Fut>(
        &self,
        key: &str,
        options: CacheOptions,
        loader: F,
    ) -> impl Future<Output = CacheResult<V>>
    where
        V: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = V>,
    {
        self.get_or_load(key, options, || async {
            Ok::<V, Infallible>(loader().await)
        })
    }
}
