//! Loads that end early: dropped, panicked, or never.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::HydraCache;
use serde::{Deserialize, Serialize, Serializer};

use crate::support::*;

/// A call whose loader gives a value at once, should it come to that.
fn willing(cache: &HydraCache, value: u32) -> Hand<'_, hydracache::CacheResult<u32>> {
    Hand::start(cache.get_or_load("key", options(), ready(value)))
}

#[test]
fn a_dropped_leader_leaves_the_key_to_a_waiter_and_its_own_loader() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let leader = lead(&cache, "key", 1, options(), &door);
    let (mut second, mut third) = (willing(&cache, 2), willing(&cache, 3));
    drop(leader);
    assert!(second.was_woken() && third.was_woken());
    assert_eq!(second.ends().unwrap(), 2);
    assert_eq!(third.ends().unwrap(), 2);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 3;
        stats.loads = 2;
    });
}

#[test]
fn a_waiter_that_is_never_polled_again_holds_nobody_up() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let leader = lead(&cache, "key", 1, options(), &door);
    let parked = willing(&cache, 2);
    let mut third = willing(&cache, 3);
    drop(leader);
    assert!(third.was_woken());
    assert_eq!(third.ends().unwrap(), 3);
    drop(parked);
}

/// The successor of a dropped leader has its own tags, from its own start on, and
/// none of the leader's: it inherits nothing.
#[test]
fn a_successor_is_fenced_for_its_own_tags_only() {
    for (invalidated, stored) in [("b", None), ("a", Some(2))] {
        let cache = HydraCache::local().build();
        let (door, other_door) = (Door::default(), Door::default());
        let leader = lead(&cache, "key", 1, tagged("a"), &door);
        let mut second = Hand::start(cache.get_or_load("key", tagged("b"), || async {
            other_door.pass().await;
            Ok::<_, Infallible>(2_u32)
        }));
        drop(leader);
        second.waits();
        assert_eq!(invalidate(&cache, invalidated), 0);
        other_door.open();
        assert_eq!(second.ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), stored, "after {invalidated}");
        let discards = cache.stats().stale_load_discards;
        assert_eq!(discards, u64::from(stored.is_none()));
    }
}

#[test]
fn a_dropped_waiter_changes_nothing() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 1, options(), &door);
    let mut waiter = join(&cache, "key");
    drop(join(&cache, "key"));
    door.open();
    assert_eq!(leader.ends().unwrap(), 1);
    assert_eq!(waiter.ends().unwrap(), 1);
}

#[test]
fn when_all_are_dropped_nothing_is_left() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let leader = lead(&cache, "key", 1, tagged("tag"), &door);
    let waiter = join(&cache, "key");
    drop(leader);
    drop(waiter);
    assert_eq!(load(&cache, "key", 2), 2);
    assert_eq!(cache.stats().load_failures, 0, "cancelled is not failed");
}

#[test]
fn a_leader_dropped_last_tells_nobody_and_frees_its_key() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    drop(lead(&cache, "key", 1, options(), &door));
    drop(lead(&cache, "key", 2, options(), &door));
    assert_eq!(load(&cache, "key", 3), 3);
}

/// Runs a call that panics, and returns the text of its panic.
fn panic_of<T>(hand: &mut Hand<'_, T>) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(hand.poll()))) else {
        panic!("the call did not panic");
    };
    (*payload.downcast::<&str>().unwrap()).to_owned()
}

#[test]
fn a_panic_in_a_loader_unwinds_through_its_caller_and_waiters_are_told() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader =
        Hand::start(
            cache.get_or_load::<u32, Infallible, _, _>("key", options(), || async {
                door.pass().await;
                panic!("boom")
            }),
        );
    let mut waiter = join(&cache, "key");
    // One more that stays: the slot is not poisoned while it does.
    let parked = join(&cache, "key");
    door.open();
    assert_eq!(panic_of(&mut leader), "boom");
    let error = waiter.ends().unwrap_err();
    assert!(error.is_panic() && !error.is_load());
    assert_eq!(
        error.to_string(),
        r#"the load of key "key" panicked in the call that ran it: see that call's panic, and load again"#
    );
    assert_eq!(load(&cache, "key", 2), 2, "the key is usable at once");
    drop(parked);
    assert_eq!(cache.stats().load_failures, 1);
    assert_eq!(cache.stats().single_flight_joins, 1);
}

#[test]
fn a_loader_that_panics_before_its_future_is_made() {
    let cache = HydraCache::local().build();
    let mut leader = Hand::hold(cache.get_or_load(
        "key",
        options(),
        || -> std::future::Ready<Result<u32, Infallible>> { panic!("early") },
    ));
    assert_eq!(panic_of(&mut leader), "early");
    assert_eq!(load(&cache, "key", 2), 2);
    assert_eq!(cache.stats().load_failures, 1);
}

#[derive(Deserialize)]
struct Explosive;

impl Serialize for Explosive {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("no form")
    }
}

#[test]
fn a_panic_in_encoding_is_a_panic_of_the_load() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(Explosive)
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<Explosive>));
    door.open();
    assert_eq!(panic_of(&mut leader), "no form");
    assert!(waiter.ends().is_err_and(|error| error.is_panic()));
    assert_eq!(load(&cache, "key", 2), 2);
}

#[test]
fn a_put_whose_value_panics_changes_nothing() {
    let cache = HydraCache::local().build();
    put(&cache, "key", 1, options());
    let mut call = Hand::hold(cache.put("key", Explosive, options()));
    assert_eq!(panic_of(&mut call), "no form");
    assert_eq!(get(&cache, "key"), Some(1));
}

/// A leader that is dropped because somebody else panics was cancelled.
#[test]
fn a_leader_dropped_in_another_panic_is_not_called_panicked() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let leader = lead(&cache, "key", 1, options(), &door);
    let mut waiter = willing(&cache, 2);
    let unrelated = catch_unwind(AssertUnwindSafe(move || {
        let _dropped_in_unwinding = leader;
        panic!("unrelated")
    }));
    assert!(unrelated.is_err());
    assert_eq!(waiter.ends().unwrap(), 2);
    assert_eq!(cache.stats().load_failures, 0);
}

#[test]
fn a_panic_while_one_is_under_way_does_not_reach_other_keys() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut other = lead(&cache, "other", 1, options(), &door);
    let mut leader = Hand::hold(cache.get_or_load::<u32, Infallible, _, _>(
        "key",
        options(),
        || async { panic!("boom") },
    ));
    assert_eq!(panic_of(&mut leader), "boom");
    door.open();
    assert_eq!(other.ends().unwrap(), 1);
}

#[test]
fn a_hundred_leaders_dropped_one_after_another_leave_the_last_to_finish() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut calls: Vec<_> = (0..100_u32)
        .map(|n| {
            let door = &door;
            Hand::start(cache.get_or_load("key", options(), move || async move {
                door.pass().await;
                Ok::<_, Infallible>(n)
            }))
        })
        .collect();
    while calls.len() > 1 {
        drop(calls.remove(0));
        for call in &mut calls {
            call.waits();
        }
    }
    door.open();
    assert_eq!(calls[0].ends().unwrap(), 99);
    assert_eq!(cache.stats().loads, 100);
}
