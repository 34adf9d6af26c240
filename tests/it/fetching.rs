//! Loaders that are given the old value and choose for themselves; loads at once; updates.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, Fetched, HydraCache, Loaded, Old, Source};

use crate::support::*;

/// A fetch of "a" that gives a value with a tag of its own, once the door is open.
fn naming<'a>(
    cache: &'a HydraCache,
    value: u32,
    tag: &'a str,
    door: &'a Door,
) -> Hand<'a, CacheResult<Fetched<u32>>> {
    Hand::start(cache.fetch("a", options(), move |_| async move {
        door.pass().await;
        Ok::<_, Infallible>(Loaded::new(value).tag(tag))
    }))
}

fn fetch(cache: &HydraCache, options: CacheOptions, loaded: Loaded<u32>) -> Fetched<u32> {
    let loader = |_| async { Ok::<_, Infallible>(loaded) };
    block_on(cache.fetch("a", options, loader)).unwrap()
}

fn not_modified(cache: &HydraCache, options: CacheOptions) -> Fetched<u32> {
    let loader = async |old: Option<Old<u32>>| Ok::<_, Infallible>(old.unwrap().unchanged());
    block_on(cache.fetch("a", options, loader)).unwrap()
}

#[track_caller]
fn assert_fetched(fetched: &Fetched<u32>, value: u32, source: Source, age: u32, left: Option<u32>) {
    assert_eq!((fetched.value, fetched.source), (value, source));
    assert_eq!(fetched.age, SECOND * age);
    assert_eq!(fetched.time_left, left.map(|left| SECOND * left));
}

#[test]
fn a_fetch_says_where_its_value_is_from_how_old_it_is_and_how_long_it_lasts() {
    let (cache, clock) = clocked(9);
    let kept = || lasting(10).stale_if_error(SECOND * 90);
    assert_fetched(
        &fetch(&cache, kept(), 1.into()),
        1,
        Source::Loaded,
        0,
        Some(10),
    );
    clock.advance(SECOND * 4);
    assert_fetched(&fetch(&cache, kept(), 2.into()), 1, Source::Hit, 4, Some(6));
    clock.advance(SECOND * 8);
    let failing = async |_| Err::<Loaded<u32>, _>("away");
    let stale = block_on(cache.fetch("a", kept(), failing)).unwrap();
    assert_fetched(&stale, 1, Source::Stale, 12, Some(0));
    block_on(cache.remove("a")).unwrap();
    assert_fetched(
        &fetch(&cache, options(), 3.into()),
        3,
        Source::Loaded,
        0,
        None,
    );
    block_on(cache.remove("a")).unwrap();
    let door = Door::default();
    let mut leader = naming(&cache, 4, "tag", &door);
    let never = |_| never::<Loaded<u32>>();
    let mut waiter = Hand::start(cache.fetch("a", options(), never));
    door.open();
    assert_eq!(leader.ends().unwrap().source, Source::Loaded);
    assert_fetched(&waiter.ends().unwrap(), 4, Source::Joined, 0, None);
}

#[test]
fn what_the_loader_says_goes_first_and_tags_add_up() {
    let builder = HydraCache::local().default_options(lasting(30).tag("builder"));
    let clock = hydracache::ManualClock::new();
    let cache = builder.clock(clock.clone()).build();
    let loaded = Loaded::new(1).ttl(SECOND * 10).tags(["own", "own too"]);
    let fetched = fetch(&cache, lasting(20).tag("call"), loaded);
    assert_eq!(fetched.time_left, Some(SECOND * 10));
    for tag in ["own", "own too", "call", "builder"] {
        assert_eq!(invalidate(&cache, tag), 1, "{tag}");
        let loaded = Loaded::new(1).tags(["own", "own too"]);
        let fetched = fetch(&cache, lasting(20).tag("call"), loaded);
        assert_eq!(fetched.time_left, Some(SECOND * 20));
    }
    block_on(cache.remove("a")).unwrap();
    assert_eq!(
        fetch(&cache, options(), 1.into()).time_left,
        Some(SECOND * 30)
    );
}

#[test]
fn what_is_not_to_be_stored_is_given_and_takes_the_place_of_what_was() {
    let (cache, clock) = clocked(9);
    put(&cache, "a", 1, lasting(1).stale_if_error(SECOND * 9));
    clock.advance(SECOND);
    let fetched = fetch(&cache, options(), Loaded::new(2).no_store());
    assert_fetched(&fetched, 2, Source::Loaded, 0, Some(0));
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().rejections, 0);
}

#[test]
fn a_loader_is_given_the_old_value_and_may_say_that_it_is_unchanged() {
    let (cache, clock) = clocked(9);
    let kept = || lasting(10).stale_if_error(SECOND * 90);
    fetch(&cache, kept(), Loaded::new(1).tag("own"));
    clock.advance(SECOND * 15);
    let seen = Cell::new(None);
    let loader = async |old: Option<Old<u32>>| {
        let old = old.unwrap();
        seen.set(Some((*old.value(), old.age())));
        Ok::<_, Infallible>(old.unchanged().tag("more"))
    };
    let fetched = block_on(cache.fetch("a", kept(), loader)).unwrap();
    assert_eq!(seen.get(), Some((1, SECOND * 15)));
    assert_fetched(&fetched, 1, Source::Loaded, 0, Some(10));
    assert_eq!(get(&cache, "a"), Some(1));
    clock.advance(SECOND * 10);
    not_modified(&cache, kept());
    assert_eq!(invalidate(&cache, "more"), 1);
    fetch(&cache, kept(), Loaded::new(1).tag("own"));
    clock.advance(SECOND * 10);
    not_modified(&cache, kept());
    assert_eq!(invalidate(&cache, "own"), 1);
}

#[test]
fn not_modified_revives_nothing() {
    let ends: [fn(&HydraCache); 4] = [
        |cache| assert!(!block_on(cache.remove("a")).unwrap()),
        |cache| assert_eq!(invalidate(cache, "own"), 0),
        |cache| assert_eq!(invalidate(cache, "call"), 0),
        |cache| block_on(cache.flush()).unwrap(),
    ];
    for end in ends {
        let (cache, clock) = clocked(9);
        let kept = || lasting(1).stale_if_error(SECOND * 9).tag("call");
        fetch(&cache, kept(), Loaded::new(1).tag("own"));
        clock.advance(SECOND);
        let door = Door::default();
        let loader = |old: Option<Old<u32>>| async {
            door.pass().await;
            Ok::<_, Infallible>(old.unwrap().unchanged())
        };
        let mut call = Hand::start(cache.fetch("a", kept(), loader));
        end(&cache);
        door.open();
        assert_eq!(call.ends().unwrap().value, 1);
        assert_eq!(get(&cache, "a"), None);
        let away = cache.get_or_load("a", options(), async || Err::<u32, _>("away"));
        assert!(block_on(away).is_err());
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn a_tag_that_was_invalidated_while_its_load_ran_discards_what_it_loaded() {
    let (cache, _) = clocked(9);
    let door = Door::default();
    let mut call = naming(&cache, 1, "own", &door);
    assert_eq!(invalidate(&cache, "own"), 0);
    door.open();
    assert_eq!(call.ends().unwrap().value, 1);
    assert_eq!(get(&cache, "a"), None);
    assert_eq!(cache.stats().stale_load_discards, 1);
}

#[test]
fn strangers_discard_nothing() {
    let (cache, _) = clocked(9);
    let door = Door::default();
    let mut call = naming(&cache, 1, "own", &door);
    for stranger in 0..100 {
        invalidate(&cache, &stranger.to_string());
    }
    door.open();
    call.ends().unwrap();
    assert_eq!(get(&cache, "a"), Some(1));
    assert_eq!(invalidate(&cache, "own"), 1);
}

#[test]
fn a_load_older_than_the_memory_that_names_tags_is_not_stored_and_others_are() {
    let (cache, _) = clocked(9);
    let door = Door::default();
    let mut naming = naming(&cache, 1, "own", &door);
    let mut plain = Hand::start(cache.fetch("b", tagged("held"), |_| async {
        door.pass().await;
        Ok::<_, Infallible>(Loaded::new(1_u32))
    }));
    let many = (0..65_537_u32).map(|tag| tag.to_string());
    block_on(cache.invalidate_tags(many)).unwrap();
    door.open();
    naming.ends().unwrap();
    plain.ends().unwrap();
    assert_eq!((get(&cache, "a"), get(&cache, "b")), (None, Some(1)));
}

#[test]
fn a_refresh_joins_no_load_fences_it_and_is_joined() {
    let (cache, _) = clocked(9);
    let (old_door, door) = (Door::default(), Door::default());
    let mut old = lead(&cache, "a", 1, options(), &old_door);
    let mut refresh = Hand::start(cache.refresh("a", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(2_u32)
    }));
    let mut joined = join(&cache, "a");
    old_door.open();
    assert_eq!(old.ends().unwrap(), 1);
    assert_eq!(get(&cache, "a"), None);
    door.open();
    assert_eq!(refresh.ends().unwrap(), 2);
    assert_eq!(joined.ends().unwrap(), 2);
    assert_eq!(get(&cache, "a"), Some(2));
    let stats = cache.stats();
    assert_eq!(
        (stats.loads, stats.refreshes, stats.stale_load_discards),
        (2, 1, 1)
    );
}

#[test]
fn a_refresh_that_fails_leaves_what_there_was() {
    let (cache, clock) = clocked(9);
    let failing = async || Err::<u32, _>("away");
    put(&cache, "a", 1, options());
    assert!(
        block_on(cache.refresh("a", options(), failing))
            .unwrap_err()
            .is_load()
    );
    assert_eq!(get(&cache, "a"), Some(1));
    put(&cache, "a", 1, lasting(1).stale_if_error(SECOND * 9));
    assert_eq!(block_on(cache.refresh("a", options(), failing)).unwrap(), 1);
    clock.advance(SECOND);
    assert_eq!(block_on(cache.refresh("a", options(), failing)).unwrap(), 1);
    let wrong = cache.refresh("b", options(), async || {
        Ok::<_, Infallible>("text".to_owned())
    });
    put(&cache, "b", 1, options());
    assert!(block_on(wrong).unwrap_err().is_wrong_type());
    assert_eq!(get(&cache, "b"), Some(1));
}

#[test]
fn an_update_is_made_again_if_its_key_has_changed_meanwhile() {
    let (cache, _) = clocked(9);
    let mut seen = Vec::new();
    let updated = block_on(cache.update("a", options(), |old: Option<u32>| {
        seen.push(old);
        match seen.len() {
            1 => put(&cache, "a", 10, options()),
            2 => drop(block_on(cache.remove("a")).unwrap()),
            3 => put(&cache, "a", 20, options()),
            _ => {}
        }
        Some(old.unwrap_or(0) + 1)
    }));
    assert_eq!(updated.unwrap(), Some(21));
    assert_eq!(seen, [None, Some(10), None, Some(20)]);
    assert_eq!(get(&cache, "a"), Some(21));
}

#[test]
fn an_update_may_remove_fences_loads_and_moves_no_counter_of_reads() {
    let (cache, _) = clocked(9);
    let door = Door::default();
    let mut call = lead(&cache, "a", 1, options(), &door);
    let before = cache.stats();
    let changed = block_on(cache.update("a", options(), |_: Option<u32>| Some(2))).unwrap();
    assert_eq!(changed, Some(2));
    assert_eq!(cache.stats(), before);
    door.open();
    call.ends().unwrap();
    assert_eq!(get(&cache, "a"), Some(2));
    let removed = block_on(cache.update("a", options(), |_: Option<u32>| None)).unwrap();
    assert_eq!(removed, None);
    assert_eq!((get(&cache, "a"), cache.stats().invalidations), (None, 1));
    assert!(block_on(cache.put_if_absent("a", 3_u32, options())).unwrap());
    assert!(!block_on(cache.put_if_absent("a", 4_u32, options())).unwrap());
    assert_eq!(get(&cache, "a"), Some(3));
    assert!(block_on(cache.update("a", options(), |_: Option<String>| None)).is_err());
    assert_eq!(get(&cache, "a"), Some(3));
}

#[test]
fn ages_are_those_of_the_clock() {
    let (cache, clock) = clocked(9);
    fetch(&cache, options(), 1.into());
    clock.advance(Duration::from_nanos(7));
    assert_eq!(
        fetch(&cache, options(), 2.into()).age,
        Duration::from_nanos(7)
    );
}
