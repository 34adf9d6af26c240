use std::convert::Infallible;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::HydraCache;
use crate::error::{BoxError, CacheResult};
use crate::load::{Plain, Value, load};
use crate::options::CacheOptions;
use crate::value::Codec;

/// Loading what is missing, once for everybody who asks.
impl<C: Codec> HydraCache<C> {
    /// Returns the value of a key, loading it if there is none.
    ///
    /// However many callers find the key missing, one of them runs its loader, and
    /// the others wait for its answer: the same value, or the same error. The
    /// loader is called only then; it may borrow, and need not be `Send`. Its value
    /// is stored with the options of the call that ran it; those of callers who
    /// waited are not used.
    ///
    /// A load that was overtaken gives its value to those who wait and is not
    /// stored: by a removal of the key, an invalidation of one of its tags, a flush
    /// or a put, after it began.
    ///
    /// A loader is any closure that gives a future, `async ||` too, and names its error
    /// type somewhere, as `Ok::<_, MyError>(..)` does; for one that cannot fail there is
    /// [`get_or_insert_with`](Self::get_or_insert_with). It may load other keys, and put
    /// or invalidate what it likes, though doing so to its own key or tag overtakes
    /// itself. One that loads its own key waits for itself, for ever.
    ///
    /// The future borrows the cache and the key, and is `Send` if the loader and its
    /// future are.
    ///
    /// # Errors
    ///
    /// If the loader fails ([`is_load`]), its error being the source; errors are
    /// not stored, and the next call loads again. If the value cannot be encoded
    /// ([`is_encode`]). If the key holds, or is being loaded as, another type
    /// ([`is_wrong_type`]); then nothing is loaded and nothing replaced. If the load
    /// that this call waited for panicked ([`is_panic`]), or gave what this call
    /// cannot decode ([`is_decode`]).
    ///
    /// An entry that cannot be decoded is no error here: it is loaded anew.
    ///
    /// [`is_load`]: crate::CacheError::is_load
    /// [`is_encode`]: crate::CacheError::is_encode
    /// [`is_wrong_type`]: crate::CacheError::is_wrong_type
    /// [`is_panic`]: crate::CacheError::is_panic
    /// [`is_decode`]: crate::CacheError::is_decode
    ///
    /// # Panics
    ///
    /// If the loader, or encoding its value, panics: in the call that ran it. The
    /// key can be loaded again at once.
    ///
    /// # Cancel safety
    ///
    /// Dropped while its own loader runs, the load is over: one of those who waited
    /// starts a load of its own. Dropped while it waits, nothing happens. A call
    /// that runs its loader and is kept without being polled holds up those who
    /// wait for it; nobody else, and `remove` sends later callers past it.
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
    /// let (one, two) = block_on(zip(
    ///     cache.get_or_load("user:7", CacheOptions::new(), load),
    ///     cache.get_or_load("user:7", CacheOptions::new(), load),
    /// ));
    /// assert_eq!((one?, two?), ("Ada".into(), "Ada".into()));
    /// assert_eq!(queries.get(), 1);
    /// # Ok(())
    /// # }
    /// ```
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
        let (key, options) = (self.engine.key_of(key.as_bytes()), options.into());
        load::<Value<V>, _, _>(&self.engine, key, options, None, Plain(loader))
    }

    /// Returns the value of a key, inserting what a fallible loader gives if there
    /// is none.
    ///
    /// The same act as [`get_or_load`](Self::get_or_load), under the name it has in
    /// other caches; the two share one load.
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
    /// let parsed = cache.try_get_or_insert_with("port", CacheOptions::new(), || async {
    ///     "80 80".parse::<u16>()
    /// });
    /// assert!(block_on(parsed).unwrap_err().is_load());
    /// ```
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

    /// Returns the value of a key, inserting what a loader gives if there is none.
    ///
    /// As [`get_or_load`](Self::get_or_load), for a loader that cannot fail; the
    /// two share one load.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load). Waiting for another call's load, this
    /// call may get that loader's error.
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
    /// # Ok(())
    /// # }
    /// ```
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
