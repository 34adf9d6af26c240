//! What a run is made of: plain numbers, which the fuzzer may choose as it likes.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use hydracache::CacheOptions;

/// How the cache is built, and what is done with it.
#[derive(Debug)]
pub struct Input {
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Step>,
}

/// Steps that a run has at most.
const STEPS: usize = 200;

/// As many steps as there are bytes for. (Of a `Vec` every other byte would say that it
/// ends here.)
impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let setup = bytes.arbitrary()?;
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < STEPS {
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
    /// What calls do not say.
    pub(crate) defaults: Option<Wishes>,
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

/// What a call wishes for its entry and its load. Times are in seconds.
#[derive(Arbitrary, Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) ttl: Option<u8>,
    /// A bit for each.
    pub(crate) tags: u8,
    pub(crate) rare: Option<RareWishes>,
}

#[derive(Arbitrary, Clone, Debug, Default)]
pub(crate) struct RareWishes {
    pub(crate) stale_while_revalidate: Option<u8>,
    pub(crate) stale_if_error: Option<u8>,
    pub(crate) refresh_ahead: Option<u8>,
    pub(crate) jitter: Option<u8>,
    pub(crate) time_to_idle: Option<u8>,
    pub(crate) load_timeout: Option<u8>,
    pub(crate) soft_timeout: Option<u8>,
    pub(crate) error_backoff: Option<u8>,
}

/// How many tags there are.
pub(crate) const TAGS: u8 = 4;

pub(crate) const SECOND: u64 = 1_000_000_000;

fn seconds(number: Option<u8>, most: u8) -> Option<u64> {
    number.map(|number| u64::from(number % (most + 1)) * SECOND)
}

/// The same, as they are meant: what is not set is filled in, times are in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) ttl: Option<u64>,
    pub(crate) tags: u8,
    pub(crate) stale_while_revalidate: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
    /// In halves.
    pub(crate) refresh_ahead: Option<u8>,
    /// In halves.
    pub(crate) jitter: Option<u8>,
    pub(crate) idle: Option<u64>,
    pub(crate) load_timeout: Option<u64>,
    pub(crate) soft_timeout: Option<u64>,
    pub(crate) backoff: Option<u64>,
}

impl Wishes {
    /// As they are, but for what is not modelled: a ttl that is random together with
    /// times that are counted from it.
    pub(crate) fn terms(&self) -> Terms {
        let rare = self.rare.clone().unwrap_or_default();
        Terms {
            ttl: seconds(self.ttl, 6),
            tags: self.tags % (1 << TAGS),
            stale_while_revalidate: seconds(rare.stale_while_revalidate, 4),
            stale_if_error: seconds(rare.stale_if_error, 6),
            refresh_ahead: rare.refresh_ahead.map(|part| part % 3),
            jitter: rare.jitter.map(|part| part % 3),
            idle: seconds(rare.time_to_idle, 6),
            load_timeout: seconds(rare.load_timeout, 4),
            soft_timeout: seconds(rare.soft_timeout, 3),
            backoff: seconds(rare.error_backoff, 4),
        }
    }
}

impl Terms {
    /// What a call's options and the builder's are together.
    pub(crate) fn filled_in(mut self, defaults: &Self) -> Self {
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

    /// A random ttl is modelled where nothing else is counted from it.
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

/// The names of some tags; the first one is named twice, which counts once.
pub(crate) fn tag_names(tags: u8) -> impl Iterator<Item = String> {
    let chosen = (0..TAGS).filter(move |tag| tags & (1 << tag) != 0);
    let again = (tags & 1 != 0).then_some(0);
    chosen.chain(again).map(|tag| format!("tag {tag}"))
}

/// What a loader gives.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Verdict {
    Value,
    /// With wishes of its own, which only `fetch` has.
    Full {
        ttl: Option<u8>,
        tags: u8,
        unchanged: bool,
    },
    Error,
    Panic,
}

/// Which verb loads.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    GetOrLoad,
    Fetch,
    Refresh,
    GetOrRefresh,
}

/// What is stored, or asked for.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A `u32`.
    Number,
    /// A `String`.
    Text,
    /// The bytes of a `u32`, by `put_bytes`.
    Raw,
    /// Bytes that are no value of any type.
    Garbage,
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Step {
    Get(u8, bool),
    GetBytes(u8),
    Peek(u8, bool),
    Contains(u8),
    Put(u8, Form, Wishes),
    PutIfAbsent(u8, Wishes),
    /// Puts a new value if there is one or none, as the bits say; else removes.
    Update(u8, u8, Wishes),
    Remove(u8),
    Expire(u8),
    ExpireTag(u8, bool),
    /// Dropped after its first poll, or driven to its end.
    InvalidateTags(u8, bool),
    Flush(bool),
    Keys,
    /// Keeps the keys whose bit is set.
    Retain(u8),
    /// Begins a loading call; polls it once, or not.
    Begin {
        verb: Verb,
        key: u8,
        text: bool,
        wishes: Wishes,
        verdict: Option<Verdict>,
        polled: bool,
    },
    Poll(u8),
    /// Lets a loader end at its next poll.
    Finish(u8, Verdict),
    Drop(u8),
    Advance(u8),
    /// Puts many keys that have a tag.
    Fill(u16, u8),
    /// Asks for the counters, which gives back what invalidations left.
    Settle,
}
