//! The loading verb of a typed cache with a borrowed loader.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TypedCache;
use crate::error::{BoxError, CacheResult};
use crate::load::{Plain, SharedValue, load};
use crate::options::CacheOptions;
use crate::value::Codec;

// A hit is answered first, before the key is encoded and the options are merged: most calls are
// hits, and a hit with an encoded key takes 1.5 times as long (`docs/performance.md` has the
// figures).
impl<K, V, C> TypedCache<K, V, C>
where
    K: Serialize + ?Sized + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    C: Codec,
{
    /// Returns the value of a key, and loads a missing value with `loader`, as
    /// [`HydraCache::get_or_load`](crate::HydraCache::get_or_load) does.
    ///
    /// The leader and all waiters get the same `Arc`.
    ///
    /// # Errors
    ///
    /// As [`HydraCache::get_or_load`](crate::HydraCache::get_or_load), and as [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// Panics at the leader if the loader, or the encoding of the value, panics. Also as
    /// [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// As [`HydraCache::get_or_load`](crate::HydraCache::get_or_load).
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let names = HydraCache::local().build().typed::<str, String>("names");
    /// let load = || async { Ok::<_, std::io::Error>("Lovelace".into()) };
    /// let name = block_on(names.get_or_load("Ada", CacheOptions::new(), load))?;
    /// assert_eq!(*name, "Lovelace");
    /// assert_eq!(block_on(names.get("Ada"))?, Some(name)); // stored
    /// # Ok(())
    /// # }
    /// ```
    #[allow(
        clippy::manual_async_fn,
        reason = "the future of an `async fn` holds its arguments twice"
    )]
    pub fn get_or_load<E, F, Fut>(
        &self,
        key: &K,
        options: CacheOptions,
        loader: F,
    ) -> impl Future<Output = CacheResult<Arc<V>>>
    where
        E: Into<BoxError>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        async move {
            let no_hit = match self.find_hit(key)? {
                Ok(found) => return Ok(found),
                Err(no_hit) => no_hit,
            };
            let bytes = self.key(key)?;
            let key = bytes.as_bytes();
            let (options, loader) = (self.call_options(options), Plain(loader));
            load::<SharedValue<V>, _, _>(&self.engine, key, options, Some(no_hit), loader).await
        }
    }
}
