//! Fresh, stale, gone: the state machine of an entry.
//!
//! Its times are computed once, when the entry is stored; its state at any moment is a
//! comparison with them. Most entries have one time, their end; the others have a record.
//!
//! ```text
//! stored      refresh_at    fresh_until    servable_until    on_error_until
//!   |  Fresh      |     Due     |     Stale      |     Fallback     |  Gone
//! ```
//!
//! The windows after `fresh_until` both begin there: `Fallback` is what `on_error_until`
//! has beyond `servable_until`, and either may be missing. An idle entry is gone, whatever
//! its windows say. `docs/freshness.md` draws it, and says who does what in which state.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::options::ExtraOptions;
use crate::runtime::Moment;

/// How it stands with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// To be served.
    Fresh,
    /// To be served, and to be loaded anew.
    Due,
    /// To be loaded anew; who does not load is served.
    Stale,
    /// To be loaded anew; to be served if that fails.
    Fallback,
    /// To be served to nobody.
    Expired,
}

impl State {
    /// Whether a read without a loader sees the entry.
    pub(crate) fn is_fresh(self) -> bool {
        self <= Self::Due
    }

    /// Whether a caller may be served at once while another loads.
    pub(crate) fn is_servable(self) -> bool {
        self <= Self::Stale
    }
}

/// The times of an entry.
#[derive(Debug)]
pub(crate) enum Lifetime {
    /// Fresh until then, and gone from then on.
    Plain(Moment),
    Timed(Box<Deadlines>),
}

/// The times of an entry that has more than one. A window that it does not have ended at
/// the origin of time.
#[derive(Debug)]
pub(crate) struct Deadlines {
    pub(crate) stored: Moment,
    refresh_at: Moment,
    pub(crate) fresh_until: Moment,
    servable_until: Moment,
    on_error_until: Moment,
    /// The window of errors: it is counted anew if an entry without an end is expired.
    error_window: Duration,
    /// In nanoseconds; zero is none.
    idle: u64,
    /// When it was last read, in nanoseconds.
    read: AtomicU64,
}

/// A read is written down when so many parts of the time to idle have gone by.
const IDLE_PARTS: u64 = 32;

impl Lifetime {
    /// The times of what is stored now. `random`, any number, is what jitter goes by.
    /// `needs_age` asks for a record for the sake of the age alone.
    #[inline]
    pub(crate) fn new(
        ttl: Option<Duration>,
        extra: Option<&ExtraOptions>,
        needs_age: bool,
        now: impl Fn() -> Moment,
        random: impl FnOnce() -> u64,
    ) -> Self {
        if extra.is_none() && !needs_age {
            return Self::Plain(ttl.map_or(Moment::NEVER, |ttl| now().after(ttl)));
        }
        Self::extra(ttl, extra, needs_age, now, random)
    }

    fn extra(
        ttl: Option<Duration>,
        extra: Option<&ExtraOptions>,
        needs_age: bool,
        now: impl Fn() -> Moment,
        random: impl FnOnce() -> u64,
    ) -> Self {
        let none = ExtraOptions::default();
        let extra = extra.unwrap_or(&none);
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

    /// Until then the entry is fresh, and nothing else need be asked.
    pub(crate) fn surely_fresh_until(&self) -> Moment {
        match self {
            Self::Plain(end) => *end,
            Self::Timed(times) if times.idle > 0 => Moment::ZERO,
            Self::Timed(times) => times.fresh_until.min(times.refresh_at),
        }
    }

    /// How it stands with the entry.
    pub(crate) fn state(&self, now: Moment) -> State {
        match self {
            Self::Plain(end) if end.has_passed(now) => State::Expired,
            Self::Plain(_) => State::Fresh,
            Self::Timed(times) => times.state(now),
        }
    }

    pub(crate) fn fresh_until(&self) -> Moment {
        match self {
            Self::Plain(end) => *end,
            Self::Timed(times) => times.fresh_until,
        }
    }

    /// From then on the entry is gone; if it is read, perhaps later.
    pub(crate) fn expires_at(&self) -> Moment {
        match self {
            Self::Plain(end) => *end,
            Self::Timed(times) => times.expires_at(),
        }
    }
}

impl Deadlines {
    fn new(ttl: Option<Duration>, extra: &ExtraOptions, now: Moment) -> Self {
        let fresh_until = ttl.map_or(Moment::NEVER, |ttl| now.after(ttl));
        let window = |window: Option<Duration>| match window {
            Some(window) => fresh_until.after(window),
            None => Moment::ZERO,
        };
        let refresh_at = match (ttl, extra.refresh_ahead) {
            (Some(ttl), Some(part)) if fresh_until != Moment::NEVER => {
                now.after(part_of(ttl, part))
            }
            _ => Moment::NEVER,
        };
        // Idle for no time at all is idle at once: the least that can be told apart.
        let idle = extra
            .time_to_idle
            .map(|idle| Moment::of(idle).nanos().max(1));
        Self {
            stored: now,
            refresh_at,
            fresh_until,
            servable_until: window(extra.stale_while_revalidate),
            on_error_until: window(extra.stale_if_error),
            error_window: extra.stale_if_error.unwrap_or_default(),
            idle: idle.unwrap_or(0),
            read: AtomicU64::new(now.nanos()),
        }
    }

    /// How it stands with the entry.
    pub(crate) fn state(&self, now: Moment) -> State {
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

    /// How it would stand had the entry been expired `at` a time.
    pub(crate) fn state_if_expired(&self, at: Moment, now: Moment) -> State {
        let over = self.idle_end().has_passed(now) || self.error_window_end(at).has_passed(now);
        if over {
            State::Expired
        } else {
            State::Fallback
        }
    }

    /// Ends the freshness at a time, and the window of serving while it is loaded anew: for
    /// good, though the clock may go back to before that time.
    pub(crate) fn expire(&mut self, at: Moment) {
        self.on_error_until = self.error_window_end(at);
        self.fresh_until = Moment::ZERO;
        self.servable_until = Moment::ZERO;
    }

    /// When the window of errors ends if the entry is expired at a time. It ends when it
    /// would have; if that is never, it begins with the expiry.
    fn error_window_end(&self, at: Moment) -> Moment {
        match self.on_error_until {
            Moment::NEVER => at.after(self.error_window),
            end => end,
        }
    }

    /// Whether there is a window after the time to live.
    pub(crate) fn has_window(&self) -> bool {
        self.servable_until.max(self.on_error_until) > self.fresh_until
    }

    fn idle_end(&self) -> Moment {
        match self.idle {
            0 | u64::MAX => Moment::NEVER,
            idle => {
                let read = self.read.load(Ordering::Relaxed);
                // A time that is to come may be read later, but never becomes none.
                Moment::of_nanos(read.saturating_add(idle).min(u64::MAX - 1))
            }
        }
    }

    /// From then on the entry is gone.
    pub(crate) fn expires_at(&self) -> Moment {
        let windows = self.servable_until.max(self.on_error_until);
        self.fresh_until.max(windows).min(self.idle_end())
    }

    /// Writes a read down, if the time to idle asks for it.
    pub(crate) fn note_read(&self, now: impl FnOnce() -> Moment) {
        if self.idle == 0 {
            return;
        }
        let (now, read) = (now().nanos(), self.read.load(Ordering::Relaxed));
        if now.saturating_sub(read) >= self.idle.div_ceil(IDLE_PARTS) {
            self.read.store(now, Ordering::Relaxed);
        }
    }
}

/// A part of a time. Parts are rounded to seven digits, which is what an `f32` has: so
/// that 0.8 of ten seconds are eight.
fn part_of(time: Duration, part: f32) -> Duration {
    const ONE: u64 = 10_000_000;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the setters take parts from 0 to 1 alone"
    )]
    let part = (f64::from(part) * 1e7).round() as u64;
    from_nanos(time.as_nanos() * u128::from(part.min(ONE)) / u128::from(ONE))
}

/// A time less a random part of it.
fn shortened(time: Duration, most: f32, random: u64) -> Duration {
    let most = part_of(time, most);
    let part = from_nanos((most.as_nanos() * u128::from(random >> 32)) >> 32);
    time.saturating_sub(part)
}

fn from_nanos(nanos: u128) -> Duration {
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
