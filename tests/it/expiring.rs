//! Ending freshness, and keeping the value for when a load fails.

use std::time::Duration;

use hydracache::{CacheOptions, HydraCache, Source};

use crate::stale::*;
use crate::support::*;

/// Both ways to expire a key with the tag "one". How many were fresh.
const WAYS: [fn(&HydraCache) -> u64; 2] = [
    |cache| u64::from(expire(cache, "key")),
    |cache| expire_tag(cache, "one"),
];

/// More entries than one poll gives back.
const MANY: u32 = 2000;

/// A cache with many entries of one tag, each with a tag of its own.
fn many(kept: &CacheOptions) -> (HydraCache, hydracache::ManualClock) {
    let (cache, clock) = clocked(10_000);
    for n in 0..MANY {
        let tags = kept.clone().tags(["all".to_owned(), format!("tag {n}")]);
        put(&cache, &key(n), n, tags);
    }
    (cache, clock)
}

fn key(n: u32) -> String {
    format!("key {n}")
}

/// Begins to end the freshness of a tag, and does not stay to the end.
fn begin_to_expire(cache: &HydraCache, tag: &str) {
    drop(Hand::start(cache.expire_tag(tag)));
}

#[track_caller]
fn assert_unseen(cache: &HydraCache, key: &str) {
    assert_eq!(get(cache, key), None);
    assert_eq!(block_on(cache.peek::<u32>(key)).unwrap(), None);
    assert!(!block_on(cache.contains_key(key)));
}

#[test]
fn an_expired_value_is_gone_for_reads_and_kept_for_failures() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 3);
    assert!(expire(&cache, "key"));
    assert_unseen(&cache, "key");
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    assert_eq!(load(&cache, "key", 2), 2);
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn only_what_is_fresh_is_expired() {
    let (cache, clock) = clocked(100);
    assert!(!expire(&cache, "key"));
    put(&cache, "key", 1, kept(50));
    assert!(expire(&cache, "key"));
    assert!(!expire(&cache, "key"));
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 10);
    assert!(!expire(&cache, "key"));
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    assert_eq!(cache.stats().invalidations, 0);
}

#[test]
fn without_a_window_it_is_gone() {
    let (cache, _) = clocked(100);
    for plain in [options(), lasting(10), revalidated(50)] {
        put(&cache, "key", 1, plain);
        assert!(expire(&cache, "key"));
        assert_eq!(cache.entry_count(), 0);
        assert_unseen(&cache, "key");
        assert!(fail(&cache, "key").unwrap_err().is_load());
    }
    assert_eq!(cache.stats().expirations, 3);
}

/// With a time to live the window ends when it would have; without one it begins now.
#[test]
fn the_window_of_errors_has_its_limit() {
    for (kept, left) in [(kept(5), 12), (options().stale_if_error(SECOND * 5), 5)] {
        for act in WAYS {
            let (cache, clock) = clocked(100);
            put(&cache, "key", 1, kept.clone().tag("one"));
            clock.advance(SECOND * 3);
            assert_eq!(act(&cache), 1);
            clock.advance(nearly(left));
            assert_eq!(fail(&cache, "key").unwrap(), 1);
            clock.advance(NANO);
            assert!(fail(&cache, "key").is_err());
            put(&cache, "another", 1, options());
            assert_eq!(cache.entry_count(), 1, "its memory is given back");
        }
    }
}

#[test]
fn to_expire_again_does_not_prolong_it() {
    let (cache, clock) = clocked(100);
    put(
        &cache,
        "key",
        1,
        options().stale_if_error(SECOND * 5).tag("tag"),
    );
    assert!(expire(&cache, "key"));
    clock.advance(SECOND * 4);
    assert!(!expire(&cache, "key"));
    assert_eq!(expire_tag(&cache, "tag"), 0);
    clock.advance(nearly(1));
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    clock.advance(NANO);
    assert!(fail(&cache, "key").is_err());
}

#[test]
fn the_window_of_revalidation_ends_too_and_the_others_wait() {
    let (cache, clock) = clocked(100);
    put(
        &cache,
        "key",
        1,
        revalidated(50).stale_if_error(SECOND * 50),
    );
    clock.advance(SECOND * 10);
    assert!(!expire(&cache, "key"));
    let door = Door::default();
    let mut leader = lead(&cache, "key", 2, options(), &door);
    let mut waiter = join(&cache, "key");
    door.open();
    assert_eq!((leader.ends().unwrap(), waiter.ends().unwrap()), (2, 2));
    assert_eq!(cache.stats().refreshes, 0);
}

#[test]
fn what_was_expired_is_not_loaded_ahead_but_anew() {
    let (cache, _) = clocked(100);
    let call_options = kept(50).refresh_ahead(0.0);
    put(&cache, "key", 1, call_options);
    assert!(expire(&cache, "key"));
    let stats = cache.stats();
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    let between = cache.stats() - stats;
    assert_eq!((between.misses, between.stale_serves), (1, 1));
    assert_eq!(between.refreshes, 0);
}

#[test]
fn loads_that_began_before_are_fenced_and_give_their_value() {
    let acts: [fn(&HydraCache); 2] = [
        |cache| assert!(!expire(cache, "key")),
        |cache| assert_eq!(expire_tag(cache, "tag"), 0),
    ];
    for act in acts {
        let (cache, _) = clocked(100);
        let door = Door::default();
        let mut leader = lead(&cache, "key", 1, tagged("tag"), &door);
        let mut early = join(&cache, "key");
        act(&cache);
        assert_eq!(load(&cache, "key", 2), 2, "who comes later loads anew");
        door.open();
        assert_eq!((leader.ends().unwrap(), early.ends().unwrap()), (1, 1));
        assert_eq!(get(&cache, "key"), Some(2));
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn to_expire_strangers_fences_nothing() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let mut leader = lead(&cache, "key", 1, tagged("tag"), &door);
    assert!(!expire(&cache, "other"));
    assert_eq!(expire_tag(&cache, "other"), 0);
    door.open();
    leader.ends().unwrap();
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn what_removes_later_reaches_what_was_expired() {
    let removers: [fn(&HydraCache); 6] = [
        |cache| assert!(!remove(cache, "key")),
        |cache| assert_eq!(invalidate(cache, "one"), 0),
        |cache| assert_eq!(invalidate(cache, "two"), 0),
        |cache| put(cache, "key", 9, lasting(0)),
        |cache| drop(Hand::hold(cache.invalidate_tag("one")).poll()),
        flush,
    ];
    for remover in removers {
        for act in WAYS {
            let (cache, _) = clocked(100);
            put(&cache, "key", 1, kept(50).tags(["one", "two"]));
            assert_eq!(act(&cache), 1);
            assert_eq!(fail(&cache, "key").unwrap(), 1);
            remover(&cache);
            assert!(fail(&cache, "key").is_err());
            assert_eq!(cache.entry_count(), 0);
            assert_eq!(cache.stats().invalidations, 0);
        }
    }
}

#[test]
fn counts_are_of_what_was_fresh() {
    let (cache, clock) = clocked(100);
    put(&cache, "short", 1, lasting(5).tag("tag"));
    put(
        &cache,
        "stale",
        1,
        lasting(5).tag("tag").stale_if_error(SECOND * 50),
    );
    put(&cache, "kept", 1, kept(50).tag("tag"));
    put(&cache, "plain", 1, tagged("tag").tag("tag"));
    put(&cache, "other", 1, tagged("other"));
    put(&cache, "expired", 1, kept(50).tag("tag"));
    clock.advance(SECOND * 5);
    expire(&cache, "expired");
    assert_eq!(expire_tag(&cache, "tag"), 2);
    assert_eq!(expire_tag(&cache, "tag"), 0);
    assert_eq!(get(&cache, "other"), Some(1));
    for key in ["stale", "kept", "expired"] {
        assert_eq!(fail(&cache, key).unwrap(), 1, "{key}");
    }
    for key in ["short", "plain"] {
        assert!(fail(&cache, key).is_err(), "{key}");
    }
    assert_eq!(cache.stats().invalidations, 0);
}

#[test]
fn the_first_poll_does_it_and_nothing_before_it() {
    let (cache, _) = many(&kept(50));
    drop(cache.expire_tag("all"));
    drop(cache.expire("key 7"));
    assert_eq!(get(&cache, "key 7"), Some(7));
    begin_to_expire(&cache, "all");
    for n in 0..MANY {
        assert_unseen(&cache, &key(n));
        assert_eq!(fail(&cache, &key(n)).unwrap(), n);
    }
    assert_eq!(cache.entry_count(), u64::from(MANY));
}

#[test]
fn many_are_counted_once() {
    let (cache, _) = many(&kept(50));
    let mut one = Hand::start(cache.expire_tag("all"));
    let mut two = Hand::hold(cache.expire_tag("all"));
    assert_eq!(two.finish().unwrap(), 0);
    assert_eq!(one.finish().unwrap(), u64::from(MANY));
    assert_eq!(invalidate(&cache, "all"), 0);
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().invalidations, 0);
}

#[test]
fn many_that_have_no_window_are_gone_and_counted() {
    let (cache, _) = many(&options());
    assert_eq!(expire_tag(&cache, "all"), u64::from(MANY));
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().expirations, u64::from(MANY));
    assert_eq!(cache.stats().invalidations, 0);
}

/// Of many that were expired, most still wait for their memory to be looked after: what
/// removes them reaches them all the same.
#[test]
fn what_removes_later_reaches_what_was_expired_a_moment_ago() {
    for of_all in [true, false] {
        let (cache, _) = many(&kept(50));
        begin_to_expire(&cache, "all");
        if of_all {
            drop(Hand::hold(cache.invalidate_tag("all")).poll());
        } else {
            for n in 0..MANY {
                drop(Hand::hold(cache.invalidate_tag(&format!("tag {n}"))).poll());
            }
        }
        for n in 0..MANY {
            assert!(fail(&cache, &key(n)).is_err(), "{n} is still there");
        }
        assert_eq!(cache.entry_count(), 0);
        assert_eq!(cache.stats().invalidations, 0);
    }
}

#[test]
fn keys_that_were_expired_a_moment_ago_can_be_removed_and_put() {
    let (cache, _) = many(&kept(50));
    begin_to_expire(&cache, "all");
    for n in (0..MANY).step_by(2) {
        assert!(!remove(&cache, &key(n)));
        assert!(fail(&cache, &key(n)).is_err());
    }
    for n in (1..MANY).step_by(2) {
        put(&cache, &key(n), n + 1, tagged("all"));
        assert_eq!(get(&cache, &key(n)), Some(n + 1));
    }
    assert_eq!(invalidate(&cache, "all"), u64::from(MANY / 2));
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn what_was_expired_is_reached_by_its_tag_after_all_was_looked_after() {
    let (cache, _) = many(&kept(50));
    assert_eq!(expire_tag(&cache, "all"), u64::from(MANY));
    assert_eq!(invalidate(&cache, "tag 7"), 0);
    assert!(fail(&cache, "key 7").is_err());
    assert_eq!(fail(&cache, "key 8").unwrap(), 8);
    assert_eq!(invalidate(&cache, "all"), 0);
    assert!(fail(&cache, "key 8").is_err());
}

#[test]
fn entries_put_with_the_tag_afterwards_are_fresh() {
    let (cache, _) = many(&kept(50));
    begin_to_expire(&cache, "all");
    put(&cache, "new", 1, tagged("all"));
    assert_eq!(get(&cache, "new"), Some(1));
    assert_eq!(expire_tag(&cache, "all"), 1);
    assert_eq!(get(&cache, "new"), None);
}

#[test]
fn many_whose_windows_end_meanwhile_give_their_memory_back() {
    let (cache, clock) = many(&kept(50));
    begin_to_expire(&cache, "all");
    clock.advance(SECOND * 60);
    for n in 0..MANY {
        assert!(fail(&cache, &key(n)).is_err());
    }
    for _ in 0..100 {
        put(&cache, "another", 0, options());
    }
    assert_eq!(cache.entry_count(), 1);
    assert_eq!(cache.stats().expirations, u64::from(MANY));
}

#[test]
fn an_expired_value_is_an_old_one() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 3);
    assert!(expire(&cache, "key"));
    clock.advance(SECOND * 2);
    let failing = cache.fetch("key", options(), |_| {
        failing_loader::<hydracache::Loaded<u32>>()
    });
    let old = block_on(failing).unwrap();
    assert_eq!((old.source, old.age), (Source::Stale, SECOND * 5));
    assert_eq!(old.time_left, Some(Duration::ZERO));
}
