//! How a cache is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cache::HydraCache;
use crate::engine::{Engine, Settings};
use crate::key::KeyHasher;
use crate::options::CacheOptions;
use crate::removal::RemovalCause;
use crate::runtime::{Clock, Spawn, SystemClock, Timer, default_timer};
use crate::value::{Codec, Postcard};

/// Sets up a [`HydraCache`]. Made by [`HydraCache::local`].
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
    codec: C,
}

impl HydraCache {
    /// Starts to set up a cache inside this process.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::HydraCache;
    ///
    /// let cache = HydraCache::local().build();
    /// # drop(cache);
    /// ```
    pub fn local() -> CacheBuilder {
        CacheBuilder {
            settings: Settings {
                max_capacity: None,
                max_bytes: None,
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

impl<C: Codec> CacheBuilder<C> {
    /// Sets how many entries are kept at most.
    ///
    /// Default: 10,000, and with [`max_bytes`](Self::max_bytes) alone no bound. There are
    /// never more when a put returns: it evicts to make room, and within a shard what has
    /// expired goes before what is live. A cache for 16,384 entries or more is divided
    /// into shards; since keys fall into them unevenly, eviction may begin when it is 95
    /// percent full, and up to seven places of a shard may be empty later. A smaller cache is one shard, and holds exactly as many.
    ///
    /// Zero stores nothing; loading calls still load, one load a key at a time,
    /// and every value that would have been stored counts as a rejection.
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

    /// Sets how many bytes all entries may cost together.
    ///
    /// Default: no bound. An entry costs the bytes of its key and of its encoded value,
    /// 104 for what is kept beside them, 28 for each of its tags, and 88 for a record of its
    /// times if it has more than a time to live: within 15 percent of the memory it takes,
    /// on average and where tags are shared. One of a [`TypedCache`](crate::TypedCache) costs
    /// the size of its type and 64 more, and has one tag more; what its value has on the heap
    /// nobody knows. The sum is never
    /// more than the bound. An entry that costs more by itself is not stored, counts as
    /// a rejection, and evicts nothing. With [`max_capacity`](Self::max_capacity) both
    /// bounds hold; without it the number of entries has none.
    ///
    /// The bound is divided among the shards, of which each has a mebibyte and room for
    /// sixteen values of [`max_entry_bytes`](Self::max_entry_bytes) at least; so a large
    /// cache of small values is faster under many threads if that is set to what is really
    /// stored. Entries of many sizes fill the shards unevenly: eviction may begin in one
    /// while others have room, and what is refused is what is larger than a shard's part.
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

    /// Sets how many bytes an encoded value may have to be stored.
    ///
    /// Default: 16 MiB. A larger value is returned by loading calls all the same,
    /// but not stored; it counts as a rejection, and what was stored under its key
    /// is removed.
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

    /// Sets the time to live of entries whose options have none.
    ///
    /// Default: none, and entries live until they are evicted or invalidated. See
    /// [`CacheOptions::ttl`] for how it is counted. The same as the time to live of
    /// [`default_options`](Self::default_options): what is said last holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::HydraCache;
    ///
    /// let cache = HydraCache::local().default_ttl(Duration::from_secs(60)).build();
    /// # drop(cache);
    /// ```
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.settings.default_options.ttl = Some(ttl);
        self
    }

    /// Sets the options that hold where a call sets none. Tags are added to those of the
    /// call.
    ///
    /// Default: none. What a call sets goes first, and what a loader says of its own value
    /// before that.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// let options = CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .stale_if_error(Duration::from_secs(3600))
    ///     .jitter(0.1);
    /// let cache = HydraCache::local().default_options(options).build();
    /// # drop(cache);
    /// ```
    pub fn default_options(mut self, options: CacheOptions) -> Self {
        self.settings.default_options = options;
        self
    }

    /// Sets what waits for timeouts.
    ///
    /// Default: with the feature `async-io`, the timer of that name, whose first use starts a
    /// thread; without it none, and a call with a timeout that would load or wait is an
    /// error. It should go by the same time as the clock: tests give a
    /// [`ManualClock`](crate::ManualClock) as both.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::HydraCache;
    ///
    /// let cache = HydraCache::local().timer(tokio::time::sleep).build();
    /// # drop(cache);
    /// ```
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.settings.timer = Some(Box::new(timer));
        self
    }

    /// Sets what runs loads that no caller drives.
    ///
    /// Default: none, and the caller that triggers a load drives it. Needs a timer, since
    /// each of these loads has a deadline: its `load_timeout`, or 30 seconds. They keep
    /// the cache until they end.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::HydraCache;
    ///
    /// let cache = HydraCache::local()
    ///     .spawner(|load| drop(tokio::spawn(load)))
    ///     .build();
    /// # drop(cache);
    /// ```
    pub fn spawner(mut self, spawner: impl Spawn + 'static) -> Self {
        self.settings.spawner = Some(Box::new(spawner));
        self
    }

    /// Sets how many loads run in the background at most.
    ///
    /// Default: 64. At the bound the old value is served, and nothing starts.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::HydraCache;
    ///
    /// let cache = HydraCache::local()
    ///     .spawner(|load| smol::spawn(load).detach())
    ///     .max_background_loads(8)
    ///     .build();
    /// # drop(cache);
    /// ```
    pub fn max_background_loads(mut self, loads: usize) -> Self {
        self.settings.max_background_loads = loads;
        self
    }

    /// Sets who is told of every entry that leaves: its key, its stored form, and why.
    ///
    /// Default: nobody. It is called in the call that gave the entry's memory back, once an
    /// entry, with no lock of the cache held, and before that call returns; what an
    /// invalidation left behind is told of when it is swept. It may call the cache, and is
    /// called again within that call if something leaves by it: one that puts back what was
    /// evicted has no end, and one that puts back what was flushed is called within itself once
    /// for every 256 entries. If it panics, that call does, and what left in the same act is not
    /// told of; the act itself is done. A load that it panics in has landed: those who waited
    /// for it look again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// use hydracache::{HydraCache, RemovalCause};
    ///
    /// let evicted = Arc::new(AtomicU64::new(0)); // bytes
    /// let sum = Arc::clone(&evicted);
    /// let cache = HydraCache::local()
    ///     .on_removal(move |_key, value, cause| {
    ///         if cause == RemovalCause::Evicted {
    ///             sum.fetch_add(value.len() as u64, Relaxed);
    ///         }
    ///     })
    ///     .build();
    /// # drop(cache);
    /// ```
    pub fn on_removal(
        mut self,
        listener: impl Fn(&str, &Bytes, RemovalCause) + Send + Sync + 'static,
    ) -> Self {
        self.settings.listener = Some(Arc::new(listener));
        self
    }

    /// Sets where time comes from.
    ///
    /// Default: [`SystemClock`]. Tests give a [`ManualClock`](crate::ManualClock).
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::{HydraCache, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local().clock(clock.clone()).build();
    /// # drop(cache);
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.settings.clock = Box::new(clock);
        self
    }

    /// Sets how keys are hashed.
    ///
    /// Default: [`KeyHasher::Foldhash`].
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::{HydraCache, KeyHasher};
    ///
    /// let cache = HydraCache::local().hasher(KeyHasher::SipHash).build();
    /// # drop(cache);
    /// ```
    pub fn hasher(mut self, hasher: KeyHasher) -> Self {
        self.settings.hasher = hasher;
        self
    }

    /// Sets how values become bytes.
    ///
    /// Default: [`Postcard`].
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::{HydraCache, Postcard};
    ///
    /// let cache: HydraCache<Postcard> = HydraCache::local().codec(Postcard).build();
    /// # drop(cache);
    /// ```
    pub fn codec<D: Codec>(self, codec: D) -> CacheBuilder<D> {
        let settings = self.settings;
        CacheBuilder { settings, codec }
    }

    /// Makes the cache.
    ///
    /// Nothing is reserved beforehand: an empty cache is small, whatever its
    /// capacity.
    ///
    /// # Examples
    ///
    /// ```
    /// let cache = hydracache::HydraCache::local().build();
    /// assert_eq!(cache.entry_count(), 0);
    /// ```
    pub fn build(self) -> HydraCache<C> {
        HydraCache::over(Engine::new(self.settings, self.codec))
    }
}

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
