//! The times of an entry by the formula of `docs/freshness.md`, in 128 bits against overflow.

use std::time::Duration;

/// The largest representable time: 584 years.
const NEVER: u128 = u64::MAX as u128;

/// A fraction is stored with seven digits.
const ONE: u128 = 10_000_000;

fn nanos(time: Duration) -> u128 {
    time.as_nanos().min(NEVER)
}

/// The options of a call or of the builder, as given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GivenOptions {
    pub(crate) ttl: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) refresh_ahead: Option<f32>,
    pub(crate) jitter: Option<f32>,
    pub(crate) time_to_idle: Option<Duration>,
    pub(crate) error_backoff: Option<Duration>,
}

impl GivenOptions {
    pub(crate) fn or(self, defaults: Self) -> Self {
        Self {
            ttl: self.ttl.or(defaults.ttl),
            stale_while_revalidate: self
                .stale_while_revalidate
                .or(defaults.stale_while_revalidate),
            stale_if_error: self.stale_if_error.or(defaults.stale_if_error),
            refresh_ahead: self.refresh_ahead.or(defaults.refresh_ahead),
            jitter: self.jitter.or(defaults.jitter),
            time_to_idle: self.time_to_idle.or(defaults.time_to_idle),
            error_backoff: self.error_backoff.or(defaults.error_backoff),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Fresh,
    Due,
    Stale,
    Fallback,
    Expired,
}

/// The earliest and latest possible times of an entry: jitter and rounding lie in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PossibleTimes {
    earliest: Times,
    latest: Times,
    /// The entry was expired while jitter left open whether its window had an end. The window
    /// is then either the old window, or begins with the expiry.
    has_unknown_window: bool,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    refresh_at: u128,
    fresh_until: u128,
    servable_until: Option<u128>,
    on_error_until: Option<u128>,
    window: u128,
    idle: Option<u128>,
    read: u128,
}

fn is_reached(time: u128, now: u128) -> bool {
    time < NEVER && time <= now
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part is between 0 and 1"
)]
fn digits(fraction: f32) -> u128 {
    (f64::from(fraction) * 1e7).round() as u128
}

impl PossibleTimes {
    pub(crate) fn new(given: &GivenOptions, now: Duration) -> Self {
        let most = given.jitter.map_or(0, digits);
        // Jitter shortens no time to live by more than this, one rounding included.
        let shortest = |ttl: u128| ttl.saturating_sub(ttl * most / ONE + 1);
        let earliest = given.ttl.map(|ttl| {
            let ttl = ttl.as_nanos();
            if given.jitter.is_some() {
                shortest(ttl)
            } else {
                ttl
            }
        });
        let latest = given.ttl.map(|ttl| ttl.as_nanos());
        Self {
            earliest: Times::new(given, earliest, 0, now),
            latest: Times::new(given, latest, 1, now),
            has_unknown_window: false,
        }
    }

    /// The first and the last possible state.
    pub(crate) fn states(&self, now: Duration) -> (State, State) {
        let now = nanos(now);
        let last = self.earliest.state(now);
        let last = if self.has_unknown_window {
            State::Expired
        } else {
            last
        };
        (self.latest.state(now), last)
    }

    /// Records a read. The cache may store the time of the read, but only after a
    /// thirty-second of the time to idle.
    pub(crate) fn read(&mut self, now: Duration, is_certain: bool) {
        let now = nanos(now);
        if let Some(idle) = self.latest.idle {
            if now >= self.latest.read {
                self.latest.read = now;
            }
            let written = self
                .earliest
                .read
                .max(now.saturating_sub(idle.div_ceil(32)));
            if is_certain && now >= self.earliest.read {
                self.earliest.read = written;
            }
        }
    }

    /// Whether no later time can be represented.
    pub(crate) fn is_last(now: Duration) -> bool {
        nanos(now) == NEVER
    }

    pub(crate) fn expire(&mut self, now: Duration) {
        let had_end = |end: Option<u128>| end.is_some_and(|end| end < NEVER);
        let (first, last) = (self.earliest.on_error_until, self.latest.on_error_until);
        self.earliest.expire(nanos(now));
        self.latest.expire(nanos(now));
        if had_end(first) && !had_end(last) {
            self.latest.on_error_until = last;
            self.has_unknown_window = true;
        }
    }
}

impl Times {
    fn new(given: &GivenOptions, ttl: Option<u128>, rounding: u128, now: Duration) -> Self {
        let now = nanos(now);
        let after = |from: u128, time: u128| (from + time).min(NEVER);
        let fresh_until = ttl.map_or(NEVER, |ttl| after(now, ttl));
        // A window of zero is no window.
        let window = |window: Option<Duration>| {
            let window = window.filter(|window| !window.is_zero())?;
            Some(after(fresh_until, nanos(window)))
        };
        let refresh_at = match (ttl, given.refresh_ahead) {
            (Some(ttl), Some(fraction)) if fresh_until < NEVER => {
                after(now, ttl * digits(fraction) / ONE + rounding)
            }
            _ => NEVER,
        };
        // A value stored stale stays stale, even if the clock goes back.
        let is_fresh = given.ttl != Some(Duration::ZERO);
        Self {
            refresh_at,
            fresh_until: if is_fresh { fresh_until } else { 0 },
            servable_until: window(given.stale_while_revalidate),
            on_error_until: window(given.stale_if_error),
            window: given.stale_if_error.map_or(0, nanos),
            idle: given.time_to_idle.map(|idle| nanos(idle).max(1)),
            read: now,
        }
    }

    fn state(&self, now: u128) -> State {
        let is_in = |end: Option<u128>| end.is_some_and(|end| !is_reached(end, now));
        // An endless time to idle has no end; any other ends before `NEVER`.
        let idle = self.idle.filter(|&idle| idle < NEVER);
        let idle_end = idle.map(|idle| (self.read + idle).min(NEVER - 1));
        if idle_end.is_some_and(|end| is_reached(end, now)) {
            State::Expired
        } else if !is_reached(self.fresh_until, now) {
            if is_reached(self.refresh_at, now) {
                State::Due
            } else {
                State::Fresh
            }
        } else if is_in(self.servable_until) {
            State::Stale
        } else if is_in(self.on_error_until) {
            State::Fallback
        } else {
            State::Expired
        }
    }

    fn expire(&mut self, at: u128) {
        if self.on_error_until == Some(NEVER) {
            self.on_error_until = Some((at + self.window).min(NEVER));
        }
        // Permanently, even if the clock goes back.
        self.fresh_until = 0;
        self.servable_until = None;
    }
}
