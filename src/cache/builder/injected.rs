//! The parts that a caller may inject: clock, timer, spawner, listener, hasher, codec.

use std::sync::Arc;

use bytes::Bytes;

use super::CacheBuilder;
use crate::key::KeyHasher;
use crate::removal::RemovalCause;
use crate::runtime::{Clock, Spawn, Timer};
use crate::value::Codec;

/// Injected parts.
// The codec alone becomes a type parameter of the handle; all other parts are erased.
impl<C: Codec> CacheBuilder<C> {
    /// Sets the clock: the source of the time.
    ///
    /// Default: [`SystemClock`](crate::SystemClock). Tests use a
    /// [`ManualClock`](crate::ManualClock).
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
    /// let cache = HydraCache::local().clock(clock.clone()).build();
    /// let minute = Duration::from_secs(60);
    /// block_on(cache.put("name", "Ada", CacheOptions::new().ttl(minute)))?;
    ///
    /// assert!(block_on(cache.contains_key("name")));
    /// clock.advance(minute); // no waiting
    /// assert!(!block_on(cache.contains_key("name")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.settings.clock = Box::new(clock);
        self
    }

    /// Sets the timer, which waits for timeouts.
    ///
    /// Default: `AsyncIoTimer` with the feature `async-io`; none without the feature and on wasm. The
    /// first use of `AsyncIoTimer` starts a thread. A process forked after that has no such thread:
    /// there, timeouts of this timer never fire.
    ///
    /// Without a timer, a call with a timeout returns an error
    /// ([`is_no_timer`](crate::CacheError::is_no_timer)) if the call would load or wait.
    ///
    /// The timer must follow the same time as the clock: tests use a
    /// [`ManualClock`](crate::ManualClock) as both. The timer matters only for calls with a timeout
    /// and for background loads; times to live, windows and back-offs follow the clock alone. With
    /// a `ManualClock` and a real timer, no value is wrong, but `advance` ends no timeout: calls
    /// wait the real time. A background load past the deadline on the clock still runs until the
    /// real deadline, while another call may start a second load.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::{CacheOptions, HydraCache};
    ///
    /// #[tokio::main]
    /// async fn main() {
    ///     let cache = HydraCache::local().timer(tokio::time::sleep).build();
    ///     let options = CacheOptions::new().load_timeout(Duration::from_millis(1));
    ///     let load = cache.get_or_load("row", options, || async {
    ///         std::future::pending::<Result<u32, &str>>().await // the database hangs
    ///     });
    ///     assert!(load.await.unwrap_err().is_timeout());
    /// }
    /// ```
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.settings.timer = Some(Box::new(timer));
        self
    }

    /// Sets the spawner, which runs background loads.
    ///
    /// Default: none; the caller that triggers a load drives the load.
    ///
    /// Background loads need a timer too, since each background load has a deadline:
    /// `load_timeout`, or 30 seconds. A background load keeps the cache alive until the load ends. A
    /// spawner that holds a [`HydraCache`](crate::HydraCache) would keep the cache for ever: such a
    /// spawner holds a [`WeakHydraCache`](crate::WeakHydraCache).
    ///
    /// A local executor cannot be a spawner: loads come from any thread, and are `Send`. The page
    /// `docs/runtimes.md` has the remedies.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::{CacheError, CacheOptions, HydraCache, ManualClock};
    ///
    /// #[tokio::main]
    /// async fn main() -> Result<(), CacheError> {
    ///     let clock = ManualClock::new();
    ///     let cache = HydraCache::local()
    ///         .clock(clock.clone())
    ///         .timer(clock.clone())
    ///         .spawner(|load| drop(tokio::spawn(load)))
    ///         .build();
    ///     let minute = Duration::from_secs(60);
    ///     let options = CacheOptions::new().ttl(minute).stale_while_revalidate(minute);
    ///     cache.put("rate", 1_u32, options.clone()).await?;
    ///     clock.advance(minute); // stale
    ///
    ///     let load = || async { Ok::<u32, std::io::Error>(2) };
    ///     assert_eq!(cache.get_or_refresh("rate", options, load).await?, 1); // stale, at once
    ///     while cache.get::<u32>("rate").await? != Some(2) {
    ///         tokio::task::yield_now().await; // until the background load completes
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn spawner(mut self, spawner: impl Spawn + 'static) -> Self {
        self.settings.spawner = Some(Box::new(spawner));
        self
    }

    /// Sets the highest number of loads in the background at a time.
    ///
    /// Default: 64 loads. At the bound, the current value is served, and no load starts.
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
    /// let cache = HydraCache::local()
    ///     .clock(clock.clone())
    ///     .timer(clock.clone())
    ///     .spawner(|load| smol::spawn(load).detach())
    ///     .max_background_loads(0)
    ///     .build();
    /// let minute = Duration::from_secs(60);
    /// let options = CacheOptions::new().ttl(minute).stale_while_revalidate(minute);
    /// block_on(cache.put("rate", 1_u32, options.clone()))?;
    /// clock.advance(minute); // stale
    ///
    /// let load = || async { Ok::<u32, std::io::Error>(2) };
    /// assert_eq!(block_on(cache.get_or_refresh("rate", options, load))?, 1);
    /// assert_eq!(cache.stats().loads, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_background_loads(mut self, loads: usize) -> Self {
        self.settings.max_background_loads = loads;
        self
    }

    /// Sets the listener, which gets the key, the encoded value and the cause of each removed
    /// entry.
    ///
    /// Default: no listener.
    ///
    /// The listener is called once for each removed entry, under no lock of the cache, by the cache
    /// call that gives back the memory, before this call returns. Invalidated entries are reported
    /// when swept. Expired entries are reported by a later write, or by `HydraCache::tidy`: the
    /// listener of an idle cache is not called. When the last handle is dropped, the listener is not
    /// called for the remaining entries: call [`flush`](crate::HydraCache::flush) before.
    ///
    /// The listener may call the cache. If that call removes entries, the listener hears of them
    /// after it has returned, so the listener is never called within itself. A listener that
    /// re-inserts every evicted entry never ends: each insertion evicts another entry.
    ///
    /// A listener that calls its own cache holds a [`WeakHydraCache`](crate::WeakHydraCache), see
    /// [`build_cyclic`](Self::build_cyclic): with a [`HydraCache`](crate::HydraCache) inside, the
    /// cache would never be freed.
    ///
    /// If the listener panics, the panic unwinds through the cache call that runs the listener.
    /// Other entries removed in the same step, or by calls of the listener, are not reported, but
    /// each step itself is complete. A
    /// load that completed in this step is stored, and the waiters look the key up again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, RemovalCause};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let evicted = Arc::new(AtomicUsize::new(0)); // bytes
    /// let sum = Arc::clone(&evicted);
    /// let cache = HydraCache::local()
    ///     .max_capacity(1)
    ///     .on_removal(move |_key, value, cause| {
    ///         if cause == RemovalCause::Evicted {
    ///             sum.fetch_add(value.len(), Relaxed);
    ///         }
    ///     })
    ///     .build();
    /// block_on(cache.put("a", 1_u8, CacheOptions::new()))?;
    /// block_on(cache.put("b", 2_u8, CacheOptions::new()))?;
    /// assert_eq!(evicted.load(Relaxed), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_removal(
        mut self,
        listener: impl Fn(&str, &Bytes, RemovalCause) + Send + Sync + 'static,
    ) -> Self {
        self.settings.listener = Some(Arc::new(listener));
        self
    }

    /// Sets the hash function of the keys.
    ///
    /// Default: [`KeyHasher::Foldhash`]. [`KeyHasher::SipHash`] withstands an attacker who chooses
    /// keys and measures look-ups.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, KeyHasher};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().hasher(KeyHasher::SipHash).build();
    /// block_on(cache.put("name", "Ada", CacheOptions::new()))?;
    /// assert!(block_on(cache.contains_key("name")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn hasher(mut self, hasher: KeyHasher) -> Self {
        self.settings.hasher = hasher;
        self
    }

    /// Sets the codec, which encodes values to bytes and decodes bytes to values.
    ///
    /// Default: [`Postcard`](crate::Postcard).
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future::block_on;
    /// use hydracache::{BoxError, Bytes, CacheOptions, Codec, HydraCache};
    /// use serde::{Serialize, de::DeserializeOwned};
    ///
    /// struct Json;
    ///
    /// impl Codec for Json {
    ///     fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
    ///         Ok(serde_json::to_vec(value)?.into())
    ///     }
    ///
    ///     fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
    ///         Ok(serde_json::from_slice(bytes)?)
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let cache = HydraCache::local().codec(Json).build();
    /// block_on(cache.put("answer", 42, CacheOptions::new()))?;
    /// assert_eq!(block_on(cache.get_bytes("answer"))?.as_deref(), Some(&b"42"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn codec<D: Codec>(self, codec: D) -> CacheBuilder<D> {
        // Another codec is another type of the builder: the settings move over.
        let settings = self.settings;
        CacheBuilder { settings, codec }
    }
}
