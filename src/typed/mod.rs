//! Typed caches: one key type, one value type, and reads that share an `Arc`.
//!
//! The verbs are here, in `loading.rs` and in `many.rs`; `lookup.rs` finds the entry of a key;
//! `loading_cache.rs` adds an owned loader.

#![allow(
    clippy::unused_async,
    reason = "as in `cache`: a remote tier may answer these verbs one day"
)]

mod loading;
mod loading_cache;
mod lookup;
mod many;

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::loading_cache::LoadingCache;
use crate::engine::{CacheTypes, Handle};
use crate::error::{CacheError, CacheResult};
use crate::key::TypedKeys;
use crate::options::CacheOptions;
use crate::tags::Effect;
use crate::value::{Codec, Postcard, TypeTag};

/// A part of a cache with one key type and one value type, created by
/// [`typed`](crate::HydraCache::typed).
///
/// A read hands out an `Arc` of the stored value: nothing is decoded, nothing is copied. The entry
/// also holds the encoded value, for the limit of encoded values and for listeners;
/// [`max_bytes`](crate::CacheBuilder::max_bytes) counts both forms.
///
/// The keys are separate: typed keys never equal plain keys or keys of another name. Capacity,
/// tags, clock and counters are shared with the whole cache, and
/// [`flush`](crate::HydraCache::flush) removes typed entries too. A clone is another handle to the
/// same part.
///
/// # Examples
///
/// ```
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Deserialize, PartialEq, Serialize)]
/// struct User {
///     name: String,
/// }
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let cache = HydraCache::local().build();
/// let users = cache.typed::<u64, User>("users");
/// let load = || async {
///     Ok::<_, std::io::Error>(User { name: "Ada".into() }) // from a database
/// };
/// let ada = block_on(users.get_or_load(&7, CacheOptions::new(), load))?;
/// assert_eq!(ada.name, "Ada");
/// assert_eq!(block_on(users.get(&7))?, Some(ada));
/// assert_eq!(block_on(users.invalidate_all())?, 1);
/// # Ok(())
/// # }
/// ```
pub struct TypedCache<K: ?Sized, V, C = Postcard> {
    engine: Handle<C>,
    /// The name as given, for messages.
    name: Arc<str>,
    /// The error of every verb, if the name was opened earlier with other types.
    error: Option<CacheError>,
    /// Encodes keys behind the prefix of the name.
    keys: Arc<TypedKeys>,
    /// The defaults of calls through this handle, with the tag on all entries of the name.
    options: CacheOptions,
    // `fn`, so that the handle is `Send` and `Sync` for every `K`.
    types: PhantomData<fn(&K) -> V>,
}

impl<K, V, C> TypedCache<K, V, C>
where
    K: Serialize + ?Sized + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    C: Codec,
{
    /// Opens a typed cache by name. Never fails: an error waits in the handle.
    pub(crate) fn open(engine: Handle<C>, name: &str) -> Self {
        let types = CacheTypes {
            key: TypeTag::of::<K>(),
            value: TypeTag::of::<V>(),
        };
        // The names live in the engine: every handle of the cache sees the same.
        let error = engine.names.open(name, types).err();
        let keys = TypedKeys::new(name, &engine.hashing);
        let mut cache = Self {
            engine,
            name: name.into(),
            error,
            keys: Arc::new(keys),
            options: CacheOptions::new(),
            types: PhantomData,
        };
        // `invalidate_all` is an invalidation of this tag.
        cache.options.tags.push(cache.tag());
        cache
    }

    /// Returns a handle to the same part, with these options as defaults of each call.
    ///
    /// The options replace the options of this handle. Precedence: the wishes of a loader
    /// ([`Loaded`](crate::Loaded)), the options of the call, these options,
    /// [`default_options`](crate::CacheBuilder::default_options) of the builder. Tags are added up.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let options = CacheOptions::new().ttl(Duration::from_secs(60)).tag("people");
    /// let names = cache.typed::<u64, String>("names").with_options(options);
    ///
    /// block_on(names.put(&7, "Ada".into(), CacheOptions::new().tag("user:7")))?;
    /// assert_eq!(block_on(cache.invalidate_tag("people"))?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "the new handle has the options, not this handle"]
    pub fn with_options(&self, mut options: CacheOptions) -> Self {
        // The new options replace the old, so the tag of the name is added again.
        options.tags.push(self.tag());
        Self {
            options,
            ..self.clone()
        }
    }

    /// Returns the value of a key, or `None` without a fresh entry.
    ///
    /// Counts a hit or a miss, and is a use for the eviction policy. If the entry is expired, gives
    /// back the memory.
    ///
    /// # Errors
    ///
    /// As every verb of a typed cache:
    ///
    /// - The name was opened with other types
    ///   ([`is_wrong_type`](crate::CacheError::is_wrong_type)).
    /// - The key cannot be encoded ([`is_encode`](crate::CacheError::is_encode)).
    ///
    /// # Panics
    ///
    /// As every verb with keys, panics if the encoding of a key panics. Then nothing changed.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll: there is nothing to cancel.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let names = HydraCache::local().build().typed::<u64, String>("names");
    /// block_on(names.put(&7, "Ada".into(), CacheOptions::new()))?;
    /// assert_eq!(block_on(names.get(&7))?.as_deref().map(String::as_str), Some("Ada"));
    /// assert_eq!(block_on(names.get(&8))?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self, key: &K) -> CacheResult<Option<Arc<V>>> {
        self.read(key)
    }

    /// Stores a value under a key, and replaces the current entry, as
    /// [`HydraCache::put`](crate::HydraCache::put) does.
    ///
    /// Later reads share an `Arc` of this value. The bytes are encoded once, and never decoded.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded ([`is_encode`](crate::CacheError::is_encode)); then nothing
    /// changed. Also as [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// Panics if the encoding panics. Then nothing changed.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll: there is nothing to cancel.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let names = HydraCache::local().build().typed::<u64, String>("names");
    /// block_on(names.put(&7, "Ada".into(), CacheOptions::new()))?;
    ///
    /// let (first, second) = (block_on(names.get(&7))?.unwrap(), block_on(names.get(&7))?.unwrap());
    /// assert_eq!(*first, "Ada");
    /// assert!(Arc::ptr_eq(&first, &second));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put(&self, key: &K, value: V, mut options: CacheOptions) -> CacheResult<()> {
        // The defaults of the builder are merged by the engine, after these.
        options.fill_in(&self.options);
        self.with_key(key, |key| self.engine.put_shared(key, value, &options))
    }

    /// Removes a key. Returns `true` if the key had a fresh entry, `false` if not.
    ///
    /// Fences a running load of the key, as [`HydraCache::remove`](crate::HydraCache::remove) does.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll: there is nothing to cancel.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let names = HydraCache::local().build().typed::<u64, String>("names");
    /// block_on(names.put(&7, "Ada".into(), CacheOptions::new()))?;
    /// assert!(block_on(names.remove(&7))?);
    /// assert!(!block_on(names.remove(&7))?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn remove(&self, key: &K) -> CacheResult<bool> {
        self.with_key(key, |key| Ok(self.engine.remove(key)))
    }

    /// Removes every entry of this name, and returns the number of removed fresh entries.
    ///
    /// Fences every running load of the name. The call is
    /// [`invalidate_tag`](crate::HydraCache::invalidate_tag) of a tag on every entry of the name;
    /// no text equals this tag.
    ///
    /// # Errors
    ///
    /// The name was opened with other types ([`is_wrong_type`](crate::CacheError::is_wrong_type)).
    ///
    /// # Cancel safety
    ///
    /// The first poll makes every entry unreachable. After a drop, later writes give back the
    /// memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// let names = cache.typed::<u64, String>("names");
    /// block_on(names.put(&7, "Ada".into(), CacheOptions::new()))?;
    /// block_on(cache.put("7", 7_u8, CacheOptions::new()))?;
    /// assert_eq!(block_on(names.invalidate_all())?, 1);
    /// assert_eq!(cache.entry_count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn invalidate_all(&self) -> CacheResult<u64> {
        self.check()?;
        let tag = self.engine.hashed_tag(self.tag());
        Ok(self.engine.invalidate(vec![tag], Effect::Remove).await)
    }
}

/// Creates another handle to the same part of the cache, with the same options.
impl<K: ?Sized, V, C> Clone for TypedCache<K, V, C> {
    fn clone(&self) -> Self {
        Self {
            engine: Handle::clone(&self.engine),
            name: Arc::clone(&self.name),
            error: self.error.clone(),
            keys: Arc::clone(&self.keys),
            options: self.options.clone(),
            types: PhantomData,
        }
    }
}

/// Shows the name and the types, and no key or value.
impl<K: ?Sized, V, C> fmt::Debug for TypedCache<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedCache")
            .field("name", &self.name)
            .field("key", &type_name::<K>())
            .field("value", &type_name::<V>())
            .finish_non_exhaustive()
    }
}

// As for `HydraCache`: foreign code runs under no lock.
impl<K: ?Sized, V, C> UnwindSafe for TypedCache<K, V, C> {}
impl<K: ?Sized, V, C> RefUnwindSafe for TypedCache<K, V, C> {}
