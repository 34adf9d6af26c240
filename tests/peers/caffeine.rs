//! Behaviours from the tests of Caffeine's `LoadingCache` and refreshes.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock, RemovalCause, Spawn};

use crate::parts::*;
use crate::pool::*;
use crate::stale::*;
use crate::support::*;

/// While a refresh runs, its own loader is served the current value like every other caller.
#[test]
fn loader_loading_its_own_key_gets_the_replaced_value() {
    let rows = [
        (lasting(10).refresh_ahead(0.5), 5),
        (lasting(10).refresh_ahead(0.5), 9),
        (revalidated(9), 10),
        (revalidated(9), 18),
    ];
    for (options, wait) in rows {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, options);
        clock.advance(SECOND * wait);
        let refresh = cache.get_or_load("key", CacheOptions::new(), async || {
            let old = cache
                .get_or_load("key", CacheOptions::new(), never::<u32>)
                .await?;
            Ok::<u32, hydracache::CacheError>(old + 1)
        });
        assert_eq!(Hand::hold(refresh).ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), Some(2));
        assert_eq!(cache.stats().loads, 1);
    }
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    let refresh = cache.refresh("key", options(), async || {
        let old = cache.get_or_load("key", options(), never::<u32>).await?;
        Ok::<u32, hydracache::CacheError>(old + 1)
    });
    assert_eq!(Hand::hold(refresh).ends().unwrap(), 2);
    assert_eq!(served(&cache, "key"), 2);
}

#[test]
fn background_loader_loading_its_own_key_gets_the_stale_value() {
    let (cache, clock, pool) = spawning(64);
    put(&cache, "key", 1, revalidated(9));
    clock.advance(SECOND * 10);
    let inner = cache.clone();
    let mut first = Hand::hold(cache.get_or_refresh("key", options(), || async move {
        let old = inner.get_or_load("key", options(), never::<u32>).await?;
        Ok::<u32, hydracache::CacheError>(old + 1)
    }));
    assert_eq!(first.ends().unwrap(), 1);
    pool.only().ends();
    assert_eq!(served(&cache, "key"), 2);
}

/// `tokio::spawn` panics outside a runtime. Caffeine logs such a failure and goes on.
#[test]
fn panicking_spawner_fails_the_call_and_frees_key_and_permit() {
    let (clock, pool, broken) = (ManualClock::new(), Pool::default(), Arc::default());
    let (running, fails) = (pool.clone(), Arc::<AtomicBool>::clone(&broken));
    let builder = HydraCache::local().clock(clock.clone());
    let builder = builder.timer(clock.clone()).max_background_loads(1);
    let builder = builder.spawner(move |load| {
        assert!(!fails.load(SeqCst), "there is no runtime here");
        running.spawn(load);
    });
    let cache = builder.build();
    broken.store(true, SeqCst);
    put(&cache, "key", 1, revalidated(9));
    put(&cache, "kept", 1, kept(9));
    clock.advance(SECOND * 10);
    for key in ["key", "key", "kept"] {
        let mut call = hand_over(&cache, key, 2, options());
        let polled = std::panic::AssertUnwindSafe(|| drop(call.poll()));
        assert!(std::panic::catch_unwind(polled).is_err());
    }
    broken.store(false, SeqCst);
    assert_eq!(hand_over(&cache, "key", 2, options()).ends().unwrap(), 1);
    pool.only().ends();
    assert_eq!(served(&cache, "key"), 2);
    assert_eq!(load(&cache, "kept", 3), 3);
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.load_failures), (5, 0));
}

/// Caffeine overflows the stack, or reports a recursive load. This cache waits until
/// `load_timeout` ends the call.
#[test]
fn self_waiting_loads_time_out_and_free_their_keys() {
    let (cache, clock) = timed();
    let bounded = || options().load_timeout(SECOND * 2);
    let mut nested = Hand::start(cache.get_or_load("a", bounded(), async || {
        cache.get_or_load("a", options(), never::<u32>).await
    }));
    let mut waiter = Hand::start(cache.get_or_load("a", options(), ready(1_u32)));
    clock.advance(SECOND * 2);
    assert!(nested.was_woken());
    assert!(nested.ends().unwrap_err().is_timeout());
    assert_eq!(waiter.ends().unwrap(), 1);
    assert_eq!(get(&cache, "a"), Some(1));
    remove(&cache, "a");

    // A cycle of two keys: the loader of a loads b, and the loader of b loads a.
    let mut cycle = Hand::start(cache.get_or_load("a", bounded(), async || {
        let b = async || cache.get_or_load("a", options(), never::<u32>).await;
        cache.get_or_load("b", options(), b).await
    }));
    let mut waiter = Hand::start(cache.get_or_load("b", options(), ready(3_u32)));
    clock.advance(SECOND * 2);
    assert!(cycle.ends().unwrap_err().is_timeout());
    assert_eq!(
        waiter.ends().unwrap(),
        3,
        "the load of b was dropped with the load of a"
    );
    assert_eq!((load(&cache, "a", 1), load(&cache, "b", 2)), (1, 3));
    assert_eq!(cache.stats().timeouts, 2);
}

/// Caffeine discards such a refresh, since the old entry is absent. Here the value is stored.
#[test]
fn refresh_is_stored_after_the_entry_expired_or_was_evicted() {
    let removals: [fn(&HydraCache, &ManualClock); 2] = [
        |_, clock| clock.advance(SECOND * 10),
        |cache, _| (0..9).for_each(|n| put(cache, &n.to_string(), n, options())),
    ];
    for remove_entry in removals {
        let (cache, clock) = clocked(1);
        put(&cache, "key", 1, lasting(10));
        let door = Door::default();
        let mut refresh = Hand::start(cache.refresh("key", lasting(10), async || {
            door.pass().await;
            Ok::<_, Infallible>(2_u32)
        }));
        remove_entry(&cache, &clock);
        assert_eq!(get(&cache, "key"), None);
        door.open();
        assert_eq!(refresh.ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), Some(2));
        assert_eq!(cache.stats().stale_load_discards, 0);
    }
}

/// A refresh that returns `no_store` ends the current entry.
#[test]
fn refresh_with_no_store_removes_the_entry() {
    let cache = HydraCache::local().build();
    let part = numbers(&cache);
    let loading =
        part.with_loader(|_| async { Ok::<_, Infallible>(Loaded::new(Number(2)).no_store()) });
    store(&part, 7, 1, tagged("tag"));
    assert_eq!(block_on(loading.get(&7)).unwrap().0, 1);
    assert_eq!(block_on(loading.refresh(&7)).unwrap().0, 2);
    assert_eq!(read(&part, 7), None);
    assert_eq!(invalidate(&cache, "tag"), 0);
    assert_eq!(block_on(loading.refresh(&7)).unwrap().0, 2);
    assert_eq!(cache.entry_count(), 0);
}

/// Calls `get_or_load_many` and returns the keys passed to the loader.
fn load_many(part: &Numbers, keys: &[u64]) -> Vec<u64> {
    let loaded = Mutex::new(Vec::new());
    let load = |keys: Vec<u64>| {
        loaded.lock().unwrap().extend(&keys);
        async move {
            let numbers: Vec<_> = keys.iter().map(|_| Number(9)).collect();
            Ok::<_, Infallible>(numbers)
        }
    };
    let found = block_on(part.get_or_load_many(keys, options(), load));
    assert!(found.iter().all(Result::is_ok));
    loaded.into_inner().unwrap()
}

#[test]
fn get_or_load_many_loads_only_missing_and_expired_keys() {
    let (cache, clock) = clocked(99);
    let part = numbers(&cache);
    for key in 0..6 {
        store(&part, key, 1, lasting(if key % 2 == 0 { 10 } else { 20 }));
    }
    clock.advance(nearly(10));
    assert_eq!(load_many(&part, &[0, 1, 2]), []);
    clock.advance(NANO);
    assert_eq!(load_many(&part, &[5, 4, 7, 3, 2]), [4, 7, 2]);
    let found = block_on(part.get_many([0, 1, 2]));
    let found = found.into_iter().map(|it| it.unwrap().map(|it| it.0));
    assert_eq!(found.collect::<Vec<_>>(), [None, Some(1), Some(9)]);
}

#[test]
fn bulk_hit_restarts_the_time_to_idle() {
    let reads: [fn(&Numbers); 2] = [
        |part| drop(block_on(part.get_many([1, 2]))),
        |part| assert_eq!(load_many(part, &[1, 2]), []),
    ];
    for read_both in reads {
        let (cache, clock) = clocked(99);
        let part = numbers(&cache);
        (1..4).for_each(|key| store(&part, key, 1, options().time_to_idle(SECOND * 32)));
        for _ in 0..3 {
            clock.advance(SECOND * 31);
            read_both(&part);
        }
        let left = block_on(part.get_many([1, 2, 3]));
        let left = left.into_iter().map(|it| it.unwrap().is_some());
        assert_eq!(left.collect::<Vec<_>>(), [true, true, false]);
    }
}

/// Each re-inserted entry sweeps like any write, and a sweep may call the listener again.
#[test]
fn listener_reinserts_5000_removed_entries_without_hanging() {
    let slot: Arc<Mutex<Option<HydraCache>>> = Arc::default();
    let (inner, calls) = (Arc::clone(&slot), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&calls);
    let builder = HydraCache::local().on_removal(move |key, _, cause| {
        if cause != RemovalCause::Replaced {
            counted.fetch_add(1, SeqCst);
            let cache = inner.lock().unwrap().clone().unwrap();
            put(&cache, key, 7, options());
        }
    });
    let cache = builder.build();
    *slot.lock().unwrap() = Some(cache.clone());
    without_hanging(move || {
        let keys: Vec<String> = (0..5_000).map(|n| format!("key {n}")).collect();
        let removals: [fn(&HydraCache); 2] = [flush, |cache| {
            assert_eq!(invalidate(cache, "tag"), 5_000);
        }];
        for (round, remove_all) in (1..).zip(removals) {
            for key in &keys {
                put(&cache, key, 1, tagged("tag"));
            }
            remove_all(&cache);
            assert!(keys.iter().all(|key| get(&cache, key) == Some(7)));
            assert_eq!(calls.load(SeqCst), 5_000 * round);
        }
        *slot.lock().unwrap() = None;
    });
}

/// A failed load has no value to return: the expired entry stays absent.
#[test]
fn failed_load_over_an_expired_entry_restores_nothing() {
    for options in [lasting(10), options().time_to_idle(SECOND * 10)] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, options.tag("tag"));
        clock.advance(SECOND * 10);
        assert!(fail(&cache, "key").unwrap_err().is_load());
        let boom = || cache.get_or_load::<u32, Infallible, _, _>("key", tagged("tag"), boom);
        let call = std::panic::AssertUnwindSafe(|| block_on(boom()));
        assert!(std::panic::catch_unwind(call).is_err());
        assert_eq!(get(&cache, "key"), None);
        assert!(!remove(&cache, "key"));
        assert_eq!(invalidate(&cache, "tag"), 0);
        assert_eq!(cache.entry_count(), 0);
        assert_stats(cache.stats(), |stats| {
            stats.misses = 3;
            stats.loads = 2;
            stats.load_failures = 2;
            stats.expirations = 1;
        });
    }
}

/// A loader that panics.
async fn boom() -> Result<u32, Infallible> {
    panic!("boom")
}
