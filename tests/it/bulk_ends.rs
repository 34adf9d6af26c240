//! A bulk call ends each key by itself: after a timeout, a dropped leader, or a panicking
//! error.

use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::{BoxError, HydraCache, ManualClock, Timer};

use crate::parts::*;
use crate::stale::*;
use crate::support::*;

/// A cache with a strict timer: a future panics when polled after the end, like the
/// futures of async functions.
fn with_strict_timer() -> (HydraCache, ManualClock) {
    let clock = ManualClock::new();
    let timer = clock.clone();
    let wait = <ManualClock as Timer>::sleep;
    let builder = HydraCache::local().clock(clock.clone());
    (builder.timer(move |time| wait(&timer, time)).build(), clock)
}

#[test]
fn ended_timer_is_not_polled_again_for_two_joined_keys() {
    let (cache, clock) = with_strict_timer();
    let (typed, door) = (numbers(&cache), Door::default());
    let others = [
        lead_one(&typed, &1, 9, options(), &door),
        lead_one(&typed, &2, 9, options(), &door),
    ];
    let call_options = options().load_timeout(SECOND * 2);
    let call = typed.get_or_load_many([1, 2], call_options, |_| never::<Vec<Number>>());
    let mut many = Hand::start(call);
    clock.advance(SECOND * 2);
    for found in many.ends() {
        assert!(found.unwrap_err().is_timeout());
    }
    drop(others);
}

#[test]
fn ended_timer_is_not_polled_again_after_the_own_load() {
    let (cache, clock) = with_strict_timer();
    let (typed, door) = (numbers(&cache), Door::default());
    let other = lead_one(&typed, &2, 9, options(), &door);
    let call_options = options().load_timeout(SECOND * 2);
    let hangs = |_| pending::<Result<Vec<Number>, Infallible>>();
    let mut many = Hand::start(typed.get_or_load_many([1, 2], call_options, hangs));
    clock.advance(SECOND * 2);
    for found in many.ends() {
        assert!(found.unwrap_err().is_timeout());
    }
    drop(other);
}

#[test]
fn ended_timer_is_not_polled_again_after_a_soft_timeout() {
    let (cache, clock) = with_strict_timer();
    let (typed, door) = (numbers(&cache), Door::default());
    store(&typed, 1, 1, kept(50));
    store(&typed, 2, 2, kept(50));
    clock.advance(SECOND * 10);
    let others = [
        lead_one(&typed, &1, 9, options(), &door),
        lead_one(&typed, &2, 9, options(), &door),
    ];
    let call_options = options().soft_timeout(SECOND * 2);
    let call = typed.get_or_load_many([1, 2], call_options, |_| never::<Vec<Number>>());
    let mut many = Hand::start(call);
    clock.advance(SECOND * 2);
    assert_eq!(all(many.ends()), [1, 2]);
    drop(others);
}

/// The stale value of key 1 is removed, so the call waits for key 1. Key 2 is served stale.
#[test]
fn soft_timeout_serves_a_key_though_another_was_removed() {
    let (cache, clock) = timed();
    let (typed, door) = (numbers(&cache), Door::default());
    let never_opened = Door::default();
    store(&typed, 1, 1, kept(50));
    store(&typed, 2, 2, kept(50));
    clock.advance(SECOND * 10);
    let mut one = lead_one(&typed, &1, 9, options(), &door);
    let two = lead_one(&typed, &2, 9, options(), &never_opened);
    let call_options = options().soft_timeout(SECOND * 2);
    let call = typed.get_or_load_many([1, 2], call_options, |_| never::<Vec<Number>>());
    let mut many = Hand::start(call);
    block_on(typed.remove(&1)).unwrap();
    clock.advance(SECOND * 2);
    many.waits();
    door.open();
    one.ends().unwrap();
    assert_eq!(all(many.ends()), [9, 2]);
    drop(two);
}

/// The key of a dropped leader is loaded at once, not after the wait for all other keys.
#[test]
fn key_of_a_dropped_leader_loads_before_others_end() {
    let (cache, clock) = timed();
    let (typed, never_opened) = (numbers(&cache), Door::default());
    let dropped = lead_one(&typed, &1, 9, options(), &never_opened);
    let hung = lead_one(&typed, &2, 9, options(), &never_opened);
    let door = Door::default();
    let load = |_| async {
        door.pass().await;
        Ok::<_, Infallible>(vec![Number(1)])
    };
    let call_options = options().load_timeout(SECOND * 2);
    let mut many = Hand::start(typed.get_or_load_many([1, 2], call_options, load));
    drop(dropped);
    many.waits();
    door.open();
    clock.advance(SECOND);
    many.waits();
    assert_eq!(read(&typed, 1), Some(1));
    clock.advance(SECOND);
    let found: Vec<_> = each(many.ends()).into_iter().map(Result::ok).collect();
    assert_eq!(found, [Some(1), None]);
    drop(hung);
}

/// An error with a panicking conversion.
struct PanicsInConversion;

impl From<PanicsInConversion> for BoxError {
    fn from(_: PanicsInConversion) -> Self {
        panic!("in the conversion")
    }
}

/// The load counts as panicked, for a single key and for many.
#[test]
fn panic_in_an_error_conversion_counts_as_a_load_panic() {
    let cache = HydraCache::local().build();
    let (typed, door) = (numbers(&cache), Door::default());
    let mut single = Hand::start(typed.get_or_load(&1, options(), || async {
        door.pass().await;
        Err::<Number, _>(PanicsInConversion)
    }));
    let mut many = Hand::start(typed.get_or_load_many([2], options(), |_| async {
        door.pass().await;
        Err::<Vec<Number>, _>(PanicsInConversion)
    }));
    let mut waiters = [1, 2].map(|key| {
        let typed = typed.clone();
        Hand::start(async move { typed.get_or_load(&key, options(), ready(Number(3))).await })
    });
    door.open();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(single.poll()))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(many.poll()))).is_err());
    for waiter in &mut waiters {
        assert!(waiter.ends().is_err_and(|error| error.is_panic()));
    }
    assert_eq!(cache.stats().load_failures, 2);
}

#[cfg(feature = "async-io")]
#[test]
fn ended_default_timer_is_not_polled_again() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let (typed, door) = (numbers(&cache), Door::default());
        let other = lead_one(&typed, &2, 9, options(), &door);
        let call_options = options().load_timeout(SECOND / 1000);
        let hangs = |_| pending::<Result<Vec<Number>, Infallible>>();
        let found = block_on(typed.get_or_load_many([1, 2], call_options, hangs));
        assert!(
            found
                .iter()
                .all(|it| it.as_ref().is_err_and(hydracache::CacheError::is_timeout))
        );
        drop(other);
    });
}
