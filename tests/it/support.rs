//! Futures polled by hand, doors that loaders wait at, and shorthands.

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

/// A loader that gives a value at once.
pub fn ready<V>(value: V) -> impl FnOnce() -> std::future::Ready<Result<V, Infallible>> {
    || std::future::ready(Ok(value))
}

/// A loader that must not be called.
pub fn never<V>() -> std::future::Ready<Result<V, Infallible>> {
    panic!("a loader was called that nobody needs")
}

/// A cache that goes by a clock of the test.
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

/// Loads a value that is ready, or finds another, and waits for nobody.
#[track_caller]
pub fn load(cache: &HydraCache, key: &str, value: u32) -> u32 {
    let call = cache.get_or_load(key, options(), ready(value));
    Hand::hold(call).ends().unwrap()
}

pub fn invalidate(cache: &HydraCache, tag: &str) -> u64 {
    block_on(cache.invalidate_tag(tag)).unwrap()
}

/// Asserts which counters differ from zero, and that no other does.
#[track_caller]
pub fn assert_stats(stats: CacheStats, expected: impl FnOnce(&mut CacheStats)) {
    let mut all = CacheStats::default();
    expected(&mut all);
    assert_eq!(stats, all);
}

/// A future that is polled only when a test says so.
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
    /// Holds a future without polling it.
    pub fn hold(future: impl Future<Output = T> + 'a) -> Self {
        Self {
            future: Box::pin(future),
            wakes: Arc::default(),
        }
    }

    /// Polls a future once; it must wait for something.
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
        assert!(self.poll().is_pending(), "the future did not wait");
    }

    #[track_caller]
    pub fn ends(&mut self) -> T {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the future still waits"),
        }
    }

    /// Polls to the end a future that always asks to be polled again.
    #[track_caller]
    pub fn finish(&mut self) -> T {
        loop {
            if let Poll::Ready(output) = self.poll() {
                return output;
            }
            assert!(self.was_woken(), "the future waits for somebody else");
        }
    }

    /// Whether the future asked to be polled again since this was last asked.
    pub fn was_woken(&self) -> bool {
        self.wakes.0.swap(0, Ordering::SeqCst) > 0
    }
}

/// Where loaders wait until a test lets them pass.
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

/// A load of `key` that has taken its seat and waits at the door.
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
    assert_eq!(cache.stats().loads, before + 1, "the call did not lead");
    hand
}

/// A call that waits for the load of another.
#[track_caller]
pub fn join<'a>(cache: &'a HydraCache, key: &'a str) -> Hand<'a, CacheResult<u32>> {
    Hand::start(cache.get_or_load(key, options(), never))
}

/// Runs a scenario that would hang if a promise were broken, and fails instead.
#[track_caller]
pub fn without_hanging(scenario: impl FnOnce() + Send + 'static) {
    let (done, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        scenario();
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(60)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("the scenario hangs"),
        // A panic in the scenario is passed on.
        _ => thread.join().unwrap(),
    }
}
