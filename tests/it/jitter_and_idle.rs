//! Times to live that differ, and entries that end when nobody reads them.

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
fn jitter_shortens_by_a_part_at_most_and_never_lengthens() {
    let (cache, _) = clocked(2000);
    let mut seen = BTreeSet::new();
    for n in 0..1000 {
        let key = format!("key {n}");
        put(&cache, &key, n, lasting(60).jitter(0.1));
        let left = left(&cache, &key);
        assert!(left >= SECOND * 54 && left <= SECOND * 60, "{left:?}");
        seen.insert(left);
    }
    assert!(seen.len() > 900, "they end together");
    let (first, last) = (*seen.first().unwrap(), *seen.last().unwrap());
    assert!(last > first + SECOND * 5, "from {first:?} to {last:?}");
}

#[test]
fn two_writes_of_one_key_differ() {
    let (cache, _) = clocked(100);
    let lefts = (0..100).map(|n| {
        put(&cache, "key", n, lasting(60).jitter(0.5));
        left(&cache, "key")
    });
    assert!(lefts.collect::<BTreeSet<_>>().len() > 90);
}

#[test]
fn two_caches_differ() {
    let lefts = (0..50).map(|_| {
        let (cache, _) = clocked(100);
        put(&cache, "key", 1, lasting(60).jitter(0.5));
        left(&cache, "key")
    });
    assert!(lefts.collect::<BTreeSet<_>>().len() > 40);
}

#[test]
fn no_jitter_is_exact_and_all_of_it_leaves_something() {
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
fn a_value_without_an_end_has_no_jitter() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, options().jitter(1.0));
    put(&cache, "ever", 1, options().ttl(Duration::MAX).jitter(0.0));
    clock.advance(Duration::from_secs(86400 * 365 * 500));
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(get(&cache, "ever"), Some(1));
}

#[test]
fn loaded_values_are_shortened_too_and_windows_begin_at_the_shortened_end() {
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
fn jitter_of_the_builder_holds_where_a_call_has_none() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_options(lasting(60).jitter(0.5)).build();
    put(&cache, "key", 1, options());
    assert!(left(&cache, "key") < SECOND * 60);
    put(&cache, "key", 1, options().jitter(0.0));
    assert_eq!(left(&cache, "key"), SECOND * 60);
}

#[test]
fn a_part_that_is_none_panics_at_the_setter_and_names_the_range() {
    for part in [-0.1, 1.1, f32::NAN, f32::INFINITY, -f32::EPSILON] {
        for set in [CacheOptions::jitter, CacheOptions::refresh_ahead] {
            let panic = catch_unwind(|| set(options(), part)).unwrap_err();
            let text = panic.downcast::<String>().unwrap();
            assert!(text.contains("from 0 to 1"), "{text}");
        }
    }
    for part in [0.0, -0.0, 1.0, f32::MIN_POSITIVE] {
        drop(options().jitter(part).refresh_ahead(part));
    }
}

#[test]
fn an_entry_that_nobody_reads_ends_at_exactly_its_time() {
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
fn reads_keep_an_entry() {
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
            // Writes look for what has ended.
            put(&cache, "another", 2, lasting(1));
        }
        clock.advance(SECOND * 32);
        assert_eq!(get(&cache, "key"), None);
    }
}

#[test]
fn looks_do_not_keep_an_entry() {
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
fn storing_counts_as_a_read() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, idle(32));
    clock.advance(SECOND * 31);
    put(&cache, "key", 2, idle(32));
    clock.advance(SECOND * 31);
    assert_eq!(get(&cache, "key"), Some(2));
}

/// A read that comes soon after another is not written down.
#[test]
fn an_entry_may_end_a_thirty_second_part_early_and_no_more() {
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
fn the_time_to_live_holds_however_often_it_is_read() {
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
fn an_idle_entry_ends_whole_whatever_windows_it_has() {
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
fn idle_for_no_time_or_for_ever() {
    let (cache, clock) = clocked(100);
    put(&cache, "none", 1, options().time_to_idle(Duration::ZERO));
    put(&cache, "ever", 1, options().time_to_idle(Duration::MAX));
    clock.advance(NANO);
    assert_eq!(get(&cache, "none"), None);
    clock.advance(SECOND * 1_000_000_000);
    assert_eq!(get(&cache, "ever"), Some(1));
}

#[test]
fn idle_entries_give_their_memory_back_and_those_that_are_read_stay() {
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

/// Times near the end of the clock are as good as any.
#[test]
fn an_idle_time_of_centuries_does_no_harm() {
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
