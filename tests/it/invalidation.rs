//! What a caller reads after an invalidation returned was loaded or put after
//! that invalidation began.

use std::convert::Infallible;

use hydracache::{Bytes, CacheOptions, HydraCache, ManualClock};

use crate::support::*;

type Fence = (&'static str, fn(&HydraCache));

/// Every act that overtakes a load of "key" with the tag "tag".
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
        // Something to give back, so that the future does not end at once.
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

/// A cache in which every fence works.
fn fenceable() -> (HydraCache, ManualClock) {
    let clock = ManualClock::new();
    let builder = HydraCache::local().max_entry_bytes(100);
    (builder.clock(clock.clone()).build(), clock)
}

#[test]
fn a_load_in_progress_is_fenced_by_every_invalidation() {
    for (name, fence) in FENCES {
        let (cache, clock) = fenceable();
        let (door, later_door) = (Door::default(), Door::default());
        let mut stale = lead(&cache, "key", 1, tagged("tag"), &door);
        let mut waiter = join(&cache, "key");

        fence(&cache);
        clock.advance(SECOND);
        // Who comes later starts a fresh load, though the stale one still runs.
        let mut fresh = lead(&cache, "key", 2, tagged("tag"), &later_door);
        let mut fresh_waiter = join(&cache, "key");

        door.open();
        assert_eq!(stale.ends().unwrap(), 1, "{name}");
        assert_eq!(
            waiter.ends().unwrap(),
            1,
            "{name}: who waited gets the value"
        );
        assert_eq!(get(&cache, "key"), None, "{name}: a stale value was stored");
        later_door.open();
        assert_eq!(fresh.ends().unwrap(), 2, "{name}");
        assert_eq!(fresh_waiter.ends().unwrap(), 2, "{name}");
        assert_eq!(get(&cache, "key"), Some(2), "{name}");
        assert_eq!(cache.stats().stale_load_discards, 1, "{name}");
    }
}

#[test]
fn a_stale_load_that_lands_last_stores_nothing_either() {
    for (name, fence) in FENCES {
        let (cache, clock) = fenceable();
        let door = Door::default();
        let mut stale = lead(&cache, "key", 1, tagged("tag"), &door);
        fence(&cache);
        clock.advance(SECOND);
        assert_eq!(load(&cache, "key", 2), 2, "{name}");
        door.open();
        assert_eq!(stale.ends().unwrap(), 1, "{name}");
        assert_eq!(
            get(&cache, "key"),
            Some(2),
            "{name}: overwritten by a stale load"
        );
    }
}

#[test]
fn a_put_is_newer_than_any_load_that_began_before() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 1, options(), &door);
    let mut waiter = join(&cache, "key");
    put(&cache, "key", 2, options());
    assert_eq!(load(&cache, "key", 3), 2);
    door.open();
    assert_eq!(leader.ends().unwrap(), 1);
    assert_eq!(waiter.ends().unwrap(), 1);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(cache.stats().stale_load_discards, 1);
}

#[test]
fn what_cannot_be_encoded_fences_nothing_and_removes_nothing() {
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
fn eviction_and_expiry_fence_nothing() {
    let (cache, clock) = clocked(1);
    put(&cache, "key", 0, lasting(1));
    clock.advance(SECOND);
    let door = Door::default();
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
fn unrelated_invalidations_discard_nothing_however_many() {
    let cache = HydraCache::local().build();
    put(&cache, "kept", 1, tagged("kept"));
    let door = Door::default();
    let mut leader = lead(&cache, "key", 1, options().tags(["a", "b"]), &door);
    for n in 0..10_000 {
        let other = format!("other {n}");
        put(&cache, &other, n, tagged(&other));
        assert_eq!(invalidate(&cache, &other), 1);
        invalidate(&cache, &format!("nobody {n}"));
        block_on(cache.remove(&other)).unwrap();
    }
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(get(&cache, "kept"), Some(1));
    assert_eq!(cache.stats().stale_load_discards, 0);
}

#[test]
fn a_loader_that_touches_its_own_key_is_overtaken_by_itself() {
    for (name, fence) in FENCES {
        let (cache, clock) = fenceable();
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

fn thousand(cache: &HydraCache, options: impl Fn(u32) -> CacheOptions) {
    for n in 0..1000 {
        put(cache, &format!("key {n}"), n, options(n));
    }
}

#[test]
fn the_first_poll_reaches_everything() {
    let cache = HydraCache::local().max_capacity(100_000).build();
    thousand(&cache, |n| {
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

/// Dropped after its first poll, an invalidation is as good as ended.
#[test]
fn a_dropped_invalidation_leaves_nothing_reachable_and_nothing_uncounted() {
    let cache = HydraCache::local().build();
    thousand(&cache, |_| tagged("tag"));
    drop(Hand::start(cache.invalidate_tag("tag")));
    assert_eq!(cache.stats().invalidations, 1000);
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(invalidate(&cache, "tag"), 0);
    thousand(&cache, |_| tagged("tag"));
    assert_eq!(cache.entry_count(), 1000);
    drop(Hand::hold(cache.invalidate_tag("tag")));
    assert_eq!(
        cache.entry_count(),
        1000,
        "it did something before its first poll"
    );
    assert_eq!(invalidate(&cache, "tag"), 1000);
}

#[test]
fn what_an_invalidation_named_may_be_stored_again_while_it_runs() {
    let cache = HydraCache::local().build();
    thousand(&cache, |_| tagged("tag"));
    let mut invalidation = Hand::start(cache.invalidate_tag("tag"));
    put(&cache, "key 0", 7, tagged("tag"));
    assert_eq!(load(&cache, "key 1", 8), 8);
    let count = invalidation.finish().unwrap();
    assert_eq!(count, 1000);
    assert_eq!(get(&cache, "key 0"), Some(7));
    assert_eq!(get(&cache, "key 1"), Some(8));
    assert_eq!(cache.stats().invalidations, 1000);
}

#[test]
fn no_poll_runs_long() {
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
fn a_flush_is_not_an_invalidation_by_the_counters() {
    let cache = HydraCache::local().build();
    thousand(&cache, |_| tagged("tag"));
    block_on(cache.flush()).unwrap();
    assert_eq!(invalidate(&cache, "tag"), 0);
    assert_stats(cache.stats(), |_| {});
}

#[test]
fn two_invalidations_of_one_entry_count_it_once() {
    let cache = HydraCache::local().build();
    thousand(&cache, |_| options().tags(["a", "b"]));
    let mut first = Hand::start(cache.invalidate_tag("a"));
    let mut second = Hand::hold(cache.invalidate_tag("b"));
    assert_eq!(second.finish().unwrap(), 0);
    assert_eq!(first.ends().unwrap(), 1000);
    assert_eq!(cache.stats().invalidations, 1000);
}

#[test]
fn a_flush_while_an_invalidation_runs_takes_nothing_from_its_count() {
    let cache = HydraCache::local().build();
    thousand(&cache, |n| options().tag(["a", "b"][n as usize % 2]));
    let mut invalidation = Hand::start(cache.invalidate_tag("a"));
    block_on(cache.flush()).unwrap();
    assert_eq!(invalidation.ends().unwrap(), 500);
    assert_eq!(cache.stats().invalidations, 500);
}
