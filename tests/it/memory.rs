//! Bookkeeping is bounded by live entries: ended entries and loads leave no memory behind.

use std::convert::Infallible;

use hydracache::HydraCache;

use crate::support::*;

/// The bytes still allocated after the scenario, while the cache is alive.
fn held_after(cache: &HydraCache, scenario: impl FnOnce(&HydraCache)) -> i64 {
    allocation_counter::measure(|| scenario(cache)).bytes_current
}

const ROUNDS: u32 = 200_000;

#[test]
fn evicted_entries_leave_no_tag_records() {
    let cache = HydraCache::local().max_capacity(333).build();
    let held = held_after(&cache, |cache| {
        for n in 0..ROUNDS {
            put(
                cache,
                &format!("key {n}"),
                n,
                options().tags([format!("tag {n}"), "all".into()]),
            );
        }
    });
    assert!(held < 200_000, "{held} bytes");
    assert_eq!(invalidate(&cache, "all"), 333);
}

#[test]
fn overwritten_expired_and_removed_entries_leave_no_memory() {
    let (cache, clock) = clocked(1000);
    let held = held_after(&cache, |cache| {
        for n in 0..ROUNDS / 4 {
            let own = format!("tag {n}");
            put(cache, "overwritten", n, tagged(&own));
            put(cache, &format!("expired {n}"), n, lasting(1).tag(&own));
            clock.advance(SECOND);
            put(cache, "removed", n, tagged(&own));
            block_on(cache.remove("removed")).unwrap();
            put(cache, "invalidated", n, tagged(&own));
            invalidate(cache, &own);
        }
    });
    assert!(held < 50_000, "{held} bytes");
    assert!(cache.entry_count() < 100);
}

#[test]
fn ended_loads_leave_no_memory_however_they_end() {
    let cache = HydraCache::local().max_capacity(10).build();
    let held = held_after(&cache, |cache| {
        for n in 0..ROUNDS / 10 {
            let (key, tag) = (format!("key {n}"), format!("tag {n}"));
            let call = |end: Result<u32, &'static str>| {
                let loader = || async move { end };
                block_on(cache.get_or_load(&key, tagged(&tag), loader)).ok()
            };
            call(Err("down"));
            let endless = || std::future::pending::<Result<u32, Infallible>>();
            let dropped = Hand::start(cache.get_or_load(&key, tagged(&tag), endless));
            drop(join(cache, &key));
            invalidate(cache, &tag);
            drop(dropped);
            call(Ok(n));
        }
    });
    assert!(held < 20_000, "{held} bytes");
}

#[test]
fn later_writes_free_the_memory_of_dropped_invalidations() {
    let cache = HydraCache::local().max_capacity(10_000).build();
    let held = held_after(&cache, |cache| {
        let fill = || {
            for n in 0..5000 {
                put(cache, &format!("key {n}"), n, tagged("tag"));
            }
        };
        fill();
        drop(Hand::start(cache.invalidate_tag("tag")));
        fill();
        drop(Hand::start(cache.flush()));
        for n in 0..400 {
            put(cache, "key", n, tagged("tag"));
        }
    });
    assert!(held < 20_000, "{held} bytes");
}

/// Memory is in proportion to the live entries, not to the largest number of entries so far.
#[test]
fn tables_shrink_after_most_entries_expired() {
    let (cache, clock) = clocked(100_000);
    let held = held_after(&cache, |cache| {
        let stay = |n: u32| put(cache, &format!("stay {n}"), n, tagged("stay"));
        (0..1000).for_each(stay);
        for n in 0..90_000 {
            put(
                cache,
                &format!("leave {n}"),
                n,
                lasting(1).tag(format!("tag {n}")),
            );
        }
        clock.advance(SECOND);
        for _ in 0..100 {
            (0..1000).for_each(stay);
        }
        assert_eq!(cache.entry_count(), 1000);
    });
    assert!(held < 1_500_000, "{held} bytes");
    for n in 0..1000 {
        assert_eq!(get(&cache, &format!("stay {n}")), Some(n));
    }
    assert_eq!(invalidate(&cache, "stay"), 1000);
}

#[test]
fn dropped_loads_leave_no_memory_for_their_tags() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let keys: Vec<String> = (0..20_000).map(|n| format!("key {n}")).collect();
    let mut leader = lead(&cache, "key", 7, tagged("kept"), &door);
    let mut other = lead(&cache, "other", 8, tagged("ended"), &door);
    let held = held_after(&cache, |cache| {
        let endless = || std::future::pending::<Result<u32, Infallible>>();
        let calls: Vec<_> = keys
            .iter()
            .map(|key| Hand::start(cache.get_or_load(key, tagged(key), endless)))
            .collect();
        drop(calls);
        invalidate(cache, "ended");
        for n in 0..100 {
            put(cache, &format!("after {n}"), n, options());
        }
    });
    assert!(held < 100_000, "{held} bytes");
    // The tables changed under two running loads: one is stored with its tag, one is fenced.
    door.open();
    leader.ends().unwrap();
    other.ends().unwrap();
    assert_eq!(get(&cache, "other"), None);
    assert_eq!(get(&cache, "key"), Some(7));
    assert_eq!(invalidate(&cache, "kept"), 1);
}

/// Fills a cache, empties the cache by the closure, and returns the bytes still held.
fn held_when_emptied(empty: impl FnOnce(&HydraCache)) -> i64 {
    let cache = HydraCache::local().max_capacity(100_000).build();
    held_after(&cache, |cache| {
        for n in 0..100_000 {
            put(
                cache,
                &format!("key {n}"),
                n,
                lasting(1).tag(format!("tag {}", n % 100)),
            );
        }
        empty(cache);
    })
}

#[test]
fn emptied_cache_is_nearly_as_small_as_a_new_one() {
    let flushed = held_when_emptied(|cache| block_on(cache.flush()).unwrap());
    let invalidated = held_when_emptied(|cache| {
        block_on(cache.invalidate_tags((0..100).map(|n| format!("tag {n}")))).unwrap();
    });
    assert!(flushed < 20_000, "{flushed} bytes");
    assert!(invalidated < 20_000, "{invalidated} bytes");
}

/// No reads, and few writes compared with the number of expired entries.
#[test]
fn few_writes_free_many_expired_entries() {
    let (cache, clock) = clocked(100_000);
    let held = held_after(&cache, |cache| {
        for n in 0..100_000 {
            put(cache, &format!("key {n}"), n, lasting(1 + n % 3).tag("tag"));
        }
        clock.advance(SECOND * 4);
        for n in 0..1000 {
            put(cache, &format!("later {n}"), n, options());
        }
    });
    assert_eq!(cache.entry_count(), 1000);
    let stats = cache.stats();
    assert_eq!(stats.expirations + stats.evictions, 100_000);
    assert!(held < 500_000, "{held} bytes");
}

#[test]
fn stored_value_has_no_spare_capacity() {
    let cache = HydraCache::local().build();
    let held = held_after(&cache, |cache| {
        // The encoder's buffer doubles when full: just past a power of two, nearly half
        // of the buffer is spare.
        let value = vec![7_u8; (1 << 20) + 1];
        block_on(cache.put("key", &value, options())).unwrap();
    });
    assert!(held < (1 << 20) + 10_000, "{held} bytes");
}

/// The entries of a dropped invalidation take up memory until later writes to other keys sweep
/// them.
#[test]
fn later_writes_sweep_a_dropped_tag_invalidation() {
    let cache = HydraCache::local().max_capacity(10_000).build();
    let held = held_after(&cache, |cache| {
        for n in 0..5000 {
            put(cache, &format!("key {n}"), n, tagged("tag"));
        }
        drop(Hand::start(cache.invalidate_tag("tag")));
        for n in 0..400 {
            put(cache, "another key", n, options());
        }
    });
    assert!(held < 20_000, "{held} bytes");
}
