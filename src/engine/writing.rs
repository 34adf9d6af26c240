//! Writes: a value is encoded before the shard is locked, and stored in one critical section.

use bytes::Bytes;
use serde::Serialize;

use super::Engine;
use crate::error::CacheResult;
use crate::options::CacheOptions;
use crate::runtime::Now;
use crate::shard::NewEntry;
use crate::value::{ByArc, Codec, NewValue};

/// One of so many writes to a shard looks after whichever shard's turn it is as well.
const WRITES_PER_VISIT: usize = 8;

impl<C: Codec> Engine<C> {
    pub(crate) fn put<V: Serialize>(
        &self,
        key: &[u8],
        value: &V,
        options: &CacheOptions,
    ) -> CacheResult<()> {
        let value = self.encode(key, value)?;
        self.store(key, value, options);
        Ok(())
    }

    /// As `put`, of a value that all will share.
    pub(crate) fn put_shared<V>(
        &self,
        key: &[u8],
        value: V,
        options: &CacheOptions,
    ) -> CacheResult<()>
    where
        V: Serialize + Send + Sync + 'static,
    {
        let (encoded, _) = self.encode_as::<ByArc<V>>(key, value, None)?;
        self.store(key, encoded, options);
        Ok(())
    }

    #[inline]
    pub(crate) fn put_bytes(&self, key: &[u8], bytes: Bytes, options: &CacheOptions) {
        self.store(key, NewValue::from_bytes(bytes), options);
    }

    #[inline]
    fn store(&self, key: &[u8], value: NewValue, options: &CacheOptions) {
        let filled;
        let options = if self.settings.default_options.is_plain() {
            options
        } else {
            filled = self.filled_in(options);
            &filled
        };
        let (at, shard) = self.locate(key);
        let now = self.now();
        let mut write = NewEntry {
            value,
            ttl: options.ttl.or(self.settings.default_options.ttl),
            extra: options.extra.as_deref(),
            needs_age: false,
        };
        let writes = shard.put(at, &mut write, &options.tags, &now);
        self.reclaim_another_shard(writes, &now);
    }

    #[cold]
    fn filled_in(&self, options: &CacheOptions) -> CacheOptions {
        let mut filled = options.clone();
        self.fill_in(&mut filled);
        filled
    }

    /// Lets some of the writes to one shard give back what is gone in the others, each
    /// shard in its turn: else nothing would leave a shard that nobody writes to.
    #[inline]
    pub(crate) fn reclaim_another_shard(&self, writes: usize, now: &Now<'_>) {
        let others = self.shards.len() - 1;
        if others > 0 && writes % WRITES_PER_VISIT == 0 {
            let turn = writes / WRITES_PER_VISIT;
            self.shards[turn % self.shards.len()].reclaim(now);
        }
    }

    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        let (at, shard) = self.locate(key);
        shard.remove(at, &self.now())
    }

    pub(crate) fn expire(&self, key: &[u8]) -> bool {
        let (at, shard) = self.locate(key);
        shard.expire(at, &self.now())
    }
}
