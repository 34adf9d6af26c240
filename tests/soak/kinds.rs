//! The keys of the soak test and their options.
//!
//! No key has jitter: each cache draws jitter with a seed of its own.

use std::time::Duration;

use hydracache::CacheOptions;

/// The step of the clock. Every duration of the options is a multiple, so that each deadline
/// falls exactly on a tick.
pub const TICK: Duration = Duration::from_millis(100);

/// The number of keys; every kind has equally many.
pub const KEYS: usize = 60;

/// The number of groups. Each key is in one group and has the tag of the group.
pub const GROUPS: usize = 7;

#[derive(Clone, Copy, PartialEq)]
pub enum Verb {
    GetOrLoad,
    /// The loader chooses the time to live and the tag, which is the changing group of the row.
    Fetch,
    /// The load may run in the background.
    GetOrRefresh,
}

/// The fixed options of a key.
pub struct Kind {
    pub verb: Verb,
    pub ttl: Duration,
    pub stale_while_revalidate: Duration,
    /// Zero, or at least as long as the other window.
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
    /// The longer window.
    pub fn window(&self) -> Duration {
        self.stale_while_revalidate.max(self.stale_if_error)
    }

    /// The options without time to live and tag.
    fn common_options(&self) -> CacheOptions {
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

    /// The options of a call. The loader of a `fetch` corrects the time to live and adds the tag.
    pub fn options(&self, group: usize) -> CacheOptions {
        match self.verb {
            Verb::Fetch => self.common_options().ttl(seconds(86_400)),
            _ => self.put_options(group),
        }
    }

    /// The options of a put, which has no loader.
    pub fn put_options(&self, group: usize) -> CacheOptions {
        self.common_options().ttl(self.ttl).tag(tag(group))
    }
}
