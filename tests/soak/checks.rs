//! The checks of each answer, of waiting calls, and of the final counters.

use std::time::Duration;

use hydracache::{CacheResult, CacheStats, Clock, Fetched, Source};

use crate::World;
use crate::database::{Row, Running};
use crate::kinds::kind_of;

/// The answer of a call, with the `Fetched` of a `fetch`.
pub type Answer = CacheResult<(Row, Option<Fetched<Row>>)>;

/// A running call, and the expectations at its beginning.
pub struct Call {
    pub key: usize,
    pub at: Duration,
    pub floor: u64,
    pub fresh_floor: u64,
    /// If a stale value could be served: the losses of the key until then.
    pub losses_with_stale: Option<u64>,
    pub starts: u64,
    /// The call runs a loader.
    pub leads: bool,
    /// The bound of background loads was reached.
    pub background_full: bool,
    /// Neither a load nor a back-off nor the bound prevented a load.
    pub may_load: bool,
}

/// Counts of the test, for comparison with the cache's counters.
#[derive(Debug, Default)]
pub struct Seen {
    pub requests: u64,
    pub lookups: u64,
    /// Answers that were not fresh.
    pub not_fresh: u64,
    pub errors: u64,
    pub hits: u64,
    pub stale: u64,
    pub joined: u64,
    pub invalidated: u64,
    pub background: u64,
}

impl World<'_> {
    /// Checks an answer, and returns whether the value is fresh.
    pub fn check(&mut self, call: &Call, answer: Answer) -> bool {
        let (now, key, kind) = (self.clock.now(), call.key, kind_of(call.key));
        let waited = now.checked_sub(call.at).unwrap();
        let state = self.database.state();
        let record = &state.records[key];
        let failed = record
            .failed
            .is_some_and(|it| it >= call.at || call.at < it + kind.error_backoff);
        let failed = failed || waited == kind.load_timeout;
        let (row, fetched) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                assert!(failed, "{key}: {error}, without a failure");
                assert!(error.is_load() || error.is_timeout(), "{key}: {error}");
                let servable = call.losses_with_stale == Some(record.losses) && record.has(now);
                assert!(!servable, "{key}: {error}, despite a stale value");
                self.seen.errors += 1;
                return false;
            }
        };
        assert!(row.version >= call.floor, "{key}: older than allowed");
        let current = row.version >= call.fresh_floor;
        let age = now.checked_sub(record.stored_at(&row)).unwrap();
        let fresh = current && age < kind.ttl;
        match fetched.as_ref().map(|fetched| fetched.source) {
            Some(Source::Hit) => {
                assert!(fresh, "{key}: a stale hit");
                self.seen.hits += 1;
            }
            Some(Source::Stale) => {
                let left = fetched.as_ref().unwrap().time_left;
                assert_eq!(left, Some(Duration::ZERO), "{key}: stale, with time left");
                self.seen.stale += 1;
            }
            Some(source) => {
                assert!(current, "{key}: a loaded value older than allowed");
                self.seen.joined += u64::from(source == Source::Joined);
                return true;
            }
            None => {}
        }
        if let Some(fetched) = fetched {
            assert_eq!(fetched.age, age, "{key}: a wrong age");
        }
        if !(current && age < kind.ttl + kind.stale_while_revalidate) {
            let waited_enough = kind.soft_timeout.is_some_and(|time| waited >= time);
            assert!(
                age < kind.ttl + kind.window(),
                "{key}: {age:?} old, past every window"
            );
            assert!(
                failed || waited_enough || call.background_full,
                "{key}: stale without a reason"
            );
        }
        self.seen.not_fresh += u64::from(!fresh);
        fresh
    }

    /// Checks the waiting calls and the running loaders.
    pub fn check_waiting(&self) {
        let (now, state) = (self.clock.now(), self.database.state());
        for (call, _) in &self.calls {
            let (key, kind, record) = (call.key, kind_of(call.key), &state.records[call.key]);
            assert!(
                now < call.at + kind.load_timeout,
                "{key}: waits past the load timeout"
            );
            assert!(
                !record.running.is_empty(),
                "{key}: waits without a running loader"
            );
            let servable = call.losses_with_stale == Some(record.losses) && record.has(now);
            let waited_enough = kind.soft_timeout.is_some_and(|time| now >= call.at + time);
            assert!(
                call.leads || !servable || !waited_enough,
                "{key}: waits past the soft timeout"
            );
        }
        for (key, record) in state.records.iter().enumerate() {
            let end = |it: &Running| it.began + kind_of(key).load_timeout;
            let hangs = record.running.iter().any(|it| now >= end(it));
            assert!(!hangs, "{key}: a loader runs past the load timeout");
        }
    }

    /// Asserts that the cache's counters agree with the counts of the test.
    pub fn check_counters(&self, stats: CacheStats) {
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
        assert!(stats.stale_serves >= seen.not_fresh.max(seen.stale) && stats.hits >= seen.hits);
        assert!(stats.single_flight_joins >= seen.joined);
        assert!(stats.refreshes >= seen.background.min(1) && stats.refreshes <= stats.loads);
    }
}
