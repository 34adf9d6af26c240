//! `update` keeps the tags and the times of the entry where the options give none.

use std::cell::Cell;
use std::time::Duration;

use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock};

use crate::stale::*;
use crate::support::*;

fn update(cache: &HydraCache, options: CacheOptions) {
    let plus_one = |current: Option<u32>| Some(current.unwrap_or(0) + 1);
    Hand::hold(cache.update("key", options, plus_one))
        .ends()
        .unwrap();
}

/// The seconds from now until the key has no fresh entry, at most 300.
fn seconds_left(cache: &HydraCache, clock: &ManualClock) -> u32 {
    let mut seconds = 0;
    while seconds < 300 && block_on(cache.contains_key("key")) {
        clock.advance(SECOND);
        seconds += 1;
    }
    seconds
}

/// The seconds from now until a failing load returns an error, at most 300.
fn seconds_of_error_window(cache: &HydraCache, clock: &ManualClock) -> u32 {
    let mut seconds = 0;
    while seconds < 300 && fail(cache, "key").is_ok() {
        clock.advance(SECOND);
        seconds += 1;
    }
    seconds
}

#[test]
fn update_keeps_the_tags_and_adds_those_of_the_options() {
    for tag in ["old", "both", "new"] {
        let (cache, _) = clocked(100);
        put(&cache, "key", 1, options().tags(["old", "both"]));
        update(&cache, options().tags(["new", "both"]));
        update(&cache, options());
        assert_eq!(get(&cache, "key"), Some(3));
        assert_eq!(invalidate(&cache, tag), 1, "{tag}");
        assert_eq!(get(&cache, "key"), None);
    }
}

#[test]
fn update_keeps_tags_chosen_by_a_loader() {
    let (cache, _) = clocked(100);
    let load = async |_| Ok::<_, &str>(Loaded::new(1_u32).tag("row"));
    block_on(cache.fetch("key", options(), load)).unwrap();
    update(&cache, options());
    assert_eq!(expire_tag(&cache, "row"), 1);
    assert_eq!(get(&cache, "key"), None);
}

/// The entry is no longer the entry that was read, so the second run of the closure sees no value,
/// and no tag is kept.
#[test]
fn tag_invalidated_during_an_update_is_not_kept() {
    let ends: [fn(&HydraCache); 2] = [
        |cache| assert_eq!(invalidate(cache, "tag"), 1),
        |cache| assert_eq!(expire_tag(cache, "tag"), 1),
    ];
    for end in ends {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept(100).tags(["tag", "other"]));
        let seen = Cell::new(Vec::new());
        let call = cache.update("key", options(), |current: Option<u32>| {
            let mut all = seen.take();
            if all.is_empty() {
                end(&cache);
            }
            all.push(current);
            seen.set(all);
            Some(7)
        });
        block_on(call).unwrap();
        assert_eq!(seen.take(), [Some(1), None]);
        assert_eq!(invalidate(&cache, "tag"), 0);
        assert_eq!(invalidate(&cache, "other"), 0);
        assert_eq!(seconds_left(&cache, &clock), 300);
    }
}

#[test]
fn update_does_not_move_the_end_of_the_time_to_live() {
    for entry in [
        lasting(10),
        kept(5),
        revalidated(5),
        lasting(10).jitter(0.0),
    ] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, entry);
        for _ in 0..9 {
            clock.advance(SECOND);
            update(&cache, tagged("tag"));
        }
        clock.advance(nearly(1));
        assert_eq!(get(&cache, "key"), Some(10));
        clock.advance(NANO);
        assert_eq!(get(&cache, "key"), None);
    }
}

#[test]
fn update_of_an_endless_entry_stays_endless_in_spite_of_defaults() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_ttl(SECOND * 10).build();
    put(&cache, "key", 1, options().ttl(Duration::MAX));
    update(&cache, options());
    assert_eq!(seconds_left(&cache, &clock), 300);
}

/// Otherwise a default time to live would prolong a counter with each update.
#[test]
fn default_ttl_applies_to_a_new_entry_and_not_again() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_ttl(SECOND * 10).build();
    update(&cache, options());
    clock.advance(SECOND * 4);
    update(&cache, options());
    assert_eq!(seconds_left(&cache, &clock), 6);
}

#[test]
fn ttl_of_the_options_counts_from_the_update() {
    for entry in [options(), lasting(10), kept(50), revalidated(50)] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, entry);
        clock.advance(SECOND * 5);
        update(&cache, lasting(20));
        assert_eq!(seconds_left(&cache, &clock), 20);
    }
}

#[test]
fn windows_are_kept_and_follow_a_new_time_to_live() {
    let cases: [(CacheOptions, CacheOptions, u32, u32); 7] = [
        // The entry, the update at 5 seconds, the time to live from there, the error window.
        (kept(30), options(), 5, 30),
        (kept(30), lasting(20), 20, 30),
        (kept(30), options().stale_if_error(SECOND * 7), 5, 7),
        (kept(30), kept(7), 10, 7),
        (lasting(10), options().stale_if_error(SECOND * 7), 5, 7),
        (options().stale_if_error(SECOND * 30), lasting(20), 20, 30),
        (revalidated(30), lasting(20), 20, 30),
    ];
    for (number, (entry, change, fresh, window)) in cases.into_iter().enumerate() {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, entry);
        clock.advance(SECOND * 5);
        update(&cache, change);
        assert_eq!(seconds_left(&cache, &clock), fresh, "case {number}");
        assert_eq!(
            seconds_of_error_window(&cache, &clock),
            window,
            "case {number}"
        );
    }
}

/// An entry without an end has windows too: they begin with a later time to live, or `expire`.
#[test]
fn windows_of_an_endless_entry_survive_an_update() {
    let (cache, clock) = clocked(100);
    let revalidate = options().stale_while_revalidate(SECOND * 30);
    put(&cache, "key", 1, revalidate);
    update(&cache, options());
    update(&cache, lasting(10));
    clock.advance(SECOND * 39);
    assert!(fail(&cache, "key").is_ok());
    clock.advance(SECOND);
    assert!(fail(&cache, "key").is_err());

    put(&cache, "key", 1, options().stale_if_error(SECOND * 30));
    update(&cache, options());
    assert!(expire(&cache, "key"));
    assert_eq!(seconds_of_error_window(&cache, &clock), 30);
}

#[test]
fn idle_time_is_kept_and_starts_again() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, lasting(100).time_to_idle(SECOND * 10));
    for _ in 0..3 {
        clock.advance(SECOND * 9);
        update(&cache, options());
    }
    clock.advance(SECOND * 10);
    assert_eq!(get(&cache, "key"), None);

    put(&cache, "key", 1, lasting(100));
    update(&cache, options().time_to_idle(SECOND * 10));
    clock.advance(SECOND * 10);
    assert_eq!(get(&cache, "key"), None);
}

/// The part of a refresh ahead belongs to the entry, not to the time that is left.
#[test]
fn refresh_ahead_is_kept() {
    let due_after = |change: CacheOptions| {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, lasting(100).refresh_ahead(0.8));
        for _ in 0..2 {
            clock.advance(SECOND * 20);
            update(&cache, options());
        }
        update(&cache, change);
        let mut seconds = 0;
        while load(&cache, "key", 99) != 99 {
            clock.advance(SECOND);
            seconds += 1;
        }
        seconds
    };
    assert_eq!(due_after(options()), 40);
    assert_eq!(due_after(lasting(50)), 40);
    assert_eq!(due_after(lasting(100).refresh_ahead(0.3)), 30);
}

#[test]
fn default_jitter_applies_to_a_new_time_to_live_alone() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_options(options().jitter(0.5)).build();
    put(&cache, "key", 1, lasting(100));
    let left = |key: &str| {
        let load = cache.fetch(key, options(), never_fetch);
        block_on(load).unwrap().time_left.unwrap()
    };
    let first = left("key");
    update(&cache, options());
    assert_eq!(left("key"), first);
    let mut ends = Vec::new();
    for _ in 0..20 {
        update(&cache, lasting(100));
        let left = left("key");
        assert!(left > SECOND * 50 && left <= SECOND * 100);
        ends.push(left);
    }
    ends.dedup();
    assert!(ends.len() > 1, "no jitter");
}

/// A time to live of zero is an end at once: with the window of the entry, the value is stale.
#[test]
fn update_with_a_ttl_of_zero_ends_the_freshness() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(30).tag("tag"));
    update(&cache, lasting(0));
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(seconds_of_error_window(&cache, &clock), 30);
    put(&cache, "key", 1, lasting(10));
    update(&cache, lasting(0));
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn age_of_an_updated_value_starts_at_the_update() {
    let (cache, clock) = clocked(100);
    block_on(cache.fetch("key", lasting(100), async |_| {
        Ok::<_, &str>(Loaded::new(1_u32))
    }))
    .unwrap();
    clock.advance(SECOND * 30);
    update(&cache, options());
    clock.advance(SECOND * 3);
    let found = block_on(cache.fetch("key", options(), never_fetch)).unwrap();
    assert_eq!((found.value, found.age), (2, SECOND * 3));
    assert_eq!(found.time_left, Some(SECOND * 67));
}

/// A value that the bounds refuse is not stored, and ends the update.
#[test]
fn update_to_a_refused_value_ends_and_removes_the_entry() {
    let cache = HydraCache::local().max_entry_bytes(10).build();
    block_on(cache.put("key", "a", options())).unwrap();
    let calls = Cell::new(0);
    let long = cache.update("key", options(), |_: Option<String>| {
        calls.set(calls.get() + 1);
        Some("a".repeat(20))
    });
    assert!(block_on(long).unwrap().is_some());
    assert_eq!((calls.get(), cache.entry_count()), (1, 0));
    assert_eq!(cache.stats().rejections, 1);
}

#[test]
fn update_of_a_stale_entry_keeps_neither_tags_nor_times() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(30).tag("tag"));
    clock.advance(SECOND * 10);
    update(&cache, options());
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(invalidate(&cache, "tag"), 0);
    assert_eq!(seconds_left(&cache, &clock), 300);
}
