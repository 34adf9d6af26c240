//! The input of a run: plain numbers, freely chosen by the fuzzer.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use hydracache::CacheOptions;

/// The settings of the cache, and the steps of a run.
#[derive(Debug)]
pub struct Input {
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Step>,
}

/// The largest number of steps of a run.
const MAX_STEPS: usize = 200;

/// Reads steps until the bytes end. (A derived `Vec` would spend a byte per step on whether
/// the list goes on.)
impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let setup = bytes.arbitrary()?;
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < MAX_STEPS {
            steps.push(bytes.arbitrary()?);
        }
        Ok(Self { setup, steps })
    }
}

/// The builder's settings.
#[derive(Arbitrary, Debug)]
pub(crate) struct Setup {
    capacity: u8,
    max_bytes: Option<u8>,
    max_entry_bytes: Option<u8>,
    /// The default options of the builder.
    pub(crate) defaults: Option<RawOptions>,
}

impl Setup {
    pub(crate) fn capacity(&self) -> usize {
        const ALL: [usize; 8] = [4, 3, 2, 8, 1, 400, 20_000, 0];
        ALL[usize::from(self.capacity) % ALL.len()]
    }

    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
            .map_or(usize::MAX, |it| 100 + 8 * usize::from(it))
    }

    pub(crate) fn max_entry_bytes(&self) -> usize {
        self.max_entry_bytes
            .map_or(16 << 20, |it| usize::from(it % 16))
    }
}

/// The options of a call as raw numbers. Times are in seconds.
#[derive(Arbitrary, Clone, Debug, Default)]
pub(crate) struct RawOptions {
    pub(crate) ttl: Option<u8>,
    /// A bit per tag.
    pub(crate) tags: u8,
    pub(crate) extra: Option<RawExtraOptions>,
}

#[derive(Arbitrary, Clone, Debug, Default)]
pub(crate) struct RawExtraOptions {
    pub(crate) stale_while_revalidate: Option<u8>,
    pub(crate) stale_if_error: Option<u8>,
    pub(crate) refresh_ahead: Option<u8>,
    pub(crate) jitter: Option<u8>,
    pub(crate) time_to_idle: Option<u8>,
    pub(crate) load_timeout: Option<u8>,
    pub(crate) soft_timeout: Option<u8>,
    pub(crate) error_backoff: Option<u8>,
}

/// The number of tags.
pub(crate) const TAGS: u8 = 4;

pub(crate) const SECOND: u64 = 1_000_000_000;

fn seconds(number: Option<u8>, most: u8) -> Option<u64> {
    number.map(|number| u64::from(number % (most + 1)) * SECOND)
}

/// The options of a call in valid ranges. Times are in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) ttl: Option<u64>,
    pub(crate) tags: u8,
    pub(crate) stale_while_revalidate: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
    /// In units of one half.
    pub(crate) refresh_ahead: Option<u8>,
    /// In units of one half.
    pub(crate) jitter: Option<u8>,
    pub(crate) idle: Option<u64>,
    pub(crate) load_timeout: Option<u64>,
    pub(crate) soft_timeout: Option<u64>,
    pub(crate) backoff: Option<u64>,
}

impl RawOptions {
    /// Maps the raw numbers to valid ranges.
    pub(crate) fn settings(&self) -> CallOptions {
        let extra = self.extra.clone().unwrap_or_default();
        CallOptions {
            ttl: seconds(self.ttl, 6),
            tags: self.tags % (1 << TAGS),
            stale_while_revalidate: seconds(extra.stale_while_revalidate, 4),
            stale_if_error: seconds(extra.stale_if_error, 6),
            refresh_ahead: extra.refresh_ahead.map(|part| part % 3),
            jitter: extra.jitter.map(|part| part % 3),
            idle: seconds(extra.time_to_idle, 6),
            load_timeout: seconds(extra.load_timeout, 4),
            soft_timeout: seconds(extra.soft_timeout, 3),
            backoff: seconds(extra.error_backoff, 4),
        }
    }
}

impl CallOptions {
    /// Fills unset options from the builder's defaults, and adds the default tags.
    pub(crate) fn or(mut self, defaults: &Self) -> Self {
        self.ttl = self.ttl.or(defaults.ttl);
        self.tags |= defaults.tags;
        self.stale_while_revalidate = self
            .stale_while_revalidate
            .or(defaults.stale_while_revalidate);
        self.stale_if_error = self.stale_if_error.or(defaults.stale_if_error);
        self.refresh_ahead = self.refresh_ahead.or(defaults.refresh_ahead);
        self.jitter = self.jitter.or(defaults.jitter);
        self.idle = self.idle.or(defaults.idle);
        self.load_timeout = self.load_timeout.or(defaults.load_timeout);
        self.soft_timeout = self.soft_timeout.or(defaults.soft_timeout);
        self.backoff = self.backoff.or(defaults.backoff);
        self
    }

    /// Whether the model covers these options: jitter only without options relative to the ttl.
    pub(crate) fn is_modelled(&self) -> bool {
        let counted = self.stale_while_revalidate.is_some()
            || self.stale_if_error.is_some()
            || self.refresh_ahead.is_some();
        self.jitter.unwrap_or(0) == 0 || !counted
    }

    pub(crate) fn options(&self) -> CacheOptions {
        let mut options = CacheOptions::new().tags(tag_names(self.tags));
        let time = Duration::from_nanos;
        if let Some(ttl) = self.ttl {
            options = options.ttl(time(ttl));
        }
        if let Some(window) = self.stale_while_revalidate {
            options = options.stale_while_revalidate(time(window));
        }
        if let Some(window) = self.stale_if_error {
            options = options.stale_if_error(time(window));
        }
        if let Some(part) = self.refresh_ahead {
            options = options.refresh_ahead(f32::from(part) / 2.0);
        }
        if let Some(part) = self.jitter {
            options = options.jitter(f32::from(part) / 2.0);
        }
        if let Some(idle) = self.idle {
            options = options.time_to_idle(time(idle));
        }
        if let Some(limit) = self.load_timeout {
            options = options.load_timeout(time(limit));
        }
        if let Some(limit) = self.soft_timeout {
            options = options.soft_timeout(time(limit));
        }
        if let Some(pause) = self.backoff {
            options = options.error_backoff(time(pause));
        }
        options
    }
}

/// The names of a set of tags. The first tag is named twice, which must count once.
pub(crate) fn tag_names(tags: u8) -> impl Iterator<Item = String> {
    let chosen = (0..TAGS).filter(move |tag| tags & (1 << tag) != 0);
    let again = (tags & 1 != 0).then_some(0);
    chosen.chain(again).map(|tag| format!("tag {tag}"))
}

/// The result of a loader.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum LoaderResult {
    Value,
    /// A `Loaded` with options of its own, for `fetch` only.
    Loaded {
        ttl: Option<u8>,
        tags: u8,
        unchanged: bool,
    },
    Error,
    Panic,
}

/// The loading method.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    GetOrLoad,
    Fetch,
    Refresh,
    GetOrRefresh,
}

/// The form of a stored value, or the type a call asks for.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A `u32`.
    Number,
    /// A `String`.
    Text,
    /// The bytes of a `u32`, by `put_bytes`.
    Raw,
    /// Bytes that decode as no type.
    Garbage,
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Step {
    Get(u8, bool),
    GetBytes(u8),
    Peek(u8, bool),
    Contains(u8),
    Put(u8, Form, RawOptions),
    PutIfAbsent(u8, RawOptions),
    /// Puts a new value or removes: bit 0 decides for a present value, bit 1 for an absent one.
    Update(u8, u8, RawOptions),
    Remove(u8),
    Expire(u8),
    ExpireTag(u8, bool),
    /// Driven to its end if true, else dropped after the first poll.
    InvalidateTags(u8, bool),
    Flush(bool),
    Keys,
    /// Keeps the keys whose bit is set.
    Retain(u8),
    /// Begins a loading call, and polls the call once if `polled`.
    Begin {
        verb: Verb,
        key: u8,
        text: bool,
        raw: RawOptions,
        result: Option<LoaderResult>,
        polled: bool,
    },
    Poll(u8),
    /// Sets the result of a waiting loader, for its next poll.
    EndLoader(u8, LoaderResult),
    Drop(u8),
    Advance(u8),
    /// Puts many keys with one tag.
    Fill(u16, u8),
    /// Compares the counters, which also sweeps invalidated entries.
    CheckCounters,
}
