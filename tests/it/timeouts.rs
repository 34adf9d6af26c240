//! How long calls wait: for their own loads, for others', with an old value and without.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hydracache::{CacheOptions, HydraCache, ManualClock};

use crate::stale::*;
use crate::support::*;

fn within(seconds: u32) -> CacheOptions {
    options().load_timeout(SECOND * seconds)
}

fn patient(seconds: u32) -> CacheOptions {
    options().soft_timeout(SECOND * seconds)
}

/// A loader that never ends.
async fn hangs() -> Result<u32, Infallible> {
    pending().await
}

/// Notes that it was dropped.
struct Dropped(Rc<Cell<bool>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn a_load_ends_at_exactly_its_time_and_the_loader_is_dropped() {
    let (cache, clock) = timed();
    let dropped = Rc::new(Cell::new(false));
    let guard = Dropped(Rc::clone(&dropped));
    let mut leader = Hand::start(cache.get_or_load("key", within(2), async move || {
        let _guard = guard;
        hangs().await
    }));
    clock.advance(nearly(2));
    assert!(!leader.was_woken());
    leader.waits();
    clock.advance(NANO);
    assert!(leader.was_woken());
    let error = leader.ends().unwrap_err();
    assert!(error.is_timeout() && !error.is_load());
    assert!(error.to_string().contains("2s"), "{error}");
    drop(leader);
    assert!(dropped.get());
    assert_stats(cache.stats(), |stats| {
        stats.misses = 1;
        stats.loads = 1;
        stats.load_failures = 1;
        stats.timeouts = 1;
    });
}

/// Altinn/dialogporten#4252: the timeout freed the waiters and not the key.
#[test]
fn a_hung_loader_does_not_hold_its_key() {
    let (cache, clock) = timed();
    let mut leader = Hand::start(cache.get_or_load("key", within(2), hangs));
    let mut waiter = join(&cache, "key");
    clock.advance(SECOND * 2);
    assert!(leader.ends().unwrap_err().is_timeout());
    let error = waiter.ends().unwrap_err();
    assert!(error.is_timeout(), "everybody gets the same error");
    assert_eq!(load(&cache, "key", 7), 7);
    assert_eq!(cache.stats().timeouts, 1);
    assert_eq!(cache.stats().single_flight_joins, 1);
}

#[test]
fn a_waiter_has_a_time_of_its_own_and_the_load_goes_on() {
    let (cache, clock) = timed();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 7, options(), &door);
    clock.advance(SECOND * 10);
    let mut waiter = Hand::start(cache.get_or_load("key", within(2), never::<u32>));
    clock.advance(nearly(2));
    waiter.waits();
    clock.advance(NANO);
    assert!(waiter.was_woken());
    assert!(waiter.ends().unwrap_err().is_timeout());
    door.open();
    assert_eq!(leader.ends().unwrap(), 7);
    assert_eq!(get(&cache, "key"), Some(7));
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 2;
        stats.loads = 1;
        stats.timeouts = 1;
    });
}

#[test]
fn the_time_is_counted_from_the_first_poll() {
    let (cache, clock) = timed();
    let mut call = Hand::hold(cache.get_or_load("key", within(2), hangs));
    clock.advance(SECOND * 100);
    call.waits();
    clock.advance(nearly(2));
    call.waits();
    clock.advance(NANO);
    assert!(call.ends().unwrap_err().is_timeout());
}

#[test]
fn a_waiter_that_comes_to_load_has_what_is_left_of_its_time() {
    let (cache, clock) = timed();
    let door = Door::default();
    let leader = lead(&cache, "key", 7, options(), &door);
    let mut second = Hand::start(cache.get_or_load("key", within(10), hangs));
    clock.advance(SECOND * 6);
    drop(leader);
    second.waits();
    assert_eq!(cache.stats().loads, 2);
    clock.advance(nearly(4));
    second.waits();
    clock.advance(NANO);
    assert!(second.ends().unwrap_err().is_timeout());
}

#[test]
fn a_timeout_is_answered_with_the_old_value() {
    let (cache, clock) = timed();
    put(&cache, "key", 1, kept(100));
    clock.advance(SECOND * 10);
    let mut leader = Hand::start(cache.get_or_load("key", within(5), hangs));
    let mut waiter = Hand::start(cache.get_or_load("key", within(2), never::<u32>));
    let mut other = join(&cache, "key");
    clock.advance(SECOND * 2);
    assert_eq!(waiter.ends().unwrap(), 1);
    leader.waits();
    clock.advance(SECOND * 3);
    assert_eq!(leader.ends().unwrap(), 1);
    assert_eq!(other.ends().unwrap(), 1);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 3;
        stats.stale_serves = 3;
        stats.loads = 1;
        stats.load_failures = 1;
        stats.timeouts = 2;
    });
}

#[test]
fn a_timeout_after_the_value_was_removed_is_an_error() {
    let (cache, clock) = timed();
    put(&cache, "key", 1, kept(100));
    clock.advance(SECOND * 10);
    let mut leader = Hand::start(cache.get_or_load("key", within(2), hangs));
    let mut waiter = Hand::start(cache.get_or_load("key", within(2), never::<u32>));
    assert!(!remove(&cache, "key"));
    clock.advance(SECOND * 2);
    assert!(waiter.ends().unwrap_err().is_timeout());
    assert!(leader.ends().unwrap_err().is_timeout());
}

#[test]
fn no_time_at_all_is_enough_for_what_is_ready() {
    let (cache, _) = timed();
    let call = |key| cache.get_or_load(key, within(0), ready(7_u32));
    assert_eq!(Hand::hold(call("key")).ends().unwrap(), 7);
    assert_eq!(Hand::hold(call("key")).ends().unwrap(), 7);
    let mut hung = Hand::hold(cache.get_or_load("other", within(0), hangs));
    assert!(hung.ends().unwrap_err().is_timeout());
}

#[test]
fn a_time_without_end_is_none() {
    let (cache, clock) = timed();
    let ever = options().load_timeout(Duration::MAX);
    let mut call = Hand::start(cache.get_or_load("key", ever, hangs));
    clock.advance(SECOND * 1_000_000);
    call.waits();
}

#[test]
fn a_call_that_need_not_wait_asks_no_timer() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let timer = move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        pending::<()>()
    };
    let cache = HydraCache::local().timer(timer).build();
    for _ in 0..2 {
        let call = cache.get_or_load("key", within(2), ready(7_u32));
        assert_eq!(block_on(call).unwrap(), 7);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let mut hung = Hand::start(cache.get_or_load("other", within(2), hangs));
    hung.waits();
    hung.waits();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_timeout_of_the_builder_holds_where_a_call_has_none() {
    let clock = ManualClock::new();
    let builder = HydraCache::local()
        .clock(clock.clone())
        .timer(clock.clone());
    let cache = builder.default_options(within(2)).build();
    let mut one = Hand::start(cache.get_or_load("one", options(), hangs));
    let mut two = Hand::start(cache.get_or_load("two", within(5), hangs));
    clock.advance(SECOND * 2);
    assert!(one.ends().unwrap_err().is_timeout());
    two.waits();
    clock.advance(SECOND * 3);
    assert!(two.ends().unwrap_err().is_timeout());
}

#[test]
fn every_loading_call_is_bounded() {
    let (cache, clock) = timed();
    let mut refresh = Hand::start(cache.refresh("a", within(2), hangs));
    let mut owned = Hand::start(cache.get_or_refresh("b", within(2), hangs));
    let mut full = Hand::start(cache.fetch::<u32, Infallible, _, _>("c", within(2), |_| pending()));
    let mut inserted = Hand::start(cache.get_or_insert_with("d", within(2), pending::<u32>));
    clock.advance(SECOND * 2);
    assert!(refresh.ends().unwrap_err().is_timeout());
    assert!(owned.ends().unwrap_err().is_timeout());
    assert!(full.ends().unwrap_err().is_timeout());
    assert!(inserted.ends().unwrap_err().is_timeout());
    assert_eq!(cache.stats().timeouts, 4);
}

/// Without the feature `async-io` a cache has no timer of its own.
#[cfg(not(feature = "async-io"))]
#[test]
fn without_a_timer_a_call_with_a_timeout_is_an_error_before_its_loader_starts() {
    let (cache, _) = clocked(100);
    for options in [within(2), patient(2)] {
        let call = cache.get_or_load("key", options.clone(), never::<u32>);
        assert!(block_on(call).unwrap_err().is_no_timer());
        put(&cache, "stored", 1, self::options());
        let call = cache.get_or_load("stored", options, never::<u32>);
        assert_eq!(block_on(call).unwrap(), 1);
    }
    assert_eq!(cache.stats().loads, 0);
}

/// One that waits in the window of errors for a load that another drives.
fn waiting<'a>(
    cache: &'a HydraCache,
    clock: &ManualClock,
    door: &'a Door,
) -> Hand<'a, hydracache::CacheResult<u32>> {
    put(cache, "key", 1, kept(100).tag("tag"));
    clock.advance(SECOND * 10);
    lead(cache, "key", 2, options(), door)
}

#[test]
fn with_an_old_value_those_who_wait_do_so_no_longer_than_the_soft_timeout() {
    let (cache, clock) = timed();
    let door = Door::default();
    let mut leader = waiting(&cache, &clock, &door);
    let mut waiter = Hand::start(cache.get_or_load("key", patient(2), never::<u32>));
    clock.advance(nearly(2));
    waiter.waits();
    clock.advance(NANO);
    assert!(waiter.was_woken());
    assert_eq!(waiter.ends().unwrap(), 1);
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 2;
        stats.stale_serves = 1;
        stats.loads = 1;
        stats.expirations = 1;
    });
}

#[test]
fn a_soft_timeout_of_zero_serves_the_old_value_at_once() {
    let (cache, clock) = timed();
    let door = Door::default();
    let _leader = waiting(&cache, &clock, &door);
    let mut waiter = Hand::hold(cache.get_or_load("key", patient(0), never::<u32>));
    assert_eq!(waiter.ends().unwrap(), 1);
}

/// `FusionCache`: a soft timeout of zero never runs the loader.
#[test]
fn who_drives_a_loader_drives_it_to_its_end_whatever_the_soft_timeout() {
    for time in [0, 2] {
        let (cache, clock) = timed();
        put(&cache, "key", 1, kept(100));
        clock.advance(SECOND * 10);
        let door = Door::default();
        let mut leader = lead(&cache, "key", 2, patient(time), &door);
        clock.advance(SECOND * 50);
        leader.waits();
        door.open();
        assert_eq!(leader.ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), Some(2));
    }
}

#[test]
fn without_an_old_value_the_soft_timeout_bounds_nobody() {
    let (cache, clock) = timed();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 2, options(), &door);
    let mut waiter = Hand::start(cache.get_or_load("key", patient(0), never::<u32>));
    clock.advance(SECOND * 100);
    waiter.waits();
    door.open();
    leader.ends().unwrap();
    assert_eq!(waiter.ends().unwrap(), 2);
}

#[test]
fn an_old_value_that_was_invalidated_is_waited_for_and_not_served() {
    let (cache, clock) = timed();
    let door = Door::default();
    let mut leader = waiting(&cache, &clock, &door);
    let both = patient(2).load_timeout(SECOND * 5);
    let mut soft = Hand::start(cache.get_or_load("key", patient(2), never::<u32>));
    let mut hard = Hand::start(cache.get_or_load("key", both, never::<u32>));
    assert_eq!(invalidate(&cache, "tag"), 0);
    clock.advance(SECOND * 2);
    soft.waits();
    hard.waits();
    clock.advance(SECOND * 3);
    soft.waits();
    assert!(hard.ends().unwrap_err().is_timeout());
    door.open();
    leader.ends().unwrap();
    assert_eq!(soft.ends().unwrap(), 2, "it began before the load ended");
}
