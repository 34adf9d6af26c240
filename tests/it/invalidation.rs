//! After an invalidation returns, no caller reads a value loaded or put before the
//! invalidation began.

use std::convert::Infallible;

use hydracache::{Bytes, CacheOptions, HydraCache, ManualClock};

use crate::support::*;

type Fence = (&'static str, fn(&HydraCache));

/// Every call to fence a load of "key" with the tag "tag".
const FENCES: [Fence; 10] = [
    ("remove", |cache| {
        assert!(!block_on(cache.remove("key")).unwrap());
    }),
    ("invalidate_key", |cache| {
        assert!(!block_on(cache.invalidate_key("key")).unwrap());
    }),
    ("invalidate_tag", |cache| {
        assert_eq!(invalidate(cache, "tag"), 0);
    }),
    ("invalidate_tags", |cache| {
        let tags = ["other", "tag"];
        assert_eq!(block_on(cache.invalidate_tags(tags)).unwrap(), 0);
    }),
    ("invalidate_tag, dropped", |cache| {
        // Many entries to sweep, so that the future does not end at its first poll.
        for n in 0..1000 {
            put(cache, &format!("member {n}"), n, tagged("tag"));
        }
        drop(Hand::start(cache.invalidate_tag("tag")));
    }),
    ("flush", |cache| block_on(cache.flush()).unwrap()),
    ("put and remove", |cache| {
        put(cache, "key", 5, options());
        assert!(block_on(cache.remove("key")).unwrap());
    }),
    ("put with a ttl of zero", |cache| {
        put(cache, "key", 5, lasting(0));
    }),
    ("put of too large a value", |cache| {
        let large = Bytes::from(vec![0; 101]);
        block_on(cache.put_bytes("key", large, options())).unwrap();
    }),
    ("put that expires", |cache| put(cache, "key", 5, lasting(1))),
];

/// A cache for every call of `FENCES`: with a size bound and a manual clock.
fn cache_for_fences() -> (HydraCache, ManualClock) {
    let clock = ManualClock::new();
    let builder = HydraCache::local().max_entry_bytes(100);
    (builder.clock(clock.clone()).build(), clock)
}

#[test]
fn running_load_is_fenced_by_every_invalidation() {
    for (name, fence) in FENCES {
        let (cache, clock) = cache_for_fences();
        let (door, later_door) = (Door::default(), Door::default());
        // 1. A leader claims the slot, and a waiter joins. 2. The invalidation runs.
        let mut fenced = lead(&cache, "key", 1, tagged("tag"), &door);
        let mut waiter = join(&cache, "key");

        fence(&cache);
        clock.advance(SECOND);
        // 3. Later callers start a second load, while the fenced load still runs.
        let mut fresh = lead(&cache, "key", 2, tagged("tag"), &later_door);
        let mut fresh_waiter = join(&cache, "key");

        // 4. The fenced load ends first: the leader and the waiter get the value.
        door.open();
        assert_eq!(fenced.ends().unwrap(), 1, "{name}");
        assert_eq!(
            waiter.ends().unwrap(),
            1,
            "{name}: the waiter gets the fenced value"
        );
        assert_eq!(
            get(&cache, "key"),
            None,
            "{name}: a fenced value must not be stored"
        );
        later_door.open();
        assert_eq!(fresh.ends().unwrap(), 2, "{name}");
        assert_eq!(fresh_waiter.ends().unwrap(), 2, "{name}");
        assert_eq!(get(&cache, "key"), Some(2), "{name}");
        assert_eq!(cache.stats().stale_load_discards, 1, "{name}");
    }
}

#[test]
fn fenced_load_that_completes_last_stores_nothing() {
    for (name, fence) in FENCES {
        let (cache, clock) = cache_for_fences();
        let door = Door::default();
        // 1. A load claims the slot. 2. The invalidation runs. 3. A second load is stored.
        let mut fenced = lead(&cache, "key", 1, tagged("tag"), &door);
        fence(&cache);
        clock.advance(SECOND);
        assert_eq!(load(&cache, "key", 2), 2, "{name}");
        // 4. The first load completes last.
        door.open();
        assert_eq!(fenced.ends().unwrap(), 1, "{name}");
        assert_eq!(
            get(&cache, "key"),
            Some(2),
            "{name}: a fenced load must not overwrite the value"
        );
    }
}

#[test]
fn put_fences_a_load_that_began_before() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. A load claims the slot, and a waiter joins. 2. A put stores 2. 3. A call hits.
    let mut leader = lead(&cache, "key", 1, options(), &door);
    let mut waiter = join(&cache, "key");
    put(&cache, "key", 2, options());
    assert_eq!(load(&cache, "key", 3), 2);
    // 4. The load completes: leader and waiter get 1, the entry stays 2.
    door.open();
    assert_eq!(leader.ends().unwrap(), 1);
    assert_eq!(waiter.ends().unwrap(), 1);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(cache.stats().stale_load_discards, 1);
}

#[test]
fn unencodable_put_fences_no_load_and_removes_no_entry() {
    let cache = HydraCache::local().build();
    put(&cache, "kept", 1, options());
    let door = Door::default();
    let mut leader = lead(&cache, "key", 1, options(), &door);
    for key in ["key", "kept"] {
        let unencodable = cache.put(key, crate::errors::Unencodable, options());
        assert!(block_on(unencodable).unwrap_err().is_encode());
    }
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(get(&cache, "kept"), Some(1));
}

#[test]
fn eviction_and_expiry_fence_no_load() {
    let (cache, clock) = clocked(1);
    put(&cache, "key", 0, lasting(1));
    clock.advance(SECOND);
    let door = Door::default();
    // 1. A load claims the slot. 2. Puts evict entries. 3. The load is stored.
    let mut leader = lead(&cache, "key", 1, tagged("tag"), &door);
    for n in 0..10 {
        put(&cache, &format!("filler {n}"), n, tagged("other"));
    }
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(cache.stats().stale_load_discards, 0);
}

#[test]
fn ten_thousand_unrelated_invalidations_discard_no_load() {
    let cache = HydraCache::local().build();
    put(&cache, "kept", 1, tagged("kept"));
    let door = Door::default();
    let mut leader = lead(&cache, "key", 1, options().tags(["a", "b"]), &door);
    for n in 0..10_000 {
        let other = format!("other {n}");
        put(&cache, &other, n, tagged(&other));
        assert_eq!(invalidate(&cache, &other), 1);
        invalidate(&cache, &format!("absent {n}"));
        block_on(cache.remove(&other)).unwrap();
    }
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(get(&cache, "kept"), Some(1));
    assert_eq!(cache.stats().stale_load_discards, 0);
}

#[test]
fn loader_that_invalidates_its_own_key_fences_its_load() {
    for (name, fence) in FENCES {
        let (cache, clock) = cache_for_fences();
        let loaded = cache.get_or_load("key", tagged("tag"), || async {
            fence(&cache);
            Ok::<_, Infallible>(1_u32)
        });
        assert_eq!(block_on(loaded).unwrap(), 1, "{name}");
        clock.advance(SECOND);
        assert_eq!(get(&cache, "key"), None, "{name}");
        assert_eq!(cache.stats().stale_load_discards, 1, "{name}");
    }
}

fn put_thousand(cache: &HydraCache, options: impl Fn(u32) -> CacheOptions) {
    for n in 0..1000 {
        put(cache, &format!("key {n}"), n, options(n));
    }
}

#[test]
fn invalidation_takes_effect_at_its_first_poll() {
    let cache = HydraCache::local().max_capacity(100_000).build();
    put_thousand(&cache, |n| {
        options().tag(["even", "odd"][n as usize % 2]).tag("all")
    });
    let invalidation = Hand::start(cache.invalidate_tag("odd"));
    for n in 0..1000 {
        let key = format!("key {n}");
        assert_eq!(get(&cache, &key), (n % 2 == 0).then_some(n));
        assert_eq!(block_on(cache.contains_key(&key)), n % 2 == 0);
        assert_eq!(
            block_on(cache.get_bytes(&key)).unwrap().is_some(),
            n % 2 == 0
        );
        assert_eq!(
            block_on(cache.peek::<u32>(&key)).unwrap().is_some(),
            n % 2 == 0
        );
    }
    assert_eq!(cache.entry_count(), 500);
    drop(invalidation);
    let flush = Hand::start(cache.flush());
    for n in 0..1000 {
        assert_eq!(get(&cache, &format!("key {n}")), None);
    }
    assert_eq!(cache.entry_count(), 0);
    drop(flush);
}

/// An invalidation dropped after its first poll has taken full effect.
#[test]
fn dropped_invalidation_has_removed_and_counted_all() {
    let cache = HydraCache::local().build();
    put_thousand(&cache, |_| tagged("tag"));
    drop(Hand::start(cache.invalidate_tag("tag")));
    assert_eq!(cache.stats().invalidations, 1000);
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(invalidate(&cache, "tag"), 0);
    put_thousand(&cache, |_| tagged("tag"));
    assert_eq!(cache.entry_count(), 1000);
    drop(Hand::hold(cache.invalidate_tag("tag")));
    assert_eq!(
        cache.entry_count(),
        1000,
        "an unpolled invalidation must do nothing"
    );
    assert_eq!(invalidate(&cache, "tag"), 1000);
}

#[test]
fn tag_can_be_stored_again_while_its_invalidation_runs() {
    let cache = HydraCache::local().build();
    put_thousand(&cache, |_| tagged("tag"));
    // 1. The first poll of the invalidation removes all. 2. New entries get the same tag.
    let mut invalidation = Hand::start(cache.invalidate_tag("tag"));
    put(&cache, "key 0", 7, tagged("tag"));
    assert_eq!(load(&cache, "key 1", 8), 8);
    // 3. The invalidation sweeps to its end, and leaves the new entries.
    let count = invalidation.finish().unwrap();
    assert_eq!(count, 1000);
    assert_eq!(get(&cache, "key 0"), Some(7));
    assert_eq!(get(&cache, "key 1"), Some(8));
    assert_eq!(cache.stats().invalidations, 1000);
}

#[test]
fn large_invalidation_spreads_over_many_polls() {
    let cache = HydraCache::local().max_capacity(100_000).build();
    let fill = || {
        for n in 0..20_000 {
            put(&cache, &format!("key {n}"), n, tagged("tag"));
        }
    };
    let polls = |call: &mut Hand<'_, ()>| {
        let mut polls = 1;
        while call.poll().is_pending() {
            polls += 1;
        }
        polls
    };
    fill();
    let mut invalidation = Hand::hold(async {
        assert_eq!(cache.invalidate_tag("tag").await.unwrap(), 20_000);
    });
    assert!(polls(&mut invalidation) > 50);
    fill();
    let mut flush = Hand::hold(async { cache.flush().await.unwrap() });
    assert!(polls(&mut flush) > 50);
}

#[test]
fn flush_moves_no_counter() {
    let cache = HydraCache::local().build();
    put_thousand(&cache, |_| tagged("tag"));
    block_on(cache.flush()).unwrap();
    assert_eq!(invalidate(&cache, "tag"), 0);
    assert_stats(cache.stats(), |_| {});
}

#[test]
fn entry_hit_by_two_running_invalidations_counts_once() {
    let cache = HydraCache::local().build();
    put_thousand(&cache, |_| options().tags(["a", "b"]));
    // 1. The first poll of A removes all. 2. B runs and finds none. 3. A ends.
    let mut first = Hand::start(cache.invalidate_tag("a"));
    let mut second = Hand::hold(cache.invalidate_tag("b"));
    assert_eq!(second.finish().unwrap(), 0);
    assert_eq!(first.ends().unwrap(), 1000);
    assert_eq!(cache.stats().invalidations, 1000);
}

#[test]
fn flush_during_an_invalidation_leaves_its_count() {
    let cache = HydraCache::local().build();
    put_thousand(&cache, |n| options().tag(["a", "b"][n as usize % 2]));
    // 1. The first poll counts and removes. 2. A flush runs. 3. The invalidation ends.
    let mut invalidation = Hand::start(cache.invalidate_tag("a"));
    block_on(cache.flush()).unwrap();
    assert_eq!(invalidation.ends().unwrap(), 500);
    assert_eq!(cache.stats().invalidations, 500);
}
