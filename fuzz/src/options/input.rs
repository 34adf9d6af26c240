//! The input of a run: options, clock settings and calls.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use hydracache::CacheOptions;

use super::times::GivenOptions;
use crate::expected::panics;

/// The default options, and the steps of a run.
#[derive(Debug)]
pub struct Input {
    pub(super) defaults: OptionValues,
    pub(super) steps: Vec<Step>,
}

/// The largest number of steps of a run.
const MAX_STEPS: usize = 100;

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let defaults = bytes.arbitrary()?;
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < MAX_STEPS {
            steps.push(bytes.arbitrary()?);
        }
        Ok(Self { defaults, steps })
    }
}

/// A duration; values near the limits are drawn more often.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Time {
    Zero,
    Nanos(u8),
    Seconds(u8),
    Millis(u32),
    Any(Duration),
    /// Just below or above the largest representable time, `u64::MAX` nanoseconds.
    NearMax(i8),
    Max,
}

impl Time {
    pub(super) fn get(self) -> Duration {
        match self {
            Self::Zero => Duration::ZERO,
            Self::Nanos(nanos) => Duration::from_nanos(nanos.into()),
            Self::Seconds(seconds) => Duration::from_secs(seconds.into()),
            Self::Millis(millis) => Duration::from_millis(millis.into()),
            Self::Any(time) => time,
            Self::NearMax(offset) => {
                let distance = Duration::from_nanos(offset.unsigned_abs().into());
                let max = Duration::from_nanos(u64::MAX);
                if offset < 0 {
                    max.saturating_sub(distance)
                } else {
                    max + distance
                }
            }
            Self::Max => Duration::MAX,
        }
    }
}

/// A fraction: any float, or a valid value from 0 to 1.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Fraction {
    Any(f32),
    Valid(u8),
    Tiny(u16),
}

impl Fraction {
    fn get(self) -> f32 {
        match self {
            Self::Any(fraction) => fraction,
            Self::Valid(fraction) => f32::from(fraction) / 255.0,
            Self::Tiny(fraction) => f32::from(fraction) / 1e8,
        }
    }
}

/// Values for the setters of `CacheOptions`.
#[derive(Arbitrary, Clone, Debug)]
pub(super) struct OptionValues {
    ttl: Option<Time>,
    stale_while_revalidate: Option<Time>,
    stale_if_error: Option<Time>,
    refresh_ahead: Option<Fraction>,
    jitter: Option<Fraction>,
    time_to_idle: Option<Time>,
    load_timeout: Option<Time>,
    soft_timeout: Option<Time>,
    error_backoff: Option<Time>,
}

#[derive(Arbitrary, Debug)]
pub(super) enum Step {
    /// Sets the clock, forwards or back.
    SetClock(Time),
    Advance(Time),
    Put(u8, OptionValues),
    Get(u8),
    Peek(u8),
    Contains(u8),
    Load(u8, OptionValues, bool),
    Fetch(u8, OptionValues, Option<Time>, bool),
    Refresh(u8, OptionValues, bool),
    Expire(u8),
    ExpireAll,
    Remove(u8),
}

impl OptionValues {
    /// Calls every setter, and asserts that a setter panics exactly for invalid fractions.
    pub(super) fn options(&self) -> (CacheOptions, GivenOptions) {
        let time = |time: Option<Time>| time.map(Time::get);
        let fraction = |fraction: Option<Fraction>| fraction.map(Fraction::get);
        let mut given = GivenOptions {
            ttl: time(self.ttl),
            stale_while_revalidate: time(self.stale_while_revalidate),
            stale_if_error: time(self.stale_if_error),
            refresh_ahead: fraction(self.refresh_ahead),
            jitter: fraction(self.jitter),
            time_to_idle: time(self.time_to_idle),
            error_backoff: time(self.error_backoff),
        };
        let mut options = CacheOptions::new().tag("all");
        options = set(options, time(self.load_timeout), CacheOptions::load_timeout);
        options = set(options, time(self.soft_timeout), CacheOptions::soft_timeout);
        options = set(options, given.ttl, CacheOptions::ttl);
        let window = given.stale_while_revalidate;
        options = set(options, window, CacheOptions::stale_while_revalidate);
        options = set(options, given.stale_if_error, CacheOptions::stale_if_error);
        options = set(options, given.time_to_idle, CacheOptions::time_to_idle);
        options = set(options, given.error_backoff, CacheOptions::error_backoff);
        options = set_fraction(
            options,
            &mut given.refresh_ahead,
            CacheOptions::refresh_ahead,
        );
        options = set_fraction(options, &mut given.jitter, CacheOptions::jitter);
        (options, given)
    }
}

fn set<T>(
    options: CacheOptions,
    value: Option<T>,
    setter: fn(CacheOptions, T) -> CacheOptions,
) -> CacheOptions {
    match value {
        Some(value) => setter(options, value),
        None => options,
    }
}

/// Sets a fraction. A rejected fraction counts as not set.
fn set_fraction(
    options: CacheOptions,
    fraction: &mut Option<f32>,
    setter: fn(CacheOptions, f32) -> CacheOptions,
) -> CacheOptions {
    let Some(value) = *fraction else {
        return options;
    };
    let is_valid = (0.0..=1.0).contains(&value);
    let mut with_fraction = options.clone();
    let rejected = panics(AssertUnwindSafe(|| {
        with_fraction = setter(options.clone(), value);
    }));
    assert_eq!(rejected, !is_valid, "{value}");
    fraction.take_if(|_| rejected);
    with_fraction
}
