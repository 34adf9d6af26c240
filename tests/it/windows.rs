//! Stale windows: the calls served with the stale value, from when, and until when.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use hydracache::{CacheOptions, HydraCache};

use crate::stale::*;
use crate::support::*;

#[track_caller]
fn assert_absent_for_reads(cache: &HydraCache, key: &str) {
    assert_eq!(get(cache, key), None);
    assert_eq!(block_on(cache.peek::<u32>(key)).unwrap(), None);
    assert_eq!(block_on(cache.get_bytes(key)).unwrap(), None);
    assert!(!block_on(cache.contains_key(key)));
}

#[test]
fn reads_without_a_loader_see_fresh_entries_only() {
    for options in [
        revalidated(5),
        kept(5),
        revalidated(2).stale_if_error(SECOND * 5),
    ] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, options);
        clock.advance(nearly(10));
        assert_eq!(get(&cache, "key"), Some(1));
        assert!(block_on(cache.contains_key("key")));
        for time in [NANO, SECOND, SECOND] {
            clock.advance(time);
            assert_absent_for_reads(&cache, "key");
        }
        assert_eq!(fail(&cache, "key").unwrap(), 1, "the value is still stored");
    }
}

#[test]
fn other_callers_get_the_stale_value_until_the_window_ends() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 10);
    let door = Door::default();
    // 1. A load starts in the window. 2. Other calls are served stale.
    let mut leader = lead(&cache, "key", 2, revalidated(5), &door);
    for _ in 0..3 {
        assert_eq!(served(&cache, "key"), 1);
    }
    clock.advance(nearly(5));
    assert_eq!(served(&cache, "key"), 1);
    clock.advance(NANO);
    // 3. The window ends: the next call joins. 4. The load ends for both.
    let mut waiter = join(&cache, "key");
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(waiter.ends().unwrap(), 2);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 6;
        stats.stale_serves = 4;
        stats.loads = 1;
        stats.refreshes = 1;
        stats.single_flight_joins = 1;
        stats.expirations = 1;
    });
}

#[test]
fn leader_in_the_revalidate_window_waits_for_its_load() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 12);
    assert_eq!(load(&cache, "key", 2), 2);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(cache.stats().stale_serves, 0);
}

#[test]
fn callers_in_the_error_window_join_the_load() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut leader = lead(&cache, "key", 2, options(), &door);
    let mut waiter = join(&cache, "key");
    door.open();
    assert_eq!((leader.ends().unwrap(), waiter.ends().unwrap()), (2, 2));
    assert_stats(cache.stats(), |stats| {
        stats.misses = 2;
        stats.loads = 1;
        stats.single_flight_joins = 1;
        stats.expirations = 1;
    });
}

/// Upstream served the stale value once, and to a single caller of four.
#[test]
fn every_failed_load_serves_the_stale_value_to_all_callers() {
    for kept in [
        kept(100),
        revalidated(100),
        revalidated(5).stale_if_error(SECOND * 100),
    ] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept);
        clock.advance(SECOND * 10);
        for round in 1..=3 {
            clock.advance(SECOND * 20);
            let door = Door::default();
            let mut leader = lead_failing(&cache, "key", options(), &door);
            let mut others: Vec<_> = (0..3)
                .map(|_| Hand::hold(cache.get_or_load("key", options(), never::<u32>)))
                .collect();
            // In the revalidate window these calls are served now; in the error window they wait.
            let early: Vec<_> = others.iter_mut().map(Hand::poll).collect();
            door.open();
            assert_eq!(leader.ends().unwrap(), 1);
            for (mut other, early) in others.into_iter().zip(early) {
                let result = match early {
                    Poll::Ready(result) => result,
                    Poll::Pending => other.ends(),
                };
                assert_eq!(result.unwrap(), 1);
            }
            assert_eq!(cache.stats().stale_serves, 4 * round);
            assert_eq!(cache.stats().load_failures, round);
            assert_eq!(cache.stats().misses, 4 * round);
        }
    }
}

#[test]
fn stale_value_is_served_exactly_until_its_window_ends() {
    for kept in [
        kept(5),
        revalidated(5),
        revalidated(5).stale_if_error(SECOND),
    ] {
        let (cache, clock) = clocked(100);
        clock.advance(NANO * 17);
        put(&cache, "key", 1, kept);
        clock.advance(nearly(15));
        assert_eq!(fail(&cache, "key").unwrap(), 1);
        clock.advance(NANO);
        assert!(fail(&cache, "key").unwrap_err().is_load());
        assert_absent_for_reads(&cache, "key");
        assert_eq!(cache.entry_count(), 0);
        assert_eq!(cache.stats().expirations, 1);
    }
}

/// The window is checked when the load ends, not when the load starts.
#[test]
fn load_failing_after_the_window_returns_the_error() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 12);
    let door = Door::default();
    let mut leader = lead_failing(&cache, "key", options(), &door);
    let mut waiter = join(&cache, "key");
    clock.advance(SECOND * 3);
    door.open();
    assert!(leader.ends().unwrap_err().is_load());
    assert!(waiter.ends().unwrap_err().is_load());
    assert_eq!(cache.stats().stale_serves, 0);
}

#[test]
fn windows_come_from_the_entry_not_from_the_caller() {
    let (cache, clock) = clocked(100);
    put(&cache, "bare", 1, lasting(10));
    put(&cache, "kept", 1, kept(5));
    clock.advance(SECOND * 10);
    let fail_with_windows = |key| {
        let call_options = kept(100).stale_while_revalidate(SECOND * 100);
        Hand::hold(cache.get_or_load(key, call_options, failing_loader::<u32>)).ends()
    };
    assert!(fail_with_windows("bare").unwrap_err().is_load());
    assert_eq!(fail_with_windows("kept").unwrap(), 1);
    clock.advance(SECOND * 5);
    assert!(fail_with_windows("kept").unwrap_err().is_load());
}

#[test]
fn waiters_of_a_panicking_load_get_the_stale_value() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut leader =
        Hand::start(
            cache.get_or_load::<u32, Infallible, _, _>("key", options(), || async {
                door.pass().await;
                panic!("boom")
            }),
        );
    let mut waiter = join(&cache, "key");
    door.open();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(leader.poll()))).is_err());
    assert_eq!(waiter.ends().unwrap(), 1);
    assert_eq!(fail(&cache, "key").unwrap(), 1);
}

#[test]
fn waiter_of_a_dropped_leader_loads_despite_a_stale_value() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 10);
    let door = Door::default();
    // 1. A load starts, a call joins. 2. The leader is dropped. 3. The waiter loads.
    let leader = lead(&cache, "key", 2, options(), &door);
    let mut waiter = Hand::start(cache.get_or_load("key", options(), ready(3_u32)));
    drop(leader);
    assert_eq!(waiter.ends().unwrap(), 3);
    assert_eq!(cache.stats().load_failures, 0);
}

/// Every call to remove a stale value.
const REMOVALS: [fn(&HydraCache); 6] = [
    |cache| assert!(!remove(cache, "key"), "a stale entry is not live"),
    |cache| assert!(!block_on(cache.invalidate_key("key")).unwrap()),
    |cache| assert_eq!(invalidate(cache, "tag"), 0, "a stale entry is not live"),
    flush,
    |cache| put(cache, "key", 9, lasting(0)),
    |cache| put(cache, "another", 9, options()), // evicts
];

#[test]
fn removed_stale_value_is_never_served() {
    for removal in REMOVALS {
        for kept in [kept(50), revalidated(50)] {
            let (cache, clock) = clocked(1);
            put(&cache, "key", 1, kept.tag("tag"));
            clock.advance(SECOND * 20);
            assert_eq!(fail(&cache, "key").unwrap(), 1);
            removal(&cache);
            assert!(fail(&cache, "key").unwrap_err().is_load());
            assert_eq!(cache.stats().invalidations, 0);
            assert_eq!(cache.stats().evictions, 0);
            assert_eq!(
                cache.stats().expirations,
                u64::from(cache.stats().loads == 2)
            );
        }
    }
}

#[test]
fn failed_load_serves_no_value_removed_during_the_load() {
    for removal in REMOVALS {
        let (cache, clock) = clocked(1);
        put(&cache, "key", 1, kept(50).tag("tag"));
        clock.advance(SECOND * 20);
        let door = Door::default();
        // 1. A load starts, a call joins. 2. The stale value is removed. 3. The load fails.
        let mut leader = lead_failing(&cache, "key", options(), &door);
        let mut waiter = join(&cache, "key");
        removal(&cache);
        door.open();
        assert!(leader.ends().unwrap_err().is_load());
        assert!(waiter.ends().unwrap_err().is_load());
        assert!(fail(&cache, "key").unwrap_err().is_load());
    }
}

#[test]
fn earlier_refresh_does_not_revive_a_removed_value() {
    for removal in &REMOVALS[..5] {
        let (cache, clock) = clocked(1);
        put(&cache, "key", 1, revalidated(50).tag("tag"));
        clock.advance(SECOND * 20);
        let door = Door::default();
        // 1. A load starts. 2. The stale value is removed. 3. The load ends, and is discarded.
        let mut leader = lead(&cache, "key", 2, revalidated(50).tag("tag"), &door);
        removal(&cache);
        door.open();
        assert_eq!(leader.ends().unwrap(), 2);
        assert_absent_for_reads(&cache, "key");
        assert!(fail(&cache, "key").unwrap_err().is_load());
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

/// The value to fall back on is read from the table when the load fails.
#[test]
fn value_put_during_a_load_is_served_when_the_load_fails() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 20);
    let door = Door::default();
    // 1. A load starts. 2. A put stores 2. 3. The load fails, and 2 is served.
    let mut leader = lead_failing(&cache, "key", options(), &door);
    put(&cache, "key", 2, lasting(10));
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(cache.stats().stale_serves, 0, "the served value is fresh");
}

#[test]
fn stale_value_of_another_type_counts_as_absent() {
    for kept in [kept(50), revalidated(50)] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept);
        clock.advance(SECOND * 20);
        let text = cache.get_or_load("key", options(), failing_loader::<String>);
        assert!(block_on(text).unwrap_err().is_load());
        let text = cache.get_or_load("key", options(), ready(String::from("two")));
        assert_eq!(block_on(text).unwrap(), "two");
    }
}

#[test]
fn undecodable_stale_value_is_not_served() {
    let (cache, clock) = clocked(100);
    let garbage = hydracache::Bytes::from_static(&[0xff; 20]);
    block_on(cache.put_bytes("key", garbage, kept(50))).unwrap();
    clock.advance(SECOND * 20);
    assert!(fail(&cache, "key").unwrap_err().is_load());
    assert_eq!(cache.stats().stale_serves, 0);
    assert_eq!(load(&cache, "key", 2), 2);
}

#[test]
fn no_window_without_a_ttl_and_a_window_may_be_endless() {
    let (cache, clock) = clocked(100);
    let windows = |options: CacheOptions| {
        let endless = Duration::MAX;
        options
            .stale_if_error(endless)
            .stale_while_revalidate(endless)
    };
    put(&cache, "endless", 1, windows(options()));
    put(&cache, "kept", 2, windows(lasting(10)));
    clock.advance(Duration::from_secs(86400 * 365 * 500));
    assert_eq!(served(&cache, "endless"), 1);
    assert_eq!(fail(&cache, "kept").unwrap(), 2);
}

#[test]
fn stale_entries_are_swept_when_their_windows_end() {
    let (cache, clock) = clocked(1000);
    for n in 0..500 {
        put(&cache, &format!("key {n}"), n, kept(5));
    }
    clock.advance(nearly(15));
    put(&cache, "a", 0, options());
    assert_eq!(cache.entry_count(), 501);
    clock.advance(NANO);
    for _ in 0..10 {
        put(&cache, "a", 0, options());
    }
    assert_eq!(cache.entry_count(), 1);
    assert_eq!(cache.stats().expirations, 500);
}

#[test]
fn evicted_stale_entry_counts_as_expired() {
    let (cache, clock) = clocked(10);
    for n in 0..10 {
        put(&cache, &format!("key {n}"), n, kept(100));
    }
    clock.advance(SECOND * 10);
    for n in 0..10 {
        put(&cache, &format!("new {n}"), n, options());
    }
    let stats = cache.stats();
    assert_eq!(stats.evictions + stats.expirations, 10);
    assert!(stats.expirations > 0);
}

/// A fresh entry with windows or an idle time is evicted, and counted, like any other.
#[test]
fn fresh_entry_with_windows_or_idle_time_counts_as_evicted() {
    let (cache, _) = clocked(4);
    for n in 0..6 {
        let times = [kept(10), options().time_to_idle(SECOND)];
        put(&cache, &n.to_string(), n, times[n as usize % 2].clone());
    }
    assert_stats(cache.stats(), |stats| stats.evictions = 2);
}
