use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;

use super::Peer;
use crate::ready::ready;

pub(super) struct Moka {
    cache: Cache<Box<str>, Bytes>,
}

impl Moka {
    pub(super) fn new(capacity: usize, ttl: Option<Duration>) -> Self {
        let mut builder = Cache::builder().max_capacity(capacity as u64);
        if let Some(ttl) = ttl {
            builder = builder.time_to_live(ttl);
        }
        let cache = builder.build();
        Self { cache }
    }
}

impl Peer for Moka {
    #[inline]
    fn get(&self, key: &str) -> Option<Bytes> {
        ready(self.cache.get(key))
    }

    #[inline]
    fn insert(&self, _id: u32, key: &str, value: Bytes) {
        ready(self.cache.insert(key.into(), value));
    }

    fn entries(&self) -> u64 {
        self.settle();
        self.cache.entry_count()
    }

    fn settle(&self) {
        ready(self.cache.run_pending_tasks());
    }
}
