//! Tags chosen by a loader fence the load too, although unknown while the loader runs.

use std::convert::Infallible;

use hydracache::{CacheOptions, CacheResult, Fetched, HydraCache, Loaded};

use crate::stale::*;
use crate::support::*;

type Fetch<'a> = Hand<'a, CacheResult<Fetched<u32>>>;

/// Starts a fetch: the call claims the slot, the loader waits at the door, then names `tags`.
#[track_caller]
fn fetch_with_tags<'a>(
    cache: &'a HydraCache,
    tags: &'a [&'a str],
    options: CacheOptions,
    door: &'a Door,
) -> Fetch<'a> {
    let before = cache.stats().loads;
    let hand = Hand::start(cache.fetch("key", options, move |_| async move {
        door.pass().await;
        Ok::<_, Infallible>(Loaded::new(1_u32).tags(tags))
    }));
    assert_eq!(cache.stats().loads, before + 1, "the call must lead");
    hand
}

/// A waiter with a loader for the value 2.
fn late(cache: &HydraCache) -> Hand<'_, CacheResult<u32>> {
    Hand::start(cache.get_or_load("key", options(), ready(2_u32)))
}

/// `FusionCache`#625, #628, dotnet/extensions#7771: an invalidation during a load was lost.
#[test]
fn invalidation_of_a_loader_tag_discards_the_load() {
    let invalidations: [fn(&HydraCache); 4] = [
        |cache| assert_eq!(invalidate(cache, "b"), 0),
        |cache| {
            let both = cache.invalidate_tags(["x", "b"]);
            assert_eq!(block_on(both).unwrap(), 0);
        },
        |cache| assert_eq!(expire_tag(cache, "b"), 0),
        flush,
    ];
    for invalidate_now in invalidations {
        let cache = HydraCache::local().build();
        let door = Door::default();
        // 1. The load starts. 2. The invalidation runs. 3. The loader names the tag.
        let mut leader = fetch_with_tags(&cache, &["a", "b"], options(), &door);
        invalidate_now(&cache);
        door.open();
        assert_eq!(leader.ends().unwrap().value, 1);
        assert_eq!(get(&cache, "key"), None);
        assert_eq!(cache.stats().stale_load_discards, 1);
        assert_eq!(cache.entry_count(), 0);
    }
}

#[test]
fn dropped_invalidation_of_a_loader_tag_discards_the_load() {
    let cache = HydraCache::local().build();
    for n in 0..600 {
        put(&cache, &format!("member {n}"), n, tagged("a"));
    }
    let door = Door::default();
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    drop(Hand::start(cache.invalidate_tag("a")));
    door.open();
    assert_eq!(leader.ends().unwrap().value, 1);
    assert_eq!(get(&cache, "key"), None);
}

#[test]
fn unpolled_invalidation_discards_no_load() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    drop(cache.invalidate_tag("a"));
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn loader_tag_is_an_ordinary_tag_before_and_after_the_load() {
    let cache = HydraCache::local().build();
    assert_eq!(invalidate(&cache, "a"), 0);
    let door = Door::default();
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(invalidate(&cache, "a"), 1);
    assert_eq!(get(&cache, "key"), None);
}

/// Another load in flight keeps the invalidation log. An invalidation logged before a load began
/// must not discard the load.
#[test]
fn invalidation_logged_before_a_load_does_not_discard_it() {
    let cache = HydraCache::local().build();
    let hung = std::future::pending::<Result<Loaded<u32>, Infallible>>;
    let _other = Hand::start(cache.fetch("other", options(), |_| hung()));
    // 1. Tag "a" is invalidated. 2. The load starts. 3. A call joins. 4. The loader names "a".
    assert_eq!(invalidate(&cache, "a"), 0);
    let door = Door::default();
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    let mut waiter = late(&cache);
    door.open();
    leader.ends().unwrap();
    assert_eq!(waiter.ends().unwrap(), 1);
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(cache.stats().stale_load_discards, 0);
}

#[test]
fn waiter_joined_before_the_invalidation_gets_the_value() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. The load starts. 2. A call joins. 3. Tag "a" is invalidated. 4. The loader names "a".
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    let mut early = join(&cache, "key");
    assert_eq!(invalidate(&cache, "a"), 0);
    door.open();
    assert_eq!(leader.ends().unwrap().value, 1);
    assert_eq!(early.ends().unwrap(), 1);
    assert_eq!(cache.stats().single_flight_joins, 1);
}

#[test]
fn waiter_joined_after_the_invalidation_looks_again() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. The load starts. 2. Tag "a" is invalidated. 3. A late call joins.
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    assert_eq!(invalidate(&cache, "a"), 0);
    let mut late = late(&cache);
    // 4. The load ends and names "a". 5. The late call rejects the value and loads.
    door.open();
    assert_eq!(leader.ends().unwrap().value, 1);
    assert!(late.was_woken());
    assert_eq!(late.ends().unwrap(), 2);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 2;
        stats.loads = 2;
        stats.stale_load_discards = 1;
    });
}

#[test]
fn waiters_joined_after_any_named_invalidation_look_again() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. The load starts. 2. The first call joins. 3. Tag "a" is invalidated.
    let mut leader = fetch_with_tags(&cache, &["a", "b"], options(), &door);
    let mut first = join(&cache, "key");
    assert_eq!(invalidate(&cache, "a"), 0);
    // 4. The second call joins. 5. Tag "b" is invalidated. 6. The third call joins.
    let mut second = late(&cache);
    assert_eq!(invalidate(&cache, "b"), 0);
    let mut third = Hand::start(cache.get_or_load("key", options(), never::<u32>));
    // 7. The loader names "a" and "b": only the first call keeps the value.
    door.open();
    leader.ends().unwrap();
    assert_eq!(first.ends().unwrap(), 1);
    assert_eq!(second.ends().unwrap(), 2);
    assert_eq!(third.ends().unwrap(), 2);
    assert_eq!(cache.stats().loads, 2);
}

#[test]
fn waiter_between_two_invalidations_of_a_tag_looks_again() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. The load starts. 2. Tag "a" is invalidated. 3. A call joins.
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    assert_eq!(invalidate(&cache, "a"), 0);
    let mut late = late(&cache);
    assert_eq!(invalidate(&cache, "a"), 0);
    // 4. Tag "a" was invalidated again. 5. The loader names "a".
    door.open();
    leader.ends().unwrap();
    assert_eq!(late.ends().unwrap(), 2);
}

#[test]
fn unrelated_tags_discard_no_load_and_reject_no_waiter() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    let mut early = join(&cache, "key");
    for n in 0..10_000 {
        assert_eq!(invalidate(&cache, &format!("unrelated {n}")), 0);
    }
    let mut late = Hand::start(cache.get_or_load("key", options(), never::<u32>));
    door.open();
    leader.ends().unwrap();
    assert_eq!((early.ends().unwrap(), late.ends().unwrap()), (1, 1));
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(cache.stats().stale_load_discards, 0);
}

/// Invalidates `n` unrelated tags.
fn invalidate_unrelated(cache: &HydraCache, n: usize) {
    let names = (0..n).map(|n| format!("unrelated {n}"));
    assert_eq!(block_on(cache.invalidate_tags(names)).unwrap(), 0);
}

#[test]
fn invalidation_log_holds_65536_tags() {
    for (more, stored) in [(0, Some(1)), (1, None)] {
        let cache = HydraCache::local().build();
        let door = Door::default();
        let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
        invalidate_unrelated(&cache, 65_536 + more);
        door.open();
        assert_eq!(leader.ends().unwrap().value, 1);
        assert_eq!(get(&cache, "key"), stored);
        let discards = u64::from(stored.is_none());
        assert_eq!(cache.stats().stale_load_discards, discards);
    }
}

#[test]
fn oldest_tag_in_a_full_log_is_still_known() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    assert_eq!(invalidate(&cache, "a"), 0);
    let mut late = late(&cache);
    invalidate_unrelated(&cache, 65_535);
    door.open();
    leader.ends().unwrap();
    assert_eq!(late.ends().unwrap(), 2);
}

#[test]
fn waiter_of_a_load_older_than_the_log_looks_again() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = fetch_with_tags(&cache, &["a"], options(), &door);
    invalidate_unrelated(&cache, 65_537);
    let mut late = late(&cache);
    door.open();
    assert_eq!(leader.ends().unwrap().value, 1);
    assert_eq!(late.ends().unwrap(), 2);
    assert_eq!(cache.stats().loads, 2);
}

#[test]
fn load_without_loader_tags_is_never_too_old_for_the_log() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = fetch_with_tags(&cache, &[], options(), &door);
    let mut early = join(&cache, "key");
    invalidate_unrelated(&cache, 70_000);
    let mut late = Hand::start(cache.get_or_load("key", options(), never::<u32>));
    door.open();
    leader.ends().unwrap();
    assert_eq!((early.ends().unwrap(), late.ends().unwrap()), (1, 1));
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn load_with_option_tags_is_never_too_old_for_the_log() {
    let cache = HydraCache::local().build();
    let (door, other) = (Door::default(), Door::default());
    let mut leader = lead(&cache, "plain", 7, tagged("mine"), &door);
    let mut fetch = fetch_with_tags(&cache, &[], tagged("mine"), &other);
    invalidate_unrelated(&cache, 70_000);
    door.open();
    other.open();
    leader.ends().unwrap();
    fetch.ends().unwrap();
    assert_eq!(get(&cache, "plain"), Some(7));
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(invalidate(&cache, "mine"), 2);
}

#[test]
fn option_tags_of_a_fetch_fence_its_load_at_once() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. The load starts, a call joins. 2. The option tag is invalidated. 3. A call loads.
    let mut leader = fetch_with_tags(&cache, &["own"], tagged("mine"), &door);
    let mut early = join(&cache, "key");
    assert_eq!(invalidate(&cache, "mine"), 0);
    assert_eq!(load(&cache, "key", 2), 2, "a later caller loads at once");
    door.open();
    leader.ends().unwrap();
    assert_eq!(early.ends().unwrap(), 1);
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn tags_of_an_unchanged_value_fence_its_load() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(100).tag("old"));
    clock.advance(SECOND * 12);
    let door = Door::default();
    // 1. The load starts. 2. The stored tag is invalidated. 3. A call joins.
    let mut leader = Hand::start(cache.fetch("key", options(), |old| async {
        door.pass().await;
        unchanged(old).await
    }));
    assert_eq!(invalidate(&cache, "old"), 0);
    let mut late = late(&cache);
    door.open();
    assert_eq!(leader.ends().unwrap().value, 1);
    assert_eq!(late.ends().unwrap(), 2);
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn loader_that_invalidates_its_own_tag_is_not_stored() {
    let cache = HydraCache::local().build();
    let call = cache.fetch("key", options(), async |_| {
        cache.invalidate_tag("a").await?;
        Ok::<_, hydracache::CacheError>(Loaded::new(1_u32).tag("a"))
    });
    assert_eq!(block_on(call).unwrap().value, 1);
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(cache.stats().stale_load_discards, 1);
}

#[test]
fn later_load_is_not_discarded_by_an_earlier_invalidation() {
    let cache = HydraCache::local().build();
    let (door, other) = (Door::default(), Door::default());
    // 1. A load starts. 2. Tag "a" is invalidated. 3. The load is dropped.
    let first = fetch_with_tags(&cache, &["a"], options(), &door);
    assert_eq!(invalidate(&cache, "a"), 0);
    drop(first);
    // 4. A second load starts, ends, and names "a".
    let mut second = fetch_with_tags(&cache, &["a"], options(), &other);
    other.open();
    assert_eq!(second.ends().unwrap().value, 1);
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn ended_loads_leave_the_invalidation_log_empty() {
    let cache = HydraCache::local().build();
    for round in 0..20 {
        let door = Door::default();
        let mut one = fetch_with_tags(&cache, &["a"], options(), &door);
        if round % 2 == 0 {
            door.open();
            one.ends().unwrap();
        }
        drop(one);
        let failing = cache.fetch("other", options(), |_| failing_loader::<Loaded<u32>>());
        assert!(block_on(failing).is_err());
        remove(&cache, "key");
    }
    // With no load in flight, invalidations are not logged.
    let names: Vec<String> = (0..1000).map(|n| format!("tag {n}")).collect();
    let kept = allocation_counter::measure(|| {
        for name in &names {
            invalidate(&cache, name);
        }
    });
    assert_eq!(kept.bytes_current, 0);
}
