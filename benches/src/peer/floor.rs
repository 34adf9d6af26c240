use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashMap};

use super::Peer;

const SHARDS: usize = 16;

type Shard = RwLock<HashMap<Box<str>, Bytes, DefaultHashBuilder>>;

/// The lower limit for any cache with separate keys and values: a table in sharded locks.
///
/// The floor has no policy, no expiry, no counters and no bound.
pub struct Floor {
    shards: [Shard; SHARDS],
    hasher: DefaultHashBuilder,
}

impl Default for Floor {
    fn default() -> Self {
        Self::new()
    }
}

impl Floor {
    /// Creates an empty floor.
    pub fn new() -> Self {
        let hasher = DefaultHashBuilder::default();
        // One hasher for all shards; each table hashes the key a second time, which costs 2 ns.
        let shards = [(); SHARDS].map(|()| RwLock::new(HashMap::with_hasher(hasher.clone())));
        Self { shards, hasher }
    }

    /// Removes a key, and returns whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        let mut shard = self
            .shard(key)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let removed = shard.remove(key);
        // The value is dropped after the unlock, as a cache does.
        drop(shard);
        removed.is_some()
    }

    fn shard(&self, key: &str) -> &Shard {
        // From the middle of the hash: the tables use both of its ends.
        let hash = self.hasher.hash_one(key) >> 32;
        let shards = SHARDS as u64;
        &self.shards[usize::try_from(hash % shards).expect("below 16")]
    }
}

impl Peer for Floor {
    #[inline]
    fn get(&self, key: &str) -> Option<Bytes> {
        let shard = self
            .shard(key)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        shard.get(key).cloned()
    }

    #[inline]
    fn insert(&self, _id: u32, key: &str, value: Bytes) {
        let mut shard = self
            .shard(key)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let replaced = shard.insert(key.into(), value);
        drop(shard);
        drop(replaced);
    }

    fn entries(&self) -> u64 {
        let lengths = self.shards.iter().map(|shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.len() as u64
        });
        lengths.sum()
    }
}
