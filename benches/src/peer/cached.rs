use bytes::Bytes;
use cached::{ShardedLruCache, ShardedLruTtlCache};

use super::{Peer, TTL};

pub(super) struct Cached {
    cache: ShardedLruCache<Box<str>, Bytes>,
}

impl Cached {
    pub(super) fn new(capacity: usize) -> Self {
        let cache = ShardedLruCache::new(capacity);
        Self { cache }
    }
}

impl Peer for Cached {
    #[inline]
    fn get(&self, key: &str) -> Option<Bytes> {
        self.cache.get(key)
    }

    #[inline]
    fn insert(&self, _id: u32, key: &str, value: Bytes) {
        self.cache.set(key.into(), value);
    }

    fn entries(&self) -> u64 {
        self.cache.len() as u64
    }
}

pub(super) struct CachedTtl {
    cache: ShardedLruTtlCache<Box<str>, Bytes>,
}

impl CachedTtl {
    pub(super) fn new(capacity: usize) -> Self {
        let cache = ShardedLruTtlCache::new(capacity, TTL);
        Self { cache }
    }
}

impl Peer for CachedTtl {
    #[inline]
    fn get(&self, key: &str) -> Option<Bytes> {
        self.cache.get(key)
    }

    #[inline]
    fn insert(&self, _id: u32, key: &str, value: Bytes) {
        self.cache.set(key.into(), value);
    }

    fn entries(&self) -> u64 {
        self.cache.len() as u64
    }
}
