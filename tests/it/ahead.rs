//! `refresh_ahead`: a loading call reloads a value before the time to live ends.

use hydracache::{Bytes, CacheOptions};

use crate::stale::*;
use crate::support::*;

fn ahead(fraction: f32) -> CacheOptions {
    lasting(10).refresh_ahead(fraction)
}

#[test]
fn first_call_past_the_fraction_loads_and_others_hit() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, ahead(0.8));
    clock.advance(nearly(8));
    assert_eq!(served(&cache, "key"), 1);
    clock.advance(NANO);
    let door = Door::default();
    let mut leader = lead(&cache, "key", 2, ahead(0.8), &door);
    for _ in 0..3 {
        assert_eq!(served(&cache, "key"), 1);
    }
    clock.advance(nearly(2));
    assert_eq!(served(&cache, "key"), 1);
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(served(&cache, "key"), 2);
    assert_stats(cache.stats(), |stats| {
        stats.hits = 7;
        stats.loads = 1;
        stats.refreshes = 1;
    });
}

#[test]
fn reads_without_a_loader_start_no_refresh_ahead() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, ahead(0.5));
    clock.advance(nearly(10));
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(block_on(cache.peek::<u32>("key")).unwrap(), Some(1));
    assert!(block_on(cache.contains_key("key")));
    clock.advance(NANO);
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(cache.stats().loads, 0);
}

#[test]
fn failed_refresh_ahead_serves_the_fresh_value_and_is_retried() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, ahead(0.5));
    clock.advance(SECOND * 5);
    for _ in 0..3 {
        assert_eq!(fail(&cache, "key").unwrap(), 1);
    }
    clock.advance(nearly(5));
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    clock.advance(NANO);
    assert!(fail(&cache, "key").unwrap_err().is_load());
    assert_stats(cache.stats(), |stats| {
        stats.hits = 4;
        stats.misses = 1;
        stats.loads = 5;
        stats.load_failures = 5;
        stats.refreshes = 4;
    });
}

#[test]
fn callers_after_the_ttl_wait_for_the_refresh_ahead() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, ahead(0.5));
    clock.advance(SECOND * 5);
    let door = Door::default();
    // 1. A refresh ahead starts. 2. The ttl ends. 3. A call joins. 4. The load ends for both.
    let mut leader = lead(&cache, "key", 2, options(), &door);
    clock.advance(SECOND * 5);
    let mut waiter = join(&cache, "key");
    door.open();
    assert_eq!((leader.ends().unwrap(), waiter.ends().unwrap()), (2, 2));
}

#[test]
fn refresh_ahead_of_zero_reloads_at_once_and_of_one_never() {
    let (cache, clock) = clocked(100);
    put(&cache, "none", 1, ahead(0.0));
    put(&cache, "all", 1, ahead(1.0));
    assert_eq!(load(&cache, "none", 2), 2);
    clock.advance(nearly(10));
    assert_eq!(served(&cache, "all"), 1);
}

#[test]
fn refresh_ahead_without_a_ttl_never_loads() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, options().refresh_ahead(0.0));
    clock.advance(SECOND * 1_000_000);
    assert_eq!(served(&cache, "key"), 1);
}

#[test]
fn value_removed_during_a_refresh_ahead_stays_removed() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, ahead(0.5));
    clock.advance(SECOND * 5);
    let door = Door::default();
    // 1. A refresh ahead starts. 2. The value is removed. 3. The load ends, not stored.
    let mut leader = lead(&cache, "key", 2, ahead(0.5), &door);
    assert!(remove(&cache, "key"));
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(cache.stats().stale_load_discards, 1);
}

/// A call for another type loads nothing and replaces nothing.
#[test]
fn refresh_ahead_as_another_type_is_an_error() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, ahead(0.5));
    clock.advance(SECOND * 5);
    let text = cache.get_or_load("key", options(), ready(String::from("two")));
    assert!(block_on(text).is_err_and(|error| error.is_wrong_type()));
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(cache.stats().loads, 0);
}

#[test]
fn undecodable_value_past_the_fraction_counts_as_a_miss() {
    let (cache, clock) = clocked(100);
    let garbage = Bytes::from_static(&[0xff; 20]);
    block_on(cache.put_bytes("key", garbage, ahead(0.5))).unwrap();
    clock.advance(SECOND * 5);
    assert_eq!(load(&cache, "key", 2), 2);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 1;
        stats.loads = 1;
        stats.decode_failures = 1;
    });
}
