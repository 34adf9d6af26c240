//! How a cache waits: for as long as it is told, by a timer that it is given.
//!
//! A clock only tells the time; a timer wakes. The cache starts one only where a call
//! has a timeout and really waits.

use std::pin::Pin;
use std::time::Duration;

/// A boxed future that can be sent to another thread.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes futures that end after a time.
///
/// Functions that do so are timers as they are: `tokio::time::sleep`,
/// `smol::Timer::after`, or a closure over either. Called with no lock of the cache
/// held, in the call that waits.
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
///
/// let options = CacheOptions::new().load_timeout(Duration::from_secs(2));
/// let load = cache.get_or_load("row", options, || async {
///     clock.advance(Duration::from_secs(2)); // the database hangs ...
///     std::future::pending::<Result<u8, &str>>().await
/// });
/// assert!(block_on(load).unwrap_err().is_timeout());
/// ```
pub trait Timer: Send + Sync {
    /// Returns a future that ends after `time`, counted from this call.
    fn sleep(&self, time: Duration) -> BoxFuture;
}

impl<F, Fut> Timer for F
where
    F: Fn(Duration) -> Fut + Send + Sync,
    Fut: Future + Send + 'static,
{
    fn sleep(&self, time: Duration) -> BoxFuture {
        let sleeping = self(time);
        Box::pin(async move {
            sleeping.await;
        })
    }
}

/// The timer of [async-io](https://docs.rs/async-io), which works on any runtime.
///
/// The default with the feature `async-io`. Its first use starts the one thread that
/// async-io has in a process.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{AsyncIoTimer, Timer};
///
/// block_on(AsyncIoTimer.sleep(Duration::from_millis(1)));
/// ```
#[cfg(feature = "async-io")]
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncIoTimer;

#[cfg(feature = "async-io")]
impl Timer for AsyncIoTimer {
    fn sleep(&self, time: Duration) -> BoxFuture {
        Box::pin(async move {
            async_io::Timer::after(time).await;
        })
    }
}

/// The timer of a cache that was given none.
#[allow(
    clippy::unnecessary_wraps,
    reason = "there is none without the feature"
)]
pub(crate) fn default_timer() -> Option<Box<dyn Timer>> {
    #[cfg(feature = "async-io")]
    {
        Some(Box::new(AsyncIoTimer))
    }
    #[cfg(not(feature = "async-io"))]
    {
        None
    }
}
