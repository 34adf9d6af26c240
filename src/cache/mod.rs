//! The handle of a cache and every public verb of the cache, a few lines each.
//!
//! The verbs only forward to the engine, which holds all state. One file for each kind of verb.

#![allow(
    clippy::unused_async,
    reason = "some verbs never wait; they are async because a remote tier may answer them one day"
)]

mod builder;
mod invalidating;
mod loading;
mod reading;
mod refreshing;
mod weak;
mod writing;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::builder::CacheBuilder;
pub use self::weak::WeakHydraCache;
use crate::engine::Engine;
use crate::error::CacheResult;
use crate::stats::CacheStats;
use crate::typed::TypedCache;
use crate::value::{Codec, Postcard};

/// A cache for the tasks and threads of one process, on any async runtime.
///
/// A clone is another handle to the same cache. Values are stored encoded, by the codec `C`, and
/// every read decodes a new value. Keys are any text; a key holds one type at a time. The [crate
/// documentation](crate) lists the guarantees.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use hydracache::{CacheError, CacheOptions, HydraCache};
///
/// #[tokio::main]
/// async fn main() -> Result<(), CacheError> {
///     let cache = HydraCache::local().max_capacity(1_000).build();
///     let options = CacheOptions::new().ttl(Duration::from_secs(60)).tag("users");
///
///     let load = || async { Ok::<_, std::io::Error>(String::from("Ada")) }; // ask the database
///     let name = cache.get_or_load("user:7", options, load).await?;
///     assert_eq!(name, "Ada");
///
///     let other = cache.clone(); // for another task or thread
///     assert_eq!(other.invalidate_tag("users").await?, 1);
///     assert_eq!(cache.get::<String>("user:7").await?, None);
///     Ok(())
/// }
/// ```
///
/// Without tokio, any executor does, such as `block_on` of futures-lite:
///
/// ```
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache};
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let cache = HydraCache::local().build();
/// block_on(cache.put("answer", 42, CacheOptions::new()))?;
/// assert_eq!(block_on(cache.get::<i32>("answer"))?, Some(42));
/// # Ok(())
/// # }
/// ```
pub struct HydraCache<C = Postcard> {
    /// Shared by all handles, and by background loads.
    engine: Arc<Engine<C>>,
}

impl<C: Codec> HydraCache<C> {
    /// Wraps an engine in the first handle.
    pub(crate) fn from_engine(engine: Engine<C>) -> Self {
        let engine = Arc::new(engine);
        Self { engine }
    }

    /// Returns a typed cache: a part of the cache with one key type and one value type.
    ///
    /// Reads hand out an `Arc` of the stored value. The same name is the same part. This call never
    /// fails: if the name was opened earlier with other types, every verb of the handle returns an
    /// error ([`is_wrong_type`](crate::CacheError::is_wrong_type)). Key types may differ by
    /// outermost pointers, and `str` equals `String`; value types may not differ. A name is kept as
    /// long as the cache: use a small, fixed set of names.
    ///
    /// Keys are encoded with postcard, and two keys with the same encoding are the same key. So a
    /// key type must not have serde attributes that omit a distinguishing part of the key
    /// (`untagged`, `skip`, `skip_serializing_if`), or a reader gets the value of another key. Do
    /// not use a `HashMap` in a key: the order of the elements varies.
    ///
    /// Plain keys never equal keys of a typed cache; [`keys`](Self::keys) and
    /// [`retain`](Self::retain) leave out typed keys.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let users = cache.typed::<u64, String>("users");
    /// block_on(users.put(&7, "Ada".into(), CacheOptions::new()))?;
    /// assert_eq!(*block_on(users.get(&7))?.unwrap(), "Ada");
    ///
    /// let other = cache.typed::<u64, Vec<u8>>("users");
    /// assert!(block_on(other.get(&7)).unwrap_err().is_wrong_type());
    /// # Ok(())
    /// # }
    /// ```
    pub fn typed<K, V>(&self, name: &str) -> TypedCache<K, V, C>
    where
        K: Serialize + ?Sized + 'static,
        V: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        // Opening cannot fail: the handle keeps an error for the first verb.
        TypedCache::open(Arc::clone(&self.engine), name)
    }

    /// Checks that the codec of the cache gives a value back unchanged. Stores nothing.
    ///
    /// For the tests of a service: call this method with one value of each kind, such as every
    /// variant of an enum. The method encodes the value, decodes the bytes, and compares the calls
    /// that `Serialize` makes for both values: names, numbers, texts, missing fields. The order in a
    /// map or a sequence does not count, because a `HashMap` comes back in another order.
    ///
    /// Loading verbs and [`update`](Self::update) do the same before they store a value: in debug
    /// builds for every value, in release builds for the first 8 values of each type. The table of
    /// [`Postcard`] lists the types and the serde attributes that fail. A
    /// [typed cache](Self::typed) never decodes, so any type will do there.
    ///
    /// # Errors
    ///
    /// An error with [`is_encode`](crate::CacheError::is_encode) if the value cannot be encoded, if
    /// the bytes cannot be decoded, or if the values differ. Values of a codec without
    /// [`checks_round_trip`](Codec::checks_round_trip) are decoded, and not compared.
    ///
    /// No comparison shows a loss that `Serialize` itself hides: a skipped field (`skip`), a
    /// `serialize_with` that gives the same twice (a rounded price), another order in a sequence.
    /// A value that `Serialize` writes in another way each time cannot be compared either.
    ///
    /// # Panics
    ///
    /// Panics if the encoding or the decoding panics.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::HydraCache;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Deserialize, Serialize)]
    /// enum Plan {
    ///     Free,
    ///     #[serde(skip)]
    ///     Internal,
    ///     Pro, // written as number 2, read as number 1
    ///     Enterprise,
    /// }
    ///
    /// let cache = HydraCache::local().build();
    /// assert!(cache.check_round_trip(&Plan::Free).is_ok());
    /// let error = cache.check_round_trip(&Plan::Pro).unwrap_err();
    /// assert!(error.is_encode());
    /// assert!(error.to_string().contains("would be read back as another value"));
    /// ```
    pub fn check_round_trip<V>(&self, value: &V) -> CacheResult<()>
    where
        V: Serialize + DeserializeOwned,
    {
        self.engine.check_round_trip(value)
    }

    /// Returns the counters of the cache since `build`.
    ///
    /// The counters are exact while nothing else runs. For this, the call first gives back the
    /// memory left behind by invalidations with dropped or unfinished futures; the time is in
    /// proportion to this memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::HydraCache;
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.get::<u8>("absent"))?;
    /// assert_eq!(cache.stats().misses, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> CacheStats {
        self.engine.stats()
    }

    /// Returns an iterator over all plain keys with a fresh entry, in no order.
    ///
    /// The iterator takes a snapshot of each shard when reaching the shard, and holds no lock
    /// between two keys. An entry stored or removed during the iteration may be included or not.
    /// Keys of typed caches are left out.
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

    /// Returns the number of entries in the cache.
    ///
    /// Expired entries count until a later call gives back the memory; invalidated entries do not
    /// count. Like [`stats`](Self::stats), the call first gives back the memory left behind by
    /// invalidations.
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

// A panic in foreign code leaves the cache sound: under a lock only the clock runs, and always
// before the first change.
impl<C> UnwindSafe for HydraCache<C> {}
impl<C> RefUnwindSafe for HydraCache<C> {}

/// Creates another handle to the same cache.
impl<C> Clone for HydraCache<C> {
    fn clone(&self) -> Self {
        let engine = Arc::clone(&self.engine);
        Self { engine }
    }
}

/// Shows the limits of the cache, and no key or value.
impl<C> fmt::Debug for HydraCache<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.engine.fmt(f)
    }
}

#[cfg(any(test, fuzzing))]
impl<C: Codec> HydraCache<C> {
    /// Checks every inner invariant, and panics if an invariant is broken. For `fuzz/`.
    #[doc(hidden)]
    pub fn validate(&self) {
        for shard in &self.engine.shards {
            shard.validate();
        }
    }

    /// Returns the sizes of the tables, summed over all shards: entries, tags, loads in flight,
    /// back-offs. For `tests/hostile.rs`.
    #[doc(hidden)]
    pub fn tables(&self) -> [usize; 4] {
        // Shard after shard, each under its own lock: exact only while nothing else runs.
        let mut all = [0; 4];
        for shard in &self.engine.shards {
            for (sum, count) in all.iter_mut().zip(shard.tables()) {
                *sum += count;
            }
        }
        all
    }

    /// Returns `true` if two keys are in the same shard, `false` if not. For `tests/hostile.rs`.
    #[doc(hidden)]
    pub fn share_a_shard(&self, one: &str, other: &str) -> bool {
        // Shards are compared by address.
        let shard = |key: &str| self.engine.locate(key.as_bytes()).1;
        std::ptr::eq(shard(one), shard(other))
    }
}
