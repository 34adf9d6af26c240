//! A clock for tests, and a timer that follows this clock.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::clock::Clock;
use super::timer::{BoxFuture, Timer};

/// A clock for tests. The time moves only by [`advance`](Self::advance).
///
/// The clock starts at zero. All clones show the same time: a test keeps a clone, and gives
/// another to the cache. A `ManualClock` is a [`Timer`] too, for tests of timeouts: give a clone
/// to [`CacheBuilder::timer`](crate::CacheBuilder::timer).
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
    state: Arc<Mutex<ManualState>>,
}

/// The state behind all clones.
#[derive(Debug, Default)]
struct ManualState {
    now: Duration,
    /// The wakers of pending sleeps, in order of the end and of the start. A sleep that ends or
    /// is dropped is removed.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    /// The number of sleeps so far: two sleeps with the same end need different keys.
    started: u64,
}

impl ManualClock {
    /// Creates a clock at zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use hydracache::{Clock, ManualClock};
    ///
    /// assert_eq!(ManualClock::new().now(), Duration::ZERO);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock and all clones forward by `time`.
    ///
    /// First the clock shows the new time; then every sleep that ends by this time is woken, in
    /// the order of the ends. The clock stops at `Duration::MAX`.
    ///
    /// # Panics
    ///
    /// If a waker panics. The clock has moved all the same, and the next call wakes the other
    /// sleeps.
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
    /// clock.advance(Duration::MAX);
    /// assert_eq!(clock.now(), Duration::MAX);
    /// ```
    pub fn advance(&self, time: Duration) {
        // 1. Under the lock: move the time, and take the sleeps that end by this time.
        let woken = {
            let mut state = self.state();
            state.now = state.now.saturating_add(time);
            // All sleeps that end later. No sleep ends after `Duration::MAX`.
            let later = match state.now.checked_add(Duration::from_nanos(1)) {
                Some(next) => state.sleepers.split_off(&(next, 0)),
                None => BTreeMap::new(),
            };
            std::mem::replace(&mut state.sleepers, later)
        };
        // 2. After the unlock: wake. A waker is foreign code, and may read this clock. If a waker
        // panics, the guard puts the others back, and the next call wakes these sleeps.
        let mut due = DueWakers {
            clock: self,
            due: woken,
        };
        while let Some((_, waker)) = due.due.pop_first() {
            waker.wake();
        }
    }

    /// Moves the clock to the end of the next sleep. Returns `true` if there is a sleep, `false`
    /// if nothing sleeps.
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

    fn state(&self) -> MutexGuard<'_, ManualState> {
        // Every state is complete at each step, so a poisoned lock is no reason to panic again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.state().now
    }
}

/// A sleep ends when [`advance`](ManualClock::advance) has moved the clock far enough.
impl Timer for ManualClock {
    fn sleep(&self, time: Duration) -> BoxFuture {
        let mut state = self.state();
        // The end is fixed here, not at the first poll: `Timer::sleep` counts from the call.
        state.started += 1;
        let until = (state.now.saturating_add(time), state.started);
        let clock = self.clone();
        Box::pin(Sleep { clock, until })
    }
}

/// The wakers to call. Dropping the guard puts uncalled wakers back among the sleepers.
struct DueWakers<'a> {
    clock: &'a ManualClock,
    due: BTreeMap<(Duration, u64), Waker>,
}

impl Drop for DueWakers<'_> {
    fn drop(&mut self) {
        self.clock.state().sleepers.append(&mut self.due);
    }
}

/// A sleep until a time of the clock.
struct Sleep {
    clock: ManualClock,
    until: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Cloning and dropping a waker is foreign code, so both happen outside the lock.
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
        // The lock is released at the end of the first statement, before the waker is dropped.
        let waker = self.clock.state().sleepers.remove(&self.until);
        drop(waker);
    }
}
