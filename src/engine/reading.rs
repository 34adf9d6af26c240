//! Reads that load nothing.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Engine;
use crate::error::{CacheError, CacheResult};
use crate::key::Lookup;
use crate::shard::{NoHit, Peeked, Shard};
use crate::stats::count;
use crate::value::{Access, Codec};

impl<C: Codec> Engine<C> {
    pub(crate) fn get<V: DeserializeOwned>(&self, key: &[u8]) -> CacheResult<Option<V>> {
        let (at, shard) = self.locate(key);
        let found = shard.get(at, &self.now());
        self.counters.count_lookup(found.is_some());
        let Some(found) = found else {
            return Ok(None);
        };
        let value = self.decode(key, &found);
        if value.as_ref().is_err_and(CacheError::is_decode) {
            shard.count(|stats| count(&mut stats.decode_failures, 1));
        }
        value.map(Some)
    }

    pub(crate) fn peek<V: DeserializeOwned>(&self, key: &[u8]) -> CacheResult<Option<V>> {
        let (at, shard) = self.locate(key);
        let found = shard.peek(at, &self.now());
        found.map(|found| self.decode(key, &found)).transpose()
    }

    pub(crate) fn get_bytes(&self, key: &[u8]) -> Option<Bytes> {
        let (at, shard) = self.locate(key);
        let found = shard.get_bytes(at, &self.now());
        self.counters.count_lookup(found.is_some());
        found
    }

    /// As `get`, of any form. It only looks, and neither counts nor takes out.
    #[inline]
    pub(crate) fn peek_as<T: Access>(&self, key: impl Lookup) -> Peeked<T::Snapshot> {
        let shard = self.shard_of(key.hash());
        shard.peek_as::<T>(key, &self.now())
    }

    /// Finds the value that most loading calls find. Counts nothing.
    #[inline]
    pub(crate) fn find_hit<A: Access>(&self, key: impl Lookup) -> Result<A::Snapshot, NoHit> {
        let shard = self.shard_of(key.hash());
        shard.find_hit::<A>(key, &self.now())
    }

    /// Takes out what that has seen gone.
    #[cold]
    pub(crate) fn remove_expired(&self, key: &[u8]) {
        let (at, shard) = self.locate(key);
        shard.remove_expired(at, &self.now());
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let (at, shard) = self.locate(key);
        shard.contains(at, &self.now())
    }

    /// Every fresh key, shard by shard.
    pub(crate) fn keys(&self) -> impl Iterator<Item = String> {
        let keys = |shard: &Shard| shard.keys(false, &self.now());
        self.shards.iter().flat_map(keys)
    }
}
