//! Loading now, whatever there is.

use std::convert::Infallible;
use std::future::pending;

use hydracache::{CacheOptions, CacheResult, HydraCache};

use crate::stale::*;
use crate::support::*;

/// A refresh that has its seat and waits at the door.
#[track_caller]
fn refresh_behind<'a>(
    cache: &'a HydraCache,
    value: u32,
    options: CacheOptions,
    door: &'a Door,
) -> Hand<'a, CacheResult<u32>> {
    Hand::start(cache.refresh("key", options, move || async move {
        door.pass().await;
        Ok::<_, Infallible>(value)
    }))
}

#[track_caller]
fn fail_to_refresh(cache: &HydraCache) -> CacheResult<u32> {
    Hand::hold(cache.refresh("key", options(), away)).ends()
}

#[test]
fn a_fresh_value_is_replaced_with_its_options() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, tagged("old"));
    let call = cache.refresh("key", lasting(10).tag("new"), ready(2_u32));
    assert_eq!(block_on(call).unwrap(), 2);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(invalidate(&cache, "old"), 0);
    assert_eq!(invalidate(&cache, "new"), 1);
    block_on(cache.refresh("key", lasting(10), ready(3_u32))).unwrap();
    clock.advance(SECOND * 10);
    assert_eq!(get(&cache, "key"), None);
}

#[test]
fn it_counts_a_hit_or_a_miss_by_what_there_was_and_a_refresh() {
    let (cache, clock) = clocked(100);
    block_on(cache.refresh("key", kept(5), ready(1_u32))).unwrap();
    block_on(cache.refresh("key", kept(5), ready(2_u32))).unwrap();
    clock.advance(SECOND * 10);
    block_on(cache.refresh("key", kept(5), ready(3_u32))).unwrap();
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 2;
        stats.loads = 3;
        stats.refreshes = 3;
        stats.expirations = 1;
    });
}

#[test]
fn others_are_served_what_is_there_until_the_new_value_lands() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    let door = Door::default();
    let mut refresh = refresh_behind(&cache, 2, options(), &door);
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(served(&cache, "key"), 1);
    door.open();
    assert_eq!(refresh.ends().unwrap(), 2);
    assert_eq!(served(&cache, "key"), 2);
}

#[test]
fn it_does_not_join_an_older_load_and_fences_it() {
    let (cache, _) = clocked(100);
    let (door, other) = (Door::default(), Door::default());
    let mut older = lead(&cache, "key", 1, options(), &door);
    let mut early = join(&cache, "key");
    let mut refresh = refresh_behind(&cache, 2, options(), &other);
    assert_eq!(cache.stats().loads, 2);
    door.open();
    assert_eq!((older.ends().unwrap(), early.ends().unwrap()), (1, 1));
    assert_eq!(get(&cache, "key"), None, "the older one is not stored");
    other.open();
    assert_eq!(refresh.ends().unwrap(), 2);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(cache.stats().stale_load_discards, 1);
}

#[test]
fn an_older_load_that_ends_last_does_not_overwrite_it() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let mut older = lead(&cache, "key", 1, options(), &door);
    block_on(cache.refresh("key", options(), ready(2_u32))).unwrap();
    door.open();
    assert_eq!(older.ends().unwrap(), 1);
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn others_who_have_to_wait_join_it() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let mut refresh = refresh_behind(&cache, 2, options(), &door);
    let mut waiter = join(&cache, "key");
    door.open();
    assert_eq!((refresh.ends().unwrap(), waiter.ends().unwrap()), (2, 2));
    assert_eq!(cache.stats().single_flight_joins, 1);
}

#[test]
fn of_two_the_later_is_stored_whichever_ends_first() {
    for later_first in [false, true] {
        let (cache, _) = clocked(100);
        let (door, other) = (Door::default(), Door::default());
        let mut earlier = refresh_behind(&cache, 1, options(), &door);
        let mut later = refresh_behind(&cache, 2, options(), &other);
        door.open();
        other.open();
        if later_first {
            later.ends().unwrap();
            earlier.ends().unwrap();
        } else {
            assert_eq!(earlier.ends().unwrap(), 1);
            assert_eq!(get(&cache, "key"), None);
            later.ends().unwrap();
        }
        assert_eq!(get(&cache, "key"), Some(2));
    }
}

#[test]
fn what_comes_later_overtakes_it() {
    let overtakers: [fn(&HydraCache); 6] = [
        |cache| put(cache, "key", 7, options()),
        |cache| _ = remove(cache, "key"),
        |cache| _ = invalidate(cache, "tag"),
        |cache| _ = expire(cache, "key"),
        |cache| _ = expire_tag(cache, "tag"),
        flush,
    ];
    for overtake in overtakers {
        let (cache, _) = clocked(100);
        put(&cache, "key", 1, tagged("tag"));
        let door = Door::default();
        let mut refresh = refresh_behind(&cache, 2, tagged("tag"), &door);
        overtake(&cache);
        let then = get(&cache, "key");
        door.open();
        assert_eq!(refresh.ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), then);
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn a_failure_leaves_what_was_there_and_is_an_error_if_that_has_no_window() {
    let (cache, _) = clocked(100);
    for kept in [options(), lasting(10), lasting(10).refresh_ahead(0.5)] {
        put(&cache, "key", 1, kept);
        assert!(fail_to_refresh(&cache).unwrap_err().is_load());
        assert_eq!(get(&cache, "key"), Some(1));
    }
}

#[test]
fn a_failure_is_answered_with_a_value_that_has_a_window_fresh_or_old() {
    for kept in [kept(5), revalidated(5)] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept);
        assert_eq!(fail_to_refresh(&cache).unwrap(), 1);
        assert_eq!(cache.stats().stale_serves, 0);
        clock.advance(nearly(15));
        assert_eq!(fail_to_refresh(&cache).unwrap(), 1);
        assert_eq!(cache.stats().stale_serves, 1);
        clock.advance(NANO);
        assert!(fail_to_refresh(&cache).unwrap_err().is_load());
        assert_stats(cache.stats(), |stats| {
            stats.hits = 1;
            stats.misses = 2;
            stats.stale_serves = 1;
            stats.loads = 3;
            stats.load_failures = 3;
            stats.refreshes = 3;
            stats.expirations = cache.stats().expirations;
        });
    }
}

#[test]
fn a_failure_with_nothing_there_is_an_error_for_all() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let mut refresh = Hand::start(cache.refresh::<u32, _, _, _>("key", options(), || async {
        door.pass().await;
        Err("away")
    }));
    let mut waiter = join(&cache, "key");
    door.open();
    assert!(refresh.ends().unwrap_err().is_load());
    assert!(waiter.ends().unwrap_err().is_load());
}

#[test]
fn a_timeout_is_a_failure_and_frees_the_key() {
    let (cache, clock) = timed();
    let within = options().load_timeout(SECOND * 2);
    let hung = pending::<Result<u32, Infallible>>;
    let mut refresh = Hand::start(cache.refresh("key", within.clone(), hung));
    clock.advance(SECOND * 2);
    assert!(refresh.ends().unwrap_err().is_timeout());
    put(&cache, "key", 1, kept(5));
    let mut refresh = Hand::start(cache.refresh("key", within, hung));
    clock.advance(SECOND * 2);
    assert_eq!(refresh.ends().unwrap(), 1);
    assert_eq!(cache.stats().timeouts, 2);
    assert_eq!(load(&cache, "other", 3), 3);
}

#[test]
fn dropped_it_leaves_what_was_there_and_frees_the_key() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    let door = Door::default();
    drop(refresh_behind(&cache, 2, options(), &door));
    assert_eq!(get(&cache, "key"), Some(1));
    assert!(remove(&cache, "key"));
    let refresh = refresh_behind(&cache, 2, options(), &door);
    let mut waiter = Hand::start(cache.get_or_load("key", options(), ready(3_u32)));
    drop(refresh);
    assert_eq!(waiter.ends().unwrap(), 3);
    assert_eq!(cache.stats().load_failures, 0);
}

#[test]
fn another_type_is_an_error_and_stays() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(5));
    let text = || cache.refresh("key", options(), ready(String::from("two")));
    assert!(block_on(text()).unwrap_err().is_wrong_type());
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(cache.stats().loads, 0);
    clock.advance(SECOND * 10);
    assert_eq!(block_on(text()).unwrap(), "two");
}

#[test]
fn it_does_nothing_before_its_first_poll() {
    let (cache, _) = clocked(100);
    drop(cache.refresh("key", options(), never::<u32>));
    assert_stats(cache.stats(), |_| {});
}

/// A window of no time is none.
#[test]
fn a_refresh_that_fails_over_a_value_with_an_empty_window_is_the_error() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, kept(0));
    assert!(block_on(cache.refresh("key", options(), away::<u32>)).is_err());
    assert_eq!(get(&cache, "key"), Some(1));
}
