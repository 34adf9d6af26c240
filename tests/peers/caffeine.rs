//! What the tests of Caffeine's `LoadingCache` and of its refreshes check.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock, RemovalCause, Spawn};

use crate::parts::*;
use crate::pool::*;
use crate::stale::*;
use crate::support::*;

/// While a value is being replaced, its loader is one of those who are served it.
#[test]
fn a_loader_may_load_its_own_key_while_there_is_something_to_serve() {
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
        let again = cache.get_or_load("key", CacheOptions::new(), async || {
            let old = cache
                .get_or_load("key", CacheOptions::new(), never::<u32>)
                .await?;
            Ok::<u32, hydracache::CacheError>(old + 1)
        });
        assert_eq!(Hand::hold(again).ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), Some(2));
        assert_eq!(cache.stats().loads, 1);
    }
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, options());
    let again = cache.refresh("key", options(), async || {
        let old = cache.get_or_load("key", options(), never::<u32>).await?;
        Ok::<u32, hydracache::CacheError>(old + 1)
    });
    assert_eq!(Hand::hold(again).ends().unwrap(), 2);
    assert_eq!(served(&cache, "key"), 2);
}

#[test]
fn a_background_load_may_load_its_own_key_while_it_is_served() {
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

/// As `tokio::spawn` does outside its runtime. Theirs log it, and go on.
#[test]
fn a_spawner_that_panics_costs_its_call_and_leaves_the_key_and_its_place_free() {
    let (clock, pool, broken) = (ManualClock::new(), Pool::default(), Arc::default());
    let (own, none) = (pool.clone(), Arc::<AtomicBool>::clone(&broken));
    let builder = HydraCache::local().clock(clock.clone());
    let builder = builder.timer(clock.clone()).max_background_loads(1);
    let builder = builder.spawner(move |load| {
        assert!(!none.load(SeqCst), "there is no runtime here");
        own.spawn(load);
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

/// Theirs overflow the stack, or say that it is recursive. Ours waits, and no longer than it
/// was told to.
#[test]
fn loads_that_wait_for_themselves_end_with_their_time_and_free_their_keys() {
    let (cache, clock) = timed();
    let within = || options().load_timeout(SECOND * 2);
    let mut itself = Hand::start(cache.get_or_load("a", within(), async || {
        cache.get_or_load("a", options(), never::<u32>).await
    }));
    let mut waiter = join(&cache, "a");
    clock.advance(SECOND * 2);
    assert!(itself.was_woken());
    assert!(itself.ends().unwrap_err().is_timeout());
    assert!(waiter.ends().unwrap_err().is_timeout());
    assert_eq!(load(&cache, "a", 1), 1);
    remove(&cache, "a");

    // In a ring: a loads b, which loads a.
    let mut ring = Hand::start(cache.get_or_load("a", within(), async || {
        let b = async || cache.get_or_load("a", options(), never::<u32>).await;
        cache.get_or_load("b", options(), b).await
    }));
    let mut waiter = Hand::start(cache.get_or_load("b", options(), ready(3_u32)));
    clock.advance(SECOND * 2);
    assert!(ring.ends().unwrap_err().is_timeout());
    assert_eq!(
        waiter.ends().unwrap(),
        3,
        "the load of b was dropped with a's"
    );
    assert_eq!((load(&cache, "a", 1), load(&cache, "b", 2)), (1, 3));
    assert_eq!(cache.stats().timeouts, 2);
}

/// Theirs discard it, since the entry that it was to replace is gone. It is no less new.
#[test]
fn a_refresh_lands_though_what_it_replaces_has_left_meanwhile() {
    let leave: [fn(&HydraCache, &ManualClock); 2] = [
        |_, clock| clock.advance(SECOND * 10),
        |cache, _| (0..9).for_each(|n| put(cache, &n.to_string(), n, options())),
    ];
    for leave in leave {
        let (cache, clock) = clocked(1);
        put(&cache, "key", 1, lasting(10));
        let door = Door::default();
        let mut refresh = Hand::start(cache.refresh("key", lasting(10), async || {
            door.pass().await;
            Ok::<_, Infallible>(2_u32)
        }));
        leave(&cache, &clock);
        assert_eq!(get(&cache, "key"), None);
        door.open();
        assert_eq!(refresh.ends().unwrap(), 2);
        assert_eq!(get(&cache, "key"), Some(2));
        assert_eq!(cache.stats().stale_load_discards, 0);
    }
}

/// A reload that gives nothing ends what there was.
#[test]
fn a_refresh_that_is_not_to_be_stored_removes_what_was_there() {
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

/// Which keys of many were given to the loader.
fn load_many(part: &Numbers, keys: &[u64]) -> Vec<u64> {
    let given = Mutex::new(Vec::new());
    let load = |keys: Vec<u64>| {
        given.lock().unwrap().extend(&keys);
        async move {
            let numbers: Vec<_> = keys.iter().map(|_| Number(9)).collect();
            Ok::<_, Infallible>(numbers)
        }
    };
    let found = block_on(part.get_or_load_many(keys, options(), load));
    assert!(found.iter().all(Result::is_ok));
    given.into_inner().unwrap()
}

#[test]
fn of_many_keys_those_are_loaded_whose_time_has_come() {
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
fn a_hit_among_many_keys_is_a_use_for_the_time_to_idle() {
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

/// However many have left: what is put back sweeps as every write does, and tells of that.
#[test]
fn a_listener_may_put_back_what_has_left() {
    let slot: Arc<Mutex<Option<HydraCache>>> = Arc::default();
    let (again, calls) = (Arc::clone(&slot), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&calls);
    let builder = HydraCache::local().on_removal(move |key, _, cause| {
        if cause != RemovalCause::Replaced {
            counted.fetch_add(1, SeqCst);
            let cache = again.lock().unwrap().clone().unwrap();
            put(&cache, key, 7, options());
        }
    });
    let cache = builder.build();
    *slot.lock().unwrap() = Some(cache.clone());
    without_hanging(move || {
        let keys: Vec<String> = (0..5_000).map(|n| format!("key {n}")).collect();
        let ends: [fn(&HydraCache); 2] = [flush, |cache| {
            assert_eq!(invalidate(cache, "tag"), 5_000);
        }];
        for (round, end) in (1..).zip(ends) {
            for key in &keys {
                put(&cache, key, 1, tagged("tag"));
            }
            end(&cache);
            assert!(keys.iter().all(|key| get(&cache, key) == Some(7)));
            assert_eq!(calls.load(SeqCst), 5_000 * round);
        }
        *slot.lock().unwrap() = None;
    });
}

/// A failure is no value and no old one.
#[test]
fn a_load_that_fails_over_what_expired_brings_nothing_back() {
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
