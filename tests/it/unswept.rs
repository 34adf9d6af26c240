//! Entries of an invalidated or expired tag behave correctly before the sweep.

use std::time::Duration;

use hydracache::ManualClock;

use crate::stale::*;
use crate::support::{self, *};

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

/// A full cache: 500 live entries, then 1,500 entries with these options and the tag "tag".
fn full_of(options: &hydracache::CacheOptions) -> (hydracache::HydraCache, ManualClock) {
    let (cache, clock) = clocked(2000);
    for n in 0..500 {
        put(&cache, &format!("live {n}"), n, support::options());
    }
    for n in 0..1500 {
        put(&cache, &format!("gone {n}"), n, options.clone().tag("tag"));
    }
    (cache, clock)
}

/// Puts new entries, and asserts that no live entry leaves.
#[track_caller]
fn assert_room_for(cache: &hydracache::HydraCache, number: u32) {
    for n in 0..number {
        put(cache, &format!("new {n}"), n, options());
    }
    assert_eq!(cache.stats().evictions, 0);
    for (kind, number) in [("live", 500), ("new", number)] {
        for n in 0..number {
            assert_eq!(get(cache, &format!("{kind} {n}")), Some(n), "{kind}");
        }
    }
}

#[test]
fn every_kind_of_gone_entry_makes_room_before_live_ones() {
    let long = || kept(90).stale_while_revalidate(SECOND * 999);
    // 1. Removed by a tag, or by a flush: without and with a window.
    for options in [options(), kept(90)] {
        let (cache, _) = full_of(&options);
        drop(Hand::start(cache.invalidate_tag("tag")));
        assert_room_for(&cache, 1500);
        let (cache, _) = full_of(&options);
        drop(Hand::start(cache.flush()));
        for n in 0..2000 {
            put(&cache, &format!("new {n}"), n, options.clone());
        }
        assert_eq!((cache.entry_count(), cache.stats().evictions), (2000, 0));
    }
    // 2. Expired after the time to live, after the window, or idle.
    let idle = || options().time_to_idle(SECOND * 10);
    for (options, seconds) in [(lasting(10), 10), (kept(10), 20), (idle(), 10)] {
        let (cache, clock) = full_of(&options);
        clock.advance(SECOND * seconds);
        assert_room_for(&cache, 1500);
    }
    // 3. Ended by `expire_tag` without a window of errors.
    for options in [options(), lasting(10), revalidated(10)] {
        let (cache, _) = full_of(&options);
        drop(Hand::start(cache.expire_tag("tag")));
        assert_room_for(&cache, 1500);
    }
    // 4. Ended by `expire_tag`, and the window ends, or the entry is idle, before the sweep.
    let endless = || options().stale_if_error(SECOND * 10);
    let idle_kept = || idle().stale_if_error(SECOND * 90);
    for (options, seconds) in [
        (kept(10), 20),
        (long(), 100),
        (endless(), 10),
        (idle_kept(), 10),
    ] {
        let (cache, clock) = full_of(&options);
        drop(Hand::start(cache.expire_tag("tag")));
        clock.advance(SECOND * seconds);
        assert_room_for(&cache, 1500);
    }
}

/// A put attaches some hundreds of these entries again, and no more: the caller waits. The next
/// ones leave, with the stale value.
#[test]
fn unswept_expired_entries_with_stale_values_leave_before_live_ones() {
    let (cache, _) = full_of(&kept(90));
    let mut call = Hand::start(cache.expire_tag("tag"));
    assert_room_for(&cache, 2);
    assert_eq!(call.finish().unwrap(), 1500);
    assert_eq!(cache.entry_count(), 2000);
    assert_eq!(cache.stats().expirations, 2);
}

#[test]
fn unswept_expired_entry_ends_with_its_window() {
    let endless = options().stale_if_error(SECOND * 60);
    let long = kept(50).stale_while_revalidate(SECOND * 999);
    let idle = kept(500).time_to_idle(SECOND * 60);
    for options in [kept(50), endless, long, idle] {
        let (cache, clock) = clocked(2000);
        for n in 0..2000 {
            put(&cache, &format!("key {n}"), n, options.clone().tag("tag"));
        }
        let mut call = Hand::start(cache.expire_tag("tag"));
        clock.advance(nearly(60));
        assert_eq!(get(&cache, "key 1999"), None);
        clock.advance(NANO);
        for n in [0, 1998] {
            assert!(fail(&cache, &format!("key {n}")).is_err());
        }
        // Each entry was fresh at the first poll.
        assert_eq!(call.finish().unwrap(), 2000);
        clock.advance(SECOND);
        put(&cache, "new", 1, support::options());
        assert_eq!(cache.stats().invalidations, 0);
        assert_eq!(cache.stats().evictions, 0);
    }
}

#[test]
fn entry_count_has_expired_entries_but_no_dead_ones() {
    let (cache, clock) = clocked(10_000);
    for n in 0..1000 {
        put(&cache, &format!("ended {n}"), n, tagged("tag"));
        put(&cache, &format!("stale {n}"), n, kept(50).tag("tag"));
    }
    drop(Hand::start(cache.expire_tag("tag")));
    assert_eq!(cache.entry_count(), 1000);
    // Expired now, and held until a write.
    clock.advance(SECOND * 60);
    assert_eq!(cache.entry_count(), 1000);
    drop(Hand::start(cache.invalidate_tag("tag")));
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(
        (cache.stats().invalidations, cache.stats().expirations),
        (0, 2000)
    );
}
