//! Entries expire exactly at the end of the ttl, are then absent for every call, and are swept.

use std::time::Duration;

use hydracache::{Bytes, HydraCache, ManualClock};

use crate::support::*;

#[test]
fn entry_expires_exactly_at_its_ttl() {
    let (cache, clock) = clocked(10_000);
    clock.advance(Duration::from_nanos(17));
    put(&cache, "key", 1, lasting(1));
    clock.advance(Duration::from_nanos(999_999_999));
    assert_eq!(get(&cache, "key"), Some(1));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(get(&cache, "key"), None);
}

#[test]
fn expired_entry_is_absent_for_every_call() {
    let (cache, clock) = clocked(10_000);
    let all = ["a", "b", "c", "d", "e", "f", "g"];
    for key in all {
        put(&cache, key, 1, lasting(1).tag(key));
    }
    clock.advance(SECOND);
    assert_eq!(block_on(cache.peek::<u32>("a")).unwrap(), None);
    assert!(!block_on(cache.contains_key("b")));
    assert_eq!(get(&cache, "c"), None);
    assert_eq!(block_on(cache.get_bytes("d")).unwrap(), None);
    assert!(!block_on(cache.remove("e")).unwrap());
    assert_eq!(invalidate(&cache, "f"), 0);
    assert_eq!(load(&cache, "g", 2), 2);
    // A wrong type is no error for an expired entry.
    assert_eq!(block_on(cache.get::<String>("a")).unwrap(), None);
    // The load is a write: it swept the entry that no call had touched.
    assert_stats(cache.stats(), |stats| {
        stats.misses = 4;
        stats.loads = 1;
        stats.expirations = 7;
    });
    assert_eq!(cache.entry_count(), 1);
}

#[test]
fn ttl_of_zero_stores_nothing_and_removes_the_entry() {
    let (cache, _) = clocked(10_000);
    put(&cache, "key", 1, options());
    put(&cache, "key", 2, lasting(0));
    assert_eq!(get(&cache, "key"), None);
    block_on(cache.put_bytes("key", Bytes::from_static(b"\x01"), lasting(0))).unwrap();
    assert_eq!(get(&cache, "key"), None);
    let loaded = cache.get_or_load("key", lasting(0), ready(3_u32));
    assert_eq!(block_on(loaded).unwrap(), 3);
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().rejections, 0);
}

#[test]
fn ttl_that_overflows_never_ends() {
    let (cache, clock) = clocked(10_000);
    clock.advance(SECOND);
    put(&cache, "key", 1, options().ttl(Duration::MAX));
    put(&cache, "plain", 2, options());
    clock.advance(Duration::MAX);
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(get(&cache, "plain"), Some(2));
    put(&cache, "late", 3, options().ttl(Duration::from_nanos(1)));
    assert_eq!(get(&cache, "late"), Some(3));
}

#[test]
fn ttl_of_centuries_is_exact_to_the_nanosecond() {
    let (cache, clock) = clocked(10_000);
    let ages = Duration::from_nanos(u64::MAX - 2);
    let nanosecond = Duration::from_nanos(1);
    put(&cache, "key", 1, options().ttl(ages + nanosecond));
    clock.advance(ages);
    assert_eq!(get(&cache, "key"), Some(1));
    clock.advance(nanosecond);
    assert_eq!(get(&cache, "key"), None);
}

/// Times cover 584 years of the clock. A later end counts as no end.
#[test]
fn ttl_beyond_584_years_never_ends() {
    let (cache, clock) = clocked(10_000);
    put(
        &cache,
        "long",
        1,
        options().ttl(Duration::from_nanos(u64::MAX)),
    );
    put(&cache, "longer", 1, options().ttl(Duration::MAX));
    put(&cache, "short", 1, lasting(1));
    clock.advance(Duration::MAX);
    let found = ["long", "longer", "short"].map(|key| get(&cache, key));
    assert_eq!(found, [Some(1), Some(1), None]);
    put(&cache, "late", 1, lasting(1));
    assert_eq!(get(&cache, "late"), Some(1));
}

#[test]
fn default_ttl_applies_to_entries_without_a_ttl() {
    let clock = ManualClock::new();
    let cache = HydraCache::local()
        .default_ttl(SECOND)
        .clock(clock.clone())
        .build();
    put(&cache, "default", 1, options());
    put(&cache, "longer", 2, lasting(2));
    put(&cache, "endless", 3, options().ttl(Duration::MAX));
    assert_eq!(load(&cache, "loaded", 4), 4);
    clock.advance(SECOND);
    let found = ["default", "longer", "endless", "loaded"].map(|key| get(&cache, key));
    assert_eq!(found, [None, Some(2), Some(3), None]);
}

#[test]
fn ttl_counts_from_the_store_not_from_the_load_start() {
    let (cache, clock) = clocked(10_000);
    let door = Door::default();
    let mut leader = lead(&cache, "key", 1, lasting(2), &door);
    clock.advance(SECOND * 5);
    door.open();
    leader.ends().unwrap();
    clock.advance(SECOND);
    assert_eq!(get(&cache, "key"), Some(1));
    clock.advance(SECOND);
    assert_eq!(get(&cache, "key"), None);
}

#[test]
fn reads_do_not_prolong_the_ttl_but_writes_do() {
    let (cache, clock) = clocked(10_000);
    put(&cache, "read", 1, lasting(2));
    put(&cache, "written", 1, lasting(2));
    clock.advance(SECOND);
    assert_eq!(get(&cache, "read"), Some(1));
    put(&cache, "written", 2, lasting(2));
    clock.advance(SECOND);
    assert_eq!(get(&cache, "read"), None);
    assert_eq!(get(&cache, "written"), Some(2));
    put(&cache, "written", 3, options());
    clock.advance(SECOND * 99);
    assert_eq!(get(&cache, "written"), Some(3));
}

/// Expired entries are swept although no call names the keys.
#[test]
fn later_writes_sweep_expired_entries() {
    let (cache, clock) = clocked(100_000);
    for n in 0..10_000 {
        put(&cache, &format!("key {n}"), n, lasting(1).tag("tag"));
    }
    clock.advance(SECOND);
    assert_eq!(cache.entry_count(), 10_000);
    for n in 0..1000 {
        put(&cache, &format!("other {n}"), n, options());
    }
    assert_eq!(cache.entry_count(), 1000);
    assert_eq!(cache.stats().expirations, 10_000);
}

#[test]
fn writes_to_one_key_sweep_expired_entries_of_all_shards() {
    let (cache, clock) = clocked(100_000);
    for n in 0..10_000 {
        put(&cache, &format!("key {n}"), n, lasting(1));
    }
    clock.advance(SECOND);
    for n in 0..5000 {
        put(&cache, "one", n, options());
    }
    assert_eq!(cache.entry_count(), 1);
}

#[test]
fn completed_load_sweeps_expired_entries_like_a_put() {
    let (cache, clock) = clocked(10_000);
    put(&cache, "key", 1, lasting(1));
    clock.advance(SECOND);
    load(&cache, "other", 2);
    assert_eq!(cache.entry_count(), 1);
}

#[test]
fn full_cache_frees_expired_entries_before_live_ones() {
    let (cache, clock) = clocked(1000);
    for n in 0..500 {
        put(&cache, &format!("live {n}"), n, options());
        put(&cache, &format!("dying {n}"), n, lasting(1));
    }
    clock.advance(SECOND);
    for n in 0..500 {
        put(&cache, &format!("new {n}"), n, options());
    }
    for n in 0..500 {
        assert_eq!(get(&cache, &format!("live {n}")), Some(n));
        assert_eq!(get(&cache, &format!("new {n}")), Some(n));
    }
    assert_eq!(cache.stats().evictions, 0);
    put(&cache, "one more", 1, options());
    assert_eq!(cache.stats().evictions, 1);
    assert_eq!(cache.entry_count(), 1000);
}

#[test]
fn full_cache_frees_invalidated_entries_before_live_ones() {
    let cache = HydraCache::local().max_capacity(1000).build();
    for n in 0..500 {
        put(&cache, &format!("live {n}"), n, options());
        put(&cache, &format!("dead {n}"), n, tagged("tag"));
    }
    drop(Hand::start(cache.invalidate_tag("tag")));
    for n in 0..500 {
        put(&cache, &format!("new {n}"), n, options());
    }
    for n in 0..500 {
        assert_eq!(get(&cache, &format!("live {n}")), Some(n));
        assert_eq!(get(&cache, &format!("new {n}")), Some(n));
    }
    assert_eq!(cache.stats().evictions, 0);
    assert_eq!(cache.stats().invalidations, 500);
}

#[test]
fn full_cache_frees_dead_and_expired_entries_first() {
    let (cache, clock) = clocked(1000);
    for n in 0..500 {
        put(&cache, &format!("dead {n}"), n, tagged("tag"));
    }
    for n in 0..500 {
        put(&cache, &format!("dying {n}"), n, lasting(1));
    }
    drop(Hand::start(cache.invalidate_tag("tag")));
    clock.advance(SECOND);
    for n in 0..1000 {
        put(&cache, &format!("live {n}"), n, options());
    }
    assert_eq!(cache.stats().evictions, 0);
    assert_eq!(cache.entry_count(), 1000);
}

#[test]
fn expired_entry_counts_once_for_every_kind_of_call() {
    type Call = fn(&HydraCache);
    let calls: [Call; 6] = [
        |cache| assert_eq!(get(cache, "key"), None),
        |cache| put(cache, "key", 2, options()),
        |cache| assert!(!block_on(cache.remove("key")).unwrap()),
        |cache| assert_eq!(invalidate(cache, "tag"), 0),
        |cache| block_on(cache.flush()).unwrap(),
        |cache| assert_eq!(load(cache, "key", 2), 2),
    ];
    for (number, call) in calls.into_iter().enumerate() {
        let (cache, clock) = clocked(10_000);
        put(&cache, "key", 1, lasting(1).tag("tag"));
        clock.advance(SECOND);
        call(&cache);
        let stats = cache.stats();
        assert_eq!(
            (stats.expirations, stats.invalidations),
            (1, 0),
            "call {number}"
        );
        block_on(cache.flush()).unwrap();
        assert_eq!(cache.stats().expirations, 1, "call {number}");
    }
}
