use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TypedCache;
use crate::error::{BoxError, CacheResult};
use crate::load::{Loaded, Loader, Old, SharedValue, load_owned, refresh};
use crate::options::CacheOptions;
use crate::value::{Codec, Postcard};

type AnyLoader<K, V> = dyn Fn(K) -> Loading<V> + Send + Sync;
type Loading<V> = Pin<Box<dyn Future<Output = Result<Loaded<V>, BoxError>> + Send>>;

/// A typed cache that has its loader. Made by [`TypedCache::with_loader`].
///
/// The loader is the cache's own, so with a [`spawner`](crate::CacheBuilder::spawner) its
/// loads may go to the background, as those of
/// [`get_or_refresh`](crate::HydraCache::get_or_refresh) do. A clone is another handle to the
/// same cache and loader.
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
    loader: Arc<AnyLoader<K::Owned, V>>,
}

/// The loader of the cache, for one key.
// A type of its own, since the compiler does not see that a closure which returns a boxed error
// is `Send` here (rust-lang/rust#110338).
struct KeyLoader<K, V> {
    loader: Arc<AnyLoader<K, V>>,
    key: K,
}

impl<K, V> Loader<V> for KeyLoader<K, V> {
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
    /// Returns a cache that loads by itself what is missing.
    ///
    /// The loader is given the key, and gives a value, or a [`Loaded`] that chooses its own
    /// time to live and tags. Since it may go to the background, it and its futures are `Send`
    /// and own what they need, with a spawner or without. Options are those of this handle: see
    /// [`with_options`](Self::with_options).
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
    ///     let hour = Duration::from_secs(3600); // what the answer's header says
    ///     Ok::<_, std::io::Error>(Loaded::new(format!("<h1>{path}</h1>")).ttl(hour).tag("www"))
    /// });
    /// assert_eq!(*block_on(pages.get("/"))?, "<h1>/</h1>");
    /// assert_eq!(block_on(cache.invalidate_tag("www"))?, 1);
    /// # Ok(())
    /// # }
    /// ```
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
    /// Returns the value of a key, loading it if there is none.
    ///
    /// As [`TypedCache::get_or_load`]; and what may be served while it is loaded anew is
    /// loaded in the background, if the builder was given a
    /// [`spawner`](crate::CacheBuilder::spawner).
    ///
    /// # Errors
    ///
    /// As [`TypedCache::get_or_load`].
    ///
    /// # Panics
    ///
    /// If the loader, or encoding its value, panics: in the call that ran it; in the
    /// background, through the runtime.
    ///
    /// # Cancel safety
    ///
    /// As [`TypedCache::get_or_load`]; what went to the background goes on.
    ///
    /// # Examples
    ///
    /// See [`LoadingCache`].
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
        let loading = load_owned::<SharedValue<V>, _, _>(
            &typed.engine,
            typed.engine.key_of(bytes.as_bytes()),
            options,
            Some(no_hit),
            loader,
        );
        Box::pin(loading).await
    }

    /// Loads the value of a key now, whatever there is, and replaces it: see
    /// [`HydraCache::refresh`](crate::HydraCache::refresh).
    ///
    /// The caller drives the load.
    ///
    /// # Errors
    ///
    /// As [`HydraCache::refresh`](crate::HydraCache::refresh), and as [`TypedCache::get`].
    ///
    /// # Panics
    ///
    /// If the loader, or encoding its value, panics.
    ///
    /// # Cancel safety
    ///
    /// As [`HydraCache::refresh`](crate::HydraCache::refresh): what there was stays.
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
        let key = typed.engine.key_of(bytes.as_bytes());
        refresh::<SharedValue<V>, _, _>(&typed.engine, key, options, loader).await
    }

    /// Returns the cache without the loader, to put, remove and invalidate.
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

impl<K: ToOwned + ?Sized, V, C> Clone for LoadingCache<K, V, C> {
    fn clone(&self) -> Self {
        Self {
            typed: self.typed.clone(),
            loader: Arc::clone(&self.loader),
        }
    }
}

/// Shows the name and the types; no key and no value.
impl<K: ToOwned + ?Sized, V, C> fmt::Debug for LoadingCache<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoadingCache").field(&self.typed).finish()
    }
}

// As `HydraCache`: a loader runs under no lock.
impl<K: ToOwned + ?Sized, V, C> UnwindSafe for LoadingCache<K, V, C> {}
impl<K: ToOwned + ?Sized, V, C> RefUnwindSafe for LoadingCache<K, V, C> {}
