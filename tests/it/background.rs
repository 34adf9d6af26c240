//! Loaders that were handed over: with a spawner they run without their callers.

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
fn while_it_is_stale_nobody_waits_and_one_load_runs() {
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
fn ahead_of_the_end_nobody_waits_and_all_hit() {
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
fn in_the_window_of_errors_alone_callers_wait_for_what_runs_without_them() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 10);
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
fn without_a_value_or_without_a_spawner_the_caller_drives() {
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
fn without_a_spawner_the_others_are_served_at_once() {
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
fn a_borrowed_loader_is_never_handed_over() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 10);
    assert_eq!(load(&cache, "key", 2), 2);
    assert_eq!(pool.len(), 0);
}

#[test]
fn a_failure_in_the_background_is_answered_with_the_old_value() {
    for (kept, waits) in [(kept(5), true), (revalidated(5), false)] {
        let (cache, clock, pool) = spawning(64);
        put(&cache, "key", 1, kept);
        clock.advance(SECOND * 10);
        for failures in 1..=3 {
            let mut call = Hand::hold(cache.get_or_refresh("key", options(), away::<u32>));
            if waits {
                call.waits();
                pool.run();
            }
            assert_eq!(call.ends().unwrap(), 1);
            pool.run();
            assert_eq!(cache.stats().load_failures, failures);
        }
        clock.advance(SECOND * 5);
        let call = cache.get_or_refresh("key", options(), away::<u32>);
        assert!(block_on(call).unwrap_err().is_load());
    }
}

#[test]
fn a_failure_in_the_background_begins_a_backoff() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, revalidated(50));
    clock.advance(SECOND * 10);
    let wishes = options().error_backoff(SECOND * 5);
    let mut call = Hand::hold(cache.get_or_refresh("key", wishes, away::<u32>));
    assert_eq!(call.ends().unwrap(), 1);
    pool.run();
    assert_eq!(served(&cache, "key"), 1);
    assert_eq!(hand_over(&cache, "key", 2, options()).ends().unwrap(), 1);
    assert_eq!(pool.len(), 0);
}

/// `FusionCache`: a soft timeout of zero never runs the loader.
#[test]
fn a_soft_timeout_of_zero_serves_the_old_value_and_loads_in_the_background() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 10);
    let at_once = options().soft_timeout(Duration::ZERO);
    assert_eq!(hand_over(&cache, "key", 2, at_once).ends().unwrap(), 1);
    pool.only().ends();
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn a_soft_timeout_bounds_the_first_caller_too_and_the_load_goes_on() {
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

/// Altinn/dialogporten#4252: what hung in the background held its key.
#[test]
fn a_spawner_may_run_what_it_is_given_there_and_then() {
    for (kept, answer) in [(revalidated(50), 1), (kept(50), 2)] {
        let clock = ManualClock::new();
        let builder = HydraCache::local().clock(clock.clone());
        let builder = builder.timer(clock.clone());
        let cache = builder.spawner(|load: BoxFuture| block_on(load)).build();
        put(&cache, "key", 1, kept);
        clock.advance(SECOND * 10);
        assert_eq!(
            hand_over(&cache, "key", 2, options()).ends().unwrap(),
            answer
        );
        assert_eq!(get(&cache, "key"), Some(2));
    }
}

#[test]
fn an_old_value_goes_on_being_served_to_its_limit_while_the_background_loads() {
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
    let mut waiter = hand_over(&cache, "key", 3, options());
    waiter.waits();
    open.store(true, Ordering::Relaxed);
    load.ends();
    assert_eq!(waiter.ends().unwrap(), 2);
}
