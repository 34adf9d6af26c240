use bytes::Bytes;
use quick_cache::sync::Cache;

use super::Peer;

pub(super) struct Quick {
    cache: Cache<Box<str>, Bytes>,
}

impl Quick {
    pub(super) fn new(capacity: usize) -> Self {
        let cache = Cache::new(capacity);
        Self { cache }
    }
}

impl Peer for Quick {
    #[inline]
    fn get(&self, key: &str) -> Option<Bytes> {
        self.cache.get(key)
    }

    #[inline]
    fn insert(&self, _id: u32, key: &str, value: Bytes) {
        self.cache.insert(key.into(), value);
    }

    fn entries(&self) -> u64 {
        self.cache.len() as u64
    }
}
