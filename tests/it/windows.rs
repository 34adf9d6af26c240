//! What is served after a time to live, to whom, and until when.

use std::cell::Cell;
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, HydraCache};

use crate::support::*;

const NANO: Duration = Duration::from_nanos(1);

/// Ten seconds fresh, and then so long in each window.
fn windows(revalidate: u32, on_error: u32) -> CacheOptions {
    let options = lasting(10).tag("tag");
    let options = match revalidate {
        0 => options,
        seconds => options.stale_while_revalidate(SECOND * seconds),
    };
    match on_error {
        0 => options,
        seconds => options.stale_if_error(SECOND * seconds),
    }
}

/// A loading call whose loader fails.
fn fails(cache: &HydraCache, key: &str) -> CacheResult<u32> {
    let call = cache.get_or_load(key, options(), async || Err::<u32, _>("away"));
    Hand::hold(call).ends()
}

#[test]
fn a_failing_load_serves_the_old_value_to_the_very_limit() {
    for (revalidate, on_error) in [(20, 0), (0, 20), (5, 20), (20, 5)] {
        let (cache, clock) = clocked(9);
        put(&cache, "a", 1, windows(revalidate, on_error));
        clock.advance(SECOND * 10);
        for _ in 0..3 {
            assert_eq!(fails(&cache, "a").unwrap(), 1);
        }
        clock.advance((SECOND * 20).saturating_sub(NANO));
        assert_eq!(fails(&cache, "a").unwrap(), 1);
        let stats = cache.stats();
        assert_eq!((stats.misses, stats.stale_serves), (4, 4));
        assert_eq!((stats.hits, stats.load_failures), (0, 4));
        clock.advance(NANO);
        assert!(fails(&cache, "a").unwrap_err().is_load());
        assert_eq!(cache.stats().stale_serves, 4);
    }
}

#[test]
fn reads_without_a_loader_see_what_is_fresh() {
    let (cache, clock) = clocked(9);
    put(&cache, "a", 1, windows(20, 20));
    clock.advance(SECOND * 10);
    assert_eq!(get(&cache, "a"), None);
    assert_eq!(block_on(cache.peek::<u32>("a")).unwrap(), None);
    assert_eq!(block_on(cache.get_bytes("a")).unwrap(), None);
    assert!(!block_on(cache.contains_key("a")));
    assert_eq!(cache.entry_count(), 1);
    assert_eq!(fails(&cache, "a").unwrap(), 1);
}

#[test]
fn while_one_revalidates_the_others_get_the_old_value_at_once() {
    let (cache, clock) = clocked(9);
    put(&cache, "a", 1, windows(20, 0));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut first = lead(&cache, "a", 2, options(), &door);
    assert_eq!(load(&cache, "a", 3), 1);
    assert_eq!(load(&cache, "a", 3), 1);
    first.waits();
    door.open();
    assert_eq!(first.ends().unwrap(), 2);
    assert_eq!(get(&cache, "a"), Some(2));
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.refreshes), (1, 1));
    assert_eq!((stats.misses, stats.stale_serves, stats.hits), (3, 2, 1));
}

#[test]
fn in_the_window_of_errors_alone_the_others_wait() {
    let (cache, clock) = clocked(9);
    put(&cache, "a", 1, windows(0, 20));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut first = lead(&cache, "a", 2, options(), &door);
    let mut second = join(&cache, "a");
    door.open();
    assert_eq!(first.ends().unwrap(), 2);
    assert_eq!(second.ends().unwrap(), 2);
    assert_eq!(cache.stats().single_flight_joins, 1);
    assert_eq!(cache.stats().refreshes, 0);
}

#[test]
fn a_failure_is_answered_with_the_old_value_for_those_who_waited_too() {
    let (cache, clock) = clocked(9);
    put(&cache, "a", 1, windows(0, 20));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let failing = || async {
        door.pass().await;
        Err::<u32, _>("away")
    };
    let mut first = Hand::start(cache.get_or_load("a", options(), failing));
    let mut second = join(&cache, "a");
    door.open();
    assert_eq!(first.ends().unwrap(), 1);
    assert_eq!(second.ends().unwrap(), 1);
    let stats = cache.stats();
    assert_eq!((stats.stale_serves, stats.single_flight_joins), (2, 0));
}

#[test]
fn what_ended_the_old_value_ends_its_service_and_no_failing_load_revives_it() {
    let ends: [fn(&HydraCache); 4] = [
        |cache| assert!(!block_on(cache.remove("a")).unwrap()),
        |cache| assert_eq!(invalidate(cache, "tag"), 0),
        |cache| block_on(cache.flush()).unwrap(),
        |cache| put(cache, "a", 7, lasting(0)),
    ];
    for end in ends {
        let (cache, clock) = clocked(9);
        put(&cache, "a", 1, windows(20, 20));
        clock.advance(SECOND * 10);
        let door = Door::default();
        let failing = || async {
            door.pass().await;
            Err::<u32, _>("away")
        };
        let mut call = Hand::start(cache.get_or_load("a", options(), failing));
        end(&cache);
        door.open();
        assert!(call.ends().unwrap_err().is_load());
        assert!(fails(&cache, "a").unwrap_err().is_load());
        assert_eq!(cache.stats().invalidations, 0);
        assert_eq!(cache.stats().expirations, 1);
    }
}

#[test]
fn an_evicted_value_is_no_old_value() {
    let (cache, clock) = clocked(1);
    put(&cache, "a", 1, windows(0, 20));
    clock.advance(SECOND * 10);
    put(&cache, "b", 1, options());
    assert!(fails(&cache, "a").unwrap_err().is_load());
    let stats = cache.stats();
    assert_eq!((stats.evictions, stats.expirations), (0, 1));
}

#[test]
fn the_windows_are_those_given_when_it_was_stored() {
    let (cache, clock) = clocked(9);
    put(&cache, "a", 1, lasting(10));
    clock.advance(SECOND * 10);
    let call = cache.get_or_load("a", windows(20, 20), async || Err::<u32, _>("away"));
    assert!(block_on(call).unwrap_err().is_load());
}

#[test]
fn a_refresh_ahead_is_a_hit_for_all_but_the_one_who_loads() {
    let (cache, clock) = clocked(9);
    put(&cache, "a", 1, lasting(10).refresh_ahead(0.8));
    clock.advance((SECOND * 8).saturating_sub(NANO));
    assert_eq!(load(&cache, "a", 2), 1);
    clock.advance(NANO);
    let door = Door::default();
    let mut first = lead(&cache, "a", 2, options(), &door);
    assert_eq!(load(&cache, "a", 3), 1);
    assert_eq!(get(&cache, "a"), Some(1));
    door.open();
    assert_eq!(first.ends().unwrap(), 2);
    assert_stats(cache.stats(), |expected| {
        expected.hits = 4;
        expected.loads = 1;
        expected.refreshes = 1;
    });
}

#[test]
fn a_failed_refresh_ahead_is_a_hit() {
    let (cache, clock) = clocked(9);
    put(&cache, "a", 1, lasting(10).refresh_ahead(0.5));
    clock.advance(SECOND * 5);
    assert_eq!(fails(&cache, "a").unwrap(), 1);
    assert_eq!(cache.stats().stale_serves, 0);
    clock.advance(SECOND * 5);
    assert!(fails(&cache, "a").is_err());
}

#[test]
fn an_idle_entry_is_gone_and_reads_keep_it() {
    let (cache, clock) = clocked(9);
    let idle = || options().time_to_idle(SECOND * 32);
    put(&cache, "read", 1, idle());
    put(&cache, "loaded", 1, idle());
    put(&cache, "peeked", 1, idle());
    for _ in 0..4 {
        clock.advance(SECOND * 31);
        assert_eq!(get(&cache, "read"), Some(1));
        assert_eq!(load(&cache, "loaded", 2), 1);
        block_on(cache.peek::<u32>("peeked")).unwrap();
    }
    assert!(!block_on(cache.contains_key("peeked")));
    put(&cache, "another", 1, options());
    assert_eq!(cache.entry_count(), 3);
    clock.advance(SECOND * 32);
    put(&cache, "another", 1, options());
    assert_eq!(cache.entry_count(), 1);
    assert_eq!(cache.stats().expirations, 3);
}

#[test]
fn jitter_spreads_what_was_stored_together() {
    let (cache, clock) = clocked(9999);
    let count = 1000;
    for key in 0..count {
        put(&cache, &key.to_string(), 1, lasting(100).jitter(0.5));
    }
    let live = || (0..count).filter(|key| block_on(cache.contains_key(&key.to_string())));
    clock.advance((SECOND * 50).saturating_sub(NANO));
    assert_eq!(live().count(), count);
    clock.advance(SECOND * 25);
    assert!((400..600).contains(&live().count()));
    clock.advance(SECOND * 25 + NANO);
    assert_eq!(live().count(), 0);
}

#[test]
fn a_fraction_outside_its_range_panics_and_says_so() {
    for part in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
        for set in [CacheOptions::jitter, CacheOptions::refresh_ahead] {
            let set = std::panic::catch_unwind(|| set(options(), part));
            let message = *set.unwrap_err().downcast::<String>().unwrap();
            assert!(message.contains("0 to 1"), "{message}");
        }
    }
}

#[test]
fn expiry_ends_freshness_and_keeps_the_value_for_errors() {
    let (cache, _) = clocked(9);
    put(&cache, "a", 1, windows(20, 20));
    put(&cache, "plain", 1, tagged("tag"));
    assert!(block_on(cache.expire("a")).unwrap());
    assert!(!block_on(cache.expire("a")).unwrap());
    assert!(!block_on(cache.expire("nobody")).unwrap());
    assert!(block_on(cache.expire("plain")).unwrap());
    assert_eq!(get(&cache, "a"), None);
    // The window of revalidation has ended: a second caller waits.
    let door = Door::default();
    let mut first = lead(&cache, "a", 2, options(), &door);
    join(&cache, "a");
    drop(first.poll());
    drop(first);
    assert_eq!(fails(&cache, "a").unwrap(), 1);
    assert!(fails(&cache, "plain").is_err());
}

#[test]
fn an_expired_tag_counts_what_was_fresh_and_a_later_end_still_reaches_it() {
    let ends: [fn(&HydraCache); 3] = [
        |cache| assert!(!block_on(cache.remove("a 0")).unwrap()),
        |cache| assert_eq!(invalidate(cache, "tag"), 0),
        |cache| block_on(cache.flush()).unwrap(),
    ];
    for (dropped, end) in [
        (false, ends[0]),
        (true, ends[0]),
        (false, ends[1]),
        (true, ends[1]),
        (true, ends[2]),
    ] {
        let (cache, clock) = clocked(99_999);
        for key in 0..2000 {
            put(&cache, &format!("a {key}"), 1, windows(0, 20));
            put(&cache, &format!("b {key}"), 1, tagged("tag"));
        }
        put(&cache, "old", 1, lasting(1).tag("tag"));
        clock.advance(SECOND);
        let mut call = Hand::hold(cache.expire_tag("tag"));
        if dropped {
            drop(call.poll());
            drop(call);
        } else {
            assert_eq!(call.finish().unwrap(), 4000);
        }
        put(&cache, "new", 1, tagged("other"));
        assert_eq!(get(&cache, "a 0"), None);
        assert_eq!(fails(&cache, "a 1999").unwrap(), 1);
        end(&cache);
        assert!(fails(&cache, "a 0").is_err());
        assert_eq!(cache.stats().invalidations, 0);
    }
}

#[test]
fn expiry_fences_loads_that_began_before() {
    let acts: [fn(&HydraCache); 2] = [
        |cache| assert!(!block_on(cache.expire("a")).unwrap()),
        |cache| assert_eq!(block_on(cache.expire_tag("tag")).unwrap(), 0),
    ];
    for act in acts {
        let (cache, _) = clocked(9);
        let door = Door::default();
        let mut call = lead(&cache, "a", 1, tagged("tag"), &door);
        act(&cache);
        door.open();
        assert_eq!(call.ends().unwrap(), 1);
        assert_eq!(get(&cache, "a"), None);
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn an_old_value_of_another_type_is_as_good_as_absent() {
    let (cache, clock) = clocked(9);
    block_on(cache.put("a", "text", windows(20, 20))).unwrap();
    clock.advance(SECOND * 10);
    assert!(fails(&cache, "a").unwrap_err().is_load());
    assert_eq!(load(&cache, "a", 2), 2);
}

#[test]
fn extreme_options_do_no_harm() {
    let (cache, clock) = clocked(9);
    for time in [Duration::ZERO, NANO, Duration::MAX] {
        let extreme = options()
            .ttl(time)
            .stale_while_revalidate(time)
            .stale_if_error(time)
            .time_to_idle(time)
            .error_backoff(time)
            .refresh_ahead(1.0)
            .jitter(1.0);
        put(&cache, "a", 1, extreme.clone());
        let calls = Cell::new(0);
        let call = cache.get_or_load("a", extreme, async || {
            calls.set(calls.get() + 1);
            Err::<u32, _>("away")
        });
        let _ = block_on(call);
        clock.advance(SECOND);
        let _ = fails(&cache, "a");
        block_on(cache.expire("a")).unwrap();
        block_on(cache.flush()).unwrap();
    }
}
