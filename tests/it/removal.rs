//! The listener gets each removed entry once, with the cause of the removal. Also `keys` and
//! `retain`.

use std::sync::{Arc, Mutex};

use hydracache::RemovalCause::{Evicted, Expired, Flushed, Invalidated, Replaced};
use hydracache::{CacheBuilder, HydraCache, ManualClock, RemovalCause};

use crate::support::*;

type Log = Arc<Mutex<Vec<(String, RemovalCause)>>>;

fn with_listener(capacity: u64) -> (CacheBuilder, Log) {
    let log = Log::default();
    let sink = Arc::clone(&log);
    let listener = move |key: &str, _: &_, cause| sink.lock().unwrap().push((key.into(), cause));
    let builder = HydraCache::local().max_capacity(capacity);
    (builder.on_removal(listener), log)
}

#[track_caller]
fn assert_reported(log: &Log, expected: &[(&str, RemovalCause)]) {
    let reported = std::mem::take(&mut *log.lock().unwrap());
    let reported: Vec<_> = reported
        .iter()
        .map(|(key, cause)| (&**key, *cause))
        .collect();
    assert_eq!(reported, expected);
}

#[test]
fn each_removal_is_reported_once_with_its_cause() {
    let clock = ManualClock::new();
    let (builder, log) = with_listener(2);
    let cache = builder.clock(clock.clone()).build();
    put(&cache, "a", 1, options());
    put(&cache, "a", 2, options());
    assert_reported(&log, &[("a", Replaced)]);
    block_on(cache.remove("a")).unwrap();
    block_on(cache.remove("a")).unwrap();
    assert_reported(&log, &[("a", Invalidated)]);
    put(&cache, "b", 1, tagged("tag"));
    invalidate(&cache, "tag");
    assert_reported(&log, &[("b", Invalidated)]);
    put(&cache, "c", 1, lasting(1));
    clock.advance(SECOND);
    assert_eq!(get(&cache, "c"), None);
    assert_reported(&log, &[("c", Expired)]);
    put(&cache, "d", 1, options());
    block_on(cache.flush()).unwrap();
    assert_reported(&log, &[("d", Flushed)]);
    for key in ["e", "f", "g"] {
        put(&cache, key, 1, options());
    }
    assert_eq!(log.lock().unwrap().len(), 1);
    assert_eq!(log.lock().unwrap()[0].1, Evicted);
}

#[test]
fn entry_past_its_ttl_is_reported_as_expired_by_every_call() {
    let clock = ManualClock::new();
    let (builder, log) = with_listener(9);
    let cache = builder.clock(clock.clone()).build();
    let stale = || lasting(1).stale_if_error(SECOND * 9).tag("tag");
    let ends: [&dyn Fn(); 4] = [
        &|| assert!(!block_on(cache.remove("a")).unwrap()),
        &|| put(&cache, "a", 2, lasting(0)),
        &|| assert_eq!(invalidate(&cache, "tag"), 0),
        &|| block_on(cache.flush()).unwrap(),
    ];
    for end in ends {
        put(&cache, "a", 1, stale());
        clock.advance(SECOND);
        assert_reported(&log, &[]);
        end();
        assert_reported(&log, &[("a", Expired)]);
    }
    put(&cache, "a", 1, options());
    assert!(block_on(cache.expire("a")).unwrap());
    assert_reported(&log, &[("a", Expired)]);
    put(&cache, "a", 1, tagged("tag"));
    assert_eq!(block_on(cache.expire_tag("tag")).unwrap(), 1);
    assert_reported(&log, &[("a", Expired)]);
}

#[test]
fn put_with_a_ttl_of_zero_reports_replaced() {
    let (builder, log) = with_listener(9);
    let cache = builder.build();
    put(&cache, "a", 1, options());
    put(&cache, "a", 2, lasting(0));
    assert_reported(&log, &[("a", Replaced)]);
}

#[test]
fn listener_gets_the_encoded_value_and_may_call_the_cache() {
    let shared: Arc<Mutex<Option<HydraCache>>> = Arc::default();
    let in_listener = Arc::clone(&shared);
    let cache = HydraCache::local()
        .on_removal(move |key, value, _| {
            let cache = in_listener.lock().unwrap().clone().unwrap();
            let moved = format!("old {key}");
            block_on(cache.put_bytes(&moved, value.clone(), options())).unwrap();
        })
        .build();
    *shared.lock().unwrap() = Some(cache.clone());
    without_hanging(move || {
        put(&cache, "a", 7, options());
        block_on(cache.remove("a")).unwrap();
        assert_eq!(get(&cache, "old a"), Some(7));
        *shared.lock().unwrap() = None;
    });
}

#[test]
fn keys_lists_fresh_entries_only() {
    let (cache, clock) = clocked(99);
    put(&cache, "a", 1, options());
    put(&cache, "b", 1, lasting(1).stale_if_error(SECOND));
    put(&cache, "c", 1, tagged("tag"));
    clock.advance(SECOND);
    invalidate(&cache, "tag");
    assert_eq!(cache.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn keys_iterator_holds_no_lock() {
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
fn retain_removes_stale_values_and_fences_loads() {
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
    let failed = cache.get_or_load("old", options(), async || Err::<u32, _>("down"));
    assert!(block_on(failed).unwrap_err().is_load());
}
