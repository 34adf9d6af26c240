//! `load_timeout` and `soft_timeout` bound leaders and waiters, with a stale value and without.

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

fn soft_within(seconds: u32) -> CacheOptions {
    options().soft_timeout(SECOND * seconds)
}

/// An endless loader.
async fn hangs() -> Result<u32, Infallible> {
    pending().await
}

/// Sets the flag when dropped.
struct Dropped(Rc<Cell<bool>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn load_timeout_ends_the_load_exactly_and_drops_the_loader() {
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

/// Altinn/dialogporten#4252: a timeout freed the waiters, but not the key.
#[test]
fn hung_load_frees_its_key_at_the_timeout() {
    let (cache, clock) = timed();
    // 1. A load hangs, a call with more time joins. 2. The leader's time ends. 3. The call loads.
    let mut leader = Hand::start(cache.get_or_load("key", within(2), hangs));
    let mut waiter = Hand::start(cache.get_or_load("key", within(3), ready(7_u32)));
    clock.advance(SECOND * 2);
    assert!(leader.ends().unwrap_err().is_timeout());
    assert_eq!(waiter.ends().unwrap(), 7);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 2;
        stats.loads = 2;
        stats.load_failures = 1;
        stats.timeouts = 1;
    });
}

#[test]
fn waiter_times_out_alone_and_the_load_continues() {
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
fn timeout_counts_from_the_first_poll() {
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
fn waiter_turned_leader_has_only_its_remaining_time() {
    let (cache, clock) = timed();
    let door = Door::default();
    // 1. A load starts; a call with 10 seconds joins. 2. After 6 seconds the leader is dropped.
    let leader = lead(&cache, "key", 7, options(), &door);
    let mut second = Hand::start(cache.get_or_load("key", within(10), hangs));
    clock.advance(SECOND * 6);
    drop(leader);
    // 3. The waiter loads, with 4 seconds left.
    second.waits();
    assert_eq!(cache.stats().loads, 2);
    clock.advance(nearly(4));
    second.waits();
    clock.advance(NANO);
    assert!(second.ends().unwrap_err().is_timeout());
}

#[test]
fn timeout_serves_the_stale_value() {
    let (cache, clock) = timed();
    put(&cache, "key", 1, kept(100));
    clock.advance(SECOND * 10);
    let mut leader = Hand::start(cache.get_or_load("key", within(5), hangs));
    let mut waiter = Hand::start(cache.get_or_load("key", within(2), never::<u32>));
    let mut other = Hand::start(cache.get_or_load("key", options(), ready(9_u32)));
    clock.advance(SECOND * 2);
    assert_eq!(waiter.ends().unwrap(), 1);
    leader.waits();
    clock.advance(SECOND * 3);
    assert_eq!(leader.ends().unwrap(), 1);
    assert_eq!(other.ends().unwrap(), 9, "a call with more time loads");
    assert_stats(cache.stats(), |stats| {
        stats.misses = 3;
        stats.stale_serves = 2;
        stats.expirations = 1;
        stats.loads = 2;
        stats.load_failures = 1;
        stats.timeouts = 2;
    });
}

#[test]
fn timeout_after_removal_of_the_stale_value_is_an_error() {
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
fn load_timeout_of_zero_allows_a_ready_loader() {
    let (cache, _) = timed();
    let call = |key| cache.get_or_load(key, within(0), ready(7_u32));
    assert_eq!(Hand::hold(call("key")).ends().unwrap(), 7);
    assert_eq!(Hand::hold(call("key")).ends().unwrap(), 7);
    let mut hung = Hand::hold(cache.get_or_load("other", within(0), hangs));
    assert!(hung.ends().unwrap_err().is_timeout());
}

#[test]
fn largest_load_timeout_never_ends_a_load() {
    let (cache, clock) = timed();
    let longest = options().load_timeout(Duration::MAX);
    let mut call = Hand::start(cache.get_or_load("key", longest, hangs));
    clock.advance(SECOND * 1_000_000);
    call.waits();
}

#[test]
fn ready_call_never_asks_the_timer() {
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
fn builder_timeout_applies_where_the_call_sets_none() {
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
fn load_timeout_bounds_every_loading_call() {
    let (cache, clock) = timed();
    let mut refresh = Hand::start(cache.refresh("a", within(2), hangs));
    let mut owned = Hand::start(cache.get_or_refresh("b", within(2), hangs));
    let mut fetch =
        Hand::start(cache.fetch::<u32, Infallible, _, _>("c", within(2), |_| pending()));
    let mut inserted = Hand::start(cache.get_or_insert_with("d", within(2), pending::<u32>));
    clock.advance(SECOND * 2);
    assert!(refresh.ends().unwrap_err().is_timeout());
    assert!(owned.ends().unwrap_err().is_timeout());
    assert!(fetch.ends().unwrap_err().is_timeout());
    assert!(inserted.ends().unwrap_err().is_timeout());
    assert_eq!(cache.stats().timeouts, 4);
}

/// Without the feature `async-io` a cache has no default timer.
#[cfg(not(feature = "async-io"))]
#[test]
fn timeout_without_a_timer_fails_before_the_loader_starts() {
    let (cache, _) = clocked(100);
    for options in [within(2), soft_within(2)] {
        let call = cache.get_or_load("key", options.clone(), never::<u32>);
        assert!(block_on(call).unwrap_err().is_no_timer());
        put(&cache, "stored", 1, self::options());
        let call = cache.get_or_load("stored", options, never::<u32>);
        assert_eq!(block_on(call).unwrap(), 1);
    }
    assert_eq!(cache.stats().loads, 0);
}

/// Stores a value, advances into the if-error window, and starts a load of the key.
fn lead_with_stale_value<'a>(
    cache: &'a HydraCache,
    clock: &ManualClock,
    door: &'a Door,
) -> Hand<'a, hydracache::CacheResult<u32>> {
    put(cache, "key", 1, kept(100).tag("tag"));
    clock.advance(SECOND * 10);
    lead(cache, "key", 2, options(), door)
}

#[test]
fn soft_timeout_serves_the_stale_value_to_a_waiter() {
    let (cache, clock) = timed();
    let door = Door::default();
    let mut leader = lead_with_stale_value(&cache, &clock, &door);
    let mut waiter = Hand::start(cache.get_or_load("key", soft_within(2), never::<u32>));
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
fn soft_timeout_of_zero_serves_the_stale_value_at_once() {
    let (cache, clock) = timed();
    let door = Door::default();
    let _leader = lead_with_stale_value(&cache, &clock, &door);
    let mut waiter = Hand::hold(cache.get_or_load("key", soft_within(0), never::<u32>));
    assert_eq!(waiter.ends().unwrap(), 1);
}

/// In `FusionCache`, a soft timeout of zero never runs the loader.
#[test]
fn soft_timeout_does_not_bound_the_leader() {
    for time in [0, 2] {
        let (cache, clock) = timed();
        put(&cache, "key", 1, kept(100));
        clock.advance(SECOND * 10);
        let door = Door::default();
        let mut leader = lead(&cache, "key", 2, soft_within(time), &door);
        clock.advance(SECOND * 50);
        leader.waits();
        door.open();
        assert_eq!(leader.ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), Some(2));
    }
}

#[test]
fn soft_timeout_without_a_stale_value_bounds_no_waiter() {
    let (cache, clock) = timed();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 2, options(), &door);
    let mut waiter = Hand::start(cache.get_or_load("key", soft_within(0), never::<u32>));
    clock.advance(SECOND * 100);
    waiter.waits();
    door.open();
    leader.ends().unwrap();
    assert_eq!(waiter.ends().unwrap(), 2);
}

#[test]
fn invalidated_stale_value_is_not_served_at_soft_timeout() {
    let (cache, clock) = timed();
    let door = Door::default();
    // 1. A load runs over a stale value. 2. Two calls join. 3. The tag is invalidated.
    let mut leader = lead_with_stale_value(&cache, &clock, &door);
    let both = soft_within(2).load_timeout(SECOND * 5);
    let mut soft = Hand::start(cache.get_or_load("key", soft_within(2), never::<u32>));
    let mut hard = Hand::start(cache.get_or_load("key", both, never::<u32>));
    assert_eq!(invalidate(&cache, "tag"), 0);
    // 4. The soft timeout passes: both still wait. 5. The load timeout ends one call.
    clock.advance(SECOND * 2);
    soft.waits();
    hard.waits();
    clock.advance(SECOND * 3);
    soft.waits();
    assert!(hard.ends().unwrap_err().is_timeout());
    door.open();
    leader.ends().unwrap();
    assert_eq!(
        soft.ends().unwrap(),
        2,
        "the waiter gets the load's value, although fenced"
    );
}
