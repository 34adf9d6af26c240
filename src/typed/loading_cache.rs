//! A typed cache with an owned loader.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TypedCache;
use crate::error::{BoxError, CacheResult};
use crate::load::{Loaded, Loader, Old, Owned, SharedValue, load, refresh};
use crate::options::CacheOptions;
use crate::value::{ByArc, Codec, Postcard};

/// The loader of a cache, erased, so that the type of the handle does not name the loader.
type AnyLoader<K, V> = dyn Fn(K) -> Loading<V> + Send + Sync;

/// The boxed future of a loader.
type Loading<V> = Pin<Box<dyn Future<Output = Result<Loaded<V>, BoxError>> + Send>>;

/// A typed cache with an owned loader, created by [`TypedCache::with_loader`].
///
/// If the cache has a [`spawner`](crate::CacheBuilder::spawner), loads may run in the background,
/// as with [`get_or_refresh`](crate::HydraCache::get_or_refresh). A clone is another handle to the
/// same cache and the same loader.
///
/// # Examples
///
/// ```
/// use futures_lite::future::block_on;
/// use hydracache::HydraCache;
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let names = HydraCache::local()
///     .build()
///     .typed::<u64, String>("names")
///     .with_loader(|id| async move { Ok::<_, std::io::Error>(format!("user {id}")) });
/// assert_eq!(*block_on(names.get(&7))?, "user 7");
/// # Ok(())
/// # }
/// ```
pub struct LoadingCache<K: ToOwned + ?Sized, V, C = Postcard> {
    typed: TypedCache<K, V, C>,
    // Shared, since a background load may outlive the handle.
    loader: Arc<AnyLoader<K::Owned, V>>,
}

/// The loader of a cache, for one key.
// A type of its own: for a closure that returns a boxed error, the compiler cannot prove that
// the future of a call is `Send` (rust-lang/rust#110338).
struct KeyLoader<K, V> {
    loader: Arc<AnyLoader<K, V>>,
    key: K,
}

impl<K, V: Serialize + Send + Sync + 'static> Loader<ByArc<V>> for KeyLoader<K, V> {
    const IS_FULL: bool = true;

    type Value = Loaded<V>;
    type Error = BoxError;
    type Future = Loading<V>;

    fn call(self, _old: Option<Old<V>>) -> Loading<V> {
        (self.loader)(self.key)
    }
}

impl<K, V, C> TypedCache<K, V, C>
where
    K: Serialize + ToOwned + ?Sized + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    C: Codec,
{
    /// Returns a cache that loads missing values by itself, with the options of this handle.
    ///
    /// The loader gets the key, and returns a value, or a [`Loaded`] with a time to live and tags
    /// chosen by the loader. A load may run in the background, so the loader and the futures of the
    /// loader must be `Send` and `'static`, with a spawner or without. To set options, call
    /// [`with_options`](Self::with_options) first.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{HydraCache, Loaded};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let pages = cache.typed::<str, String>("pages").with_loader(|path| async move {
    ///     let hour = Duration::from_secs(3600); // from the header of the answer
    ///     Ok::<_, std::io::Error>(Loaded::new(format!("<h1>{path}</h1>")).ttl(hour).tag("www"))
    /// });
    /// assert_eq!(*block_on(pages.get("/"))?, "<h1>/</h1>");
    /// assert_eq!(block_on(cache.invalidate_tag("www"))?, 1);
    /// # Ok(())
    /// # }
    /// ```
    // `L` is a value or a `Loaded`; `From<V> for Loaded<V>` serves both with one bound.
    pub fn with_loader<L, E, F, Fut>(&self, loader: F) -> LoadingCache<K, V, C>
    where
        L: Into<Loaded<V>>,
        E: Into<BoxError>,
        F: Fn(K::Owned) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<L, E>> + Send + 'static,
    {
        let loader = move |key| -> Loading<V> {
            let loading = loader(key);
            Box::pin(async move { loading.await.map(Into::into).map_err(Into::into) })
        };
        LoadingCache {
            typed: self.clone(),
            loader: Arc::new(loader),
        }
    }
}

impl<K, V, C> LoadingCache<K, V, C>
where
    K: Serialize + ToOwned<Owned: Send> + ?Sized + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    C: Codec,
{
    /// Returns the value of a key, and loads a missing value.
    ///
    /// As [`TypedCache::get_or_load`], but with an owned loader: if the current value may be served
    /// during the load, and the cache has a [`spawner`](crate::CacheBuilder::spawner), the load
    /// runs in the background.
    ///
    /// # Errors
    ///
    /// As [`TypedCache::get_or_load`]. If the runtime drops the background load while the caller
    /// waits, the call returns the stale value, else an error.
    ///
    /// # Panics
    ///
    /// Panics at the leader if the loader, or the encoding of the value, panics. In the background,
    /// the panic unwinds into the runtime. Also as [`TypedCache::get`].
    ///
    /// # Cancel safety
    ///
    /// As [`TypedCache::get_or_load`]. A background load goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::HydraCache;
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let load = |id: u64| async move { Ok::<_, std::io::Error>(id * id) };
    /// let squares = cache.typed::<u64, u64>("squares").with_loader(load);
    /// assert_eq!(*block_on(squares.get(&7))?, 49); // loaded
    /// assert_eq!(*block_on(squares.get(&7))?, 49); // a hit
    /// assert_eq!(cache.stats().loads, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self, key: &K) -> CacheResult<Arc<V>> {
        let typed = &self.typed;
        let no_hit = match typed.find_hit(key)? {
            Ok(found) => return Ok(found),
            Err(no_hit) => no_hit,
        };
        let bytes = typed.key(key)?;
        let (loader, key) = (Arc::clone(&self.loader), key.to_owned());
        let loader = KeyLoader { loader, key };
        let options = typed.call_options(CacheOptions::new());
        // Boxed, so that the future of a hit is small.
        let loading = load::<SharedValue<V>, _, _>(
            &typed.engine,
            bytes.as_bytes(),
            options,
            Some(no_hit),
            Owned(loader),
        );
        Box::pin(loading).await
    }

    /// Loads the value of a key now, in any state of the key, and replaces the entry, as
    /// [`HydraCache::refresh`](crate::HydraCache::refresh) does.
    ///
    /// The caller drives the load, with a spawner too.
    ///
    /// # Errors
    ///
    /// As [`HydraCache::refresh`](crate::HydraCache::refresh), and as [`TypedCache::get`].
    ///
    /// # Panics
    ///
    /// Panics if the loader, or the encoding of the value, panics. Also as [`TypedCache::get`].
    ///
    /// # Cancel safety
    ///
    /// As [`HydraCache::refresh`](crate::HydraCache::refresh): the entry stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::HydraCache;
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// static LOADS: AtomicU32 = AtomicU32::new(0);
    /// let load = |_| async { Ok::<_, std::io::Error>(LOADS.fetch_add(1, Relaxed)) };
    /// let numbers = HydraCache::local().build().typed::<u64, u32>("numbers").with_loader(load);
    /// assert_eq!(*block_on(numbers.get(&7))?, 0);
    /// assert_eq!(*block_on(numbers.refresh(&7))?, 1);
    /// assert_eq!(*block_on(numbers.get(&7))?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn refresh(&self, key: &K) -> CacheResult<Arc<V>> {
        let typed = &self.typed;
        let bytes = typed.key(key)?;
        let (loader, key) = (Arc::clone(&self.loader), key.to_owned());
        let loader = KeyLoader { loader, key };
        let options = typed.call_options(CacheOptions::new());
        let key = bytes.as_bytes();
        refresh::<SharedValue<V>, _, _>(&typed.engine, key, options, loader).await
    }

    /// Returns the typed cache without the loader: for put, remove and invalidate.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::HydraCache;
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let load = |id: u64| async move { Ok::<_, std::io::Error>(id * id) };
    /// let squares = HydraCache::local().build().typed::<u64, u64>("squares").with_loader(load);
    /// assert_eq!(*block_on(squares.get(&7))?, 49);
    /// assert!(block_on(squares.typed().remove(&7))?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn typed(&self) -> &TypedCache<K, V, C> {
        &self.typed
    }
}

/// Creates another handle to the same cache and the same loader.
impl<K: ToOwned + ?Sized, V, C> Clone for LoadingCache<K, V, C> {
    fn clone(&self) -> Self {
        Self {
            typed: self.typed.clone(),
            loader: Arc::clone(&self.loader),
        }
    }
}

/// Shows the name and the types, and no key or value.
impl<K: ToOwned + ?Sized, V, C> fmt::Debug for LoadingCache<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoadingCache").field(&self.typed).finish()
    }
}

// As for `HydraCache`: a loader runs under no lock.
impl<K: ToOwned + ?Sized, V, C> UnwindSafe for LoadingCache<K, V, C> {}
impl<K: ToOwned + ?Sized, V, C> RefUnwindSafe for LoadingCache<K, V, C> {}
