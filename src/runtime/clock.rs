//! The clock: tells the time, and never waits.
//!
//! No other module reads the clock of the system.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};

/// Tells a cache the time, for [`CacheBuilder::clock`](crate::CacheBuilder::clock).
///
/// The cache may call the clock under an internal lock, so that the time and the following change
/// are one step. The clock must not wait, must not call the cache, and should not panic.
///
/// The clock should not go back. If the clock goes back, entries live longer, an unpolled
/// background load holds the key longer, and the next write to a full shard may look once at
/// every entry with an end. Nothing worse happens: invalidated entries stay invalidated, entries
/// ended by `expire` stay ended, and a back-off that began at a later time is over.
///
/// # Examples
///
/// A clock that counts ticks of a simulation, one millisecond each:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use std::time::Duration;
///
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, Clock, HydraCache};
///
/// #[derive(Clone, Default)]
/// struct Ticks(Arc<AtomicU64>);
///
/// impl Clock for Ticks {
///     fn now(&self) -> Duration {
///         Duration::from_millis(self.0.load(Relaxed))
///     }
/// }
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// let ticks = Ticks::default();
/// let cache = HydraCache::local().clock(ticks.clone()).build();
/// let options = CacheOptions::new().ttl(Duration::from_secs(1));
/// block_on(cache.put("row", 7_u8, options))?;
///
/// ticks.0.store(999, Relaxed);
/// assert!(block_on(cache.contains_key("row")));
/// ticks.0.store(1000, Relaxed);
/// assert!(!block_on(cache.contains_key("row"))); // expired at exactly one second
/// # Ok(())
/// # }
/// ```
pub trait Clock: Send + Sync {
    /// Returns the time since the origin of this clock. The clock chooses the origin, and never
    /// changes the origin.
    fn now(&self) -> Duration;
}

impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// The monotonic clock of the system, the default.
///
/// On Linux this is the coarse clock, `CLOCK_MONOTONIC_COARSE`: a quarter of the cost of the fine
/// clock, with a step at each tick of the kernel, every 1 to 10 milliseconds, most often 4. So an
/// entry may end up to a tick before or after the time to live. On other systems this is
/// `std::time::Instant` with full resolution. The system decides about the origin.
///
/// **While the machine sleeps** (a suspended laptop or a paused virtual machine), this clock stands
/// still on Linux and macOS: after a night of sleep, an entry with a time to live of an hour is
/// still fresh. If this matters, give the cache a clock that counts the sleep. On Linux this is
/// `CLOCK_BOOTTIME`: `examples/boot_clock.rs` has the ten lines.
///
/// **On `wasm32-unknown-unknown`** the standard library has no clock. A cache works there without a
/// clock as long as nothing has a time: [`now`](Clock::now) is called only for a time to live, an
/// idle time, a window, a back-off, a timeout, a background load, or the age that `fetch` returns.
/// A call with a time panics, with the remedy in the message: give
/// [`CacheBuilder::clock`](crate::CacheBuilder::clock) a clock of the host, for example
/// `Date.now()` of JavaScript. A clock that stands still would be worse: no entry would ever expire.
///
/// # Examples
///
/// ```
/// use hydracache::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// let before = clock.now();
/// assert!(clock.now() >= before); // never goes back
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// Creates the clock of the system. All values of this type show the same time.
    ///
    /// # Examples
    ///
    /// ```
    /// use hydracache::{Clock, SystemClock};
    ///
    /// let (a, b) = (SystemClock::new(), SystemClock::new());
    /// let before = a.now();
    /// assert!(b.now() >= before);
    /// ```
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Duration {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        // The clock counts from the start of the machine, so neither part is negative.
        let (seconds, nanos) = (time.tv_sec.try_into(), time.tv_nsec.try_into());
        Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
    }

    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    fn now(&self) -> Duration {
        // `Instant::now` would panic too, without a word about the cache.
        panic!(
            "this target has no clock, and a time to live, a timeout or `fetch` needs one: \
             give `CacheBuilder::clock` a clock of the host"
        )
    }

    #[cfg(not(any(
        target_os = "linux",
        all(target_family = "wasm", target_os = "unknown")
    )))]
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Duration {
        use std::sync::LazyLock;
        use std::time::Instant;

        // An `Instant` shows no number: the first call of the process becomes the origin.
        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let origin = *ORIGIN;
        Instant::now().saturating_duration_since(origin)
    }
}

/// A stored time, in nanoseconds since the origin of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The origin of every clock.
    pub(crate) const ZERO: Self = Self(0);

    /// The end that never comes, even if a clock shows 584 years.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Returns the time of a clock. A time beyond 584 years becomes `NEVER`.
    pub(crate) fn of(time: Duration) -> Self {
        Self(time.as_nanos().try_into().unwrap_or(u64::MAX))
    }

    /// Returns the moment `time` later, at most `NEVER`.
    pub(crate) fn after(self, time: Duration) -> Self {
        // A saturated sum is `NEVER`: an end that no clock can show never comes.
        Self(self.0.saturating_add(Self::of(time).0))
    }

    /// Returns the time since `earlier`; zero if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns `true` if `now` is this moment or later, `false` if earlier. Always `false` for
    /// `NEVER`.
    #[inline]
    pub(crate) fn has_passed(self, now: Self) -> bool {
        // A clock may show `u64::MAX` nanoseconds, and even then `NEVER` has not come.
        // guard: a deadline has passed at the very moment of the deadline
        self != Self::NEVER && self <= now
    }

    /// Returns the moment of a stored number.
    pub(crate) fn of_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the number to store in an atomic.
    pub(crate) fn nanos(self) -> u64 {
        self.0
    }
}

/// The time of a single step of a verb.
///
/// A step on entries without an end needs no time. So the clock is asked at the first use, and at
/// most once: the whole step sees the same time.
pub(crate) enum Now<'a> {
    Known(Moment),
    Asked(&'a dyn Clock, OnceCell<Moment>),
}

impl<'a> Now<'a> {
    /// Returns a time that is not asked yet.
    pub(crate) fn of(clock: &'a dyn Clock) -> Self {
        Self::Asked(clock, OnceCell::new())
    }

    /// Returns the time, and asks the clock at the first call.
    pub(crate) fn get(&self) -> Moment {
        match self {
            Self::Known(time) => *time,
            Self::Asked(clock, answer) => *answer.get_or_init(|| Moment::of(clock.now())),
        }
    }

    /// Returns `true` if the deadline has come, `false` if not. Always `false` for `NEVER`.
    #[inline]
    pub(crate) fn is_past(&self, deadline: Moment) -> bool {
        // `NEVER` first: an entry without an end does not ask the clock.
        // guard: an entry is no longer fresh at the very moment of the deadline
        deadline != Moment::NEVER && self.get() >= deadline
    }
}
