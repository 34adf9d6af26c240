//! The keys of the soak test, and the options of each. Jitter is not among them: every
//! cache draws it by a seed of its own.

use std::time::Duration;

use hydracache::CacheOptions;

/// Time moves by this much. Every time of the options is a multiple of it, so that what
/// is to end at a moment ends at that very moment.
pub const TICK: Duration = Duration::from_millis(100);

/// Every kind has as many.
pub const KEYS: usize = 60;

/// Each key is in one, and tagged with it.
pub const GROUPS: usize = 7;

#[derive(Clone, Copy, PartialEq)]
pub enum Verb {
    GetOrLoad,
    /// Its loader chooses the time to live, and the tag: the row's group, which changes.
    Fetch,
    /// It may go to the background.
    GetOrRefresh,
}

/// The options of a key, for ever the same.
pub struct Kind {
    pub verb: Verb,
    pub ttl: Duration,
    pub stale_while_revalidate: Duration,
    /// Not shorter than the other window, if it is there.
    pub stale_if_error: Duration,
    refresh_ahead: Option<f32>,
    pub load_timeout: Duration,
    pub soft_timeout: Option<Duration>,
    pub error_backoff: Duration,
}

const fn plain(verb: Verb, ttl: u64, timeout: u64) -> Kind {
    Kind {
        verb,
        ttl: Duration::from_secs(ttl),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        refresh_ahead: None,
        load_timeout: Duration::from_secs(timeout),
        soft_timeout: None,
        error_backoff: Duration::ZERO,
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

static KINDS: [Kind; 6] = [
    plain(Verb::GetOrLoad, 60, 2),
    Kind {
        stale_while_revalidate: seconds(15),
        stale_if_error: seconds(90),
        error_backoff: seconds(1),
        ..plain(Verb::GetOrLoad, 30, 2)
    },
    Kind {
        stale_if_error: seconds(300),
        soft_timeout: Some(Duration::from_millis(300)),
        ..plain(Verb::Fetch, 20, 2)
    },
    Kind {
        stale_while_revalidate: seconds(10),
        refresh_ahead: Some(0.8),
        error_backoff: seconds(2),
        ..plain(Verb::Fetch, 40, 1)
    },
    Kind {
        stale_while_revalidate: seconds(30),
        stale_if_error: seconds(30),
        refresh_ahead: Some(0.5),
        ..plain(Verb::GetOrRefresh, 30, 3)
    },
    Kind {
        stale_if_error: seconds(240),
        soft_timeout: Some(Duration::ZERO),
        error_backoff: seconds(1),
        ..plain(Verb::GetOrRefresh, 15, 1)
    },
];

pub fn kind_of(key: usize) -> &'static Kind {
    &KINDS[key % KINDS.len()]
}

pub fn tag(group: usize) -> String {
    format!("group:{group}")
}

impl Kind {
    /// The longer of its windows.
    pub fn window(&self) -> Duration {
        self.stale_while_revalidate.max(self.stale_if_error)
    }

    /// Without its time to live and its tag.
    fn bare(&self) -> CacheOptions {
        let mut options = CacheOptions::new().load_timeout(self.load_timeout);
        if !self.stale_while_revalidate.is_zero() {
            options = options.stale_while_revalidate(self.stale_while_revalidate);
        }
        if !self.stale_if_error.is_zero() {
            options = options.stale_if_error(self.stale_if_error);
        }
        if let Some(part) = self.refresh_ahead {
            options = options.refresh_ahead(part);
        }
        if let Some(time) = self.soft_timeout {
            options = options.soft_timeout(time);
        }
        if !self.error_backoff.is_zero() {
            options = options.error_backoff(self.error_backoff);
        }
        options
    }

    /// Those of a call: what the loader chooses for itself is wrong here, or missing.
    pub fn options(&self, group: usize) -> CacheOptions {
        match self.verb {
            Verb::Fetch => self.bare().ttl(seconds(86_400)),
            _ => self.put_options(group),
        }
    }

    /// Those of a put, which has no loader.
    pub fn put_options(&self, group: usize) -> CacheOptions {
        self.bare().ttl(self.ttl).tag(tag(group))
    }
}
