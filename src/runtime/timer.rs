//! The timer: wakes a call after a time.
//!
//! A clock tells the time; a timer wakes. The cache starts a sleep only if a call has a timeout
//! and really waits.

use std::pin::Pin;
use std::time::Duration;

/// A boxed future that can be sent to another thread: a sleep, or a background load.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes futures that end after a time, for [`CacheBuilder::timer`](crate::CacheBuilder::timer).
///
/// A function or closure from a `Duration` to a future is a timer: `tokio::time::sleep`,
/// `smol::Timer::after`. The cache calls the timer without a lock, inside the poll of the waiting
/// call. The default is `AsyncIoTimer`, with the default feature `async-io`; without this feature
/// a cache has no timer by default.
///
/// # Examples
///
/// A hung loader, and a timer moved by hand:
///
/// ```
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache, ManualClock};
///
/// let clock = ManualClock::new();
/// let cache = HydraCache::local().clock(clock.clone()).timer(clock.clone()).build();
///
/// let options = CacheOptions::new().load_timeout(Duration::from_secs(2));
/// let load = cache.get_or_load("row", options, || async {
///     clock.advance(Duration::from_secs(2)); // two seconds without an answer
///     std::future::pending::<Result<u8, &str>>().await
/// });
/// assert!(block_on(load).unwrap_err().is_timeout());
/// ```
pub trait Timer: Send + Sync {
    /// Returns a future that ends after `time`, counted from this call, not from the first poll.
    fn sleep(&self, time: Duration) -> BoxFuture;
}

impl<F, Fut> Timer for F
where
    F: Fn(Duration) -> Fut + Send + Sync,
    Fut: Future + Send + 'static,
{
    fn sleep(&self, time: Duration) -> BoxFuture {
        // The call is here and not in the future: the time counts from now.
        let sleeping = self(time);
        Box::pin(async move {
            // The output is dropped: `smol::Timer` returns an `Instant`.
            sleeping.await;
        })
    }
}

/// The timer of [async-io](https://docs.rs/async-io), for every runtime.
///
/// The default timer with the feature `async-io`, except on wasm. The first sleep starts the single
/// thread of async-io in the process. A `fork` does not copy the thread: in the child no sleep ends.
/// Give a cache of the child another timer.
///
/// # Examples
///
/// ```
/// use std::future::pending;
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{AsyncIoTimer, CacheOptions, HydraCache};
///
/// let cache = HydraCache::local().timer(AsyncIoTimer).build();
/// let options = CacheOptions::new().load_timeout(Duration::from_millis(1));
/// let hung_load = cache.get_or_load("key", options, pending::<Result<u8, &str>>);
/// assert!(block_on(hung_load).is_err_and(|error| error.is_timeout()));
/// ```
#[cfg(all(feature = "async-io", not(any(loom, target_family = "wasm"))))]
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncIoTimer;

#[cfg(all(feature = "async-io", not(any(loom, target_family = "wasm"))))]
impl Timer for AsyncIoTimer {
    fn sleep(&self, time: Duration) -> BoxFuture {
        // Counts from the first poll. The cache polls a sleep at once, so the difference is nothing.
        Box::pin(async move {
            async_io::Timer::after(time).await;
        })
    }
}

/// Returns the timer of a cache built without `CacheBuilder::timer`.
#[allow(
    clippy::unnecessary_wraps,
    reason = "without the feature there is no timer"
)]
pub(crate) fn default_timer() -> Option<Box<dyn Timer>> {
    #[cfg(all(feature = "async-io", not(any(loom, target_family = "wasm"))))]
    {
        Some(Box::new(AsyncIoTimer))
    }
    #[cfg(not(all(feature = "async-io", not(any(loom, target_family = "wasm")))))]
    {
        None
    }
}
