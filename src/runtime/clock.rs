//! Where time comes from.
//!
//! A clock only tells the time, it never waits. Nothing else in the crate asks
//! the system.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};

/// Tells a cache the time.
///
/// `now` is the time since an origin that the clock chooses and keeps. It should
/// not go backwards; if it does, entries live longer, as does a load in the background that
/// nobody polls, and the next write to a full cache may look at many entries; nothing worse
/// happens: what was invalidated stays so, as does what `expire` ended, and a back-off that
/// began later is over.
///
/// The cache asks while it holds an internal lock, so that an answer and what is
/// done with it belong together: an implementation must not wait, must not call
/// the cache, and should not panic.
///
/// # Examples
///
/// Any source will do; here, one that a simulation steps:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use std::time::Duration;
///
/// use hydracache::{Clock, HydraCache};
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
/// let cache = HydraCache::local().clock(Ticks::default()).build();
/// # drop(cache);
/// ```
pub trait Clock: Send + Sync {
    /// Returns the time since this clock's origin.
    fn now(&self) -> Duration;
}

impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// The system's monotonic clock: the default.
///
/// On Linux it is the coarse one, `CLOCK_MONOTONIC_COARSE`, which is a quarter as dear
/// to ask and moves once a tick of the kernel: every 1 to 10 milliseconds, most often
/// 4. So an entry may end up to a tick before its time to live is over, or after.
/// Elsewhere it is `std::time::Instant` at full resolution. Whether it goes on while a
/// machine sleeps is the system's choice; its origin is too.
///
/// # Examples
///
/// ```
/// use hydracache::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// let before = clock.now();
/// assert!(clock.now() >= before);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// Creates the system's clock.
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Duration {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        // Neither is ever negative: this clock counts from the start of the machine.
        let (seconds, nanos) = (time.tv_sec.try_into(), time.tv_nsec.try_into());
        Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Duration {
        use std::sync::LazyLock;
        use std::time::Instant;

        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let origin = *ORIGIN;
        Instant::now().saturating_duration_since(origin)
    }
}

/// A time as it is kept: in nanoseconds since the clock's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The origin of every clock.
    pub(crate) const ZERO: Self = Self(0);

    /// A time that does not come, though a clock may show 584 years.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// What is later than can be kept is the latest that can.
    pub(crate) fn of(time: Duration) -> Self {
        Self(time.as_nanos().try_into().unwrap_or(u64::MAX))
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(Self::of(time).0))
    }

    /// What is earlier by more than can be is the earliest that can.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whether this time has come. `NEVER` never has.
    #[inline]
    pub(crate) fn has_passed(self, now: Self) -> bool {
        self != Self::NEVER && self <= now
    }

    pub(crate) fn of_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }
}

/// The time of one act.
///
/// An act on entries that cannot expire never needs it: so it is asked when first
/// needed, and once.
pub(crate) enum Now<'a> {
    Known(Moment),
    Asked(&'a dyn Clock, OnceCell<Moment>),
}

impl<'a> Now<'a> {
    pub(crate) fn of(clock: &'a dyn Clock) -> Self {
        Self::Asked(clock, OnceCell::new())
    }

    pub(crate) fn get(&self) -> Moment {
        match self {
            Self::Known(time) => *time,
            Self::Asked(clock, answer) => *answer.get_or_init(|| Moment::of(clock.now())),
        }
    }

    /// Whether a deadline has come. `NEVER` never does, and asks nobody.
    #[inline]
    pub(crate) fn is_past(&self, deadline: Moment) -> bool {
        deadline != Moment::NEVER && self.get() >= deadline
    }
}
