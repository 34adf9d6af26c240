//! The times of an entry beyond the time to live: windows, refreshing ahead, jitter, idleness.

// The setters only record: `store/freshness` computes all times when a value is stored.
use std::time::Duration;

use super::CacheOptions;

/// Times beyond the time to live. `docs/freshness.md` draws them on one line.
impl CacheOptions {
    /// Serves the stale value for this time after the time to live, while a call loads.
    ///
    /// Default: none. Counted from the end of the time to live.
    ///
    /// In this window, the first loading call with a borrowed loader loads and waits for the new
    /// value. All other loading calls get the stale value at once. An owned loader
    /// ([`get_or_refresh`], [`LoadingCache`]) runs in the background if the cache has a spawner and
    /// a timer; then no call waits. Reads without a loader do not see the stale value.
    ///
    /// [`get_or_refresh`]: crate::HydraCache::get_or_refresh
    /// [`LoadingCache`]: crate::LoadingCache
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::{block_on, yield_now, zip};
    /// use hydracache::{CacheOptions, HydraCache, ManualClock};
    ///
    /// # fn main() -> Result<(), hydracache::CacheError> {
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local().clock(clock.clone()).build();
    /// let options = CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .stale_while_revalidate(Duration::from_secs(10));
    /// block_on(cache.put("rate", 1_u32, options.clone()))?;
    /// clock.advance(Duration::from_secs(60)); // stale
    ///
    /// let load = || async {
    ///     yield_now().await; // the database works
    ///     Ok::<u32, std::io::Error>(2)
    /// };
    /// let (first, second) = block_on(zip(
    ///     cache.get_or_load("rate", options.clone(), load),
    ///     cache.get_or_load("rate", options, load),
    /// ));
    /// assert_eq!(first?, 2); // loaded
    /// assert_eq!(second?, 1); // stale, at once
    /// # Ok(())
    /// # }
    /// ```
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.extra_mut().stale_while_revalidate = Some(window);
        self
    }

    /// Serves the stale value for this time after the time to live, if a load fails.
    ///
    /// Default: none. Counted from the end of the time to live.
    ///
    /// A load fails by an error of the loader, by a timeout and, for the waiters, by a panic. Until
    /// the window ends, every call with a failed load gets the stale value, unless the entry was
    /// evicted or invalidated.
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
    /// let options = CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .stale_if_error(Duration::from_secs(3600));
    /// block_on(cache.put("rate", 1_u32, options.clone()))?;
    /// let load = || cache.get_or_load("rate", options.clone(), async || Err::<u32, _>("down"));
    ///
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(block_on(load())?, 1); // stale
    /// clock.advance(Duration::from_secs(3600));
    /// assert!(block_on(load()).unwrap_err().is_load()); // expired
    /// # Ok(())
    /// # }
    /// ```
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.extra_mut().stale_if_error = Some(window);
        self
    }

    /// Loads a new value before the end of the time to live, on the first loading call after this
    /// part of the time to live.
    ///
    /// Default: none. The part is from 0 to 1; without a time to live the option does nothing.
    ///
    /// As in the window of [`stale_while_revalidate`](Self::stale_while_revalidate), the first
    /// caller with a borrowed loader waits for the new value, and all other calls get the current
    /// value at once. The current value is still fresh, and counts as a hit.
    ///
    /// # Panics
    ///
    /// Panics if the part is not a number from 0 to 1.
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
    /// let options = CacheOptions::new().ttl(Duration::from_secs(60)).refresh_ahead(0.8);
    /// block_on(cache.put("rate", 1_u32, options.clone()))?;
    /// let load = || cache.get_or_load("rate", options.clone(), async || Ok::<u32, &str>(2));
    ///
    /// clock.advance(Duration::from_secs(47));
    /// assert_eq!(block_on(load())?, 1);
    /// clock.advance(Duration::from_secs(1)); // 0.8 of a minute
    /// assert_eq!(block_on(load())?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn refresh_ahead(mut self, part: f32) -> Self {
        assert_fraction("refresh_ahead", part);
        self.extra_mut().refresh_ahead = Some(part);
        self
    }

    /// Shortens each time to live by a random part, up to this part.
    ///
    /// Default: none. The part is from 0 to 1.
    ///
    /// Entries stored together then do not expire together.
    ///
    /// # Panics
    ///
    /// Panics if the part is not a number from 0 to 1.
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
    /// let options = CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .jitter(0.1); // between 54 and 60 seconds
    /// for id in 0..100 {
    ///     block_on(cache.put(&format!("user:{id}"), id, options.clone()))?;
    /// }
    ///
    /// clock.advance(Duration::from_secs(54));
    /// assert_eq!(cache.keys().count(), 100);
    /// clock.advance(Duration::from_secs(3));
    /// assert!((1..100).contains(&cache.keys().count()));
    /// clock.advance(Duration::from_secs(3));
    /// assert_eq!(cache.keys().count(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn jitter(mut self, part: f32) -> Self {
        assert_fraction("jitter", part);
        self.extra_mut().jitter = Some(part);
        self
    }

    /// Expires the entry after this time without a read.
    ///
    /// Default: none. Counted from the last read, or from the moment of storing.
    ///
    /// Reads are `get`, `get_bytes` and loading calls with a result from the entry. A read moves
    /// the end only if a thirty-second part of this time has passed since the last recorded read,
    /// so an entry may expire earlier by this part. An idle entry is expired even inside a window.
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
    /// let options = CacheOptions::new().time_to_idle(Duration::from_secs(600));
    /// block_on(cache.put("session", 7_u32, options))?;
    ///
    /// for _ in 0..3 {
    ///     clock.advance(Duration::from_secs(599));
    ///     assert_eq!(block_on(cache.get::<u32>("session"))?, Some(7));
    /// }
    /// clock.advance(Duration::from_secs(600));
    /// assert_eq!(block_on(cache.get::<u32>("session"))?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn time_to_idle(mut self, time: Duration) -> Self {
        self.extra_mut().time_to_idle = Some(time);
        self
    }
}

// `contains` is false for NaN, so NaN panics too.
#[track_caller]
fn assert_fraction(name: &str, part: f32) {
    assert!(
        (0.0..=1.0).contains(&part),
        "{name} takes a part from 0 to 1, not {part}"
    );
}
