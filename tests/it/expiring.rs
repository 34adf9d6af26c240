//! `expire` and `expire_tag` end freshness, fence loads, and keep the value for failed loads.

use std::time::Duration;

use hydracache::{CacheOptions, HydraCache, Source};

use crate::stale::*;
use crate::support::*;

/// Both calls to expire "key" with the tag "one". Each returns the number of fresh entries.
const EXPIRE_CALLS: [fn(&HydraCache) -> u64; 2] = [
    |cache| u64::from(expire(cache, "key")),
    |cache| expire_tag(cache, "one"),
];

/// More entries than a poll sweeps.
const MANY: u32 = 2000;

/// A cache with `MANY` entries of the tag "all", each with a second, unique tag.
fn filled(kept: &CacheOptions) -> (HydraCache, hydracache::ManualClock) {
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

/// Polls `expire_tag` once, then drops the call.
fn start_expire_tag(cache: &HydraCache, tag: &str) {
    drop(Hand::start(cache.expire_tag(tag)));
}

#[track_caller]
fn assert_absent_for_reads(cache: &HydraCache, key: &str) {
    assert_eq!(get(cache, key), None);
    assert_eq!(block_on(cache.peek::<u32>(key)).unwrap(), None);
    assert!(!block_on(cache.contains_key(key)));
}

#[test]
fn expired_value_is_absent_for_reads_but_served_on_failure() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 3);
    assert!(expire(&cache, "key"));
    assert_absent_for_reads(&cache, "key");
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    assert_eq!(load(&cache, "key", 2), 2);
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn expire_affects_fresh_entries_only() {
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
fn expire_without_an_error_window_removes_the_entry() {
    let (cache, _) = clocked(100);
    for plain in [options(), lasting(10), revalidated(50)] {
        put(&cache, "key", 1, plain);
        assert!(expire(&cache, "key"));
        assert_eq!(cache.entry_count(), 0);
        assert_absent_for_reads(&cache, "key");
        assert!(fail(&cache, "key").unwrap_err().is_load());
    }
    assert_eq!(cache.stats().expirations, 3);
}

/// With a time to live, the window ends at the usual time. Without, the window starts at once.
#[test]
fn error_window_after_expire_has_a_limit() {
    for (kept, left) in [(kept(5), 12), (options().stale_if_error(SECOND * 5), 5)] {
        for call in EXPIRE_CALLS {
            let (cache, clock) = clocked(100);
            put(&cache, "key", 1, kept.clone().tag("one"));
            clock.advance(SECOND * 3);
            assert_eq!(call(&cache), 1);
            clock.advance(nearly(left));
            assert_eq!(fail(&cache, "key").unwrap(), 1);
            clock.advance(NANO);
            assert!(fail(&cache, "key").is_err());
            put(&cache, "another", 1, options());
            assert_eq!(cache.entry_count(), 1, "the memory must be given back");
        }
    }
}

#[test]
fn second_expire_does_not_prolong_the_window() {
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
fn expire_ends_the_revalidate_window_so_callers_wait() {
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
fn expired_value_with_refresh_ahead_counts_as_a_miss() {
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
fn expire_fences_running_loads_which_return_their_value() {
    let calls: [fn(&HydraCache); 2] = [
        |cache| assert!(!expire(cache, "key")),
        |cache| assert_eq!(expire_tag(cache, "tag"), 0),
    ];
    for call in calls {
        let (cache, _) = clocked(100);
        let door = Door::default();
        // 1. A load starts, a call joins. 2. The key or tag is expired. 3. A later call loads.
        let mut leader = lead(&cache, "key", 1, tagged("tag"), &door);
        let mut early = join(&cache, "key");
        call(&cache);
        assert_eq!(load(&cache, "key", 2), 2, "a later caller loads again");
        // 4. The first load ends for its own callers, and is not stored.
        door.open();
        assert_eq!((leader.ends().unwrap(), early.ends().unwrap()), (1, 1));
        assert_eq!(get(&cache, "key"), Some(2));
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn expire_of_other_keys_and_tags_fences_no_load() {
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
fn later_removals_reach_an_expired_value() {
    let removals: [fn(&HydraCache); 6] = [
        |cache| assert!(!remove(cache, "key")),
        |cache| assert_eq!(invalidate(cache, "one"), 0),
        |cache| assert_eq!(invalidate(cache, "two"), 0),
        |cache| put(cache, "key", 9, lasting(0)),
        |cache| drop(Hand::hold(cache.invalidate_tag("one")).poll()),
        flush,
    ];
    for removal in removals {
        for call in EXPIRE_CALLS {
            let (cache, _) = clocked(100);
            put(&cache, "key", 1, kept(50).tags(["one", "two"]));
            assert_eq!(call(&cache), 1);
            assert_eq!(fail(&cache, "key").unwrap(), 1);
            removal(&cache);
            assert!(fail(&cache, "key").is_err());
            assert_eq!(cache.entry_count(), 0);
            assert_eq!(cache.stats().invalidations, 0);
        }
    }
}

#[test]
fn expire_tag_counts_fresh_entries_only() {
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
fn expire_tag_takes_effect_at_its_first_poll() {
    let (cache, _) = filled(&kept(50));
    drop(cache.expire_tag("all"));
    drop(cache.expire("key 7"));
    assert_eq!(get(&cache, "key 7"), Some(7));
    start_expire_tag(&cache, "all");
    for n in 0..MANY {
        assert_absent_for_reads(&cache, &key(n));
        assert_eq!(fail(&cache, &key(n)).unwrap(), n);
    }
    assert_eq!(cache.entry_count(), u64::from(MANY));
}

#[test]
fn two_overlapping_expire_tag_calls_count_entries_once() {
    let (cache, _) = filled(&kept(50));
    // 1. The first poll of one call expires all. 2. A second call finds none. 3. Both end.
    let mut one = Hand::start(cache.expire_tag("all"));
    let mut two = Hand::hold(cache.expire_tag("all"));
    assert_eq!(two.finish().unwrap(), 0);
    assert_eq!(one.finish().unwrap(), u64::from(MANY));
    assert_eq!(invalidate(&cache, "all"), 0);
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().invalidations, 0);
}

#[test]
fn expire_tag_removes_and_counts_entries_without_a_window() {
    let (cache, _) = filled(&options());
    assert_eq!(expire_tag(&cache, "all"), u64::from(MANY));
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().expirations, u64::from(MANY));
    assert_eq!(cache.stats().invalidations, 0);
}

/// Most of the expired entries are not swept yet. An invalidation reaches these entries too.
#[test]
fn invalidation_reaches_expired_entries_not_swept_yet() {
    for by_common_tag in [true, false] {
        let (cache, _) = filled(&kept(50));
        // 1. All expire, few are swept. 2. An invalidation is polled once. 3. No value is left.
        start_expire_tag(&cache, "all");
        if by_common_tag {
            drop(Hand::hold(cache.invalidate_tag("all")).poll());
        } else {
            for n in 0..MANY {
                drop(Hand::hold(cache.invalidate_tag(&format!("tag {n}"))).poll());
            }
        }
        for n in 0..MANY {
            assert!(fail(&cache, &key(n)).is_err(), "key {n} must be removed");
        }
        assert_eq!(cache.entry_count(), 0);
        assert_eq!(cache.stats().invalidations, 0);
    }
}

#[test]
fn keys_expired_but_not_swept_can_be_removed_and_put() {
    let (cache, _) = filled(&kept(50));
    start_expire_tag(&cache, "all");
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
fn entries_of_a_finished_expire_tag_are_reached_by_tags() {
    let (cache, _) = filled(&kept(50));
    assert_eq!(expire_tag(&cache, "all"), u64::from(MANY));
    assert_eq!(invalidate(&cache, "tag 7"), 0);
    assert!(fail(&cache, "key 7").is_err());
    assert_eq!(fail(&cache, "key 8").unwrap(), 8);
    assert_eq!(invalidate(&cache, "all"), 0);
    assert!(fail(&cache, "key 8").is_err());
}

#[test]
fn entries_put_after_expire_tag_are_fresh() {
    let (cache, _) = filled(&kept(50));
    start_expire_tag(&cache, "all");
    put(&cache, "new", 1, tagged("all"));
    assert_eq!(get(&cache, "new"), Some(1));
    assert_eq!(expire_tag(&cache, "all"), 1);
    assert_eq!(get(&cache, "new"), None);
}

#[test]
fn unswept_expired_entries_are_freed_after_their_windows() {
    let (cache, clock) = filled(&kept(50));
    start_expire_tag(&cache, "all");
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
fn expired_value_is_reported_as_stale_with_its_age() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(50));
    clock.advance(SECOND * 3);
    assert!(expire(&cache, "key"));
    clock.advance(SECOND * 2);
    let failing = cache.fetch("key", options(), |_| {
        failing_loader::<hydracache::Loaded<u32>>()
    });
    let served = block_on(failing).unwrap();
    assert_eq!((served.source, served.age), (Source::Stale, SECOND * 5));
    assert_eq!(served.time_left, Some(Duration::ZERO));
}
