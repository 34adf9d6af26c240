//! Background loads are bounded in number and time, are fenced, and may be dropped or panic.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::HydraCache;

use crate::pool::*;
use crate::stale::*;
use crate::support::*;

/// Altinn/dialogporten#4252: a hung background load held its key.
#[test]
fn background_load_times_out_after_30_seconds_by_default() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, revalidated(1000));
    clock.advance(SECOND * 10);
    assert_eq!(hand_over_hung(&cache, "key", options()).ends().unwrap(), 1);
    let mut load = pool.only();
    load.waits();
    clock.advance(nearly(30));
    load.waits();
    assert_eq!(hand_over(&cache, "key", 2, options()).ends().unwrap(), 1);
    assert_eq!(pool.len(), 0, "one load for one key");
    clock.advance(NANO);
    assert!(load.was_woken());
    load.ends();
    assert_eq!(cache.stats().load_failures, 1);
    assert_eq!(cache.stats().timeouts, 1);
    hand_over(&cache, "key", 2, options()).ends().unwrap();
    pool.run();
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn background_load_times_out_after_its_load_timeout() {
    for seconds in [5, 60] {
        let (cache, clock, pool) = spawning(64);
        put(&cache, "key", 1, revalidated(1000));
        clock.advance(SECOND * 10);
        let within = options().load_timeout(SECOND * seconds);
        assert_eq!(hand_over_hung(&cache, "key", within).ends().unwrap(), 1);
        let mut load = pool.only();
        load.waits();
        clock.advance(nearly(seconds));
        load.waits();
        clock.advance(NANO);
        load.ends();
    }
}

#[test]
fn caller_of_a_hung_background_load_gets_the_stale_value() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(1000));
    clock.advance(SECOND * 10);
    let within = options().load_timeout(SECOND * 5);
    let mut call = hand_over_hung(&cache, "key", within);
    call.waits();
    clock.advance(SECOND * 5);
    assert_eq!(call.ends().unwrap(), 1, "the load need not be polled");
    pool.only().ends();
    assert_eq!(cache.stats().load_failures, 1);
}

#[test]
fn full_background_serves_the_stored_value_without_a_load() {
    for kept in [kept(50), revalidated(50), lasting(60).refresh_ahead(0.1)] {
        let (cache, clock, pool) = spawning(2);
        for key in ["a", "b", "c"] {
            put(&cache, key, 1, kept.clone());
        }
        clock.advance(SECOND * 10);
        let mut first = hand_over(&cache, "a", 2, options());
        let mut second = hand_over(&cache, "b", 2, options());
        let _ = (first.poll(), second.poll());
        assert_eq!(hand_over(&cache, "c", 2, options()).ends().unwrap(), 1);
        assert_eq!(pool.len(), 2);
        assert_eq!(cache.stats().loads, 2);
        // A finished load and a dropped load both make room for another.
        let mut loads = pool.take();
        loads.pop().unwrap().ends();
        drop(loads.pop());
        let _ = hand_over(&cache, "c", 2, options()).poll();
        assert_eq!(pool.len(), 1);
        let _ = hand_over(&cache, "a", 2, options()).poll();
        assert_eq!(pool.len(), 2);
        pool.run();
        assert_eq!(get(&cache, "c"), Some(2));
    }
}

#[test]
fn caller_loads_a_missing_key_at_the_background_bound() {
    let (cache, clock, pool) = spawning(0);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 10);
    assert_eq!(hand_over(&cache, "key", 2, options()).ends().unwrap(), 1);
    assert_eq!(hand_over(&cache, "other", 2, options()).ends().unwrap(), 2);
    assert_eq!(pool.len(), 0);
}

#[test]
fn background_load_dropped_by_its_runtime_is_cancelled() {
    let (cache, clock, pool) = spawning(1);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 10);
    for _ in 0..3 {
        let mut call = hand_over(&cache, "key", 2, options());
        call.waits();
        let mut waiter = Hand::start(cache.get_or_load("key", options(), failing_loader::<u32>));
        // The runtime drops the load: the caller is served stale, the waiter loads.
        drop(pool.take());
        assert_eq!(call.ends().unwrap(), 1);
        let failures = cache.stats().load_failures;
        assert!(waiter.was_woken());
        assert_eq!(waiter.ends().unwrap(), 1, "the waiter's own load failed");
        assert_eq!(cache.stats().load_failures, failures + 1);
    }
    assert_eq!(cache.stats().load_failures, 3);
    let mut call = hand_over(&cache, "key", 2, options());
    call.waits();
    pool.run();
    assert_eq!(call.ends().unwrap(), 2);
}

#[test]
fn dropped_background_load_of_a_removed_value_is_an_error() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 10);
    // 1. A background load starts. 2. The stale value is removed. 3. The load is dropped.
    let mut call = hand_over(&cache, "key", 2, options());
    call.waits();
    remove(&cache, "key");
    drop(pool.take());
    let error = call.ends().unwrap_err();
    assert!(error.to_string().contains("dropped"), "{error}");
    assert_eq!(load(&cache, "key", 3), 3);
}

#[test]
fn dropped_caller_leaves_its_background_load_running() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 10);
    let mut call = hand_over(&cache, "key", 2, options());
    call.waits();
    drop(call);
    pool.run();
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn background_load_is_fenced_by_put_and_invalidations() {
    let fences: [fn(&HydraCache); 6] = [
        |cache| put(cache, "key", 7, options()),
        |cache| _ = remove(cache, "key"),
        |cache| _ = invalidate(cache, "tag"),
        |cache| _ = expire(cache, "key"),
        |cache| _ = expire_tag(cache, "tag"),
        flush,
    ];
    for fence in fences {
        let (cache, clock, pool) = spawning(64);
        put(&cache, "key", 1, kept(50));
        clock.advance(SECOND * 10);
        // 1. A background load starts. 2. A put or an invalidation runs. 3. The load ends.
        let mut call = hand_over(&cache, "key", 2, tagged("tag"));
        call.waits();
        fence(&cache);
        let current = get(&cache, "key");
        pool.run();
        assert_eq!(call.ends().unwrap(), 2, "the caller gets the fenced value");
        assert_eq!(get(&cache, "key"), current);
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn background_panic_serves_stale_and_makes_room_for_a_load() {
    let (cache, clock, pool) = spawning(1);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 10);
    let panicking = || async {
        let panics: fn() -> u32 = || panic!("boom");
        Ok::<_, Infallible>(panics())
    };
    let mut call = Hand::start(cache.get_or_refresh("key", options(), panicking));
    let mut load = pool.only();
    assert!(catch_unwind(AssertUnwindSafe(|| load.poll())).is_err());
    drop(load);
    assert_eq!(call.ends().unwrap(), 1);
    let mut call = hand_over(&cache, "key", 2, options());
    call.waits();
    pool.run();
    assert_eq!(call.ends().unwrap(), 2);
}

/// The deadline works even if the runtime never polls the load again.
#[test]
fn unpolled_background_load_frees_its_key_at_its_deadline() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(20));
    clock.advance(SECOND * 10);
    // 1. A background load starts and is never polled. 2. A call joins.
    drop(hand_over(&cache, "key", 2, options()).poll());
    let mut unpolled = pool.only();
    let mut waiter = Hand::start(cache.get_or_load("key", options(), ready(3_u32)));
    clock.advance(SECOND * 29);
    waiter.waits();
    // 3. The deadline passes: the waiter loads itself.
    clock.advance(SECOND);
    assert_eq!(waiter.ends().unwrap(), 3);
    unpolled.ends();
    assert_eq!(get(&cache, "key"), Some(3));
}

#[test]
fn caller_of_a_background_load_counts_no_join_and_one_timeout() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(90));
    clock.advance(SECOND * 10);
    let mut caller = hand_over(&cache, "key", 2, kept(90));
    caller.waits();
    pool.run();
    assert_eq!(caller.ends().unwrap(), 2);
    assert_eq!(cache.stats().single_flight_joins, 0);
    clock.advance(SECOND * 10);
    let mut caller = hand_over_hung(&cache, "key", options().load_timeout(SECOND));
    caller.waits();
    let mut load = pool.only();
    load.waits();
    clock.advance(SECOND);
    assert_eq!(caller.ends().unwrap(), 2);
    load.ends();
    let stats = cache.stats();
    assert_eq!((stats.timeouts, stats.load_failures), (1, 1));
}
