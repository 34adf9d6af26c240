//! After a failed load with `error_backoff`, the key is not loaded until the back-off ends.

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use hydracache::{CacheError, CacheOptions, CacheResult, HydraCache, ManualClock};

use crate::stale::*;
use crate::support::*;

pub fn with_backoff(seconds: u32) -> CacheOptions {
    options().error_backoff(SECOND * seconds)
}

/// A failing load that begins a back-off of `seconds`.
pub fn fail_for(cache: &HydraCache, key: &str, seconds: u32) -> CacheResult<u32> {
    block_on(cache.get_or_load(key, with_backoff(seconds), || async {
        Err(io::Error::other("down"))
    }))
}

/// The result of a call for a key in back-off. The loader must not run.
pub fn backed_off(cache: &HydraCache, key: &str) -> Result<u32, CacheError> {
    Hand::hold(cache.get_or_load(key, options(), never)).ends()
}

#[test]
fn backoff_returns_the_same_error_without_a_load() {
    let (cache, clock) = clocked(100);
    let first = fail_for(&cache, "key", 5).unwrap_err();
    clock.advance(nearly(5));
    let second = backed_off(&cache, "key").unwrap_err();
    let third = block_on(cache.get_or_load("key", options(), never::<String>)).unwrap_err();
    assert!(second.is_load() && third.is_load());
    let [first, second, third] = [first, second, third].map(|error| {
        let source = error.source().unwrap();
        std::ptr::from_ref(source.downcast_ref::<io::Error>().unwrap()).addr()
    });
    assert_eq!(
        (second, third),
        (first, first),
        "all calls get clones of one error"
    );
    clock.advance(NANO);
    assert_eq!(load(&cache, "key", 7), 7);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 4;
        stats.loads = 2;
        stats.load_failures = 1;
    });
}

#[test]
fn backoff_of_one_key_leaves_other_keys() {
    let (cache, _) = clocked(100);
    fail_for(&cache, "key", 5).unwrap_err();
    assert_eq!(load(&cache, "other", 7), 7);
}

#[test]
fn backoff_stops_every_loading_call_except_refresh() {
    let (cache, _) = clocked(100);
    fail_for(&cache, "key", 5).unwrap_err();
    let inserted = cache.get_or_insert_with("key", options(), pending::<u32>);
    assert!(Hand::hold(inserted).ends().unwrap_err().is_load());
    let fetch = cache.fetch("key", options(), never_fetch);
    assert!(Hand::hold(fetch).ends().unwrap_err().is_load());
    let owned = cache.get_or_refresh("key", options(), never::<u32>);
    assert!(Hand::hold(owned).ends().unwrap_err().is_load());
    let refreshed = cache.refresh("key", options(), ready(7_u32));
    assert_eq!(Hand::hold(refreshed).ends().unwrap(), 7);
    assert_eq!(served(&cache, "key"), 7);
}

#[test]
fn backoff_is_invisible_to_reads_and_entry_count() {
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
fn backoff_serves_the_stored_value_where_present() {
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
fn backoff_returns_the_error_once_the_stale_value_expires() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(3));
    clock.advance(SECOND * 10);
    assert_eq!(fail_for(&cache, "key", 5).unwrap(), 1);
    clock.advance(nearly(3));
    assert_eq!(served(&cache, "key"), 1);
    clock.advance(NANO);
    assert!(backed_off(&cache, "key").unwrap_err().is_load());
}

#[test]
fn serve_in_backoff_counts_a_miss_and_a_stale_serve() {
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
fn put_remove_expire_and_flush_end_the_backoff() {
    let ends: [fn(&HydraCache); 8] = [
        |cache| assert!(!expire(cache, "key")),
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
fn reads_other_tags_and_other_keys_do_not_end_the_backoff() {
    let others: [fn(&HydraCache); 8] = [
        |cache| put(cache, "other", 8, tagged("tag")),
        |cache| assert!(!remove(cache, "other")),
        |cache| assert!(!expire(cache, "other")),
        |cache| assert_eq!(invalidate(cache, "other tag"), 0),
        |cache| assert_eq!(expire_tag(cache, "other tag"), 0),
        |cache| assert_eq!(block_on(cache.tidy()).unwrap(), 0),
        |cache| assert_eq!(get(cache, "key"), None),
        |cache| assert!(backed_off(cache, "key").is_err()),
    ];
    for other in others {
        let (cache, _) = clocked(100);
        let failing = cache.get_or_load("key", with_backoff(5).tag("tag"), failing_loader::<u32>);
        block_on(failing).unwrap_err();
        other(&cache);
        assert!(backed_off(&cache, "key").unwrap_err().is_load());
    }
}

#[test]
fn backoff_time_is_set_by_the_failed_load() {
    let (cache, clock) = clocked(100);
    fail(&cache, "key").unwrap_err();
    let loaded = cache.get_or_load("key", with_backoff(100), ready(7_u32));
    assert_eq!(block_on(loaded).unwrap(), 7);
    assert!(remove(&cache, "key"));

    fail_for(&cache, "key", 5).unwrap_err();
    let short = cache.get_or_load("key", with_backoff(1), never::<u32>);
    assert!(block_on(short).unwrap_err().is_load());
    clock.advance(SECOND * 5);
    assert_eq!(load(&cache, "key", 7), 7);
}

#[test]
fn backoff_option_of_a_waiter_has_no_effect() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let mut leader = lead_failing(&cache, "key", options(), &door);
    let mut waiter = Hand::start(cache.get_or_load("key", with_backoff(5), never::<u32>));
    door.open();
    assert!(leader.ends().unwrap_err().is_load());
    assert!(waiter.ends().unwrap_err().is_load());
    assert_eq!(load(&cache, "key", 7), 7);
}

#[test]
fn panic_begins_a_backoff() {
    let (cache, _) = timed();
    let call = cache.get_or_load("key", with_backoff(5), || async {
        let panics: fn() -> u32 = || panic!("boom");
        Ok::<_, Infallible>(panics())
    });
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(call))).is_err());
    assert!(backed_off(&cache, "key").unwrap_err().is_panic());
}

/// The time of a leader says nothing of the database: the next call may have more time.
#[test]
fn timeout_of_a_leader_begins_no_backoff() {
    let (cache, clock) = timed();
    let slow = with_backoff(5).load_timeout(SECOND);
    let mut hung = Hand::start(cache.get_or_load("slow", slow, pending::<Result<u32, Infallible>>));
    clock.advance(SECOND);
    assert!(hung.ends().unwrap_err().is_timeout());
    assert_eq!(load(&cache, "slow", 7), 7);
}

#[test]
fn cancelled_load_begins_no_backoff() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    drop(lead(&cache, "key", 1, with_backoff(5), &door));
    assert_eq!(load(&cache, "key", 7), 7);
}

/// A put or an invalidation came after the load's start: the failure no longer concerns the key.
#[test]
fn fenced_load_that_fails_begins_no_backoff() {
    let fences: [fn(&HydraCache); 3] = [
        |cache| put(cache, "key", 1, lasting(0)),
        |cache| assert!(!remove(cache, "key")),
        flush,
    ];
    for fence in fences {
        let (cache, _) = clocked(100);
        let door = Door::default();
        // 1. A load starts. 2. A put or an invalidation runs. 3. The load fails. 4. A call loads.
        let mut leader = lead_failing(&cache, "key", with_backoff(5), &door);
        fence(&cache);
        door.open();
        assert!(leader.ends().unwrap_err().is_load());
        assert_eq!(load(&cache, "key", 7), 7);
    }
}

#[test]
fn failed_refresh_begins_a_backoff_and_success_ends_it() {
    let (cache, _) = clocked(100);
    let failing = cache.refresh("key", with_backoff(5), failing_loader::<u32>);
    assert!(block_on(failing).unwrap_err().is_load());
    assert!(backed_off(&cache, "key").unwrap_err().is_load());
    let refreshed = cache.refresh("key", lasting(0), ready(7_u32));
    assert_eq!(block_on(refreshed).unwrap(), 7);
    assert_eq!(load(&cache, "key", 8), 8);
}

#[test]
fn backoff_of_zero_is_none_and_the_largest_never_ends() {
    let (cache, clock) = clocked(100);
    fail_for(&cache, "zero", 0).unwrap_err();
    assert_eq!(load(&cache, "zero", 7), 7);
    let longest = options().error_backoff(Duration::MAX);
    block_on(cache.get_or_load("endless", longest, failing_loader::<u32>)).unwrap_err();
    clock.advance(Duration::from_secs(86400 * 365 * 500));
    assert!(backed_off(&cache, "endless").unwrap_err().is_load());
}

#[test]
fn builder_backoff_applies_where_the_call_sets_none() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_options(with_backoff(5)).build();
    fail(&cache, "key").unwrap_err();
    assert!(backed_off(&cache, "key").unwrap_err().is_load());
}

#[test]
fn backoff_works_with_a_capacity_of_zero() {
    let (cache, clock) = clocked(0);
    fail_for(&cache, "key", 5).unwrap_err();
    assert!(backed_off(&cache, "key").unwrap_err().is_load());
    clock.advance(SECOND * 5);
    assert_eq!(load(&cache, "key", 7), 7);
}

/// A forgotten failure costs a load, never a wrong answer.
#[test]
fn shard_keeps_1024_failures_and_forgets_the_oldest() {
    let (cache, _) = clocked(100);
    for n in 0..1025 {
        fail_for(&cache, &format!("key {n}"), 5).unwrap_err();
    }
    assert_eq!(load(&cache, "key 0", 7), 7);
    for n in 1..1025 {
        assert!(backed_off(&cache, &format!("key {n}")).is_err());
    }
    assert_eq!(cache.entry_count(), 1);
}

/// After an invalidation fences the load, the next caller may load at once.
#[test]
fn failed_load_fenced_by_its_tag_begins_no_backoff() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let call = tagged("tag").error_backoff(SECOND * 60);
    let mut leader = lead_failing(&cache, "key", call, &door);
    invalidate(&cache, "tag");
    door.open();
    assert!(leader.ends().unwrap_err().is_load());
    assert_eq!(load(&cache, "key", 2), 2);
}
