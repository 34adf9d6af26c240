//! A time to live of zero: with a window the value is stored stale, without a window it is not
//! stored.

use std::time::Duration;

use hydracache::{Bytes, CacheOptions, HydraCache, Loaded, Source};

use crate::stale::*;
use crate::support::*;

/// `Cache-Control: max-age=0, stale-if-error=..`.
fn on_error(seconds: u32) -> CacheOptions {
    lasting(0).stale_if_error(SECOND * seconds)
}

/// `Cache-Control: max-age=0, stale-while-revalidate=..`.
fn revalidate(seconds: u32) -> CacheOptions {
    lasting(0).stale_while_revalidate(SECOND * seconds)
}

type Store = fn(&HydraCache, CacheOptions);

/// Every verb that stores a value.
const STORES: [(&str, Store); 9] = [
    ("put", |cache, options| put(cache, "key", 1, options)),
    ("put_bytes", |cache, options| {
        let bytes = Bytes::from_static(b"\x01");
        block_on(cache.put_bytes("key", bytes, options)).unwrap();
    }),
    ("put_if_absent", |cache, options| {
        block_on(cache.put_if_absent("key", 1_u32, options)).unwrap();
    }),
    ("update", |cache, options| {
        let one = |_: Option<u32>| Some(1_u32);
        block_on(cache.update("key", options, one)).unwrap();
    }),
    ("get_or_load", |cache, options| {
        let call = cache.get_or_load("key", options, ready(1_u32));
        assert_eq!(block_on(call).unwrap(), 1);
    }),
    ("get_or_refresh", |cache, options| {
        let call = cache.get_or_refresh("key", options, ready(1_u32));
        assert_eq!(block_on(call).unwrap(), 1);
    }),
    ("refresh", |cache, options| {
        let call = cache.refresh("key", options, ready(1_u32));
        assert_eq!(block_on(call).unwrap(), 1);
    }),
    ("fetch", |cache, options| {
        let fetched = fetched(cache, "key", options, 1);
        assert_eq!(fetched.source, Source::Loaded);
        assert_eq!(fetched.time_left, Some(Duration::ZERO));
    }),
    ("fetch with Loaded::ttl", |cache, options| {
        let loaded = Loaded::new(1).ttl(Duration::ZERO);
        fetched(cache, "key", options.ttl(SECOND * 9), loaded);
    }),
];

#[test]
fn zero_ttl_with_an_error_window_is_served_after_a_failed_load() {
    for (name, store) in STORES {
        let (cache, clock) = clocked(100);
        store(&cache, on_error(60).tag("tag"));
        // No read without a loader sees the value, and no call counts it as live.
        assert_eq!(get(&cache, "key"), None, "{name}");
        assert_eq!(block_on(cache.peek::<u32>("key")).unwrap(), None);
        assert!(!block_on(cache.contains_key("key")));
        assert_eq!(cache.keys().count(), 0);
        assert_eq!(cache.entry_count(), 1, "{name}");
        // A loading call loads; only a failed load is answered with the value.
        assert_eq!(fail(&cache, "key").unwrap(), 1, "{name}");
        clock.advance(nearly(60));
        assert_eq!(fail(&cache, "key").unwrap(), 1, "{name}");
        clock.advance(NANO);
        assert!(fail(&cache, "key").is_err(), "{name}");
        assert_eq!(cache.stats().rejections, 0);
    }
}

#[test]
fn zero_ttl_with_a_revalidate_window_is_served_during_a_load() {
    for (name, store) in STORES {
        let (cache, clock) = clocked(100);
        store(&cache, revalidate(60));
        assert_eq!(get(&cache, "key"), None, "{name}");
        let door = Door::default();
        let mut leader = lead(&cache, "key", 2, revalidate(60), &door);
        assert_eq!(served(&cache, "key"), 1, "{name}");
        door.open();
        assert_eq!(leader.ends().unwrap(), 2);
        clock.advance(SECOND * 60);
        assert!(fail(&cache, "key").is_err(), "{name}");
    }
}

#[test]
fn zero_ttl_without_a_window_removes_the_entry() {
    let unstored = [
        lasting(0),
        lasting(0).stale_if_error(Duration::ZERO),
        lasting(0).stale_while_revalidate(Duration::ZERO),
        lasting(0).time_to_idle(SECOND),
        lasting(0).refresh_ahead(0.5).jitter(0.5),
    ];
    for options in unstored {
        for (name, store) in STORES {
            let (cache, clock) = clocked(100);
            put(&cache, "key", 7, kept(60));
            clock.advance(SECOND * 10);
            store(&cache, options.clone());
            assert_eq!(cache.entry_count(), 0, "{name} {options:?}");
            assert!(fail(&cache, "key").is_err());
            assert_eq!(cache.stats().rejections, 0);
        }
    }
}

#[test]
fn zero_ttl_uses_windows_of_the_builder_and_of_the_handle() {
    let clock = hydracache::ManualClock::new();
    let window = options().stale_if_error(SECOND * 60);
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_options(window.clone()).build();
    for (name, store) in STORES {
        flush(&cache);
        store(&cache, lasting(0));
        assert_eq!(get(&cache, "key"), None);
        assert_eq!(fail(&cache, "key").unwrap(), 1, "{name}");
    }
    // The other way round: the builder has the time to live.
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_ttl(Duration::ZERO).build();
    put(&cache, "key", 1, options());
    assert_eq!(cache.entry_count(), 0);
    put(&cache, "key", 1, window.clone());
    assert_eq!(fail(&cache, "key").unwrap(), 1);

    let typed = cache.typed::<u8, u32>("numbers").with_options(window);
    block_on(typed.put(&7, 1, options())).unwrap();
    assert_eq!(block_on(typed.get(&7)).unwrap(), None);
    let failing = typed.get_or_load(&7, options(), || async { Err("down") });
    assert_eq!(*block_on(failing).unwrap(), 1);
    let failing = |_| async { Err::<Vec<u32>, _>("down") };
    let found = block_on(typed.get_or_load_many([7], options(), failing));
    assert_eq!(**found[0].as_ref().unwrap(), 1);
}

/// `no_store` is the wish for nothing to be stored, whatever the windows.
#[test]
fn no_store_stores_nothing_in_spite_of_windows() {
    for options in [on_error(60), revalidate(60), kept(60), options()] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 7, kept(60));
        clock.advance(SECOND * 10);
        let view = fetched(&cache, "key", options, Loaded::new(1).no_store());
        assert_eq!((view.value, view.time_left), (1, Some(Duration::ZERO)));
        assert_eq!(cache.entry_count(), 0);
        assert_eq!(cache.stats().rejections, 0);
        let both = Loaded::new(1).ttl(SECOND * 9).no_store();
        fetched(&cache, "key", kept(60), both);
        assert_eq!(cache.entry_count(), 0);
    }
}

/// A value that was never fresh does not become fresh when the clock goes back.
#[test]
fn stored_stale_value_stays_invisible_if_the_clock_goes_back() {
    let clock = crate::leaps::Leaping::default();
    clock.set_to(SECOND * 1000);
    let cache = HydraCache::local().clock(clock.clone()).build();
    put(&cache, "key", 1, on_error(60));
    clock.set_to(SECOND * 500);
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(fail(&cache, "key").unwrap(), 1);
}

#[test]
fn stored_stale_value_is_fenced_removed_and_counted_as_expired() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    // 1. A load starts. 2. A put stores a stale value. 3. The load ends, and is not stored.
    let mut leader = lead(&cache, "key", 2, options(), &door);
    put(&cache, "key", 1, on_error(60).tag("tag"));
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    assert_eq!(invalidate(&cache, "tag"), 0, "not fresh, so not counted");
    assert!(fail(&cache, "key").is_err());
    put(&cache, "key", 1, on_error(60));
    assert!(!remove(&cache, "key"));
    assert!(fail(&cache, "key").is_err());
    assert_eq!(cache.stats().expirations, 2);
    assert_eq!(cache.stats().stale_load_discards, 1);
}

/// Jitter shortens, but a time to live beyond zero stays beyond zero.
#[test]
fn jitter_makes_no_zero_ttl() {
    let (cache, _) = clocked(1000);
    for key in 0..500 {
        let shortest = options().ttl(NANO).jitter(1.0);
        put(&cache, &key.to_string(), 1, shortest);
    }
    assert_eq!(cache.keys().count(), 500);
}

#[test]
fn capacity_of_zero_stores_no_stale_value() {
    let (cache, _) = clocked(0);
    put(&cache, "key", 1, on_error(60));
    assert!(fail(&cache, "key").is_err());
    assert_eq!(cache.stats().rejections, 1);
}

/// The state at the start needs no clock that moves: the entry is in the window at once.
#[test]
fn idle_time_bounds_a_stored_stale_value() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, on_error(60).time_to_idle(SECOND * 5));
    clock.advance(nearly(5));
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    clock.advance(SECOND * 5);
    assert!(fail(&cache, "key").is_err());
}
