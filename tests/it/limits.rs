//! Timeouts, back-off, and loads in the background.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use hydracache::{BoxFuture, CacheOptions, CacheResult, HydraCache, ManualClock};

use crate::support::*;

type Jobs = Arc<Mutex<Vec<BoxFuture>>>;

fn timed() -> (HydraCache, ManualClock) {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    (builder.timer(clock.clone()).build(), clock)
}

fn with_jobs(most: usize) -> (HydraCache, ManualClock, Jobs) {
    let (clock, jobs) = (ManualClock::new(), Jobs::default());
    let spawned = Arc::clone(&jobs);
    let builder = HydraCache::local()
        .clock(clock.clone())
        .timer(clock.clone());
    let builder = builder.spawner(move |job| spawned.lock().unwrap().push(job));
    (builder.max_background_loads(most).build(), clock, jobs)
}

/// Polls each job once, and keeps those that wait.
fn work(jobs: &Jobs) {
    let taken = std::mem::take(&mut *jobs.lock().unwrap());
    for mut job in taken {
        let mut cx = Context::from_waker(Waker::noop());
        if job.as_mut().poll(&mut cx).is_pending() {
            jobs.lock().unwrap().push(job);
        }
    }
}

fn hangs(cache: &HydraCache, options: CacheOptions) -> Hand<'_, CacheResult<u32>> {
    Hand::start(cache.get_or_load("a", options, pending::<Result<u32, Infallible>>))
}

fn fails(cache: &HydraCache, options: CacheOptions) -> CacheResult<u32> {
    block_on(cache.get_or_load("a", options, async || Err::<u32, _>("away")))
}

fn stale() -> CacheOptions {
    lasting(1).stale_if_error(SECOND * 99)
}

#[test]
fn a_leader_out_of_time_ends_its_load_and_all_are_told_how_long_it_was_given() {
    let (cache, clock) = timed();
    let mut leader = hangs(&cache, options().load_timeout(SECOND * 3));
    let mut waiter = join(&cache, "a");
    clock.advance(SECOND * 2);
    leader.waits();
    clock.advance(SECOND);
    assert!(leader.was_woken());
    let error = leader.ends().unwrap_err();
    assert!(
        error.is_timeout() && error.to_string().contains("3s"),
        "{error}"
    );
    assert!(waiter.ends().unwrap_err().is_timeout());
    let stats = cache.stats();
    assert_eq!((stats.timeouts, stats.load_failures), (1, 1));
    assert_eq!(load(&cache, "a", 7), 7);
}

#[test]
fn a_waiter_out_of_time_waits_no_longer_and_the_load_goes_on() {
    let (cache, clock) = timed();
    let door = Door::default();
    let mut leader = lead(&cache, "a", 1, options(), &door);
    let waiting = options().load_timeout(SECOND);
    let mut waiter = Hand::start(cache.get_or_load("a", waiting, never::<u32>));
    clock.advance(SECOND);
    assert!(waiter.ends().unwrap_err().is_timeout());
    assert_eq!(cache.stats().load_failures, 0);
    door.open();
    assert_eq!(leader.ends().unwrap(), 1);
}

#[test]
fn the_time_is_counted_from_the_first_poll_over_several_loads() {
    let (cache, clock) = timed();
    let door = Door::default();
    let leader = lead(&cache, "a", 1, options(), &door);
    let limited = options().load_timeout(SECOND * 3);
    let mut waiter =
        Hand::start(cache.get_or_load("a", limited, pending::<Result<u32, Infallible>>));
    clock.advance(SECOND * 2);
    drop(leader);
    waiter.waits();
    assert_eq!(cache.stats().loads, 2);
    clock.advance(SECOND);
    assert!(waiter.ends().unwrap_err().is_timeout());
}

#[test]
fn a_timeout_is_answered_with_the_old_value() {
    let (cache, clock) = timed();
    put(&cache, "a", 1, stale());
    clock.advance(SECOND);
    let mut leader = hangs(&cache, options().load_timeout(SECOND * 3));
    let limited = options().load_timeout(SECOND);
    let mut waiter = Hand::start(cache.get_or_load("a", limited, never::<u32>));
    clock.advance(SECOND);
    assert_eq!(waiter.ends().unwrap(), 1);
    clock.advance(SECOND * 2);
    assert_eq!(leader.ends().unwrap(), 1);
    assert_eq!(cache.stats().timeouts, 2);
}

#[test]
fn a_soft_timeout_bounds_those_who_wait_and_not_who_drives() {
    let (cache, clock) = timed();
    put(&cache, "a", 1, stale());
    clock.advance(SECOND);
    let soft = || options().soft_timeout(SECOND);
    let door = Door::default();
    let mut leader = lead(&cache, "a", 2, soft(), &door);
    let mut waiter = Hand::start(cache.get_or_load("a", soft(), never::<u32>));
    let at_once = options().soft_timeout(Duration::ZERO);
    assert_eq!(
        block_on(cache.get_or_load("a", at_once, never::<u32>)).unwrap(),
        1
    );
    clock.advance(SECOND);
    assert_eq!(waiter.ends().unwrap(), 1);
    leader.waits();
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
}

#[test]
fn without_an_old_value_a_soft_timeout_bounds_nothing() {
    let (cache, clock) = timed();
    let door = Door::default();
    let mut leader = lead(&cache, "a", 2, options(), &door);
    let soft = options().soft_timeout(SECOND);
    let mut waiter = Hand::start(cache.get_or_load("a", soft, never::<u32>));
    clock.advance(SECOND * 9);
    waiter.waits();
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(waiter.ends().unwrap(), 2);
}

#[cfg(not(feature = "async-io"))]
#[test]
fn without_a_timer_a_timeout_is_an_error_before_the_loader_starts() {
    let cache = HydraCache::local().build();
    let limited = options().load_timeout(SECOND);
    let call = cache.get_or_load("a", limited.clone(), never::<u32>);
    assert!(block_on(call).unwrap_err().is_no_timer());
    assert_eq!(cache.stats().loads, 0);
    put(&cache, "a", 1, options());
    let call = cache.get_or_load("a", limited, never::<u32>);
    assert_eq!(block_on(call).unwrap(), 1);
}

#[test]
fn after_a_failure_the_same_error_is_given_without_a_load_until_the_time_is_over() {
    let (cache, clock) = timed();
    let error = fails(&cache, options().error_backoff(SECOND * 5)).unwrap_err();
    clock.advance(Duration::from_millis(4999));
    let again = block_on(cache.get_or_load("a", options(), never::<u32>)).unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
    assert_eq!(get(&cache, "a"), None);
    assert!(!block_on(cache.contains_key("a")));
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().loads, 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(load(&cache, "a", 1), 1);
}

#[test]
fn a_back_off_serves_the_old_value() {
    let (cache, clock) = timed();
    put(&cache, "a", 1, stale());
    clock.advance(SECOND);
    assert_eq!(
        fails(&cache, options().error_backoff(SECOND * 5)).unwrap(),
        1
    );
    let call = cache.get_or_load("a", options(), never::<u32>);
    assert_eq!(block_on(call).unwrap(), 1);
    assert_eq!(cache.stats().loads, 1);
}

#[test]
fn a_put_a_removal_and_a_flush_end_a_back_off_and_an_invalidated_tag_does_not() {
    let (cache, _) = timed();
    let fail = || drop(fails(&cache, tagged("tag").error_backoff(SECOND)).unwrap_err());
    fail();
    block_on(cache.remove("a")).unwrap();
    assert_eq!(load(&cache, "a", 1), 1);
    block_on(cache.remove("a")).unwrap();
    fail();
    block_on(cache.flush()).unwrap();
    assert_eq!(load(&cache, "a", 2), 2);
    block_on(cache.remove("a")).unwrap();
    fail();
    put(&cache, "a", 3, lasting(0));
    assert_eq!(load(&cache, "a", 4), 4);
    block_on(cache.remove("a")).unwrap();
    fail();
    invalidate(&cache, "tag");
    assert!(block_on(cache.get_or_load("a", options(), never::<u32>)).is_err());
    let refreshed = cache.refresh("a", options(), async || Ok::<_, Infallible>(5_u32));
    assert_eq!(block_on(refreshed).unwrap(), 5);
    assert_eq!(get(&cache, "a"), Some(5));
}

#[test]
fn an_owned_load_goes_to_the_background_and_the_old_value_is_served_at_once() {
    let (cache, clock, jobs) = with_jobs(64);
    let loads = Arc::new(AtomicU32::new(1));
    let stale = || lasting(1).stale_while_revalidate(SECOND * 9);
    let call = || {
        let loads = Arc::clone(&loads);
        let loader =
            move || async move { Ok::<_, Infallible>(loads.fetch_add(1, Ordering::SeqCst)) };
        block_on(cache.get_or_refresh("a", stale(), loader)).unwrap()
    };
    assert_eq!(call(), 1); // with nothing to serve, the caller drives
    clock.advance(SECOND);
    assert_eq!((call(), call()), (1, 1));
    assert_eq!(jobs.lock().unwrap().len(), 1); // one a key
    work(&jobs);
    assert_eq!((call(), loads.load(Ordering::SeqCst)), (2, 3));
    assert_eq!(cache.stats().refreshes, 1);
}

#[test]
fn at_the_bound_the_old_value_is_served_and_nothing_starts() {
    let (cache, clock, jobs) = with_jobs(1);
    for key in ["a", "b"] {
        put(&cache, key, 1, stale().stale_while_revalidate(SECOND));
    }
    clock.advance(SECOND);
    for key in ["a", "b", "b"] {
        let call = cache.get_or_refresh(key, options(), pending::<Result<u32, Infallible>>);
        assert_eq!(block_on(call).unwrap(), 1);
    }
    assert_eq!((jobs.lock().unwrap().len(), cache.stats().loads), (1, 1));
    jobs.lock().unwrap().clear();
    let call = cache.get_or_refresh("b", options(), pending::<Result<u32, Infallible>>);
    assert_eq!(block_on(call).unwrap(), 1);
    assert_eq!(jobs.lock().unwrap().len(), 1);
}

#[test]
fn a_hung_loader_in_the_background_holds_its_key_until_its_deadline() {
    let (cache, clock, jobs) = with_jobs(64);
    put(&cache, "a", 1, stale());
    clock.advance(SECOND);
    let soft = || options().soft_timeout(Duration::ZERO);
    let hang = || block_on(cache.get_or_refresh("a", soft(), pending::<Result<u32, Infallible>>));
    assert_eq!(hang().unwrap(), 1);
    work(&jobs);
    clock.advance(SECOND * 29);
    work(&jobs);
    assert_eq!(hang().unwrap(), 1);
    assert_eq!(cache.stats().loads, 1);
    clock.advance(SECOND);
    work(&jobs);
    assert!(jobs.lock().unwrap().is_empty());
    assert_eq!(cache.stats().load_failures, 1);
    assert_eq!(load(&cache, "a", 2), 2);
}

#[test]
fn a_background_load_that_is_dropped_is_a_cancelled_load() {
    let (cache, clock, jobs) = with_jobs(64);
    put(&cache, "a", 1, stale());
    clock.advance(SECOND);
    let call = cache.get_or_refresh("a", options(), pending::<Result<u32, Infallible>>);
    let mut call = Hand::start(call);
    jobs.lock().unwrap().clear();
    assert_eq!(call.ends().unwrap(), 1);
    assert_eq!(cache.stats().load_failures, 0);
    assert_eq!(load(&cache, "a", 2), 2);
}

#[test]
fn a_background_load_is_fenced_like_any() {
    let (cache, clock, jobs) = with_jobs(64);
    put(&cache, "a", 1, stale().stale_while_revalidate(SECOND));
    clock.advance(SECOND);
    let loader = || async { Ok::<_, Infallible>(2_u32) };
    assert_eq!(
        block_on(cache.get_or_refresh("a", options(), loader)).unwrap(),
        1
    );
    block_on(cache.remove("a")).unwrap();
    work(&jobs);
    assert_eq!(get(&cache, "a"), None);
    assert_eq!(cache.stats().stale_load_discards, 1);
}
