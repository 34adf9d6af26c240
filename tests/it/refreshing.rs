//! `refresh` loads at once, even over a fresh value, and orders itself among other loads.

use std::convert::Infallible;
use std::future::pending;

use hydracache::{CacheOptions, CacheResult, HydraCache};

use crate::stale::*;
use crate::support::*;

/// Starts a refresh: the call claims the slot, and the loader waits at the door.
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
    Hand::hold(cache.refresh("key", options(), failing_loader)).ends()
}

#[test]
fn refresh_replaces_a_fresh_value_and_its_options() {
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
fn refresh_counts_a_hit_or_a_miss_and_a_refresh() {
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
fn other_calls_get_the_current_value_during_a_refresh() {
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
fn refresh_joins_no_load_and_replaces_an_older_one() {
    let (cache, _) = clocked(100);
    let (door, other) = (Door::default(), Door::default());
    // 1. A load runs, with a waiter. 2. A refresh starts a load of its own.
    let mut older = lead(&cache, "key", 1, options(), &door);
    let mut early = join(&cache, "key");
    let mut refresh = refresh_behind(&cache, 2, options(), &other);
    assert_eq!(cache.stats().loads, 2);
    // 3. The older load ends, and is stored. 4. The refresh ends, and replaces the value.
    door.open();
    assert_eq!((older.ends().unwrap(), early.ends().unwrap()), (1, 1));
    assert_eq!(get(&cache, "key"), Some(1), "no newer load has been stored");
    other.open();
    assert_eq!(refresh.ends().unwrap(), 2);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(cache.stats().stale_load_discards, 0);
}

#[test]
fn older_load_that_ends_last_does_not_overwrite_a_refresh() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    // 1. A load starts. 2. A refresh starts and is stored. 3. The load ends.
    let mut older = lead(&cache, "key", 1, options(), &door);
    block_on(cache.refresh("key", options(), ready(2_u32))).unwrap();
    door.open();
    assert_eq!(older.ends().unwrap(), 1);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(cache.stats().stale_load_discards, 1);
}

/// A refresh that begins each half second, with a load of a second, must not starve the cache.
#[test]
fn overlapping_refreshes_are_stored_one_after_the_other() {
    let (cache, _) = clocked(100);
    let doors: [Door; 8] = Default::default();
    let mut running: Vec<Hand<'_, _>> = Vec::new();
    for (value, door) in (0..).zip(&doors) {
        running.push(refresh_behind(&cache, value, options(), door));
        // The refresh before this one ends now.
        if value > 0 {
            let earlier = value - 1;
            doors[earlier as usize].open();
            assert_eq!(running[earlier as usize].ends().unwrap(), earlier);
            assert_eq!(get(&cache, "key"), Some(earlier));
        }
    }
    assert_eq!(cache.stats().stale_load_discards, 0);
}

#[test]
fn refresh_without_success_takes_nothing_from_an_older_load() {
    for is_dropped in [true, false] {
        let (cache, _) = clocked(100);
        let door = Door::default();
        // 1. A load runs. 2. A refresh starts, and is dropped or fails. 3. The load ends.
        let mut older = lead(&cache, "key", 1, options(), &door);
        if is_dropped {
            drop(refresh_behind(&cache, 2, options(), &door));
        } else {
            assert!(fail_to_refresh(&cache).unwrap_err().is_load());
        }
        let mut later = join(&cache, "key");
        door.open();
        assert_eq!((older.ends().unwrap(), later.ends().unwrap()), (1, 1));
        assert_eq!(get(&cache, "key"), Some(1));
    }
}

#[test]
fn later_call_joins_a_running_refresh() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    // 1. A refresh starts. 2. A call joins. 3. The refresh ends for both.
    let mut refresh = refresh_behind(&cache, 2, options(), &door);
    let mut waiter = join(&cache, "key");
    door.open();
    assert_eq!((refresh.ends().unwrap(), waiter.ends().unwrap()), (2, 2));
    assert_eq!(cache.stats().single_flight_joins, 1);
}

#[test]
fn later_of_two_refreshes_is_stored_in_either_order() {
    for later_first in [false, true] {
        let (cache, _) = clocked(100);
        let (door, other) = (Door::default(), Door::default());
        // 1. Two refreshes start. 2. Both end, in either order. 3. The later value is stored.
        let mut earlier = refresh_behind(&cache, 1, options(), &door);
        let mut later = refresh_behind(&cache, 2, options(), &other);
        door.open();
        other.open();
        if later_first {
            later.ends().unwrap();
            earlier.ends().unwrap();
        } else {
            assert_eq!(earlier.ends().unwrap(), 1);
            assert_eq!(get(&cache, "key"), Some(1));
            later.ends().unwrap();
        }
        assert_eq!(get(&cache, "key"), Some(2));
    }
}

#[test]
fn later_put_and_invalidations_fence_a_refresh() {
    let fences: [fn(&HydraCache); 6] = [
        |cache| put(cache, "key", 7, options()),
        |cache| _ = remove(cache, "key"),
        |cache| _ = invalidate(cache, "tag"),
        |cache| _ = expire(cache, "key"),
        |cache| _ = expire_tag(cache, "tag"),
        flush,
    ];
    for fence in fences {
        let (cache, _) = clocked(100);
        put(&cache, "key", 1, tagged("tag"));
        let door = Door::default();
        // 1. A refresh starts. 2. A put or an invalidation runs. 3. The refresh ends.
        let mut refresh = refresh_behind(&cache, 2, tagged("tag"), &door);
        fence(&cache);
        let current = get(&cache, "key");
        door.open();
        assert_eq!(refresh.ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), current);
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn failed_refresh_without_a_window_is_an_error_and_keeps_value() {
    let (cache, _) = clocked(100);
    for kept in [options(), lasting(10), lasting(10).refresh_ahead(0.5)] {
        put(&cache, "key", 1, kept);
        assert!(fail_to_refresh(&cache).unwrap_err().is_load());
        assert_eq!(get(&cache, "key"), Some(1));
    }
}

#[test]
fn failed_refresh_is_an_error_and_leaves_a_value_with_a_window() {
    for kept in [kept(5), revalidated(5)] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept);
        assert!(fail_to_refresh(&cache).unwrap_err().is_load());
        clock.advance(nearly(15));
        assert!(fail_to_refresh(&cache).unwrap_err().is_load());
        // The entry stays, and so serves a call whose own load fails.
        let mut failing = Hand::hold(cache.get_or_load("key", options(), failing_loader::<u32>));
        assert_eq!(failing.ends().unwrap(), 1);
        clock.advance(NANO);
        assert!(fail_to_refresh(&cache).unwrap_err().is_load());
        assert_stats(cache.stats(), |stats| {
            stats.hits = 1;
            stats.misses = 3;
            stats.stale_serves = 1;
            stats.loads = 4;
            stats.load_failures = 4;
            stats.refreshes = cache.stats().refreshes;
            stats.expirations = cache.stats().expirations;
        });
    }
}

#[test]
fn failed_refresh_without_a_value_is_an_error_for_all() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let mut refresh = Hand::start(cache.refresh::<u32, _, _, _>("key", options(), || async {
        door.pass().await;
        Err("down")
    }));
    let mut waiter = join(&cache, "key");
    door.open();
    assert!(refresh.ends().unwrap_err().is_load());
    assert!(waiter.ends().unwrap_err().is_load());
}

#[test]
fn refresh_timeout_is_a_failure_and_frees_the_key() {
    let (cache, clock) = timed();
    let within = options().load_timeout(SECOND * 2);
    let hung = pending::<Result<u32, Infallible>>;
    let mut refresh = Hand::start(cache.refresh("key", within.clone(), hung));
    clock.advance(SECOND * 2);
    assert!(refresh.ends().unwrap_err().is_timeout());
    put(&cache, "key", 1, kept(5));
    let mut refresh = Hand::start(cache.refresh("key", within, hung));
    clock.advance(SECOND * 2);
    assert!(refresh.ends().unwrap_err().is_timeout());
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(cache.stats().timeouts, 2);
    assert_eq!(load(&cache, "other", 3), 3);
}

#[test]
fn dropped_refresh_keeps_the_value_and_frees_the_key() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    let door = Door::default();
    drop(refresh_behind(&cache, 2, options(), &door));
    assert_eq!(get(&cache, "key"), Some(1));
    assert!(remove(&cache, "key"));
    // 1. A refresh starts. 2. A call joins. 3. The refresh is dropped. 4. The call loads.
    let refresh = refresh_behind(&cache, 2, options(), &door);
    let mut waiter = Hand::start(cache.get_or_load("key", options(), ready(3_u32)));
    drop(refresh);
    assert_eq!(waiter.ends().unwrap(), 3);
    assert_eq!(cache.stats().load_failures, 0);
}

#[test]
fn refresh_as_another_type_is_an_error_and_keeps_the_value() {
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
fn refresh_does_nothing_before_its_first_poll() {
    let (cache, _) = clocked(100);
    drop(cache.refresh("key", options(), never::<u32>));
    assert_stats(cache.stats(), |_| {});
}

/// A window of zero is no window.
#[test]
fn failed_refresh_over_an_empty_window_is_an_error() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, kept(0));
    assert!(block_on(cache.refresh("key", options(), failing_loader::<u32>)).is_err());
    assert_eq!(get(&cache, "key"), Some(1));
}
