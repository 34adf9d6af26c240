//! How a call for many keys ends when time runs out, a leader is dropped or an error
//! panics: each key by itself.

use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::{BoxError, HydraCache, ManualClock, Timer};

use crate::parts::*;
use crate::stale::*;
use crate::support::*;

/// A cache whose timer gives futures that must not be polled after their end, as those of
/// async functions, and of closures, are.
fn strictly_timed() -> (HydraCache, ManualClock) {
    let clock = ManualClock::new();
    let timer = clock.clone();
    let wait = <ManualClock as Timer>::sleep;
    let builder = HydraCache::local().clock(clock.clone());
    (builder.timer(move |time| wait(&timer, time)).build(), clock)
}

#[test]
fn a_call_that_is_out_of_time_for_two_keys_of_others_polls_no_timer_after_its_end() {
    let (cache, clock) = strictly_timed();
    let (part, door) = (numbers(&cache), Door::default());
    let others = [
        lead_one(&part, &1, 9, options(), &door),
        lead_one(&part, &2, 9, options(), &door),
    ];
    let wishes = options().load_timeout(SECOND * 2);
    let call = part.get_or_load_many([1, 2], wishes, |_| never::<Vec<Number>>());
    let mut many = Hand::start(call);
    clock.advance(SECOND * 2);
    for found in many.ends() {
        assert!(found.unwrap_err().is_timeout());
    }
    drop(others);
}

#[test]
fn a_call_whose_own_load_is_out_of_time_polls_no_timer_after_its_end() {
    let (cache, clock) = strictly_timed();
    let (part, door) = (numbers(&cache), Door::default());
    let other = lead_one(&part, &2, 9, options(), &door);
    let wishes = options().load_timeout(SECOND * 2);
    let hangs = |_| pending::<Result<Vec<Number>, Infallible>>();
    let mut many = Hand::start(part.get_or_load_many([1, 2], wishes, hangs));
    clock.advance(SECOND * 2);
    for found in many.ends() {
        assert!(found.unwrap_err().is_timeout());
    }
    drop(other);
}

#[test]
fn a_soft_timeout_for_two_keys_polls_no_timer_after_its_end() {
    let (cache, clock) = strictly_timed();
    let (part, door) = (numbers(&cache), Door::default());
    store(&part, 1, 1, kept(50));
    store(&part, 2, 2, kept(50));
    clock.advance(SECOND * 10);
    let others = [
        lead_one(&part, &1, 9, options(), &door),
        lead_one(&part, &2, 9, options(), &door),
    ];
    let wishes = options().soft_timeout(SECOND * 2);
    let call = part.get_or_load_many([1, 2], wishes, |_| never::<Vec<Number>>());
    let mut many = Hand::start(call);
    clock.advance(SECOND * 2);
    assert_eq!(all(many.ends()), [1, 2]);
    drop(others);
}

/// What became of one key is no reason to wait for another.
#[test]
fn a_soft_timeout_holds_for_a_key_though_another_lost_its_old_value() {
    let (cache, clock) = timed();
    let (part, door) = (numbers(&cache), Door::default());
    let never_opened = Door::default();
    store(&part, 1, 1, kept(50));
    store(&part, 2, 2, kept(50));
    clock.advance(SECOND * 10);
    let mut one = lead_one(&part, &1, 9, options(), &door);
    let two = lead_one(&part, &2, 9, options(), &never_opened);
    let wishes = options().soft_timeout(SECOND * 2);
    let call = part.get_or_load_many([1, 2], wishes, |_| never::<Vec<Number>>());
    let mut many = Hand::start(call);
    block_on(part.remove(&1)).unwrap();
    clock.advance(SECOND * 2);
    many.waits();
    door.open();
    one.ends().unwrap();
    assert_eq!(all(many.ends()), [9, 2]);
    drop(two);
}

/// A key whose leader was dropped is loaded now, not when all others have been waited for.
#[test]
fn a_key_that_came_back_does_not_wait_for_the_loads_of_others() {
    let (cache, clock) = timed();
    let (part, never_opened) = (numbers(&cache), Door::default());
    let dropped = lead_one(&part, &1, 9, options(), &never_opened);
    let hung = lead_one(&part, &2, 9, options(), &never_opened);
    let door = Door::default();
    let load = |_| async {
        door.pass().await;
        Ok::<_, Infallible>(vec![Number(1)])
    };
    let wishes = options().load_timeout(SECOND * 2);
    let mut many = Hand::start(part.get_or_load_many([1, 2], wishes, load));
    drop(dropped);
    many.waits();
    door.open();
    clock.advance(SECOND);
    many.waits();
    assert_eq!(read(&part, 1), Some(1));
    clock.advance(SECOND);
    let found: Vec<_> = each(many.ends()).into_iter().map(Result::ok).collect();
    assert_eq!(found, [Some(1), None]);
    drop(hung);
}

/// An error whose conversion panics.
struct Bad;

impl From<Bad> for BoxError {
    fn from(_: Bad) -> Self {
        panic!("bad")
    }
}

/// As with one key: the load panicked.
#[test]
fn an_error_that_panics_when_it_is_told_is_a_panic_of_the_load() {
    let cache = HydraCache::local().build();
    let (part, door) = (numbers(&cache), Door::default());
    let mut single = Hand::start(part.get_or_load(&1, options(), || async {
        door.pass().await;
        Err::<Number, _>(Bad)
    }));
    let mut many = Hand::start(part.get_or_load_many([2], options(), |_| async {
        door.pass().await;
        Err::<Vec<Number>, _>(Bad)
    }));
    let mut waiters = [1, 2].map(|key| {
        let part = part.clone();
        Hand::start(async move { part.get_or_load(&key, options(), ready(Number(3))).await })
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
fn the_timer_of_its_own_is_not_polled_after_its_end_either() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let (part, door) = (numbers(&cache), Door::default());
        let other = lead_one(&part, &2, 9, options(), &door);
        let wishes = options().load_timeout(SECOND / 1000);
        let hangs = |_| pending::<Result<Vec<Number>, Infallible>>();
        let found = block_on(part.get_or_load_many([1, 2], wishes, hangs));
        assert!(
            found
                .iter()
                .all(|it| it.as_ref().is_err_and(hydracache::CacheError::is_timeout))
        );
        drop(other);
    });
}
