//! Conditional writes: comparing the entry and storing are a single step.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Engine;
use crate::error::CacheResult;
use crate::options::CacheOptions;
use crate::shard::{NewEntry, StoreMode};
use crate::value::{Codec, NewValue, TypedValue};

impl<C: Codec> Engine<C> {
    /// Puts a value if the entry is still the entry of `read`. Returns `None` if the entry
    /// changed, else whether the value was stored.
    fn put_if(
        &self,
        key: &[u8],
        read: Option<&TypedValue>,
        value: NewValue,
        options: &CacheOptions,
    ) -> Option<bool> {
        let (at, shard) = self.locate(key);
        let now = self.now();
        let mut entry = NewEntry {
            value,
            ttl: options.ttl,
            extra: options.extra.as_deref(),
            needs_age: false,
            // With a fresh entry, tags and times of the entry are kept.
            mode: match read {
                Some(_) => StoreMode::Update,
                None => StoreMode::Replace,
            },
        };
        let written = shard.put_if(at, read, &mut entry, &options.tags, &now);
        if let Some(written) = written {
            self.reclaim_another_shard(written.writes, &now);
        }
        written.map(|written| written.is_stored)
    }

    /// Stores a value if the key has no fresh entry. Returns `true` if stored, `false` if the key
    /// has a fresh entry or the value was refused.
    pub(crate) fn put_if_absent<V: Serialize>(
        &self,
        key: &[u8],
        value: &V,
        mut options: CacheOptions,
    ) -> CacheResult<bool> {
        self.fill_in(&mut options);
        // Encoding is the caller's code, so before the lock; in vain if there is an entry.
        let value = self.encode(key, value)?;
        Ok(self.put_if(key, None, value, &options) == Some(true))
    }

    /// Adds the default jitter to options with a time to live.
    fn with_default_jitter(&self, options: CacheOptions) -> CacheOptions {
        let jitter = |options: &CacheOptions| options.extra.as_ref()?.jitter;
        match jitter(&self.settings.default_options) {
            Some(part) if options.ttl.is_some() && jitter(&options).is_none() => {
                options.jitter(part)
            }
            _ => options,
        }
    }

    /// Reads a value, calls `change`, and stores the result; `None` removes the entry. If the entry
    /// changed meanwhile, nothing is stored, and the step is repeated.
    pub(crate) fn update<V: Serialize + DeserializeOwned>(
        &self,
        key: &[u8],
        options: CacheOptions,
        mut change: impl FnMut(Option<V>) -> Option<V>,
    ) -> CacheResult<Option<V>> {
        // A new entry gets the defaults. A fresh entry keeps its times, and got the defaults when
        // stored: a default time to live that counted again would prolong the life of the entry.
        let mut filled = options.clone();
        self.fill_in(&mut filled);
        let options = self.with_default_jitter(options);
        let (at, shard) = self.locate(key);
        loop {
            // 1. Read. The handle keeps the memory of the value alive, so a newer value cannot
            // have the same address: the comparison in step 3 is safe (no ABA).
            let read = shard.peek(at, &self.now());
            let value = read.as_ref().map(|read| self.decode(key, read));
            // 2. Call `change`, without a lock: the caller's code may use the cache.
            let changed = change(value.transpose()?);
            // 3. Store or remove, if the entry is still the one from step 1.
            let done = match &changed {
                Some(value) => {
                    // Encoded before the lock, and in vain if the entry has changed.
                    let value = self.encode_checked(key, value)?;
                    let options = if read.is_some() { &options } else { &filled };
                    // A refused value is done too: the old value is removed, as by a put.
                    self.put_if(key, read.as_ref(), value, options).is_some()
                }
                None => shard.remove_if(at, read.as_ref(), &self.now()),
            };
            if done {
                return Ok(changed);
            }
        }
    }
}
