//! Fresh, stale, expired: the states of an entry.
//!
//! The times of an entry are computed once, when the entry is stored. The state at any moment
//! is a comparison with these times. Most entries have a single time, the end; other entries
//! have a record of times, [`Deadlines`].
//!
//! ```text
//! stored      refresh_at    fresh_until    servable_until    on_error_until
//!   |  Fresh      |     Due     |     Stale      |     Fallback     |  Expired
//! ```
//!
//! Both windows begin at `fresh_until`. `Fallback` is the part of `on_error_until` beyond
//! `servable_until`. Either window may be missing. An idle entry is expired, windows or not.
//! `docs/freshness.md` has the picture, and a table of the calls in each state.

mod updating;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::options::ExtraOptions;
use crate::runtime::Moment;

/// The state of an entry, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Served. No load is needed.
    Fresh,
    /// Served. A call should load a new value.
    Due,
    /// A call should load a new value; other calls get the stale value.
    Stale,
    /// A call should load a new value; the stale value is served if the load fails.
    Fallback,
    /// Absent for every call.
    Expired,
}

impl State {
    /// Returns `true` if a read without a loader sees the entry, `false` if the entry is absent
    /// for such a read.
    pub(crate) fn is_fresh(self) -> bool {
        self <= Self::Due
    }

    /// Returns `true` if a call may get the value at once while another call loads, `false` if
    /// the call has to wait.
    pub(crate) fn is_servable(self) -> bool {
        self <= Self::Stale
    }
}

/// The times of an entry.
#[derive(Debug)]
pub(crate) enum Lifetime {
    /// Fresh before this time, expired from this time on.
    Plain(Moment),
    /// More times than the end, in a record.
    Timed(Box<Deadlines>),
}

/// The times of an entry with more than one time. A missing window ends at the origin of
/// time.
#[derive(Debug)]
pub(crate) struct Deadlines {
    /// The time of storing, for the age.
    pub(crate) stored: Moment,
    /// Start of the state `Due`, or `NEVER`.
    refresh_at: Moment,
    /// End of the time to live. `ZERO` if the entry was stored stale, or was expired by a call.
    pub(crate) fresh_until: Moment,
    /// End of the window of `stale_while_revalidate`. Without an end of the time to live, this
    /// window has no end either: then the field holds the length of the window, for an update.
    servable_until: Moment,
    /// End of the window of `stale_if_error`.
    on_error_until: Moment,
    /// Length of the error window in nanoseconds, for an entry without an end (`expire` starts
    /// the window) and for an update.
    error_window: u64,
    /// The option `refresh_ahead`, for an update with another time to live.
    refresh_ahead: Option<f32>,
    /// Time to idle in nanoseconds. Zero means none.
    idle: u64,
    /// Time of the last recorded read, in nanoseconds.
    read: AtomicU64,
}

/// A read is recorded only after this part of the time to idle since the last recorded read.
const IDLE_PARTS: u64 = 32;

impl Lifetime {
    /// Computes the times of a value stored now. Jitter shortens the time to live by `random`,
    /// any number. `needs_age` asks for a record for the age alone. `now` and `random` are
    /// called only if needed.
    #[inline]
    pub(crate) fn new(
        ttl: Option<Duration>,
        extra: Option<&ExtraOptions>,
        needs_age: bool,
        now: impl Fn() -> Moment,
        random: impl FnOnce() -> u64,
    ) -> Self {
        // The common case, inlined into every put: a time to live or none, and no record.
        if extra.is_none() && !needs_age {
            return Self::Plain(ttl.map_or(Moment::NEVER, |ttl| now().after(ttl)));
        }
        Self::with_extra(ttl, extra, needs_age, now, random)
    }

    /// Computes the times for options beyond the time to live.
    fn with_extra(
        ttl: Option<Duration>,
        extra: Option<&ExtraOptions>,
        needs_age: bool,
        now: impl Fn() -> Moment,
        random: impl FnOnce() -> u64,
    ) -> Self {
        let none = ExtraOptions::default();
        let extra = extra.unwrap_or(&none);
        // Jitter first: all other times follow from the shortened time to live.
        let ttl = match (ttl, extra.jitter) {
            (Some(ttl), Some(part)) => Some(shortened(ttl, part, random())),
            _ => ttl,
        };
        if needs_age || extra.needs_deadlines() {
            Self::Timed(Box::new(Deadlines::new(ttl, extra, now())))
        } else {
            Self::Plain(ttl.map_or(Moment::NEVER, |ttl| now().after(ttl)))
        }
    }

    /// Returns the time up to which the entry is fresh without a look at other times.
    pub(crate) fn surely_fresh_until(&self) -> Moment {
        match self {
            Self::Plain(end) => *end,
            // Never for an entry with a time to idle: each read must look at, and perhaps move,
            // the read time.
            Self::Timed(deadlines) if deadlines.idle > 0 => Moment::ZERO,
            Self::Timed(deadlines) => deadlines.fresh_until.min(deadlines.refresh_at),
        }
    }

    /// Returns the state of the entry.
    pub(crate) fn state(&self, now: Moment) -> State {
        match self {
            Self::Plain(end) if end.has_passed(now) => State::Expired,
            Self::Plain(_) => State::Fresh,
            Self::Timed(deadlines) => deadlines.state(now),
        }
    }

    /// Returns the end of the time to live.
    pub(crate) fn fresh_until(&self) -> Moment {
        match self {
            Self::Plain(end) => *end,
            Self::Timed(deadlines) => deadlines.fresh_until,
        }
    }

    /// Returns `true` if a window follows the time to live, `false` if not.
    pub(crate) fn has_window(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Timed(deadlines) => deadlines.has_window(),
        }
    }

    /// Returns the time from which the entry is expired for every call. A read of an entry with
    /// a time to idle may move this time to a later time.
    pub(crate) fn expires_at(&self) -> Moment {
        match self {
            Self::Plain(end) => *end,
            Self::Timed(deadlines) => deadlines.expires_at(),
        }
    }
}

impl Deadlines {
    /// Computes all times from the options.
    fn new(ttl: Option<Duration>, extra: &ExtraOptions, now: Moment) -> Self {
        // 1. The time to live, and the windows from there on.
        let end = ttl.map_or(Moment::NEVER, |ttl| now.after(ttl));
        // 2. A part of the time to live. Without an end there is no such part.
        let refresh_at = match (ttl, extra.refresh_ahead) {
            (Some(ttl), Some(part)) if end != Moment::NEVER => now.after(part_of(ttl, part)),
            _ => Moment::NEVER,
        };
        let mut deadlines = Self::with_end(end, refresh_at, extra, now);
        // 3. A value that is stored stale is never fresh, even if the clock goes back.
        // guard: a value stored with a time to live of zero stays stale if the clock goes back
        if ttl == Some(Duration::ZERO) {
            deadlines.fresh_until = Moment::ZERO;
        }
        deadlines
    }

    /// Computes the times of a value stored now, whose time to live has a known end.
    fn with_end(end: Moment, refresh_at: Moment, extra: &ExtraOptions, now: Moment) -> Self {
        // 1. The windows begin at the end. A window of zero is no window.
        let given = |window: Option<Duration>| window.filter(|window| !window.is_zero());
        let servable_until = match given(extra.stale_while_revalidate) {
            Some(window) if end == Moment::NEVER => Moment::of(window),
            Some(window) => end.after(window),
            None => Moment::ZERO,
        };
        let error_window = given(extra.stale_if_error);
        // 2. Zero means no time to idle in the record. So an idle time of zero becomes one
        //    nanosecond, the shortest time there is.
        let idle = extra
            .time_to_idle
            .map(|idle| Moment::of(idle).nanos().max(1));
        Self {
            stored: now,
            refresh_at,
            fresh_until: end,
            servable_until,
            on_error_until: error_window.map_or(Moment::ZERO, |window| end.after(window)),
            error_window: Moment::of(error_window.unwrap_or_default()).nanos(),
            refresh_ahead: extra.refresh_ahead,
            idle: idle.unwrap_or(0),
            read: AtomicU64::new(now.nanos()),
        }
    }

    /// Returns the state of the entry.
    pub(crate) fn state(&self, now: Moment) -> State {
        // The time to idle goes first: an idle entry is expired in spite of windows.
        if self.idle_end().has_passed(now) {
            State::Expired
        } else if !self.refresh_at.has_passed(now) && !self.fresh_until.has_passed(now) {
            State::Fresh
        } else if !self.fresh_until.has_passed(now) {
            State::Due
        } else if !self.servable_until.has_passed(now) {
            State::Stale
        } else if !self.on_error_until.has_passed(now) {
            State::Fallback
        } else {
            State::Expired
        }
    }

    /// Returns the state of the entry at `now`, had the entry been expired at `at`.
    pub(crate) fn state_if_expired(&self, at: Moment, now: Moment) -> State {
        let over = self.idle_end().has_passed(now) || self.error_window_end(at).has_passed(now);
        if over {
            State::Expired
        } else {
            State::Fallback
        }
    }

    /// Ends the freshness and the window of `stale_while_revalidate` at a time. Both stay ended
    /// even if the clock goes back to before that time.
    pub(crate) fn expire(&mut self, at: Moment) {
        // First, because the end of the error window depends on the current times.
        self.on_error_until = self.error_window_end(at);
        // Not `at`: a clock that goes back to before `at` would make the entry fresh again.
        // guard: an entry ended by `expire` stays ended, even if the clock goes back
        self.fresh_until = Moment::ZERO;
        self.servable_until = Moment::ZERO;
    }

    /// Returns the end of the error window if the entry is expired at a time. The end does not
    /// move, except for an entry without an end: there the window begins at the time of expiry.
    fn error_window_end(&self, at: Moment) -> Moment {
        match self.on_error_until {
            Moment::NEVER => at.after(Duration::from_nanos(self.error_window)),
            end => end,
        }
    }

    /// Returns `true` if a window follows the time to live, `false` if not.
    pub(crate) fn has_window(&self) -> bool {
        self.servable_until.max(self.on_error_until) > self.fresh_until
    }

    /// Returns the time at which the entry is idle, or `NEVER`.
    fn idle_end(&self) -> Moment {
        match self.idle {
            0 | u64::MAX => Moment::NEVER,
            idle => {
                let read = self.read.load(Ordering::Relaxed);
                // The sum must not become `NEVER`: the wheel skips `NEVER`, and could not
                // remove the entry.
                Moment::of_nanos(read.saturating_add(idle).min(u64::MAX - 1))
            }
        }
    }

    /// Returns the time from which the entry is expired for every call.
    pub(crate) fn expires_at(&self) -> Moment {
        let windows = self.servable_until.max(self.on_error_until);
        self.fresh_until.max(windows).min(self.idle_end())
    }

    /// Records a read, if the entry has a time to idle.
    pub(crate) fn note_read(&self, now: impl FnOnce() -> Moment) {
        if self.idle == 0 {
            return;
        }
        let (now, read) = (now().nanos(), self.read.load(Ordering::Relaxed));
        // Readers share the lock and may race here:
        // 1. A reads the clock at 10, B at 11, and both load the same old read time.
        // 2. B stores 11.
        // 3. A stores 10.
        // So the entry may expire earlier by the distance between both readings, and no more. Most
        // reads store nothing, so that readers share the cache line.
        if now.saturating_sub(read) >= self.idle.div_ceil(IDLE_PARTS) {
            self.read.store(now, Ordering::Relaxed);
        }
    }
}

/// Returns a part of a duration. The part is rounded to seven digits, the precision of an
/// `f32`: 0.8 of ten seconds is eight seconds.
fn part_of(time: Duration, part: f32) -> Duration {
    const ONE: u64 = 10_000_000;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the setters accept only parts from 0 to 1"
    )]
    let part = (f64::from(part) * 1e7).round() as u64;
    from_nanos(time.as_nanos() * u128::from(part.min(ONE)) / u128::from(ONE))
}

/// Returns a duration shortened by a random part, up to the part `max`.
fn shortened(time: Duration, max: f32, random: u64) -> Duration {
    let max = part_of(time, max);
    // The upper half of `random` is a fraction of 2^32.
    let part = from_nanos((max.as_nanos() * u128::from(random >> 32)) >> 32);
    time.saturating_sub(part)
}

/// Returns a duration in nanoseconds, or the longest one if there are too many.
fn from_nanos(nanos: u128) -> Duration {
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
