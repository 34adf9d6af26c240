//! Writes. A value is encoded before the lock of the shard is taken, and stored in a single
//! critical section.

use bytes::Bytes;
use serde::Serialize;

use super::Engine;
use crate::error::CacheResult;
use crate::options::CacheOptions;
use crate::runtime::Now;
use crate::shard::{NewEntry, StoreMode};
use crate::value::{ByArc, Codec, NewValue};

/// Every eighth write to a shard also gives back memory in another shard, each shard in turn.
const WRITES_PER_VISIT: usize = 8;

impl<C: Codec> Engine<C> {
    /// Stores an owned value.
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

    /// Stores a value for all readers to share.
    pub(crate) fn put_shared<V>(
        &self,
        key: &[u8],
        value: V,
        options: &CacheOptions,
    ) -> CacheResult<()>
    where
        V: Serialize + Send + Sync + 'static,
    {
        // The `Arc` for the caller of a load is not needed here.
        let (encoded, _) = self.encode_as::<ByArc<V>>(key, value, None)?;
        self.store(key, encoded, options);
        Ok(())
    }

    /// Stores bytes without a type, and without encoding.
    #[inline]
    pub(crate) fn put_bytes(&self, key: &[u8], bytes: Bytes, options: &CacheOptions) {
        self.store(key, NewValue::from_bytes(bytes), options);
    }

    /// Stores an encoded value, and gives back some memory of expired entries.
    #[inline]
    fn store(&self, key: &[u8], value: NewValue, options: &CacheOptions) {
        // The options are cloned only if the builder has more defaults than a ttl.
        let filled;
        let options = if self.settings.default_options.is_plain() {
            options
        } else {
            filled = self.filled_in(options);
            &filled
        };
        // The value stays in `entry` if the shard refuses the value: dropped after the unlock.
        let (at, shard) = self.locate(key);
        let now = self.now();
        let mut entry = NewEntry {
            value,
            ttl: options.ttl.or(self.settings.default_options.ttl),
            extra: options.extra.as_deref(),
            needs_age: false,
            mode: StoreMode::Replace,
        };
        let written = shard.put(at, &mut entry, &options.tags, &now);
        self.reclaim_another_shard(written.writes, &now);
    }

    /// Returns the options with the defaults of the builder.
    #[cold]
    fn filled_in(&self, options: &CacheOptions) -> CacheOptions {
        let mut filled = options.clone();
        self.fill_in(&mut filled);
        filled
    }

    /// Gives back memory in another shard, at every eighth write. Without this, a shard without
    /// writes would keep expired entries for ever.
    #[inline]
    pub(crate) fn reclaim_another_shard(&self, writes: usize, now: &Now<'_>) {
        // A single shard has already reclaimed, as a part of the write.
        let others = self.shards.len() - 1;
        if others > 0 && writes % WRITES_PER_VISIT == 0 {
            let turn = writes / WRITES_PER_VISIT;
            self.shards[turn % self.shards.len()].reclaim(now);
        }
    }

    /// Removes the entry, and fences the load of the key. Returns `true` if the entry was fresh,
    /// `false` if not.
    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        let (at, shard) = self.locate(key);
        shard.remove(at, &self.now())
    }

    /// Ends the freshness of the entry, and fences the load of the key. Returns `true` if the
    /// entry was fresh, `false` if not.
    pub(crate) fn expire(&self, key: &[u8]) -> bool {
        let (at, shard) = self.locate(key);
        shard.expire(at, &self.now())
    }
}
