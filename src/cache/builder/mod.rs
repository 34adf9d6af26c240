//! The builder of a cache: bounds and defaults here, injected parts in `injected.rs`.

mod injected;

use std::fmt;
use std::time::Duration;

use crate::cache::HydraCache;
use crate::engine::{Engine, Settings};
use crate::key::KeyHasher;
use crate::options::CacheOptions;
use crate::runtime::{SystemClock, default_timer};
use crate::value::{Codec, Postcard};

/// The builder of a [`HydraCache`], created by [`HydraCache::local`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use hydracache::HydraCache;
///
/// let cache = HydraCache::local()
///     .max_capacity(100_000)
///     .default_ttl(Duration::from_secs(300))
///     .build();
/// assert_eq!(cache.entry_count(), 0);
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct CacheBuilder<C = Postcard> {
    settings: Settings,
    /// Apart from the settings, since the codec is a type parameter.
    codec: C,
}

impl HydraCache {
    /// Creates the builder of a cache inside this process.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().build();
    /// block_on(cache.put("name", "Ada", CacheOptions::new()))?;
    /// assert_eq!(block_on(cache.get::<String>("name"))?.as_deref(), Some("Ada"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn local() -> CacheBuilder {
        // The documentation of each method of the builder states the default set here.
        CacheBuilder {
            settings: Settings {
                // `None` is not a number: the default depends on `max_bytes`.
                max_capacity: None,
                max_bytes: None,
                // 16 MiB.
                max_entry_bytes: 16 << 20,
                default_options: CacheOptions::new(),
                hasher: KeyHasher::default(),
                clock: Box::new(SystemClock),
                timer: default_timer(),
                spawner: None,
                max_background_loads: 64,
                listener: None,
            },
            codec: Postcard,
        }
    }
}

/// Bounds and defaults.
impl<C: Codec> CacheBuilder<C> {
    /// Sets the highest number of entries.
    ///
    /// Default: 10,000 entries; with [`max_bytes`](Self::max_bytes) alone, no bound. Zero stores
    /// nothing.
    ///
    /// When a put returns, there are never more entries: a put evicts to make room. Within a shard,
    /// expired entries are removed before a live entry. A cache for fewer than 16,384 entries is a
    /// single shard, and fills exactly up to the bound. A larger cache has several shards, filled
    /// unevenly by the hashes of the keys: eviction may begin at 95 percent, and later up to seven
    /// places of each shard may be empty.
    ///
    /// With a capacity of zero, loading calls still load, one load for each key at a time. Every
    /// value counts as a rejection.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().max_capacity(2).build();
    /// for key in ["a", "b", "c"] {
    ///     block_on(cache.put(key, 0_u8, CacheOptions::new()))?;
    /// }
    /// assert_eq!(cache.entry_count(), 2);
    /// assert_eq!(cache.stats().evictions, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_capacity(mut self, entries: u64) -> Self {
        self.settings.max_capacity = Some(entries);
        self
    }

    /// Sets the highest total cost of all entries and the tags of the entries, in bytes.
    ///
    /// Default: no bound. With [`max_capacity`](Self::max_capacity) too, both bounds hold; with
    /// `max_bytes` alone, the number of entries has no bound.
    ///
    /// The cost of an entry is the sum of:
    ///
    /// - the length of the key and of the encoded value;
    /// - 104 bytes for the entry, and 28 bytes for each tag;
    /// - 88 bytes for a record of times, if the entry has more times than the time to live;
    /// - in a [`TypedCache`](crate::TypedCache), the size of the value type, 64 bytes, and one tag.
    ///   The memory of the value on the heap is unknown.
    ///
    /// In each shard, a tag of at least one entry costs the length of the name and 96 bytes, once
    /// for all entries. The cost is charged with the first entry, and given back with the last. A
    /// tag of running loads alone costs nothing: no put evicts an entry because others load.
    ///
    /// On average the cost is within 15 percent of the real memory, and with many unique tags within
    /// 20 percent. The total is never more than the bound. An entry that costs too much alone, with
    /// the names of all tags, is not stored, counts as a rejection, and evicts nothing.
    ///
    /// The bound is divided among the shards. If there are several shards, each shard has at least
    /// a mebibyte, and room for sixteen values of [`max_entry_bytes`](Self::max_entry_bytes). So
    /// for a large cache of small values, a lower `max_entry_bytes` allows more shards, and more
    /// threads at a time. Entries of different sizes fill the shards unevenly: a shard may evict
    /// while others have room, and an entry that is larger than the part of a shard is refused.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{Bytes, CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().max_bytes(1_000_000).build();
    /// for key in 0..100 {
    ///     let page = Bytes::from(vec![0; 20_000]);
    ///     block_on(cache.put_bytes(&format!("page:{key}"), page, CacheOptions::new()))?;
    /// }
    /// assert_eq!(cache.entry_count(), 49);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = Some(bytes);
        self
    }

    /// Sets the highest length of an encoded value, in bytes.
    ///
    /// Default: 16 MiB.
    ///
    /// A larger value is not stored: the call counts a rejection and removes the current entry of
    /// the key. Loading calls return the value all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().max_entry_bytes(100).build();
    /// block_on(cache.put("large", "x".repeat(101), CacheOptions::new()))?;
    /// assert_eq!(cache.stats().rejections, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_entry_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_entry_bytes = bytes;
        self
    }

    /// Sets the time to live for calls without a [`ttl`](CacheOptions::ttl) in the options.
    ///
    /// Default: none; entries live until evicted or invalidated.
    ///
    /// The same setting as the time to live of [`default_options`](Self::default_options): the last
    /// call that names a time to live wins.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, ManualClock};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let minute = Duration::from_secs(60);
    /// let cache = HydraCache::local().clock(clock.clone()).default_ttl(minute).build();
    /// block_on(cache.put("name", "Ada", CacheOptions::new()))?;
    /// clock.advance(minute);
    /// assert_eq!(block_on(cache.get::<String>("name"))?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.settings.default_options.ttl = Some(ttl);
        self
    }

    /// Sets the options used where a call sets none. Tags are added to the tags of the call.
    ///
    /// Default: none. An option that is not set here keeps its earlier default, an earlier
    /// [`default_ttl`](Self::default_ttl) too. Tags are added to the tags of earlier calls.
    ///
    /// Precedence: the wishes of a loader ([`Loaded`](crate::Loaded)), the options of the call, the
    /// options of a typed cache, these options.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, ManualClock};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let minute = Duration::from_secs(60);
    /// let options = CacheOptions::new().ttl(minute).tag("all");
    /// let cache = HydraCache::local().clock(clock.clone()).default_options(options).build();
    ///
    /// block_on(cache.put("name", "Ada", CacheOptions::new().tag("names")))?;
    /// block_on(cache.put("rate", 7, CacheOptions::new().ttl(2 * minute)))?;
    /// clock.advance(minute);
    /// assert_eq!(block_on(cache.get::<String>("name"))?, None); // the default time to live
    /// assert_eq!(block_on(cache.invalidate_tag("all"))?, 1); // "rate"
    /// # Ok(())
    /// # }
    /// ```
    pub fn default_options(mut self, mut options: CacheOptions) -> Self {
        // Each call names only some options: all others stay as set before.
        options.fill_in(&self.settings.default_options);
        self.settings.default_options = options;
        self
    }

    /// Creates the cache.
    ///
    /// Nothing is reserved in advance: an empty cache is small, whatever the capacity.
    ///
    /// # Examples
    ///
    /// ```
    /// let cache = hydracache::HydraCache::local().max_capacity(u64::MAX).build();
    /// assert_eq!(cache.entry_count(), 0);
    /// ```
    pub fn build(self) -> HydraCache<C> {
        HydraCache::from_engine(self.into_engine())
    }

    /// Creates the state that all handles share.
    pub(super) fn into_engine(self) -> Engine<C> {
        // The engine derives the number of shards from the bounds.
        Engine::new(self.settings, self.codec)
    }
}

/// Shows the bounds and the default time to live.
impl<C> fmt::Debug for CacheBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("max_capacity", &self.settings.bounds().0)
            .field("max_bytes", &self.settings.max_bytes)
            .field("max_entry_bytes", &self.settings.max_entry_bytes)
            .field("default_ttl", &self.settings.default_options.ttl)
            .finish_non_exhaustive()
    }
}
