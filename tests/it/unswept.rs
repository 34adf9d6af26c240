//! Entries of an invalidated or expired tag behave correctly before the sweep.

use std::time::Duration;

use crate::stale::*;
use crate::support::*;

/// More expired entries than a poll sweeps.
fn many_expired() -> hydracache::HydraCache {
    let (cache, _) = clocked(10_000);
    for n in 0..2000 {
        put(&cache, &format!("key {n}"), n, kept(50).tag("tag"));
    }
    drop(Hand::start(cache.expire_tag("tag")));
    cache
}

#[test]
fn expire_of_an_unswept_expired_key_keeps_its_value() {
    let cache = many_expired();
    for n in 0..2000 {
        let key = format!("key {n}");
        assert!(!expire(&cache, &key));
        assert_eq!(fail(&cache, &key).unwrap(), n);
    }
}

#[test]
fn unswept_expired_value_has_no_time_left() {
    let cache = many_expired();
    for n in 0..2000 {
        let key = format!("key {n}");
        let failing = cache.fetch(&key, options(), |_| {
            failing_loader::<hydracache::Loaded<u32>>()
        });
        let served = block_on(failing).unwrap();
        assert_eq!(served.source, hydracache::Source::Stale);
        assert_eq!(served.time_left, Some(Duration::ZERO));
    }
}

/// Expires all entries of a full cache by tag, with four puts before the call ends. Returns
/// the statistics, and the count of the call.
fn evicted_while_expired() -> (hydracache::CacheStats, u64) {
    let (cache, _) = clocked(4000);
    for n in 0..4000 {
        put(&cache, &format!("key {n}"), n, kept(50).tag("tag"));
    }
    let mut call = Hand::start(cache.expire_tag("tag"));
    for n in 0..4 {
        put(&cache, &format!("new {n}"), n, options());
    }
    let count = call.finish().unwrap();
    (cache.stats(), count)
}

#[test]
fn unswept_expired_entry_that_is_evicted_counts_as_expired() {
    let (stats, _) = evicted_while_expired();
    assert_eq!((stats.evictions, stats.expirations), (0, 4));
}

#[test]
fn expire_tag_counts_entries_evicted_before_its_end() {
    let (_, count) = evicted_while_expired();
    assert_eq!(count, 4000);
}

#[test]
fn dead_and_expired_entries_leave_before_live_ones() {
    let (cache, _) = clocked(2000);
    for n in 0..1500 {
        put(&cache, &format!("old {n}"), n, kept(90).tag("old"));
    }
    for n in 0..400 {
        put(&cache, &format!("dead {n}"), n, tagged("dead"));
    }
    for n in 0..100 {
        put(&cache, &format!("live {n}"), n, options());
    }
    let mut expired = Hand::start(cache.expire_tag("old"));
    let mut removed = Hand::start(cache.invalidate_tag("dead"));
    put(&cache, "new", 0, options());
    put(&cache, "newer", 0, options());
    for n in 0..100 {
        assert_eq!(get(&cache, &format!("live {n}")), Some(n));
    }
    assert_eq!(expired.finish().unwrap(), 1500);
    assert_eq!(removed.finish().unwrap(), 400);
    assert_eq!(cache.stats().evictions, 0);
}

#[test]
fn large_value_frees_all_dead_entries_before_live_ones() {
    let cache = hydracache::HydraCache::local().max_bytes(200_000).build();
    for n in 0..10 {
        put(&cache, &format!("live {n}"), n, options());
    }
    for n in 0..1000 {
        put(&cache, &format!("dead {n}"), n, tagged("dead"));
    }
    drop(Hand::start(cache.invalidate_tag("dead")));
    let large = hydracache::Bytes::from(vec![0; 150_000]);
    block_on(cache.put_bytes("large", large, options())).unwrap();
    for n in 0..10 {
        assert_eq!(get(&cache, &format!("live {n}")), Some(n));
    }
    assert_eq!(cache.stats().evictions, 0);
}
