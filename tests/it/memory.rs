//! Bookkeeping is bounded by what lives: nothing that left leaves a trace.

use std::convert::Infallible;

use hydracache::HydraCache;

use crate::support::*;

/// The bytes that a scenario leaves allocated while its cache is alive.
fn held_after(cache: &HydraCache, scenario: impl FnOnce(&HydraCache)) -> i64 {
    allocation_counter::measure(|| scenario(cache)).bytes_current
}

const ROUNDS: u32 = 200_000;

#[test]
fn evicted_entries_leave_nothing_in_the_tag_index() {
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
fn overwritten_expired_removed_and_invalidated_entries_leave_nothing() {
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
fn loads_leave_nothing_however_they_end() {
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
fn dropped_invalidations_are_given_back_by_later_writes() {
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

/// What a few survivors keep is in proportion to them, not to what was once there.
#[test]
fn survivors_do_not_keep_the_room_of_those_who_left() {
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
fn loads_that_were_dropped_do_not_keep_room_for_their_tags() {
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
    // The tables were changed under two loads: one lands with its tag, one is fenced.
    door.open();
    leader.ends().unwrap();
    other.ends().unwrap();
    assert_eq!(get(&cache, "other"), None);
    assert_eq!(get(&cache, "key"), Some(7));
    assert_eq!(invalidate(&cache, "kept"), 1);
}

/// Fills a cache, empties it one way or another, and asks what it still holds.
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
fn an_emptied_cache_is_nearly_as_small_as_a_new_one() {
    let flushed = held_when_emptied(|cache| block_on(cache.flush()).unwrap());
    let invalidated = held_when_emptied(|cache| {
        block_on(cache.invalidate_tags((0..100).map(|n| format!("tag {n}")))).unwrap();
    });
    assert!(flushed < 20_000, "{flushed} bytes");
    assert!(invalidated < 20_000, "{invalidated} bytes");
}

/// Nothing is read, and what is written is little beside what has expired.
#[test]
fn a_few_writes_bring_back_what_expired() {
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
fn a_value_keeps_no_spare_capacity() {
    let cache = HydraCache::local().build();
    let held = held_after(&cache, |cache| {
        // The encoder's buffer grows by doubling: just past a power of two it is
        // nearly half empty.
        let value = vec![7_u8; (1 << 20) + 1];
        block_on(cache.put("key", &value, options())).unwrap();
    });
    assert!(held < (1 << 20) + 10_000, "{held} bytes");
}
