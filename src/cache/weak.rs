//! The weak handle: the cache may be dropped while weak handles exist.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

use super::{CacheBuilder, HydraCache};
use crate::engine::Engine;
use crate::value::{Codec, Postcard};

/// A handle that does not keep the cache alive, created by [`HydraCache::downgrade`].
///
/// The cache owns the listener, the spawner, the timer, the clock and the codec. A [`HydraCache`]
/// inside one of these parts keeps the cache alive for ever, with all entries. Such a part holds a
/// weak handle instead, and calls [`upgrade`](Self::upgrade) for each use.
///
/// A listener is set before the cache exists. [`CacheBuilder::build_cyclic`] passes the weak handle
/// in advance.
///
/// # Examples
///
/// ```
/// use hydracache::HydraCache;
///
/// let cache = HydraCache::local().build();
/// let weak = cache.downgrade();
/// assert!(weak.upgrade().is_some());
///
/// drop(cache); // the last handle
/// assert!(weak.upgrade().is_none());
/// ```
pub struct WeakHydraCache<C = Postcard> {
    engine: Weak<Engine<C>>,
}

impl<C: Codec> WeakHydraCache<C> {
    /// Returns a handle to the cache, or `None` if the cache was dropped or is not built yet.
    ///
    /// The cache lives at least as long as the returned handle: keep the handle for one use only.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let weak = cache.downgrade();
    /// if let Some(cache) = weak.upgrade() {
    ///     block_on(cache.put("name", "Ada", CacheOptions::new()))?;
    /// }
    /// assert_eq!(cache.entry_count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn upgrade(&self) -> Option<HydraCache<C>> {
        let engine = self.engine.upgrade()?;
        Some(HydraCache { engine })
    }
}

impl<C: Codec> HydraCache<C> {
    /// Returns a handle that does not keep the cache alive.
    ///
    /// A listener or spawner calls the cache through such a handle: see [`WeakHydraCache`]. Typed
    /// caches have no weak handle: after an [`upgrade`](WeakHydraCache::upgrade), open the typed
    /// cache again with [`typed`](Self::typed).
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::HydraCache;
    ///
    /// let cache = HydraCache::local().build();
    /// let weak = cache.downgrade();
    /// drop(cache);
    /// assert!(weak.upgrade().is_none());
    /// ```
    pub fn downgrade(&self) -> WeakHydraCache<C> {
        let engine = Arc::downgrade(&self.engine);
        WeakHydraCache { engine }
    }
}

impl<C: Codec> CacheBuilder<C> {
    /// Creates the cache, as [`build`](Self::build) does, with parts that call the cache.
    ///
    /// `finish` gets the builder and a weak handle of the cache to be built, and returns the
    /// finished builder. Until this method returns, [`upgrade`](WeakHydraCache::upgrade) returns
    /// `None`.
    ///
    /// # Panics
    ///
    /// Panics if `finish` panics.
    ///
    /// # Examples
    ///
    /// A listener that ends the entries derived from a removed entry, and a cache that is freed:
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().max_capacity(100).build_cyclic(|builder, weak| {
    ///     let weak = weak.clone();
    ///     builder.on_removal(move |key, _value, _cause| {
    ///         if let Some(cache) = weak.upgrade() {
    ///             let _ = block_on(cache.invalidate_tag(&format!("from {key}")));
    ///         }
    ///     })
    /// });
    /// block_on(cache.put("user:7", "Ada", CacheOptions::new()))?;
    /// block_on(cache.put("page:7", "<h1>Ada</h1>", CacheOptions::new().tag("from user:7")))?;
    /// block_on(cache.remove("user:7"))?;
    /// assert!(!block_on(cache.contains_key("page:7")));
    ///
    /// let weak = cache.downgrade();
    /// drop(cache);
    /// assert!(weak.upgrade().is_none()); // the listener does not keep the cache
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_cyclic(
        self,
        finish: impl FnOnce(Self, &WeakHydraCache<C>) -> Self,
    ) -> HydraCache<C> {
        let engine = Arc::new_cyclic(|engine| {
            let weak = WeakHydraCache {
                engine: Weak::clone(engine),
            };
            finish(self, &weak).into_engine()
        });
        HydraCache { engine }
    }
}

/// Creates another weak handle to the same cache.
impl<C> Clone for WeakHydraCache<C> {
    fn clone(&self) -> Self {
        let engine = Weak::clone(&self.engine);
        Self { engine }
    }
}

/// Shows the limits of the cache if the cache is alive, and no key or value.
impl<C> fmt::Debug for WeakHydraCache<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("WeakHydraCache");
        match self.engine.upgrade() {
            Some(engine) => tuple.field(&engine).finish(),
            None => tuple.finish_non_exhaustive(),
        }
    }
}

// As for `HydraCache`.
impl<C> UnwindSafe for WeakHydraCache<C> {}
impl<C> RefUnwindSafe for WeakHydraCache<C> {}
