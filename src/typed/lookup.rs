//! The private half of a typed cache: from a key of the caller to an entry of the cache.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TypedCache;
use crate::error::{BoxError, CacheError, CacheResult};
use crate::key::{SmallBytes, TypedKey};
use crate::options::{CacheOptions, CallOptions};
use crate::shard::{NoHit, Peeked};
use crate::value::{ByArc, Codec, TypeTag};

impl<K, V, C> TypedCache<K, V, C>
where
    K: Serialize + ?Sized + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    C: Codec,
{
    /// Returns the name of the tag on all entries of this typed cache.
    pub(super) fn tag(&self) -> SmallBytes {
        self.keys.prefix().into()
    }

    /// Returns the error of a name opened with other types, or `Ok`. Every verb asks first.
    #[inline]
    pub(super) fn check(&self) -> CacheResult<()> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Runs `act` with the encoded key.
    #[inline]
    pub(super) fn with_key<R>(
        &self,
        key: &K,
        act: impl FnOnce(&[u8]) -> CacheResult<R>,
    ) -> CacheResult<R> {
        self.check()?;
        // `act` may fail too: the outer error is the encoding, the inner error is the act.
        let done = self.keys.with_encoded(key, act);
        done.unwrap_or_else(|error| Err(self.key_error(error.into())))
    }

    /// Runs `look` with the key, without encoding if possible. `look` may run inside the
    /// `Serialize` implementation of the key, so `look` must only look.
    #[inline]
    fn probe_with<R>(&self, key: &K, look: impl Fn(&TypedKey<'_>) -> R) -> CacheResult<R> {
        self.check()?;
        // Text and integers are hashed and compared in place: see `key/plain.rs`.
        let found = self.keys.probe_with(&self.engine.hashing, key, look);
        found.map_err(|error| self.key_error(error.into()))
    }

    /// Wraps an encoding error of the key.
    #[cold]
    fn key_error(&self, error: BoxError) -> CacheError {
        CacheError::encode_key(&self.name, TypeTag::of::<K>().name(), error)
    }

    /// Returns the encoded key, owned.
    pub(super) fn key(&self, key: &K) -> CacheResult<SmallBytes> {
        self.with_key(key, |key| Ok(key.into()))
    }

    /// Returns the fresh value of a key for a loading call, and counts a hit. Otherwise returns
    /// why there is no hit, and counts nothing: the call counts its miss after it has joined or
    /// claimed.
    #[inline]
    pub(super) fn find_hit(&self, key: &K) -> CacheResult<Result<Arc<V>, NoHit>> {
        let find = |key: &TypedKey<'_>| self.engine.find_hit::<ByArc<V>>(key);
        let snapshot = match self.probe_with(key, find)? {
            Ok(snapshot) => snapshot,
            Err(no_hit) => return Ok(Err(no_hit)),
        };
        self.engine.counters.count_lookup(true);
        self.open_snapshot(key, snapshot).map(Ok)
    }

    /// Returns the fresh value of a key, and counts: the verb [`get`](Self::get).
    #[inline]
    pub(super) fn read(&self, key: &K) -> CacheResult<Option<Arc<V>>> {
        let found = self.probe_with(key, |key| self.engine.peek_as::<ByArc<V>>(key))?;
        self.engine
            .counters
            .count_lookup(matches!(found, Peeked::Fresh(_)));
        match found {
            Peeked::Fresh(snapshot) => self.open_snapshot(key, snapshot).map(Some),
            // Gives back the memory of the expired entry. That needs the encoded key, and must
            // not happen inside `Serialize`: hence a second step.
            Peeked::Expired => self.with_key(key, |key| {
                self.engine.remove_expired(key);
                Ok(None)
            }),
            Peeked::Missing => Ok(None),
        }
    }

    /// Returns the value of a snapshot, or the error of a missing snapshot.
    #[inline]
    fn open_snapshot(&self, key: &K, snapshot: Option<Arc<V>>) -> CacheResult<Arc<V>> {
        match snapshot {
            Some(value) => Ok(value),
            None => self.wrong_type(key),
        }
    }

    /// Returns the error of an entry with a value of another type. Not expected: a name has one
    /// value type, and `check` refuses any other.
    #[cold]
    fn wrong_type(&self, key: &K) -> CacheResult<Arc<V>> {
        self.with_key(key, |key| self.engine.finish::<ByArc<V>>(key, None))
    }

    /// Returns the options of a call, to be merged with the options of this handle.
    pub(super) fn call_options(&self, options: CacheOptions) -> CallOptions<'_> {
        CallOptions::new(options, Some(&self.options))
    }
}
