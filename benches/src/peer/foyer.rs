use bytes::Bytes;
use foyer_memory::{Cache, CacheBuilder, EvictionConfig, LruConfig, S3FifoConfig};

use super::Peer;

pub(super) struct Foyer {
    cache: Cache<Box<str>, Bytes>,
}

impl Foyer {
    pub(super) fn s3fifo(capacity: usize) -> Self {
        Self::new(capacity, S3FifoConfig::default().into())
    }

    pub(super) fn lru(capacity: usize) -> Self {
        Self::new(capacity, LruConfig::default().into())
    }

    fn new(capacity: usize, eviction: EvictionConfig) -> Self {
        let builder = CacheBuilder::new(capacity).with_eviction_config(eviction);
        let cache = builder.build();
        Self { cache }
    }
}

impl Peer for Foyer {
    #[inline]
    fn get(&self, key: &str) -> Option<Bytes> {
        let entry = self.cache.get(key)?;
        Some(entry.value().clone())
    }

    #[inline]
    fn insert(&self, _id: u32, key: &str, value: Bytes) {
        self.cache.insert(key.into(), value);
    }

    fn entries(&self) -> u64 {
        self.cache.entries() as u64
    }
}
