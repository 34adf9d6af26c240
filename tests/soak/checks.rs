//! What is checked at each answer of the soak test, and in the end.

use std::time::Duration;

use hydracache::{CacheResult, CacheStats, Clock, Fetched, Source};

use crate::World;
use crate::database::{Row, Running};
use crate::kinds::kind_of;

/// An answer; of `fetch`, with what it says of it.
pub type Answer = CacheResult<(Row, Option<Fetched<Row>>)>;

/// A call that has begun, and what was known of its key then.
pub struct Call {
    pub key: usize,
    pub at: Duration,
    pub floor: u64,
    pub fresh_floor: u64,
    /// There was an old value to serve, after so many breaks.
    pub had: Option<u64>,
    pub starts: u64,
    /// It runs a loader.
    pub leads: bool,
    /// No load could begin in the background.
    pub full: bool,
    /// Nothing was in the way of a load.
    pub free: bool,
}

/// What the test counts for itself.
#[derive(Debug, Default)]
pub struct Seen {
    pub requests: u64,
    pub lookups: u64,
    pub old: u64,
    pub errors: u64,
    pub hits: u64,
    pub stale: u64,
    pub joined: u64,
    pub invalidated: u64,
    pub background: u64,
}

impl World<'_> {
    /// Checks an answer. Whether it is fresh.
    pub fn check(&mut self, call: &Call, answer: Answer) -> bool {
        let (now, key, kind) = (self.clock.now(), call.key, kind_of(call.key));
        let waited = now.checked_sub(call.at).unwrap();
        let state = self.database.state();
        let line = &state.lines[key];
        let failed = line
            .failed
            .is_some_and(|it| it >= call.at || call.at < it + kind.error_backoff);
        let failed = failed || waited == kind.load_timeout;
        let (row, fetched) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                assert!(failed, "{key}: {error}, and nothing failed");
                assert!(error.is_load() || error.is_timeout(), "{key}: {error}");
                let had = call.had == Some(line.breaks) && line.has(now);
                assert!(!had, "{key}: {error}, and there is an old value");
                self.seen.errors += 1;
                return false;
            }
        };
        assert!(row.version >= call.floor, "{key}: older than allowed");
        let young = row.version >= call.fresh_floor;
        let age = now.checked_sub(line.stored_at(&row)).unwrap();
        let fresh = young && age < kind.ttl;
        match fetched.as_ref().map(|fetched| fetched.source) {
            Some(Source::Hit) => {
                assert!(fresh, "{key}: a hit, not fresh");
                self.seen.hits += 1;
            }
            Some(Source::Stale) => {
                let left = fetched.as_ref().unwrap().time_left;
                assert_eq!(left, Some(Duration::ZERO), "{key}: old, with time left");
                self.seen.stale += 1;
            }
            Some(source) => {
                assert!(young, "{key}: loaded, and older than allowed");
                self.seen.joined += u64::from(source == Source::Joined);
                return true;
            }
            None => {}
        }
        if let Some(fetched) = fetched {
            assert_eq!(fetched.age, age, "{key}: an untrue age");
        }
        if !(young && age < kind.ttl + kind.stale_while_revalidate) {
            let enough = kind.soft_timeout.is_some_and(|time| waited >= time);
            assert!(age < kind.ttl + kind.window(), "{key}: {age:?} old");
            assert!(failed || enough || call.full, "{key}: old for no reason");
        }
        self.seen.old += u64::from(!fresh);
        fresh
    }

    /// Checks who waits, and what runs.
    pub fn check_waiting(&self) {
        let (now, state) = (self.clock.now(), self.database.state());
        for (call, _) in &self.calls {
            let (key, kind, line) = (call.key, kind_of(call.key), &state.lines[call.key]);
            assert!(
                now < call.at + kind.load_timeout,
                "{key}: waits for too long"
            );
            assert!(!line.running.is_empty(), "{key}: waits for nobody");
            let had = call.had == Some(line.breaks) && line.has(now);
            let enough = kind.soft_timeout.is_some_and(|time| now >= call.at + time);
            assert!(call.leads || !had || !enough, "{key}: has waited enough");
        }
        for (key, line) in state.lines.iter().enumerate() {
            let end = |it: &Running| it.began + kind_of(key).load_timeout;
            let hangs = line.running.iter().any(|it| now >= end(it));
            assert!(!hangs, "{key}: a loader runs for too long");
        }
    }

    /// The counters are those of the test.
    pub fn add_up(&self, stats: CacheStats) {
        let (seen, counts) = (&self.seen, self.database.state().counts);
        eprintln!("{seen:#?}\n{counts:#?}\n{stats:#?}");
        let ended = counts.values + counts.errors + counts.timeouts + counts.cancelled;
        assert_eq!(stats.hits + stats.misses, seen.lookups);
        assert_eq!(stats.loads, ended);
        assert_eq!(stats.load_failures, counts.errors + counts.timeouts);
        assert_eq!(stats.stale_load_discards, counts.fenced);
        assert_eq!(stats.invalidations, seen.invalidated);
        let never = stats.evictions + stats.rejections + stats.decode_failures;
        assert_eq!(never, 0);
        assert!(stats.timeouts >= counts.timeouts);
        assert!(stats.stale_serves >= seen.old.max(seen.stale) && stats.hits >= seen.hits);
        assert!(stats.single_flight_joins >= seen.joined);
        assert!(stats.refreshes >= seen.background.min(1) && stats.refreshes <= stats.loads);
    }
}
