//! Between the first poll of an act on a tag and the sweep of what it ended.

use std::time::Duration;

use crate::stale::*;
use crate::support::*;

/// More entries than one poll gives back, expired a moment ago.
fn many_expired() -> hydracache::HydraCache {
    let (cache, _) = clocked(10_000);
    for n in 0..2000 {
        put(&cache, &format!("key {n}"), n, kept(50).tag("tag"));
    }
    drop(Hand::start(cache.expire_tag("tag")));
    cache
}

#[test]
fn to_expire_a_key_that_its_tag_expired_a_moment_ago_keeps_it() {
    let cache = many_expired();
    for n in 0..2000 {
        let key = format!("key {n}");
        assert!(!expire(&cache, &key));
        assert_eq!(fail(&cache, &key).unwrap(), n);
    }
}

#[test]
fn an_old_value_that_was_expired_a_moment_ago_has_no_time_left() {
    let cache = many_expired();
    for n in 0..2000 {
        let key = format!("key {n}");
        let failing = cache.fetch(&key, options(), |_| {
            failing_loader::<hydracache::Loaded<u32>>()
        });
        let old = block_on(failing).unwrap();
        assert_eq!(old.source, hydracache::Source::Stale);
        assert_eq!(old.time_left, Some(Duration::ZERO));
    }
}

/// A full cache, whose many entries a tag expires; and some puts before that has ended.
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
fn what_is_evicted_after_its_tag_was_expired_was_not_live() {
    let (stats, _) = evicted_while_expired();
    assert_eq!((stats.evictions, stats.expirations), (0, 4));
}

#[test]
fn what_is_evicted_while_its_tag_is_expired_was_fresh_at_the_first_poll() {
    let (_, count) = evicted_while_expired();
    assert_eq!(count, 4000);
}

#[test]
fn what_is_dead_makes_room_before_what_may_live_on_and_that_before_what_lives() {
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
fn a_large_value_takes_the_room_of_all_that_is_dead_before_that_of_what_lives() {
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
