//! Helpers: futures polled by hand, doors to block loaders, and shorthands.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

pub use futures_lite::future::block_on;
use hydracache::{CacheOptions, CacheResult, CacheStats, HydraCache, ManualClock};

pub const SECOND: Duration = Duration::from_secs(1);

pub fn options() -> CacheOptions {
    CacheOptions::new()
}

pub fn tagged(tag: &str) -> CacheOptions {
    options().tag(tag)
}

pub fn lasting(seconds: u32) -> CacheOptions {
    options().ttl(SECOND * seconds)
}

/// A loader returning `value` at once.
pub fn ready<V>(value: V) -> impl FnOnce() -> std::future::Ready<Result<V, Infallible>> {
    || std::future::ready(Ok(value))
}

/// A loader for calls without a load. Panics when run.
pub fn never<V>() -> std::future::Ready<Result<V, Infallible>> {
    panic!("the loader must not run")
}

/// A cache with a clock moved by the test.
pub fn clocked(capacity: u64) -> (HydraCache, ManualClock) {
    let clock = ManualClock::new();
    let builder = HydraCache::local().max_capacity(capacity);
    (builder.clock(clock.clone()).build(), clock)
}

pub fn put(cache: &HydraCache, key: &str, value: u32, options: CacheOptions) {
    block_on(cache.put(key, value, options)).unwrap();
}

#[track_caller]
pub fn get(cache: &HydraCache, key: &str) -> Option<u32> {
    block_on(cache.get(key)).unwrap()
}

/// Loads a ready value, or returns the stored value. Must not wait.
#[track_caller]
pub fn load(cache: &HydraCache, key: &str, value: u32) -> u32 {
    let call = cache.get_or_load(key, options(), ready(value));
    Hand::hold(call).ends().unwrap()
}

pub fn invalidate(cache: &HydraCache, tag: &str) -> u64 {
    block_on(cache.invalidate_tag(tag)).unwrap()
}

/// Asserts every counter. A counter not set by `expected` must be zero.
#[track_caller]
pub fn assert_stats(stats: CacheStats, expected: impl FnOnce(&mut CacheStats)) {
    let mut all = CacheStats::default();
    expected(&mut all);
    assert_eq!(stats, all);
}

/// A future polled by hand, and the count of wake-ups.
pub struct Hand<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<'a, T> Hand<'a, T> {
    /// Holds an unpolled future.
    pub fn hold(future: impl Future<Output = T> + 'a) -> Self {
        Self {
            future: Box::pin(future),
            wakes: Arc::default(),
        }
    }

    /// Polls a future once. The future must be pending.
    #[track_caller]
    pub fn start(future: impl Future<Output = T> + 'a) -> Self {
        let mut hand = Self::hold(future);
        hand.waits();
        hand
    }

    pub fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    #[track_caller]
    pub fn waits(&mut self) {
        assert!(self.poll().is_pending(), "the future must be pending");
    }

    #[track_caller]
    pub fn ends(&mut self) -> T {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the future must be ready"),
        }
    }

    /// Polls a self-waking future to the end.
    #[track_caller]
    pub fn finish(&mut self) -> T {
        loop {
            if let Poll::Ready(output) = self.poll() {
                return output;
            }
            assert!(self.was_woken(), "the future must wake its own task");
        }
    }

    /// Whether the task was woken since the last call of this method.
    pub fn was_woken(&self) -> bool {
        self.wakes.0.swap(0, Ordering::SeqCst) > 0
    }
}

/// Blocks loaders until the test calls `open`. Not `Send`; for `Send` loaders see `Gate`.
#[derive(Clone, Default)]
pub struct Door(Rc<RefCell<(bool, Vec<Waker>)>>);

impl Door {
    pub fn open(&self) {
        let (open, wakers) = &mut *self.0.borrow_mut();
        *open = true;
        wakers.drain(..).for_each(Waker::wake);
    }

    pub async fn pass(&self) {
        std::future::poll_fn(|cx| {
            let (open, wakers) = &mut *self.0.borrow_mut();
            if *open {
                return Poll::Ready(());
            }
            wakers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Starts a load of `key`: the call claims the slot, and the loader waits at the door.
#[track_caller]
pub fn lead<'a>(
    cache: &'a HydraCache,
    key: &'a str,
    value: u32,
    options: CacheOptions,
    door: &'a Door,
) -> Hand<'a, CacheResult<u32>> {
    let before = cache.stats().loads;
    let hand = Hand::start(cache.get_or_load(key, options, move || async move {
        door.pass().await;
        Ok::<_, Infallible>(value)
    }));
    assert_eq!(cache.stats().loads, before + 1, "the call must lead");
    hand
}

/// Starts a call. The call waits for another call's load.
#[track_caller]
pub fn join<'a>(cache: &'a HydraCache, key: &'a str) -> Hand<'a, CacheResult<u32>> {
    Hand::start(cache.get_or_load(key, options(), never))
}

/// Runs a scenario in a thread. Fails after a minute instead of hanging.
#[track_caller]
pub fn without_hanging(scenario: impl FnOnce() + Send + 'static) {
    let (done, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        scenario();
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(60)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
            panic!("the scenario must end within a minute")
        }
        // A panic of the scenario fails the test.
        _ => thread.join().unwrap(),
    }
}
