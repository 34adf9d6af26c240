//! Tags that a loader chose: fenced, though nobody knew them while it ran.

use std::convert::Infallible;

use hydracache::{CacheOptions, CacheResult, Fetched, HydraCache, Loaded};

use crate::stale::*;
use crate::support::*;

type Fetch<'a> = Hand<'a, CacheResult<Fetched<u32>>>;

/// A fetch that has its seat, waits at the door and then names its tags.
#[track_caller]
fn naming<'a>(
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
    assert_eq!(cache.stats().loads, before + 1, "the call did not lead");
    hand
}

/// A call whose own loader would give 2.
fn late(cache: &HydraCache) -> Hand<'_, CacheResult<u32>> {
    Hand::start(cache.get_or_load("key", options(), ready(2_u32)))
}

/// `FusionCache`#625, #628, dotnet/extensions#7771: an invalidation during a load is lost.
#[test]
fn an_invalidation_during_the_load_discards_it() {
    let acts: [fn(&HydraCache); 4] = [
        |cache| assert_eq!(invalidate(cache, "b"), 0),
        |cache| {
            let both = cache.invalidate_tags(["x", "b"]);
            assert_eq!(block_on(both).unwrap(), 0);
        },
        |cache| assert_eq!(expire_tag(cache, "b"), 0),
        flush,
    ];
    for act in acts {
        let cache = HydraCache::local().build();
        let door = Door::default();
        let mut leader = naming(&cache, &["a", "b"], options(), &door);
        act(&cache);
        door.open();
        assert_eq!(leader.ends().unwrap().value, 1);
        assert_eq!(get(&cache, "key"), None);
        assert_eq!(cache.stats().stale_load_discards, 1);
        assert_eq!(cache.entry_count(), 0);
    }
}

#[test]
fn an_invalidation_that_was_begun_and_dropped_discards_it_too() {
    let cache = HydraCache::local().build();
    for n in 0..600 {
        put(&cache, &format!("member {n}"), n, tagged("a"));
    }
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    drop(Hand::start(cache.invalidate_tag("a")));
    door.open();
    assert_eq!(leader.ends().unwrap().value, 1);
    assert_eq!(get(&cache, "key"), None);
}

#[test]
fn an_invalidation_that_was_never_polled_does_nothing() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    drop(cache.invalidate_tag("a"));
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn one_before_the_load_and_one_after_it_do_as_ever() {
    let cache = HydraCache::local().build();
    assert_eq!(invalidate(&cache, "a"), 0);
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(invalidate(&cache, "a"), 1);
    assert_eq!(get(&cache, "key"), None);
}

/// Another load in flight keeps the memory: what was marked before this one began is
/// nothing to it.
#[test]
fn a_mark_from_before_the_load_is_nothing_to_it() {
    let cache = HydraCache::local().build();
    let hung = std::future::pending::<Result<Loaded<u32>, Infallible>>;
    let _other = Hand::start(cache.fetch("other", options(), |_| hung()));
    assert_eq!(invalidate(&cache, "a"), 0);
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    let mut waiter = late(&cache);
    door.open();
    leader.ends().unwrap();
    assert_eq!(waiter.ends().unwrap(), 1);
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(cache.stats().stale_load_discards, 0);
}

#[test]
fn who_joined_before_the_invalidation_gets_the_value() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    let mut early = join(&cache, "key");
    assert_eq!(invalidate(&cache, "a"), 0);
    door.open();
    assert_eq!(leader.ends().unwrap().value, 1);
    assert_eq!(early.ends().unwrap(), 1);
    assert_eq!(cache.stats().single_flight_joins, 1);
}

#[test]
fn who_joined_after_the_invalidation_looks_again() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    assert_eq!(invalidate(&cache, "a"), 0);
    let mut late = late(&cache);
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
fn between_two_invalidations_each_joiner_knows_its_own() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &["a", "b"], options(), &door);
    let mut first = join(&cache, "key");
    assert_eq!(invalidate(&cache, "a"), 0);
    let mut second = late(&cache);
    assert_eq!(invalidate(&cache, "b"), 0);
    let mut third = Hand::start(cache.get_or_load("key", options(), never::<u32>));
    door.open();
    leader.ends().unwrap();
    assert_eq!(first.ends().unwrap(), 1);
    assert_eq!(second.ends().unwrap(), 2);
    assert_eq!(third.ends().unwrap(), 2);
    assert_eq!(cache.stats().loads, 2);
}

#[test]
fn a_tag_invalidated_before_a_joiner_and_again_after_it_sends_it_away() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    assert_eq!(invalidate(&cache, "a"), 0);
    let mut late = late(&cache);
    assert_eq!(invalidate(&cache, "a"), 0);
    door.open();
    leader.ends().unwrap();
    assert_eq!(late.ends().unwrap(), 2);
}

#[test]
fn strangers_discard_nothing_and_send_nobody_away() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    let mut early = join(&cache, "key");
    for n in 0..10_000 {
        assert_eq!(invalidate(&cache, &format!("stranger {n}")), 0);
    }
    let mut late = Hand::start(cache.get_or_load("key", options(), never::<u32>));
    door.open();
    leader.ends().unwrap();
    assert_eq!((early.ends().unwrap(), late.ends().unwrap()), (1, 1));
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(cache.stats().stale_load_discards, 0);
}

/// Marks `n` strange tags.
fn strangers(cache: &HydraCache, n: usize) {
    let names = (0..n).map(|n| format!("stranger {n}"));
    assert_eq!(block_on(cache.invalidate_tags(names)).unwrap(), 0);
}

#[test]
fn the_memory_holds_65536_tags() {
    for (more, stored) in [(0, Some(1)), (1, None)] {
        let cache = HydraCache::local().build();
        let door = Door::default();
        let mut leader = naming(&cache, &["a"], options(), &door);
        strangers(&cache, 65_536 + more);
        door.open();
        assert_eq!(leader.ends().unwrap().value, 1);
        assert_eq!(get(&cache, "key"), stored);
        let discards = u64::from(stored.is_none());
        assert_eq!(cache.stats().stale_load_discards, discards);
    }
}

#[test]
fn at_the_end_of_the_memory_the_first_mark_is_still_known() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    assert_eq!(invalidate(&cache, "a"), 0);
    let mut late = late(&cache);
    strangers(&cache, 65_535);
    door.open();
    leader.ends().unwrap();
    assert_eq!(late.ends().unwrap(), 2);
}

#[test]
fn who_joined_a_load_that_is_older_than_the_memory_looks_again() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &["a"], options(), &door);
    strangers(&cache, 65_537);
    let mut late = late(&cache);
    door.open();
    assert_eq!(leader.ends().unwrap().value, 1);
    assert_eq!(late.ends().unwrap(), 2);
    assert_eq!(cache.stats().loads, 2);
}

#[test]
fn a_load_that_names_no_tags_is_never_too_old() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &[], options(), &door);
    let mut early = join(&cache, "key");
    strangers(&cache, 70_000);
    let mut late = Hand::start(cache.get_or_load("key", options(), never::<u32>));
    door.open();
    leader.ends().unwrap();
    assert_eq!((early.ends().unwrap(), late.ends().unwrap()), (1, 1));
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn tags_of_the_options_are_never_discarded_by_strangers() {
    let cache = HydraCache::local().build();
    let (door, other) = (Door::default(), Door::default());
    let mut leader = lead(&cache, "plain", 7, tagged("mine"), &door);
    let mut full = naming(&cache, &[], tagged("mine"), &other);
    strangers(&cache, 70_000);
    door.open();
    other.open();
    leader.ends().unwrap();
    full.ends().unwrap();
    assert_eq!(get(&cache, "plain"), Some(7));
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(invalidate(&cache, "mine"), 2);
}

#[test]
fn a_fetchs_tags_of_the_options_are_fenced_as_ever() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = naming(&cache, &["own"], tagged("mine"), &door);
    let mut early = join(&cache, "key");
    assert_eq!(invalidate(&cache, "mine"), 0);
    assert_eq!(load(&cache, "key", 2), 2, "who comes later loads at once");
    door.open();
    leader.ends().unwrap();
    assert_eq!(early.ends().unwrap(), 1);
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn the_tags_of_an_unchanged_value_are_fenced_too() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(100).tag("old"));
    clock.advance(SECOND * 12);
    let door = Door::default();
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
fn a_loader_that_invalidates_its_own_tag_is_not_stored() {
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
fn a_successor_is_not_discarded_for_what_came_before_it() {
    let cache = HydraCache::local().build();
    let (door, other) = (Door::default(), Door::default());
    let first = naming(&cache, &["a"], options(), &door);
    assert_eq!(invalidate(&cache, "a"), 0);
    drop(first);
    let mut second = naming(&cache, &["a"], options(), &other);
    other.open();
    assert_eq!(second.ends().unwrap().value, 1);
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn loads_that_end_in_any_way_leave_no_memory_behind() {
    let cache = HydraCache::local().build();
    for round in 0..20 {
        let door = Door::default();
        let mut one = naming(&cache, &["a"], options(), &door);
        if round % 2 == 0 {
            door.open();
            one.ends().unwrap();
        }
        drop(one);
        let failing = cache.fetch("other", options(), |_| failing_loader::<Loaded<u32>>());
        assert!(block_on(failing).is_err());
        remove(&cache, "key");
    }
    // Nobody is in flight, so nothing is written down, however much is invalidated.
    let names: Vec<String> = (0..1000).map(|n| format!("tag {n}")).collect();
    let kept = allocation_counter::measure(|| {
        for name in &names {
            invalidate(&cache, name);
        }
    });
    assert_eq!(kept.bytes_current, 0);
}
