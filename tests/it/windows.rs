//! Old values: who is served one, when, and until when.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use hydracache::{CacheOptions, HydraCache};

use crate::stale::*;
use crate::support::*;

#[track_caller]
fn assert_unseen(cache: &HydraCache, key: &str) {
    assert_eq!(get(cache, key), None);
    assert_eq!(block_on(cache.peek::<u32>(key)).unwrap(), None);
    assert_eq!(block_on(cache.get_bytes(key)).unwrap(), None);
    assert!(!block_on(cache.contains_key(key)));
}

#[test]
fn reads_without_a_loader_see_only_what_is_fresh() {
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
            assert_unseen(&cache, "key");
        }
        assert_eq!(fail(&cache, "key").unwrap(), 1, "it is still kept");
    }
}

#[test]
fn while_one_loads_the_others_are_served_at_once_to_the_last_nanosecond() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut leader = lead(&cache, "key", 2, revalidated(5), &door);
    for _ in 0..3 {
        assert_eq!(served(&cache, "key"), 1);
    }
    clock.advance(nearly(5));
    assert_eq!(served(&cache, "key"), 1);
    clock.advance(NANO);
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
fn the_caller_that_loads_waits_for_its_own_load() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 12);
    assert_eq!(load(&cache, "key", 2), 2);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(cache.stats().stale_serves, 0);
}

#[test]
fn in_the_window_of_errors_alone_the_others_wait() {
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

/// upstream: it works once, and for one of four callers.
#[test]
fn a_failed_load_is_answered_with_the_old_value_again_and_again_for_all() {
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
            // They are served now, or wait.
            let early: Vec<_> = others.iter_mut().map(Hand::poll).collect();
            door.open();
            assert_eq!(leader.ends().unwrap(), 1);
            for (mut other, early) in others.into_iter().zip(early) {
                let answer = match early {
                    Poll::Ready(answer) => answer,
                    Poll::Pending => other.ends(),
                };
                assert_eq!(answer.unwrap(), 1);
            }
            assert_eq!(cache.stats().stale_serves, 4 * round);
            assert_eq!(cache.stats().load_failures, round);
            assert_eq!(cache.stats().misses, 4 * round);
        }
    }
}

#[test]
fn the_old_value_is_served_to_the_very_limit_and_not_beyond() {
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
        assert_unseen(&cache, "key");
        assert_eq!(cache.entry_count(), 0);
        assert_eq!(cache.stats().expirations, 1);
    }
}

/// The limit holds for the end of the load, not for its start.
#[test]
fn a_load_that_fails_after_the_limit_is_not_answered_with_what_was_kept() {
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
fn windows_are_those_of_the_entry_not_of_the_caller() {
    let (cache, clock) = clocked(100);
    put(&cache, "bare", 1, lasting(10));
    put(&cache, "kept", 1, kept(5));
    clock.advance(SECOND * 10);
    let of = |key| {
        let call_options = kept(100).stale_while_revalidate(SECOND * 100);
        Hand::hold(cache.get_or_load(key, call_options, failing_loader::<u32>)).ends()
    };
    assert!(of("bare").unwrap_err().is_load());
    assert_eq!(of("kept").unwrap(), 1);
    clock.advance(SECOND * 5);
    assert!(of("kept").unwrap_err().is_load());
}

#[test]
fn waiters_of_a_load_that_panics_get_the_old_value() {
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
fn a_dropped_leader_is_no_failure_and_those_who_waited_load() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let leader = lead(&cache, "key", 2, options(), &door);
    let mut waiter = Hand::start(cache.get_or_load("key", options(), ready(3_u32)));
    drop(leader);
    assert_eq!(waiter.ends().unwrap(), 3);
    assert_eq!(cache.stats().load_failures, 0);
}

/// Whatever takes an old value away.
const TAKERS: [fn(&HydraCache); 6] = [
    |cache| assert!(!remove(cache, "key"), "it was not live"),
    |cache| assert!(!block_on(cache.invalidate_key("key")).unwrap()),
    |cache| assert_eq!(invalidate(cache, "tag"), 0, "it was not live"),
    flush,
    |cache| put(cache, "key", 9, lasting(0)),
    |cache| put(cache, "another", 9, options()), // evicts
];

#[test]
fn what_was_taken_away_is_served_to_nobody() {
    for taker in TAKERS {
        for kept in [kept(50), revalidated(50)] {
            let (cache, clock) = clocked(1);
            put(&cache, "key", 1, kept.tag("tag"));
            clock.advance(SECOND * 20);
            assert_eq!(fail(&cache, "key").unwrap(), 1);
            taker(&cache);
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
fn what_was_taken_away_while_it_was_loaded_is_no_answer_to_a_failure() {
    for taker in TAKERS {
        let (cache, clock) = clocked(1);
        put(&cache, "key", 1, kept(50).tag("tag"));
        clock.advance(SECOND * 20);
        let door = Door::default();
        let mut leader = lead_failing(&cache, "key", options(), &door);
        let mut waiter = join(&cache, "key");
        taker(&cache);
        door.open();
        assert!(leader.ends().unwrap_err().is_load());
        assert!(waiter.ends().unwrap_err().is_load());
        assert!(fail(&cache, "key").unwrap_err().is_load());
    }
}

#[test]
fn no_earlier_refresh_revives_what_was_removed() {
    for taker in &TAKERS[..5] {
        let (cache, clock) = clocked(1);
        put(&cache, "key", 1, revalidated(50).tag("tag"));
        clock.advance(SECOND * 20);
        let door = Door::default();
        let mut leader = lead(&cache, "key", 2, revalidated(50).tag("tag"), &door);
        taker(&cache);
        door.open();
        assert_eq!(leader.ends().unwrap(), 2);
        assert_unseen(&cache, "key");
        assert!(fail(&cache, "key").unwrap_err().is_load());
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

/// What the old value is, the table says at that moment.
#[test]
fn a_value_put_while_the_load_ran_is_the_answer_to_its_failure() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 20);
    let door = Door::default();
    let mut leader = lead_failing(&cache, "key", options(), &door);
    put(&cache, "key", 2, lasting(10));
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(cache.stats().stale_serves, 0, "it is fresh");
}

#[test]
fn an_old_value_of_another_type_is_as_good_as_none() {
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
fn an_old_value_that_cannot_be_decoded_is_no_answer() {
    let (cache, clock) = clocked(100);
    let garbage = hydracache::Bytes::from_static(&[0xff; 20]);
    block_on(cache.put_bytes("key", garbage, kept(50))).unwrap();
    clock.advance(SECOND * 20);
    assert!(fail(&cache, "key").unwrap_err().is_load());
    assert_eq!(cache.stats().stale_serves, 0);
    assert_eq!(load(&cache, "key", 2), 2);
}

#[test]
fn a_value_without_an_end_has_no_windows_and_a_window_may_have_no_end() {
    let (cache, clock) = clocked(100);
    let windows = |options: CacheOptions| {
        let ever = Duration::MAX;
        options.stale_if_error(ever).stale_while_revalidate(ever)
    };
    put(&cache, "endless", 1, windows(options()));
    put(&cache, "kept", 2, windows(lasting(10)));
    clock.advance(Duration::from_secs(86400 * 365 * 500));
    assert_eq!(served(&cache, "endless"), 1);
    assert_eq!(fail(&cache, "kept").unwrap(), 2);
}

#[test]
fn old_values_give_their_memory_back_when_their_windows_end() {
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
fn an_old_value_that_is_evicted_was_not_live() {
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

/// A fresh entry that has windows, or an age, leaves as any other does.
#[test]
fn what_is_fresh_is_evicted_whatever_times_it_has() {
    let (cache, _) = clocked(4);
    for n in 0..6 {
        let times = [kept(10), options().time_to_idle(SECOND)];
        put(&cache, &n.to_string(), n, times[n as usize % 2].clone());
    }
    assert_stats(cache.stats(), |stats| stats.evictions = 2);
}
