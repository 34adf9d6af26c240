//! The limits of a load: timeouts, and the time after a failure.

// The times are kept as given; `load/timeouts.rs` asks the timer, and only if a call waits.
use std::time::Duration;

use super::CacheOptions;

/// Limits of loads.
impl CacheOptions {
    /// Bounds the duration of a loading call, of the leader and of a waiter alike.
    ///
    /// Default: no bound. Counted from the first poll of the call. Needs a timer
    /// ([`CacheBuilder::timer`]).
    ///
    /// At the timeout, the call returns the stale value if the entry allows, else an error
    /// ([`is_timeout`]). At the timeout of the leader the load ends too, and counts as a failed load.
    /// The waiters look again, with the rest of their own time, and no [`error_backoff`] begins. For a
    /// background load, the timeout is the deadline of the load, 30 seconds by default: at the deadline
    /// the load fails, and the back-off begins.
    ///
    /// [`error_backoff`]: Self::error_backoff
    /// [`is_timeout`]: crate::CacheError::is_timeout
    /// [`CacheBuilder::timer`]: crate::CacheBuilder::timer
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_lite::future::block_on;
    /// use hydracache::{CacheOptions, HydraCache, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let cache = HydraCache::local().clock(clock.clone()).timer(clock.clone()).build();
    /// let options = CacheOptions::new().load_timeout(Duration::from_secs(2));
    ///
    /// let load = cache.get_or_load("row", options, || async {
    ///     clock.advance(Duration::from_secs(2));
    ///     std::future::pending::<Result<u32, &str>>().await // the database hangs
    /// });
    /// assert!(block_on(load).unwrap_err().is_timeout());
    /// assert_eq!(cache.stats().load_failures, 1);
    /// ```
    pub fn load_timeout(mut self, time: Duration) -> Self {
        self.extra_mut().load_timeout = Some(time);
        self
    }

    /// Bounds the time that a call waits for a load, if a stale value can be served instead.
    ///
    /// Default: no bound. Counted from the first poll of the call. Needs a timer, except for zero:
    /// with zero, a call serves the stale value at once.
    ///
    /// The bound applies to waiters. A leader with a borrowed loader drives the load to the end. An
    /// owned loader runs in the background if the cache has a spawner; then the bound applies to
    /// every caller, and the load goes on.
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
    /// let cache = HydraCache::local().clock(clock.clone()).timer(clock.clone()).build();
    /// let options = CacheOptions::new()
    ///     .ttl(Duration::from_secs(60))
    ///     .stale_if_error(Duration::from_secs(3600))
    ///     .soft_timeout(Duration::from_millis(50));
    /// block_on(cache.put("rate", 1_u32, options.clone()))?;
    /// clock.advance(Duration::from_secs(60)); // stale
    ///
    /// let load = || async {
    ///     yield_now().await; // meanwhile the other call begins to wait
    ///     clock.advance(Duration::from_millis(50)); // the database is slow
    ///     yield_now().await;
    ///     Ok::<u32, std::io::Error>(2)
    /// };
    /// let (leader, waiter) = block_on(zip(
    ///     cache.get_or_load("rate", options.clone(), load),
    ///     cache.get_or_load("rate", options, load),
    /// ));
    /// assert_eq!(leader?, 2);
    /// assert_eq!(waiter?, 1); // stale, after 50 milliseconds
    /// # Ok(())
    /// # }
    /// ```
    pub fn soft_timeout(mut self, time: Duration) -> Self {
        self.extra_mut().soft_timeout = Some(time);
        self
    }

    /// Keeps a key from being loaded for this time after a failed load of the key.
    ///
    /// Default: none. Counted from the end of the failed load. The options of the failed load
    /// count.
    ///
    /// During the back-off, loading calls get the stale value if the entry allows, else a clone of
    /// the error. `put`, `remove` and `flush` end the back-off; `refresh` loads all the same. Each
    /// shard remembers up to 1,024 keys, and forgets the oldest first.
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
    /// let options = CacheOptions::new().error_backoff(Duration::from_secs(5));
    /// let load = |row: Result<u32, &'static str>| {
    ///     block_on(cache.get_or_load("row", options.clone(), || async move { row }))
    /// };
    ///
    /// assert!(load(Err("down")).is_err());
    /// assert!(load(Ok(7)).is_err()); // the same error; the loader is not called
    /// clock.advance(Duration::from_secs(5));
    /// assert_eq!(load(Ok(7))?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn error_backoff(mut self, time: Duration) -> Self {
        self.extra_mut().error_backoff = Some(time);
        self
    }
}
