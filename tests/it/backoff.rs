//! After a failed load: no other so soon.

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use hydracache::{CacheError, CacheOptions, CacheResult, HydraCache, ManualClock};

use crate::stale::*;
use crate::support::*;

fn backing_off(seconds: u32) -> CacheOptions {
    options().error_backoff(SECOND * seconds)
}

/// A load that fails, and is not to be tried again for so long.
fn fail_for(cache: &HydraCache, key: &str, seconds: u32) -> CacheResult<u32> {
    block_on(cache.get_or_load(key, backing_off(seconds), || async {
        Err(io::Error::other("away"))
    }))
}

/// What a call gets whose loader would be called if the key might be loaded.
fn try_to_load(cache: &HydraCache, key: &str) -> Result<u32, CacheError> {
    Hand::hold(cache.get_or_load(key, options(), never)).ends()
}

#[test]
fn for_so_long_everybody_gets_the_same_error_and_nobody_loads() {
    let (cache, clock) = clocked(100);
    let first = fail_for(&cache, "key", 5).unwrap_err();
    clock.advance(nearly(5));
    let second = try_to_load(&cache, "key").unwrap_err();
    let third = block_on(cache.get_or_load("key", options(), never::<String>)).unwrap_err();
    assert!(second.is_load() && third.is_load());
    let [first, second, third] = [first, second, third].map(|error| {
        let source = error.source().unwrap();
        std::ptr::from_ref(source.downcast_ref::<io::Error>().unwrap()).addr()
    });
    assert_eq!((second, third), (first, first), "not a clone");
    clock.advance(NANO);
    assert_eq!(load(&cache, "key", 7), 7);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 4;
        stats.loads = 2;
        stats.load_failures = 1;
    });
}

#[test]
fn other_keys_load_all_the_same() {
    let (cache, _) = clocked(100);
    fail_for(&cache, "key", 5).unwrap_err();
    assert_eq!(load(&cache, "other", 7), 7);
}

#[test]
fn every_loading_call_is_kept_from_loading_but_refresh() {
    let (cache, _) = clocked(100);
    fail_for(&cache, "key", 5).unwrap_err();
    let inserted = cache.get_or_insert_with("key", options(), pending::<u32>);
    assert!(Hand::hold(inserted).ends().unwrap_err().is_load());
    let full = cache.fetch("key", options(), nobody);
    assert!(Hand::hold(full).ends().unwrap_err().is_load());
    let owned = cache.get_or_refresh("key", options(), never::<u32>);
    assert!(Hand::hold(owned).ends().unwrap_err().is_load());
    let refreshed = cache.refresh("key", options(), ready(7_u32));
    assert_eq!(Hand::hold(refreshed).ends().unwrap(), 7);
    assert_eq!(served(&cache, "key"), 7);
}

#[test]
fn it_is_invisible_to_reads_and_takes_up_no_entry() {
    let (cache, _) = clocked(100);
    fail_for(&cache, "key", 5).unwrap_err();
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(block_on(cache.peek::<u32>("key")).unwrap(), None);
    assert!(!block_on(cache.contains_key("key")));
    assert_eq!(cache.entry_count(), 0);
    assert!(!remove(&cache, "key"));
    assert_eq!(cache.stats().invalidations, 0);
}

#[test]
fn the_old_value_is_served_where_there_is_one() {
    for kept in [kept(100), revalidated(100), lasting(20).refresh_ahead(0.5)] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept);
        clock.advance(SECOND * 10);
        assert_eq!(fail_for(&cache, "key", 5).unwrap(), 1);
        clock.advance(nearly(5));
        for _ in 0..3 {
            assert_eq!(served(&cache, "key"), 1);
        }
        assert_eq!(cache.stats().loads, 1);
        clock.advance(NANO);
        assert_eq!(load(&cache, "key", 2), 2);
    }
}

#[test]
fn an_old_value_that_ends_meanwhile_leaves_the_error() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(3));
    clock.advance(SECOND * 10);
    assert_eq!(fail_for(&cache, "key", 5).unwrap(), 1);
    clock.advance(nearly(3));
    assert_eq!(served(&cache, "key"), 1);
    clock.advance(NANO);
    assert!(try_to_load(&cache, "key").unwrap_err().is_load());
}

#[test]
fn stale_answers_without_a_load_count_a_miss_and_a_stale_serve() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(100));
    clock.advance(SECOND * 10);
    fail_for(&cache, "key", 5).unwrap();
    served(&cache, "key");
    assert_stats(cache.stats(), |stats| {
        stats.misses = 2;
        stats.stale_serves = 2;
        stats.loads = 1;
        stats.load_failures = 1;
    });
}

#[test]
fn put_remove_and_flush_end_it() {
    let ends: [fn(&HydraCache); 7] = [
        |cache| put(cache, "key", 8, lasting(0)),
        |cache| {
            put(cache, "key", 8, options());
            assert!(remove(cache, "key"));
        },
        |cache| {
            let bytes = hydracache::Bytes::from_static(b"\x08");
            block_on(cache.put_bytes("key", bytes, lasting(0))).unwrap();
        },
        |cache| assert!(!remove(cache, "key")),
        |cache| assert!(!block_on(cache.invalidate_key("key")).unwrap()),
        flush,
        |cache| {
            let none = cache.update("key", options(), |_: Option<u32>| None);
            assert_eq!(block_on(none).unwrap(), None);
        },
    ];
    for end in ends {
        let (cache, _) = clocked(100);
        fail_for(&cache, "key", 5).unwrap_err();
        end(&cache);
        assert_eq!(load(&cache, "key", 7), 7);
    }
}

#[test]
fn nothing_else_ends_it() {
    let others: [fn(&HydraCache); 6] = [
        |cache| put(cache, "other", 8, options()),
        |cache| assert!(!remove(cache, "other")),
        |cache| assert_eq!(invalidate(cache, "tag"), 0),
        |cache| assert_eq!(expire_tag(cache, "tag"), 0),
        |cache| assert_eq!(get(cache, "key"), None),
        |cache| assert!(try_to_load(cache, "key").is_err()),
    ];
    for other in others {
        let (cache, _) = clocked(100);
        let failing = cache.get_or_load("key", backing_off(5).tag("tag"), away::<u32>);
        block_on(failing).unwrap_err();
        other(&cache);
        assert!(try_to_load(&cache, "key").unwrap_err().is_load());
    }
}

#[test]
fn it_is_the_failed_loads_option_that_counts() {
    let (cache, clock) = clocked(100);
    fail(&cache, "key").unwrap_err();
    let eager = cache.get_or_load("key", backing_off(100), ready(7_u32));
    assert_eq!(block_on(eager).unwrap(), 7);
    assert!(remove(&cache, "key"));

    fail_for(&cache, "key", 5).unwrap_err();
    let short = cache.get_or_load("key", backing_off(1), never::<u32>);
    assert!(block_on(short).unwrap_err().is_load());
    clock.advance(SECOND * 5);
    assert_eq!(load(&cache, "key", 7), 7);
}

#[test]
fn a_waiters_option_does_not_count() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let mut leader = lead_away(&cache, "key", options(), &door);
    let mut waiter = Hand::start(cache.get_or_load("key", backing_off(5), never::<u32>));
    door.open();
    assert!(leader.ends().unwrap_err().is_load());
    assert!(waiter.ends().unwrap_err().is_load());
    assert_eq!(load(&cache, "key", 7), 7);
}

#[test]
fn panics_and_timeouts_are_failures_too() {
    let (cache, clock) = timed();
    let call = cache.get_or_load("key", backing_off(5), || async {
        let panics: fn() -> u32 = || panic!("boom");
        Ok::<_, Infallible>(panics())
    });
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(call))).is_err());
    assert!(try_to_load(&cache, "key").unwrap_err().is_panic());

    let slow = backing_off(5).load_timeout(SECOND);
    let mut hung = Hand::start(cache.get_or_load("slow", slow, pending::<Result<u32, Infallible>>));
    clock.advance(SECOND);
    assert!(hung.ends().unwrap_err().is_timeout());
    assert!(try_to_load(&cache, "slow").unwrap_err().is_timeout());
    clock.advance(SECOND * 5);
    assert_eq!(load(&cache, "slow", 7), 7);
}

#[test]
fn a_cancelled_load_is_no_failure() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    drop(lead(&cache, "key", 1, backing_off(5), &door));
    assert_eq!(load(&cache, "key", 7), 7);
}

/// The key was put or removed after the load began: what failed is not what is there now.
#[test]
fn a_failed_load_that_was_overtaken_keeps_nobody_from_loading() {
    let overtakers: [fn(&HydraCache); 3] = [
        |cache| put(cache, "key", 1, lasting(0)),
        |cache| assert!(!remove(cache, "key")),
        flush,
    ];
    for overtake in overtakers {
        let (cache, _) = clocked(100);
        let door = Door::default();
        let mut leader = lead_away(&cache, "key", backing_off(5), &door);
        overtake(&cache);
        door.open();
        assert!(leader.ends().unwrap_err().is_load());
        assert_eq!(load(&cache, "key", 7), 7);
    }
}

#[test]
fn a_refresh_that_fails_begins_it_and_one_that_succeeds_ends_it() {
    let (cache, _) = clocked(100);
    let failing = cache.refresh("key", backing_off(5), away::<u32>);
    assert!(block_on(failing).unwrap_err().is_load());
    assert!(try_to_load(&cache, "key").unwrap_err().is_load());
    let refreshed = cache.refresh("key", lasting(0), ready(7_u32));
    assert_eq!(block_on(refreshed).unwrap(), 7);
    assert_eq!(load(&cache, "key", 8), 8);
}

#[test]
fn zero_is_none_and_a_time_without_end_has_none() {
    let (cache, clock) = clocked(100);
    fail_for(&cache, "zero", 0).unwrap_err();
    assert_eq!(load(&cache, "zero", 7), 7);
    let ever = options().error_backoff(Duration::MAX);
    block_on(cache.get_or_load("ever", ever, away::<u32>)).unwrap_err();
    clock.advance(Duration::from_secs(86400 * 365 * 500));
    assert!(try_to_load(&cache, "ever").unwrap_err().is_load());
}

#[test]
fn a_builders_option_holds_where_a_call_has_none() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_options(backing_off(5)).build();
    fail(&cache, "key").unwrap_err();
    assert!(try_to_load(&cache, "key").unwrap_err().is_load());
}

#[test]
fn it_holds_at_a_capacity_of_zero_too() {
    let (cache, clock) = clocked(0);
    fail_for(&cache, "key", 5).unwrap_err();
    assert!(try_to_load(&cache, "key").unwrap_err().is_load());
    clock.advance(SECOND * 5);
    assert_eq!(load(&cache, "key", 7), 7);
}

/// The oldest are forgotten first: that costs a load, never an answer.
#[test]
fn a_shard_remembers_1024_failures_and_forgets_the_oldest() {
    let (cache, _) = clocked(100);
    for n in 0..1025 {
        fail_for(&cache, &format!("key {n}"), 5).unwrap_err();
    }
    assert_eq!(load(&cache, "key 0", 7), 7);
    for n in 1..1025 {
        assert!(try_to_load(&cache, &format!("key {n}")).is_err());
    }
    assert_eq!(cache.entry_count(), 1);
}

/// What fenced the load lets the next caller load at once.
#[test]
fn a_load_that_was_overtaken_by_its_tag_keeps_nobody_from_loading() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let call = tagged("tag").error_backoff(SECOND * 60);
    let mut leader = lead_away(&cache, "key", call, &door);
    invalidate(&cache, "tag");
    door.open();
    assert!(leader.ends().unwrap_err().is_load());
    assert_eq!(load(&cache, "key", 2), 2);
}
