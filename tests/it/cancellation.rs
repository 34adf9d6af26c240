//! A dropped or panicking leader frees the key. The waiters load themselves, or get an error.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::HydraCache;
use serde::{Deserialize, Serialize, Serializer};

use crate::support::*;

/// A waiter with a loader, ready to return at once.
fn ready_waiter(cache: &HydraCache, value: u32) -> Hand<'_, hydracache::CacheResult<u32>> {
    Hand::start(cache.get_or_load("key", options(), ready(value)))
}

#[test]
fn waiter_of_a_dropped_leader_loads_with_its_own_loader() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let leader = lead(&cache, "key", 1, options(), &door);
    let (mut second, mut third) = (ready_waiter(&cache, 2), ready_waiter(&cache, 3));
    // 1. The leader is dropped. 2. Both waiters wake. 3. The waiter polled first loads.
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
fn unpolled_waiter_does_not_block_other_waiters() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. Two calls wait. 2. The leader is dropped. 3. Only the second waiter is polled.
    let leader = lead(&cache, "key", 1, options(), &door);
    let parked = ready_waiter(&cache, 2);
    let mut third = ready_waiter(&cache, 3);
    drop(leader);
    assert!(third.was_woken());
    assert_eq!(third.ends().unwrap(), 3);
    drop(parked);
}

/// The second leader uses its own tags, from its own start on, and inherits nothing from the
/// dropped leader.
#[test]
fn second_leader_is_fenced_by_its_own_tags_only() {
    for (invalidated, stored) in [("b", None), ("a", Some(2))] {
        let cache = HydraCache::local().build();
        let (door, other_door) = (Door::default(), Door::default());
        // 1. The first leader claims the slot with tag "a". 2. A call with tag "b" waits.
        let leader = lead(&cache, "key", 1, tagged("a"), &door);
        let mut second = Hand::start(cache.get_or_load("key", tagged("b"), || async {
            other_door.pass().await;
            Ok::<_, Infallible>(2_u32)
        }));
        // 3. The first leader is dropped. 4. The waiter claims the slot. 5. A tag is invalidated.
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
fn dropped_waiter_changes_nothing() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. Two calls join. 2. One waiter is dropped. 3. The load ends for the other.
    let mut leader = lead(&cache, "key", 1, options(), &door);
    let mut waiter = join(&cache, "key");
    drop(join(&cache, "key"));
    door.open();
    assert_eq!(leader.ends().unwrap(), 1);
    assert_eq!(waiter.ends().unwrap(), 1);
}

#[test]
fn key_is_free_when_leader_and_waiter_are_dropped() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. A load starts, a call joins. 2. Both are dropped. 3. A new call loads.
    let leader = lead(&cache, "key", 1, tagged("tag"), &door);
    let waiter = join(&cache, "key");
    drop(leader);
    drop(waiter);
    assert_eq!(load(&cache, "key", 2), 2);
    assert_eq!(
        cache.stats().load_failures,
        0,
        "a cancelled load is not a failed load"
    );
}

#[test]
fn dropped_leader_without_waiters_frees_its_key() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    drop(lead(&cache, "key", 1, options(), &door));
    drop(lead(&cache, "key", 2, options(), &door));
    assert_eq!(load(&cache, "key", 3), 3);
}

/// Polls a call. The poll must panic. Returns the text of the panic.
fn panic_of<T>(hand: &mut Hand<'_, T>) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(hand.poll()))) else {
        panic!("the call must panic");
    };
    (*payload.downcast::<&str>().unwrap()).to_owned()
}

#[test]
fn loader_panic_unwinds_to_its_caller_and_fails_waiters() {
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
    // A second waiter stays: the slot must be free nevertheless.
    let parked = join(&cache, "key");
    door.open();
    assert_eq!(panic_of(&mut leader), "boom");
    let error = waiter.ends().unwrap_err();
    assert!(error.is_panic() && !error.is_load());
    assert_eq!(
        error.to_string(),
        r#"the load of key "key" panicked in the call that ran it: see that call's panic, and load again"#
    );
    assert_eq!(load(&cache, "key", 2), 2, "the key must be usable at once");
    drop(parked);
    assert_eq!(cache.stats().load_failures, 1);
    assert_eq!(cache.stats().single_flight_joins, 1);
}

#[test]
fn loader_panic_before_its_future_frees_the_key() {
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
struct PanicsInEncoding;

impl Serialize for PanicsInEncoding {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("not encodable")
    }
}

#[test]
fn encode_panic_counts_as_a_load_panic() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(PanicsInEncoding)
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<PanicsInEncoding>));
    door.open();
    assert_eq!(panic_of(&mut leader), "not encodable");
    assert!(waiter.ends().is_err_and(|error| error.is_panic()));
    assert_eq!(load(&cache, "key", 2), 2);
}

#[test]
fn put_whose_value_panics_changes_nothing() {
    let cache = HydraCache::local().build();
    put(&cache, "key", 1, options());
    let mut call = Hand::hold(cache.put("key", PanicsInEncoding, options()));
    assert_eq!(panic_of(&mut call), "not encodable");
    assert_eq!(get(&cache, "key"), Some(1));
}

/// A leader dropped while the thread unwinds from an unrelated panic counts as cancelled.
#[test]
fn leader_dropped_by_another_panic_counts_as_cancelled() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let leader = lead(&cache, "key", 1, options(), &door);
    let mut waiter = ready_waiter(&cache, 2);
    let unrelated = catch_unwind(AssertUnwindSafe(move || {
        let _dropped_in_unwinding = leader;
        panic!("unrelated")
    }));
    assert!(unrelated.is_err());
    assert_eq!(waiter.ends().unwrap(), 2);
    assert_eq!(cache.stats().load_failures, 0);
}

#[test]
fn loader_panic_does_not_affect_other_keys() {
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
fn last_of_a_hundred_callers_loads_after_99_dropped_leaders() {
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
    // Each round drops the leader; one of the waiters claims the slot.
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
