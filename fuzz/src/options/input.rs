//! What a run is made of: times, parts, calls.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use hydracache::CacheOptions;

use super::plain::Said;
use crate::expected::panics;

/// What is done: options are set, the clock is, and calls are made.
#[derive(Debug)]
pub struct Input {
    pub(super) defaults: Wishes,
    pub(super) steps: Vec<Step>,
}

/// Steps that a run has at most.
const STEPS: usize = 100;

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let defaults = bytes.arbitrary()?;
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < STEPS {
            steps.push(bytes.arbitrary()?);
        }
        Ok(Self { defaults, steps })
    }
}

/// A time, with those more often at which something may go wrong.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Time {
    Zero,
    Nanos(u8),
    Seconds(u8),
    Millis(u32),
    Any(Duration),
    /// Just before and after the last one that can be kept.
    Kept(i8),
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
            Self::Kept(by) => {
                let by_how_much = Duration::from_nanos(by.unsigned_abs().into());
                let kept = Duration::from_nanos(u64::MAX);
                if by < 0 {
                    kept.saturating_sub(by_how_much)
                } else {
                    kept + by_how_much
                }
            }
            Self::Max => Duration::MAX,
        }
    }
}

/// A part: any float, or one from 0 to 1.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Part {
    Any(f32),
    Good(u8),
    Tiny(u16),
}

impl Part {
    fn get(self) -> f32 {
        match self {
            Self::Any(part) => part,
            Self::Good(part) => f32::from(part) / 255.0,
            Self::Tiny(part) => f32::from(part) / 1e8,
        }
    }
}

#[derive(Arbitrary, Clone, Debug)]
pub(super) struct Wishes {
    ttl: Option<Time>,
    stale_while_revalidate: Option<Time>,
    stale_if_error: Option<Time>,
    refresh_ahead: Option<Part>,
    jitter: Option<Part>,
    time_to_idle: Option<Time>,
    load_timeout: Option<Time>,
    soft_timeout: Option<Time>,
    error_backoff: Option<Time>,
}

#[derive(Arbitrary, Debug)]
pub(super) enum Step {
    /// The clock shows this time, earlier or later than before.
    Show(Time),
    Advance(Time),
    Put(u8, Wishes),
    Get(u8),
    Peek(u8),
    Contains(u8),
    Load(u8, Wishes, bool),
    Fetch(u8, Wishes, Option<Time>, bool),
    Refresh(u8, Wishes, bool),
    Expire(u8),
    ExpireAll,
    Remove(u8),
}

impl Wishes {
    /// Sets all, and sees to it that a setter panics when it says that it does.
    pub(super) fn options(&self) -> (CacheOptions, Said) {
        let time = |time: Option<Time>| time.map(Time::get);
        let part = |part: Option<Part>| part.map(Part::get);
        let mut said = Said {
            ttl: time(self.ttl),
            stale_while_revalidate: time(self.stale_while_revalidate),
            stale_if_error: time(self.stale_if_error),
            refresh_ahead: part(self.refresh_ahead),
            jitter: part(self.jitter),
            time_to_idle: time(self.time_to_idle),
            error_backoff: time(self.error_backoff),
        };
        let mut options = CacheOptions::new().tag("all");
        options = set(options, time(self.load_timeout), CacheOptions::load_timeout);
        options = set(options, time(self.soft_timeout), CacheOptions::soft_timeout);
        options = set(options, said.ttl, CacheOptions::ttl);
        let window = said.stale_while_revalidate;
        options = set(options, window, CacheOptions::stale_while_revalidate);
        options = set(options, said.stale_if_error, CacheOptions::stale_if_error);
        options = set(options, said.time_to_idle, CacheOptions::time_to_idle);
        options = set(options, said.error_backoff, CacheOptions::error_backoff);
        options = set_part(
            options,
            &mut said.refresh_ahead,
            CacheOptions::refresh_ahead,
        );
        options = set_part(options, &mut said.jitter, CacheOptions::jitter);
        (options, said)
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

/// A part that is refused counts as not set.
fn set_part(
    options: CacheOptions,
    part: &mut Option<f32>,
    setter: fn(CacheOptions, f32) -> CacheOptions,
) -> CacheOptions {
    let Some(value) = *part else {
        return options;
    };
    let is_part = (0.0..=1.0).contains(&value);
    let mut with_part = options.clone();
    let refused = panics(AssertUnwindSafe(|| {
        with_part = setter(options.clone(), value);
    }));
    assert_eq!(refused, !is_part, "{value}");
    part.take_if(|_| refused);
    with_part
}
