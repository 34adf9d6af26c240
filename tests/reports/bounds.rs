//! Bounds at their ends: sums that overflow, drift, or are split too small.

use hydracache::{Bytes, HydraCache};

use crate::support::*;

fn bytes(length: usize) -> Bytes {
    Bytes::from(vec![7; length])
}

#[test]
fn largest_bounds_overflow_nothing() {
    let builder = HydraCache::local().max_capacity(u64::MAX);
    let cache = builder
        .max_bytes(u64::MAX)
        .max_entry_bytes(usize::MAX)
        .build();
    for key in ["a", "b", "a"] {
        block_on(cache.put_bytes(key, bytes(1 << 20), tagged("tag"))).unwrap();
        put(&cache, key, 1, lasting(u32::MAX).jitter(1.0));
    }
    assert_eq!(get(&cache, "a"), Some(1));
    assert_eq!(cache.entry_count(), 2);
    assert_stats(cache.stats(), |stats| stats.hits = 1);
}

#[test]
fn entry_as_large_as_the_bound_fits_many_shards() {
    // By its capacity alone this cache would have many shards, each with a part of the bytes.
    let builder = HydraCache::local().max_capacity(1_000_000);
    let cache = builder.max_bytes(1 << 20).build();
    for key in ["a", "b", "c"] {
        block_on(cache.put_bytes(key, bytes((1 << 20) - 1_000), options())).unwrap();
        let found = block_on(cache.get_bytes(key)).unwrap();
        assert_eq!(found.map(|it| it.len()), Some((1 << 20) - 1_000));
    }
    assert_eq!(cache.entry_count(), 1);
    assert_eq!(cache.stats().rejections, 0);
}

#[test]
fn bound_below_one_entry_stores_nothing_and_loads() {
    let builder = HydraCache::local().max_capacity(1_000_000);
    let cache = builder.max_bytes(50).build();
    for number in 0..1_000 {
        put(&cache, &format!("key {number}"), number, options());
    }
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().rejections, 1_000);
    assert_eq!(load(&cache, "key", 1), 1);
    assert_eq!(load(&cache, "key", 2), 2);
}

#[test]
fn cost_of_overwritten_entries_does_not_drift() {
    const BOUND: u64 = 100_000;
    let fill = |cache: &HydraCache| {
        for number in 0..2_000 {
            let key = format!("fill {number:04}");
            block_on(cache.put_bytes(&key, bytes(50), options())).unwrap();
        }
        cache.entry_count()
    };
    let fresh = HydraCache::local().max_bytes(BOUND).build();
    let most = fill(&fresh);

    let (used, clock) = {
        let clock = hydracache::ManualClock::new();
        let builder = HydraCache::local().max_bytes(BOUND).clock(clock.clone());
        (builder.build(), clock)
    };
    // Grow, shrink, add windows and tags, take them away, refuse, expire, invalidate.
    let mut random = 1_u64;
    for number in 0..20_000_u32 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let pick = |among: u64| (random >> 33) % among;
        let key = format!("key {}", pick(40));
        let mut given = options();
        if pick(3) == 0 {
            given = lasting(3).stale_if_error(SECOND * 3);
        }
        for tag in 0..pick(4) {
            given = given.tag(format!("tag {tag}"));
        }
        let length = usize::try_from(pick(3_000)).unwrap();
        match number % 50 {
            0 => drop(invalidate(&used, "tag 1")),
            1 => clock.advance(SECOND),
            2 => drop(block_on(used.remove(&key)).unwrap()),
            3 => drop(block_on(used.expire(&key)).unwrap()),
            4 => block_on(used.put_bytes(&key, bytes(200_000), given)).unwrap(),
            _ => block_on(used.put_bytes(&key, bytes(length), given)).unwrap(),
        }
    }
    block_on(used.flush()).unwrap();
    clock.advance(SECOND * 10);
    assert_eq!(fill(&used), most);
}
