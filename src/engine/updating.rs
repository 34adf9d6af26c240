//! Writes that go by what there is: a look and a store as one step.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Engine;
use crate::error::CacheResult;
use crate::options::CacheOptions;
use crate::shard::NewEntry;
use crate::value::{Codec, TypedValue};

impl<C: Codec> Engine<C> {
    /// Stores a value if what there is still is what was read. Whether it did.
    fn put_if<V: Serialize>(
        &self,
        key: &[u8],
        read: Option<&TypedValue>,
        value: &V,
        options: &CacheOptions,
    ) -> CacheResult<bool> {
        let value = self.encode(key, value)?;
        let (at, shard) = self.locate(key);
        let now = self.now();
        let mut write = NewEntry {
            value,
            ttl: options.ttl,
            extra: options.extra.as_deref(),
            needs_age: false,
        };
        let writes = shard.put_if(at, read, &mut write, &options.tags, &now);
        if let Some(writes) = writes {
            self.reclaim_another_shard(writes, &now);
        }
        Ok(writes.is_some())
    }

    pub(crate) fn put_if_absent<V: Serialize>(
        &self,
        key: &[u8],
        value: &V,
        mut options: CacheOptions,
    ) -> CacheResult<bool> {
        self.fill_in(&mut options);
        self.put_if(key, None, value, &options)
    }

    /// Reads a value, and stores what is made of it, or removes it, if it still is what
    /// was read; else again.
    pub(crate) fn update<V: Serialize + DeserializeOwned>(
        &self,
        key: &[u8],
        mut options: CacheOptions,
        mut change: impl FnMut(Option<V>) -> Option<V>,
    ) -> CacheResult<Option<V>> {
        self.fill_in(&mut options);
        let (at, shard) = self.locate(key);
        loop {
            let read = shard.peek(at, &self.now());
            let value = read.as_ref().map(|read| self.decode(key, read));
            let changed = change(value.transpose()?);
            let done = match &changed {
                Some(value) => self.put_if(key, read.as_ref(), value, &options)?,
                None => shard.remove_if(at, read.as_ref(), &self.now()),
            };
            if done {
                return Ok(changed);
            }
        }
    }
}
