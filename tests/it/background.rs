//! With a spawner, owned loaders of `get_or_refresh` run as background loads.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use hydracache::{BoxFuture, HydraCache, ManualClock};

use crate::pool::*;
use crate::stale::*;
use crate::support::*;

#[test]
fn stale_value_is_served_while_one_background_load_runs() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 10);
    for value in 2..5 {
        assert_eq!(
            hand_over(&cache, "key", value, options()).ends().unwrap(),
            1
        );
    }
    pool.only().ends();
    assert_eq!(get(&cache, "key"), Some(2));
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 3;
        stats.stale_serves = 3;
        stats.loads = 1;
        stats.refreshes = 1;
        stats.expirations = 1;
    });
}

#[test]
fn refresh_ahead_in_the_background_serves_hits_at_once() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, lasting(10).refresh_ahead(0.5));
    clock.advance(SECOND * 5);
    for value in 2..5 {
        assert_eq!(
            hand_over(&cache, "key", value, options()).ends().unwrap(),
            1
        );
    }
    pool.only().ends();
    assert_eq!(get(&cache, "key"), Some(2));
    assert_stats(cache.stats(), |stats| {
        stats.hits = 4;
        stats.loads = 1;
        stats.refreshes = 1;
    });
}

#[test]
fn callers_in_the_error_window_wait_for_the_background_load() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 10);
    // 1. The first call starts a background load. 2. Two calls join. 3. The load ends for all.
    let mut first = hand_over(&cache, "key", 2, options());
    let mut second = hand_over(&cache, "key", 3, options());
    first.waits();
    second.waits();
    let mut third = join(&cache, "key");
    pool.only().ends();
    for waiter in [&mut first, &mut second, &mut third] {
        assert!(waiter.was_woken());
        assert_eq!(waiter.ends().unwrap(), 2);
    }
    assert_eq!(cache.stats().loads, 1);
}

#[test]
fn caller_runs_the_loader_without_a_value_or_a_spawner() {
    let (cache, clock, pool) = spawning(64);
    assert_eq!(
        hand_over(&cache, "key", 1, revalidated(5)).ends().unwrap(),
        1
    );
    clock.advance(SECOND * 15);
    assert_eq!(hand_over(&cache, "key", 2, options()).ends().unwrap(), 2);
    assert_eq!(pool.len(), 0);

    let (cache, clock) = timed();
    for kept in [kept(5), revalidated(5)] {
        put(&cache, "key", 1, kept);
        clock.advance(SECOND * 10);
        assert_eq!(hand_over(&cache, "key", 2, options()).ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), Some(2));
    }
}

#[test]
fn other_callers_get_the_stale_value_without_a_spawner() {
    let (cache, clock) = timed();
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 10);
    let mut leader = hand_over_hung(&cache, "key", options());
    leader.waits();
    assert_eq!(hand_over(&cache, "key", 3, options()).ends().unwrap(), 1);
    drop(leader);
    assert_eq!(hand_over(&cache, "key", 3, options()).ends().unwrap(), 3);
}

#[test]
fn borrowed_loader_never_runs_in_the_background() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 10);
    assert_eq!(load(&cache, "key", 2), 2);
    assert_eq!(pool.len(), 0);
}

#[test]
fn failed_background_load_serves_the_stale_value() {
    for (kept, waits) in [(kept(5), true), (revalidated(5), false)] {
        let (cache, clock, pool) = spawning(64);
        put(&cache, "key", 1, kept);
        clock.advance(SECOND * 10);
        for failures in 1..=3 {
            let mut call =
                Hand::hold(cache.get_or_refresh("key", options(), failing_loader::<u32>));
            if waits {
                call.waits();
                pool.run();
            }
            assert_eq!(call.ends().unwrap(), 1);
            pool.run();
            assert_eq!(cache.stats().load_failures, failures);
        }
        clock.advance(SECOND * 5);
        let call = cache.get_or_refresh("key", options(), failing_loader::<u32>);
        assert!(block_on(call).unwrap_err().is_load());
    }
}

#[test]
fn failed_background_load_begins_a_backoff() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, revalidated(50));
    clock.advance(SECOND * 10);
    let call_options = options().error_backoff(SECOND * 5);
    let mut call = Hand::hold(cache.get_or_refresh("key", call_options, failing_loader::<u32>));
    assert_eq!(call.ends().unwrap(), 1);
    pool.run();
    assert_eq!(served(&cache, "key"), 1);
    assert_eq!(hand_over(&cache, "key", 2, options()).ends().unwrap(), 1);
    assert_eq!(pool.len(), 0);
}

/// In `FusionCache`, a soft timeout of zero never runs the loader.
#[test]
fn soft_timeout_of_zero_serves_stale_and_loads_in_background() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 10);
    let at_once = options().soft_timeout(Duration::ZERO);
    assert_eq!(hand_over(&cache, "key", 2, at_once).ends().unwrap(), 1);
    pool.only().ends();
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn soft_timeout_bounds_the_first_caller_of_a_background_load() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 10);
    let mut call = hand_over(&cache, "key", 2, options().soft_timeout(SECOND * 2));
    call.waits();
    clock.advance(nearly(2));
    call.waits();
    clock.advance(NANO);
    assert!(call.was_woken());
    assert_eq!(call.ends().unwrap(), 1);
    pool.only().ends();
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(cache.stats().timeouts, 0);
}

#[test]
fn spawner_may_run_the_load_inside_spawn() {
    for (kept, expected) in [(revalidated(50), 1), (kept(50), 2)] {
        let clock = ManualClock::new();
        let builder = HydraCache::local().clock(clock.clone());
        let builder = builder.timer(clock.clone());
        let cache = builder.spawner(|load: BoxFuture| block_on(load)).build();
        put(&cache, "key", 1, kept);
        clock.advance(SECOND * 10);
        assert_eq!(
            hand_over(&cache, "key", 2, options()).ends().unwrap(),
            expected
        );
        assert_eq!(get(&cache, "key"), Some(2));
    }
}

#[test]
fn stale_value_is_served_to_its_limit_during_background_load() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 10);
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let slow = move || async move {
        poll_fn(|_| {
            if gate.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        Ok::<_, Infallible>(2_u32)
    };
    let mut call = Hand::hold(cache.get_or_refresh("key", options(), slow));
    assert_eq!(call.ends().unwrap(), 1);
    let mut load = pool.only();
    load.waits();
    clock.advance(nearly(5));
    assert_eq!(served(&cache, "key"), 1);
    clock.advance(NANO);
    // The window has ended: the next call waits for the background load.
    let mut waiter = hand_over(&cache, "key", 3, options());
    waiter.waits();
    open.store(true, Ordering::Relaxed);
    load.ends();
    assert_eq!(waiter.ends().unwrap(), 2);
}
