//! A clock for tests, which is also the timer that goes by it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::clock::Clock;
use super::timer::{BoxFuture, Timer};

/// A clock that moves only when it is told to, for tests.
///
/// It starts at zero. Clones show the same time, so a test keeps one and gives
/// others to the cache: as its clock and, where there are timeouts, as its timer.
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
/// let minute = CacheOptions::new().ttl(Duration::from_secs(60));
///
/// block_on(cache.put("session", 7_u32, minute))?;
/// clock.advance(Duration::from_secs(59));
/// assert_eq!(block_on(cache.get::<u32>("session"))?, Some(7));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(block_on(cache.get::<u32>("session"))?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    state: Arc<Mutex<Sleeping>>,
}

#[derive(Debug, Default)]
struct Sleeping {
    now: Duration,
    /// Who sleeps until when. Whoever wakes is taken out; so is whoever is dropped.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    /// How many have slept so far.
    numbered: u64,
}

impl ManualClock {
    /// Creates a clock that shows zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock, and every clone of it, forward by `time`.
    ///
    /// At `Duration::MAX` it stands still. Wakes what sleeps until then, in order, once the
    /// clock shows the new time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::{Clock, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// clock.advance(Duration::from_millis(1500));
    /// assert_eq!(clock.now(), Duration::from_millis(1500));
    /// ```
    pub fn advance(&self, time: Duration) {
        let woken = {
            let mut state = self.state();
            state.now = state.now.saturating_add(time);
            let later = match state.now.checked_add(Duration::from_nanos(1)) {
                Some(next) => state.sleepers.split_off(&(next, 0)),
                None => BTreeMap::new(),
            };
            std::mem::replace(&mut state.sleepers, later)
        };
        // Wakers are foreign code: outside the lock. Should one panic, the others are woken
        // when the clock moves again.
        let mut woken = Woken { clock: self, woken };
        while let Some((_, waker)) = woken.woken.pop_first() {
            waker.wake();
        }
    }

    /// Moves the clock to when the next sleeper is to be woken. Whether there is one.
    #[cfg(feature = "testing")]
    pub(crate) fn advance_to_next(&self) -> bool {
        let next = {
            let state = self.state();
            let first = state.sleepers.first_key_value();
            first.map(|((until, _), _)| until.saturating_sub(state.now))
        };
        if let Some(time) = next {
            self.advance(time);
        }
        next.is_some()
    }

    fn state(&self) -> MutexGuard<'_, Sleeping> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.state().now
    }
}

/// What sleeps ends when [`advance`](ManualClock::advance) has moved the clock far enough.
impl Timer for ManualClock {
    fn sleep(&self, time: Duration) -> BoxFuture {
        let mut state = self.state();
        state.numbered += 1;
        let until = (state.now.saturating_add(time), state.numbered);
        let clock = self.clone();
        Box::pin(Sleep { clock, until })
    }
}

/// Who is to be woken. Who was not sleeps on.
struct Woken<'a> {
    clock: &'a ManualClock,
    woken: BTreeMap<(Duration, u64), Waker>,
}

impl Drop for Woken<'_> {
    fn drop(&mut self) {
        self.clock.state().sleepers.append(&mut self.woken);
    }
}

struct Sleep {
    clock: ManualClock,
    until: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.clock.state();
        if state.now >= self.until.0 {
            return Poll::Ready(());
        }
        let old = state.sleepers.insert(self.until, waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let slept = self.clock.state().sleepers.remove(&self.until);
        drop(slept);
    }
}
