//! The handle: every public verb, a few lines each.

#![allow(
    clippy::unused_async,
    reason = "verbs that wait for nobody here are async because a remote tier may answer them one day"
)]

mod builder;
mod invalidating;
mod loading;
mod reading;
mod refreshing;
mod writing;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::builder::CacheBuilder;
use crate::engine::Engine;
use crate::stats::CacheStats;
use crate::typed::TypedCache;
use crate::value::{Codec, Postcard};

/// A cache for the tasks and threads of one process, on any async runtime.
///
/// A clone is another handle to the same cache. Values are stored encoded, by the
/// codec `C`, and every read decodes a value of its own. Keys are any text; a key
/// holds one type at a time. See [the crate's documentation](crate) for what is
/// guaranteed.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache};
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let cache = HydraCache::local().max_capacity(1_000).build();
/// let options = CacheOptions::new().ttl(Duration::from_secs(60)).tag("users");
///
/// block_on(async {
///     let name = cache
///         .get_or_load("user:7", options, || async {
///             Ok::<_, Infallible>(String::from("Ada")) // from a database
///         })
///         .await?;
///     assert_eq!(name, "Ada");
///
///     assert_eq!(cache.invalidate_tag("users").await?, 1);
///     assert_eq!(cache.get::<String>("user:7").await?, None);
/// #   Ok(())
/// })
/// # }
/// ```
pub struct HydraCache<C = Postcard> {
    engine: Arc<Engine<C>>,
}

impl<C: Codec> HydraCache<C> {
    pub(crate) fn over(engine: Engine<C>) -> Self {
        let engine = Arc::new(engine);
        Self { engine }
    }

    /// Returns a part of the cache with keys and values of one type each, whose reads hand
    /// out an `Arc`.
    ///
    /// The same name is the same part. It never fails: if the name was opened with other
    /// types before, every verb of the handle returns an error that says so. Key types may
    /// differ by outermost pointers, and `str` for `String`; value types may not. A name is kept as long as the cache: choose it from a few.
    ///
    /// A key is what postcard writes of it, and two that are written alike are one key: give a
    /// key type no serde attribute that leaves out what tells two keys apart (`untagged`,
    /// `skip`, `skip_serializing_if`), or one gets the other's value; and no `HashMap`, whose
    /// order varies.
    ///
    /// Plain keys never meet those of a typed cache; [`keys`](Self::keys) and
    /// [`retain`](Self::retain) leave these out.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::HydraCache;
    ///
    /// let cache = HydraCache::local().build();
    /// let users = cache.typed::<u64, String>("users");
    /// assert!(block_on(users.get(&7)).is_ok_and(|user| user.is_none()));
    ///
    /// let other = cache.typed::<u64, Vec<u8>>("users");
    /// assert!(block_on(other.get(&7)).is_err_and(|error| error.is_wrong_type()));
    /// ```
    pub fn typed<K, V>(&self, name: &str) -> TypedCache<K, V, C>
    where
        K: Serialize + ?Sized + 'static,
        V: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        TypedCache::open(Arc::clone(&self.engine), name)
    }

    /// Returns what the cache has counted since it was built.
    ///
    /// The figures are exact when nothing else runs. To make them so, this first
    /// gives back what invalidations left behind, if their futures were dropped or
    /// are still at it: that takes time in proportion.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::HydraCache;
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.get::<u8>("nobody"))?;
    /// assert_eq!(cache.stats().misses, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> CacheStats {
        self.engine.stats()
    }

    /// Returns every key that has a fresh entry.
    ///
    /// A snapshot, taken shard by shard as the iterator comes to it, in no order: what is
    /// stored or leaves meanwhile may be in it or not. It holds no lock between two keys.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.put("a", 1_u8, CacheOptions::new()))?;
    /// assert_eq!(cache.keys().collect::<Vec<_>>(), ["a"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.engine.keys()
    }

    /// Returns how many entries are held.
    ///
    /// Expired ones count until a write reclaims them; invalidated ones do not.
    /// Like [`stats`](Self::stats), this first gives back what invalidations left
    /// behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.put("a", 1_u8, CacheOptions::new()))?;
    /// assert_eq!(cache.entry_count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn entry_count(&self) -> u64 {
        self.engine.entry_count()
    }
}

// A panic in a caller's code leaves the cache sound: none of it runs under a lock but
// the clock, and that before anything is changed.
impl<C> UnwindSafe for HydraCache<C> {}
impl<C> RefUnwindSafe for HydraCache<C> {}

impl<C> Clone for HydraCache<C> {
    fn clone(&self) -> Self {
        let engine = Arc::clone(&self.engine);
        Self { engine }
    }
}

/// Shows the limits; no key and no value.
impl<C> fmt::Debug for HydraCache<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.engine.fmt(f)
    }
}

#[cfg(any(test, fuzzing))]
impl<C: Codec> HydraCache<C> {
    /// Checks every inner invariant, and panics if one is broken: for `fuzz/`.
    #[doc(hidden)]
    pub fn validate(&self) {
        for shard in &self.engine.shards {
            shard.validate();
        }
    }

    /// How much is in the tables: entries, tags, loads in progress, failures remembered. For
    /// `tests/hostile.rs`.
    #[doc(hidden)]
    pub fn tables(&self) -> [usize; 4] {
        let mut all = [0; 4];
        for shard in &self.engine.shards {
            for (sum, count) in all.iter_mut().zip(shard.tables()) {
                *sum += count;
            }
        }
        all
    }

    /// Whether two keys are in one shard.
    #[doc(hidden)]
    pub fn share_a_shard(&self, one: &str, other: &str) -> bool {
        let shard = |key: &str| self.engine.locate(key.as_bytes()).1;
        std::ptr::eq(shard(one), shard(other))
    }
}
