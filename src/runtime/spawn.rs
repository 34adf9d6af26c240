//! The spawner: runs background loads.

use super::timer::BoxFuture;

/// Runs background loads, for [`CacheBuilder::spawner`](crate::CacheBuilder::spawner).
///
/// A closure is a spawner: `|load| drop(tokio::spawn(load))` on tokio,
/// `|load| smol::spawn(load).detach()` on smol. A spawner returns nothing, so a task handle that
/// cancels the task on drop cannot be returned, and dropped, by mistake. The cache calls the
/// spawner without a lock. A load dropped before the end counts as cancelled. By default there is
/// no spawner. Without a spawner, or without a [`Timer`](crate::Timer) for the deadline, the call
/// that starts a load runs the load.
///
/// A background load holds the cache, and the cache holds the spawner. If a spawner stores loads,
/// the spawner must run or drop each load at some time. Otherwise neither the cache nor the
/// loads are ever freed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache};
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let cache = HydraCache::local()
///     .timer(smol::Timer::after)
///     .spawner(|load| smol::spawn(load).detach())
///     .build();
/// let hour = Duration::from_secs(3600);
/// let options = CacheOptions::new().ttl(hour).refresh_ahead(0.0); // reload at every read
/// block_on(cache.put("row", 1_u8, options.clone()))?;
///
/// let load = || async { Ok::<u8, &str>(2) };
/// assert_eq!(block_on(cache.get_or_refresh("row", options, load))?, 1); // at once
/// while block_on(cache.peek::<u8>("row"))? == Some(1) {
///     std::thread::yield_now(); // until the background load completes
/// }
/// assert_eq!(block_on(cache.peek::<u8>("row"))?, Some(2));
/// # Ok(())
/// # }
/// ```
pub trait Spawn: Send + Sync {
    /// Starts a load, and returns without waiting for the end. Called in the task of the call that
    /// starts the load, so a task-local or a span of the caller can be carried along.
    fn spawn(&self, future: BoxFuture);
}

impl<F: Fn(BoxFuture) + Send + Sync> Spawn for F {
    fn spawn(&self, future: BoxFuture) {
        // The closure decides where the load runs: the cache never polls the load itself.
        self(future);
    }
}
