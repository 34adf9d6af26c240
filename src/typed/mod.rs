//! Keys and values of one type each, and values that all share.

#![allow(
    clippy::unused_async,
    reason = "as in `cache`: a remote tier may answer these verbs one day"
)]

mod loading;
mod loading_cache;
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
use crate::error::{BoxError, CacheError, CacheResult};
use crate::key::{SmallBytes, TypedKey, TypedKeys};
use crate::options::{CacheOptions, CallOptions};
use crate::shard::{NoHit, Peeked};
use crate::tags::Effect;
use crate::value::{ByArc, Codec, Postcard, TypeTag};

/// A part of a cache with keys and values of one type each. Made by
/// [`typed`](crate::HydraCache::typed).
///
/// A read hands out an `Arc` of the value that was put or loaded: nothing is decoded, and
/// nothing copied. The value is kept beside its encoded form, which is what the limit of an
/// entry's bytes and listeners of removals see; [`max_bytes`](crate::CacheBuilder::max_bytes)
/// counts both.
///
/// Its keys are its own: neither plain keys nor those of another name ever meet them. It has
/// a share in everything else, the cache's capacity, tags, clock and counters, and a
/// [`flush`](crate::HydraCache::flush) reaches it. A clone is another handle to the same part.
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
    name: Arc<str>,
    /// Why none of the verbs works, if the name was opened with other types.
    error: Option<CacheError>,
    keys: Arc<TypedKeys>,
    /// What calls leave open. They have the tag that all entries carry.
    options: CacheOptions,
    types: PhantomData<fn(&K) -> V>,
}

impl<K, V, C> TypedCache<K, V, C>
where
    K: Serialize + ?Sized + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    C: Codec,
{
    pub(crate) fn open(engine: Handle<C>, name: &str) -> Self {
        let types = CacheTypes {
            key: TypeTag::of::<K>(),
            value: TypeTag::of::<V>(),
        };
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
        cache.options.tags.push(cache.tag());
        cache
    }

    /// The name of the tag that all entries carry.
    fn tag(&self) -> SmallBytes {
        self.keys.prefix().into()
    }

    #[inline]
    fn check(&self) -> CacheResult<()> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Acts on the cache's key of a caller's key.
    #[inline]
    fn with_key<R>(&self, key: &K, act: impl FnOnce(&[u8]) -> CacheResult<R>) -> CacheResult<R> {
        self.check()?;
        let done = self.keys.with_encoded(key, act);
        done.unwrap_or_else(|error| Err(self.bad_key(error.into())))
    }

    /// The same, for it to be looked for.
    #[inline]
    fn probe_with<R>(&self, key: &K, look: impl Fn(&TypedKey<'_>) -> R) -> CacheResult<R> {
        self.check()?;
        let found = self.keys.probe_with(&self.engine.hashing, key, look);
        found.map_err(|error| self.bad_key(error.into()))
    }

    #[cold]
    fn bad_key(&self, error: BoxError) -> CacheError {
        CacheError::encode_key(&self.name, TypeTag::of::<K>().name(), error)
    }

    /// That key, to be kept.
    fn key(&self, key: &K) -> CacheResult<SmallBytes> {
        self.with_key(key, |key| Ok(key.into()))
    }

    /// Finds the value that most loading calls find, and counts a hit; or tells why there is
    /// none, and counts nothing.
    #[inline]
    fn find_hit(&self, key: &K) -> CacheResult<Result<Arc<V>, NoHit>> {
        let find = |key: &TypedKey<'_>| self.engine.find_hit::<ByArc<V>>(key);
        let snapshot = match self.probe_with(key, find)? {
            Ok(snapshot) => snapshot,
            Err(no_hit) => return Ok(Err(no_hit)),
        };
        self.engine.counters.count_lookup(true);
        self.take(key, snapshot).map(Ok)
    }

    /// What [`get`](Self::get) does.
    #[inline]
    fn read(&self, key: &K) -> CacheResult<Option<Arc<V>>> {
        let found = self.probe_with(key, |key| self.engine.peek_as::<ByArc<V>>(key))?;
        self.engine
            .counters
            .count_lookup(matches!(found, Peeked::Fresh(_)));
        match found {
            Peeked::Fresh(snapshot) => self.take(key, snapshot).map(Some),
            Peeked::Expired => self.with_key(key, |key| {
                self.engine.remove_expired(key);
                Ok(None)
            }),
            Peeked::Missing => Ok(None),
        }
    }

    #[inline]
    fn take(&self, key: &K, snapshot: Option<Arc<V>>) -> CacheResult<Arc<V>> {
        match snapshot {
            Some(value) => Ok(value),
            None => self.wrong(key),
        }
    }

    #[cold]
    fn wrong(&self, key: &K) -> CacheResult<Arc<V>> {
        self.with_key(key, |key| self.engine.finish::<ByArc<V>>(key, None))
    }

    fn call_options(&self, options: CacheOptions) -> CallOptions<'_> {
        CallOptions::new(options, Some(&self.options))
    }

    /// Returns a handle to the same part whose calls leave what they do not set to these
    /// options, instead of those that this handle has.
    ///
    /// What a loader says goes first, then a call's options, then these, then the builder's
    /// [`default_options`](crate::CacheBuilder::default_options). Tags are added.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// let options = CacheOptions::new().ttl(Duration::from_secs(60)).tag("people");
    /// let cache = HydraCache::local().build();
    /// let names = cache.typed::<u64, String>("names").with_options(options);
    /// # drop(names);
    /// ```
    #[must_use = "it is the new handle that has the options"]
    pub fn with_options(&self, mut options: CacheOptions) -> Self {
        options.tags.push(self.tag());
        Self {
            options,
            ..self.clone()
        }
    }

    /// Returns the value of a key, or `None` if there is none.
    ///
    /// Counts a hit or a miss, and tells the eviction policy that the entry was read.
    ///
    /// # Errors
    ///
    /// If the name was opened with other types
    /// ([`is_wrong_type`](crate::CacheError::is_wrong_type)), or the key cannot be encoded
    /// ([`is_encode`](crate::CacheError::is_encode)). So for every verb of a typed cache.
    ///
    /// # Panics
    ///
    /// If encoding the key does; then nothing has changed. So for every verb that takes keys.
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
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self, key: &K) -> CacheResult<Option<Arc<V>>> {
        self.read(key)
    }

    /// Stores a value under a key, in place of whatever is there: see
    /// [`HydraCache::put`](crate::HydraCache::put).
    ///
    /// # Errors
    ///
    /// If the value cannot be encoded ([`is_encode`](crate::CacheError::is_encode)); then
    /// nothing has changed. And as [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// If encoding does; then nothing has changed.
    ///
    /// # Cancel safety
    ///
    /// Ready at the first poll: there is nothing to cancel.
    ///
    /// # Examples
    ///
    /// See [`get`](Self::get).
    pub async fn put(&self, key: &K, value: V, mut options: CacheOptions) -> CacheResult<()> {
        options.fill_in(&self.options);
        self.with_key(key, |key| self.engine.put_shared(key, value, &options))
    }

    /// Removes the value of a key: see [`HydraCache::remove`](crate::HydraCache::remove).
    ///
    /// Returns whether there was one.
    ///
    /// # Errors
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

    /// Removes every value of this part of the cache, and overtakes its loads in progress.
    ///
    /// Returns how many were fresh at the first poll. It is
    /// [`invalidate_tag`](crate::HydraCache::invalidate_tag) of a tag that all entries of the
    /// name carry, and no text can name.
    ///
    /// # Errors
    ///
    /// If the name was opened with other types
    /// ([`is_wrong_type`](crate::CacheError::is_wrong_type)).
    ///
    /// # Cancel safety
    ///
    /// After the first poll everything is unreachable; dropped then, later writes give the
    /// memory back.
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
        Ok(self
            .engine
            .invalidate(vec![self.tag()], Effect::Remove)
            .await)
    }
}

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

/// Shows the name and the types; no key and no value.
impl<K: ?Sized, V, C> fmt::Debug for TypedCache<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedCache")
            .field("name", &self.name)
            .field("key", &type_name::<K>())
            .field("value", &type_name::<V>())
            .finish_non_exhaustive()
    }
}

// As `HydraCache`.
impl<K: ?Sized, V, C> UnwindSafe for TypedCache<K, V, C> {}
impl<K: ?Sized, V, C> RefUnwindSafe for TypedCache<K, V, C> {}
