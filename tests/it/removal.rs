//! What is told of entries that leave; and what goes over many keys.

use std::sync::{Arc, Mutex};

use hydracache::RemovalCause::{Evicted, Expired, Flushed, Invalidated, Replaced};
use hydracache::{CacheBuilder, HydraCache, ManualClock, RemovalCause};

use crate::support::*;

type Log = Arc<Mutex<Vec<(String, RemovalCause)>>>;

fn listened(capacity: u64) -> (CacheBuilder, Log) {
    let log = Log::default();
    let heard = Arc::clone(&log);
    let listener = move |key: &str, _: &_, cause| heard.lock().unwrap().push((key.into(), cause));
    let builder = HydraCache::local().max_capacity(capacity);
    (builder.on_removal(listener), log)
}

#[track_caller]
fn assert_told(log: &Log, expected: &[(&str, RemovalCause)]) {
    let told = std::mem::take(&mut *log.lock().unwrap());
    let told: Vec<_> = told.iter().map(|(key, cause)| (&**key, *cause)).collect();
    assert_eq!(told, expected);
}

#[test]
fn each_way_to_leave_has_its_cause_and_is_told_of_once() {
    let clock = ManualClock::new();
    let (builder, log) = listened(2);
    let cache = builder.clock(clock.clone()).build();
    put(&cache, "a", 1, options());
    put(&cache, "a", 2, options());
    assert_told(&log, &[("a", Replaced)]);
    block_on(cache.remove("a")).unwrap();
    block_on(cache.remove("a")).unwrap();
    assert_told(&log, &[("a", Invalidated)]);
    put(&cache, "b", 1, tagged("tag"));
    invalidate(&cache, "tag");
    assert_told(&log, &[("b", Invalidated)]);
    put(&cache, "c", 1, lasting(1));
    clock.advance(SECOND);
    assert_eq!(get(&cache, "c"), None);
    assert_told(&log, &[("c", Expired)]);
    put(&cache, "d", 1, options());
    block_on(cache.flush()).unwrap();
    assert_told(&log, &[("d", Flushed)]);
    for key in ["e", "f", "g"] {
        put(&cache, key, 1, options());
    }
    assert_eq!(log.lock().unwrap().len(), 1);
    assert_eq!(log.lock().unwrap()[0].1, Evicted);
}

#[test]
fn what_expired_is_told_of_as_expired_whatever_ends_it() {
    let clock = ManualClock::new();
    let (builder, log) = listened(9);
    let cache = builder.clock(clock.clone()).build();
    let old = || lasting(1).stale_if_error(SECOND * 9).tag("tag");
    let ends: [&dyn Fn(); 4] = [
        &|| assert!(!block_on(cache.remove("a")).unwrap()),
        &|| put(&cache, "a", 2, lasting(0)),
        &|| assert_eq!(invalidate(&cache, "tag"), 0),
        &|| block_on(cache.flush()).unwrap(),
    ];
    for end in ends {
        put(&cache, "a", 1, old());
        clock.advance(SECOND);
        assert_told(&log, &[]);
        end();
        assert_told(&log, &[("a", Expired)]);
    }
    put(&cache, "a", 1, options());
    assert!(block_on(cache.expire("a")).unwrap());
    assert_told(&log, &[("a", Expired)]);
    put(&cache, "a", 1, tagged("tag"));
    assert_eq!(block_on(cache.expire_tag("tag")).unwrap(), 1);
    assert_told(&log, &[("a", Expired)]);
}

#[test]
fn a_put_that_stores_nothing_replaces() {
    let (builder, log) = listened(9);
    let cache = builder.build();
    put(&cache, "a", 1, options());
    put(&cache, "a", 2, lasting(0));
    assert_told(&log, &[("a", Replaced)]);
}

#[test]
fn the_listener_sees_the_stored_form_and_may_call_the_cache() {
    let slot: Arc<Mutex<Option<HydraCache>>> = Arc::default();
    let again = Arc::clone(&slot);
    let cache = HydraCache::local()
        .on_removal(move |key, value, _| {
            let cache = again.lock().unwrap().clone().unwrap();
            let moved = format!("old {key}");
            block_on(cache.put_bytes(&moved, value.clone(), options())).unwrap();
        })
        .build();
    *slot.lock().unwrap() = Some(cache.clone());
    without_hanging(move || {
        put(&cache, "a", 7, options());
        block_on(cache.remove("a")).unwrap();
        assert_eq!(get(&cache, "old a"), Some(7));
        *slot.lock().unwrap() = None;
    });
}

#[test]
fn keys_are_those_of_fresh_entries() {
    let (cache, clock) = clocked(99);
    put(&cache, "a", 1, options());
    put(&cache, "b", 1, lasting(1).stale_if_error(SECOND));
    put(&cache, "c", 1, tagged("tag"));
    clock.advance(SECOND);
    invalidate(&cache, "tag");
    assert_eq!(cache.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn keys_are_not_held_by_a_lock() {
    let (cache, _) = clocked(99);
    (0..9).for_each(|key| put(&cache, &key.to_string(), 1, options()));
    let mut keys: Vec<_> = cache
        .keys()
        .inspect(|key| assert!(block_on(cache.remove(key)).unwrap()))
        .collect();
    keys.sort();
    assert_eq!(keys.join(""), "012345678");
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn retain_removes_what_is_not_kept_old_values_and_loads_too() {
    let (cache, clock) = clocked(9999);
    let door = Door::default();
    put(&cache, "keep", 1, options());
    put(&cache, "old", 1, lasting(1).stale_if_error(SECOND * 9));
    (0..999).for_each(|key| put(&cache, &format!("drop {key}"), 1, options()));
    clock.advance(SECOND);
    let mut loading = lead(&cache, "loading", 1, options(), &door);
    let mut asked = 0;
    let retained = cache.retain(|key| {
        asked += 1;
        key == "keep"
    });
    assert_eq!(block_on(retained).unwrap(), 999);
    assert_eq!(asked, 1002);
    door.open();
    assert_eq!(loading.ends().unwrap(), 1);
    assert_eq!(get(&cache, "loading"), None);
    assert_eq!(cache.entry_count(), 1);
    let away = cache.get_or_load("old", options(), async || Err::<u32, _>("away"));
    assert!(block_on(away).unwrap_err().is_load());
}
