//! Reads without a loader.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Engine;
use crate::error::{CacheError, CacheResult};
use crate::key::Lookup;
use crate::shard::{NoHit, Peeked, Shard};
use crate::stats::count;
use crate::value::{Access, Codec};

impl<C: Codec> Engine<C> {
    /// Reads and decodes a fresh value. Counts a hit or a miss.
    pub(crate) fn get<V: DeserializeOwned>(&self, key: &[u8]) -> CacheResult<Option<V>> {
        let (at, shard) = self.locate(key);
        let found = shard.get(at, &self.now());
        self.counters.count_lookup(found.is_some());
        let Some(found) = found else {
            return Ok(None);
        };
        // After the unlock: decoding is the caller's code.
        let value = self.decode(key, &found);
        if value.as_ref().is_err_and(CacheError::is_decode) {
            shard.count(|stats| count(&mut stats.decode_failures, 1));
        }
        value.map(Some)
    }

    /// Reads and decodes a fresh value, without a trace in the counters and the policy.
    pub(crate) fn peek<V: DeserializeOwned>(&self, key: &[u8]) -> CacheResult<Option<V>> {
        let (at, shard) = self.locate(key);
        let found = shard.peek(at, &self.now());
        found.map(|found| self.decode(key, &found)).transpose()
    }

    /// Reads the encoded form of a fresh value. Counts a hit or a miss.
    pub(crate) fn get_bytes(&self, key: &[u8]) -> Option<Bytes> {
        let (at, shard) = self.locate(key);
        let found = shard.get_bytes(at, &self.now());
        self.counters.count_lookup(found.is_some());
        found
    }

    /// Reads a snapshot for a typed cache. Counts nothing and removes nothing: the key type calls
    /// this method inside `serialize`, perhaps twice.
    #[inline]
    pub(crate) fn peek_as<A: Access>(&self, key: impl Lookup) -> Peeked<A::Snapshot> {
        let shard = self.shard_of(key.hash());
        shard.peek_as::<A>(key, &self.now())
    }

    /// Finds the value that most loading calls find. Counts nothing.
    #[inline]
    pub(crate) fn find_hit<A: Access>(&self, key: impl Lookup) -> Result<A::Snapshot, NoHit> {
        let shard = self.shard_of(key.hash());
        shard.find_hit::<A>(key, &self.now())
    }

    /// Removes the entry of a key, if expired: for a caller of `peek_as` that found
    /// [`Peeked::Expired`].
    #[cold]
    pub(crate) fn remove_expired(&self, key: &[u8]) {
        // The entry is checked again under the lock: a put may have replaced the entry.
        let (at, shard) = self.locate(key);
        shard.remove_expired(at, &self.now());
    }

    /// Returns `true` if the key has a fresh value, `false` if not. Leaves no trace.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let (at, shard) = self.locate(key);
        shard.contains(at, &self.now())
    }

    /// Returns the fresh keys, a snapshot of each shard, one shard after another.
    pub(crate) fn keys(&self) -> impl Iterator<Item = String> {
        // The iterator is lazy, so a shard is read when the caller gets there.
        let keys = |shard: &Shard| shard.keys(false, &self.now());
        self.shards.iter().flat_map(keys)
    }
}
