//! `jitter` varies times to live, and `time_to_idle` ends unread entries.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::time::Duration;

use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock};

use crate::stale::*;
use crate::support::*;

fn left(cache: &HydraCache, key: &str) -> Duration {
    stored(cache, key).time_left.unwrap()
}

fn idle(seconds: u32) -> CacheOptions {
    options().time_to_idle(SECOND * seconds)
}

#[test]
fn jitter_shortens_by_at_most_its_fraction() {
    let (cache, _) = clocked(2000);
    let mut seen = BTreeSet::new();
    for n in 0..1000 {
        let key = format!("key {n}");
        put(&cache, &key, n, lasting(60).jitter(0.1));
        let left = left(&cache, &key);
        assert!(left >= SECOND * 54 && left <= SECOND * 60, "{left:?}");
        seen.insert(left);
    }
    assert!(seen.len() > 900, "the ends must differ");
    let (first, last) = (*seen.first().unwrap(), *seen.last().unwrap());
    assert!(last > first + SECOND * 5, "from {first:?} to {last:?}");
}

#[test]
fn jitter_differs_between_writes_of_one_key() {
    let (cache, _) = clocked(100);
    let lefts = (0..100).map(|n| {
        put(&cache, "key", n, lasting(60).jitter(0.5));
        left(&cache, "key")
    });
    assert!(lefts.collect::<BTreeSet<_>>().len() > 90);
}

#[test]
fn jitter_differs_between_caches() {
    let lefts = (0..50).map(|_| {
        let (cache, _) = clocked(100);
        put(&cache, "key", 1, lasting(60).jitter(0.5));
        left(&cache, "key")
    });
    assert!(lefts.collect::<BTreeSet<_>>().len() > 40);
}

#[test]
fn jitter_of_zero_is_exact_and_of_one_leaves_some_time() {
    let (cache, _) = clocked(2000);
    put(&cache, "none", 1, lasting(60).jitter(0.0));
    assert_eq!(left(&cache, "none"), SECOND * 60);
    for n in 0..1000 {
        put(&cache, "all", n, lasting(60).jitter(1.0));
        assert_eq!(served(&cache, "all"), n);
        assert!(left(&cache, "all") <= SECOND * 60);
    }
}

#[test]
fn entry_without_an_end_has_no_jitter() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, options().jitter(1.0));
    put(
        &cache,
        "endless",
        1,
        options().ttl(Duration::MAX).jitter(0.0),
    );
    clock.advance(Duration::from_secs(86400 * 365 * 500));
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(get(&cache, "endless"), Some(1));
}

#[test]
fn loaded_ttl_is_jittered_and_windows_start_at_its_end() {
    let (cache, clock) = clocked(100);
    let call_options = options().jitter(0.5).stale_if_error(SECOND * 7);
    fetched(&cache, "key", call_options, Loaded::new(1).ttl(SECOND * 60));
    let left = left(&cache, "key");
    assert!(left >= SECOND * 30 && left < SECOND * 60);
    clock.advance(left + nearly(7));
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    clock.advance(NANO);
    assert!(fail(&cache, "key").is_err());
}

#[test]
fn builder_jitter_applies_where_the_call_sets_none() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_options(lasting(60).jitter(0.5)).build();
    put(&cache, "key", 1, options());
    assert!(left(&cache, "key") < SECOND * 60);
    put(&cache, "key", 1, options().jitter(0.0));
    assert_eq!(left(&cache, "key"), SECOND * 60);
}

#[test]
fn invalid_fraction_panics_at_the_setter_with_the_range() {
    for fraction in [-0.1, 1.1, f32::NAN, f32::INFINITY, -f32::EPSILON] {
        for set in [CacheOptions::jitter, CacheOptions::refresh_ahead] {
            let panic = catch_unwind(|| set(options(), fraction)).unwrap_err();
            let text = panic.downcast::<String>().unwrap();
            assert!(text.contains("from 0 to 1"), "{text}");
        }
    }
    for fraction in [0.0, -0.0, 1.0, f32::MIN_POSITIVE] {
        drop(options().jitter(fraction).refresh_ahead(fraction));
    }
}

#[test]
fn unread_entry_ends_exactly_at_its_time_to_idle() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, idle(32));
    put(&cache, "other", 1, idle(32));
    clock.advance(nearly(32));
    assert_eq!(get(&cache, "key"), Some(1));
    clock.advance(NANO);
    assert_eq!(get(&cache, "other"), None);
    assert!(!block_on(cache.contains_key("other")));
    assert!(!remove(&cache, "other"));
    assert_eq!(cache.stats().expirations, 1);
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn reads_extend_the_time_to_idle() {
    let reads: [fn(&HydraCache); 4] = [
        |cache| assert_eq!(get(cache, "key"), Some(1)),
        |cache| assert!(block_on(cache.get_bytes("key")).unwrap().is_some()),
        |cache| assert_eq!(served(cache, "key"), 1),
        |cache| assert_eq!(stored(cache, "key").value, 1),
    ];
    for read in reads {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, idle(32));
        for _ in 0..10 {
            clock.advance(SECOND * 31);
            read(&cache);
            // A put sweeps ended entries.
            put(&cache, "another", 2, lasting(1));
        }
        clock.advance(SECOND * 32);
        assert_eq!(get(&cache, "key"), None);
    }
}

#[test]
fn peek_and_contains_key_do_not_extend_the_time_to_idle() {
    let looks: [fn(&HydraCache); 3] = [
        |cache| assert!(block_on(cache.contains_key("key"))),
        |cache| assert_eq!(block_on(cache.peek::<u32>("key")).unwrap(), Some(1)),
        |cache| {
            let stored = block_on(cache.put_if_absent("key", 2_u32, options())).unwrap();
            assert!(!stored);
        },
    ];
    for look in looks {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, idle(32));
        clock.advance(SECOND * 31);
        look(&cache);
        clock.advance(SECOND);
        assert_eq!(get(&cache, "key"), None);
    }
}

#[test]
fn put_restarts_the_time_to_idle() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, idle(32));
    clock.advance(SECOND * 31);
    put(&cache, "key", 2, idle(32));
    clock.advance(SECOND * 31);
    assert_eq!(get(&cache, "key"), Some(2));
}

/// A read within 1/32 of the idle time after the last recorded read is not recorded.
#[test]
fn idle_entry_ends_at_most_one_32nd_early() {
    let (cache, clock) = clocked(100);
    put(&cache, "soon", 1, idle(32));
    put(&cache, "later", 1, idle(32));
    clock.advance(nearly(1));
    assert_eq!(get(&cache, "soon"), Some(1));
    clock.advance(NANO);
    assert_eq!(get(&cache, "later"), Some(1));
    clock.advance(nearly(31));
    assert_eq!(block_on(cache.peek::<u32>("soon")).unwrap(), Some(1));
    clock.advance(SECOND);
    assert_eq!(get(&cache, "later"), Some(1));
}

#[test]
fn ttl_holds_for_an_idle_entry_that_is_read_often() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, lasting(100).time_to_idle(SECOND * 32));
    for _ in 0..9 {
        clock.advance(SECOND * 11);
        assert_eq!(get(&cache, "key"), Some(1));
    }
    clock.advance(SECOND);
    assert_eq!(get(&cache, "key"), None);
}

#[test]
fn end_of_the_idle_time_ends_the_stale_windows_too() {
    let (cache, clock) = clocked(100);
    let windows = kept(1000).stale_while_revalidate(SECOND * 1000);
    put(&cache, "key", 1, windows.time_to_idle(SECOND * 32));
    clock.advance(SECOND * 31);
    assert_eq!(block_on(cache.peek::<u32>("key")).unwrap(), None);
    clock.advance(SECOND);
    assert!(fail(&cache, "key").unwrap_err().is_load());
    assert_eq!(cache.stats().stale_serves, 0);
}

#[test]
fn idle_time_of_zero_ends_at_once_and_the_largest_never() {
    let (cache, clock) = clocked(100);
    put(&cache, "none", 1, options().time_to_idle(Duration::ZERO));
    put(&cache, "endless", 1, options().time_to_idle(Duration::MAX));
    clock.advance(NANO);
    assert_eq!(get(&cache, "none"), None);
    clock.advance(SECOND * 1_000_000_000);
    assert_eq!(get(&cache, "endless"), Some(1));
}

#[test]
fn idle_entries_are_swept_and_read_entries_stay() {
    let (cache, clock) = clocked(5000);
    let key = |n| format!("key {n}");
    for n in 0..2000 {
        put(&cache, &key(n), n, idle(32));
    }
    for _ in 0..5 {
        clock.advance(SECOND * 20);
        for n in 0..1000 {
            assert_eq!(get(&cache, &key(n)), Some(n));
        }
        for _ in 0..40 {
            put(&cache, "another", 0, options());
        }
    }
    assert_eq!(cache.entry_count(), 1001);
    clock.advance(SECOND * 32);
    for _ in 0..40 {
        put(&cache, "another", 0, options());
    }
    assert_eq!(cache.entry_count(), 1);
    assert_eq!(cache.stats().expirations, 2000);
}

/// Idle times near the end of the clock's range work like any other.
#[test]
fn idle_time_of_centuries_overflows_nothing() {
    for nanos in [u64::MAX / 2, u64::MAX - 1000, u64::MAX - 1, u64::MAX] {
        let (cache, clock) = clocked(10);
        let idle = Duration::from_nanos(nanos);
        put(&cache, "key", 1, options().time_to_idle(idle));
        clock.advance(idle / 2);
        assert_eq!(get(&cache, "key"), Some(1));
        block_on(cache.remove("key")).unwrap();
        (0..4).for_each(|n| put(&cache, &n.to_string(), n, lasting(1)));
        clock.advance(SECOND);
        put(&cache, "key", 1, options());
        assert_eq!(cache.entry_count(), 1);
    }
}
