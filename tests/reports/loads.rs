//! Loads that meet puts, invalidations and each other.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, pending, ready as at_once};
use std::pin::Pin;

use futures_lite::future::yield_now;
use hydracache::{CacheResult, CacheStats, Fetched, HydraCache, Loaded, Source};

use crate::pool::*;
use crate::stale::*;
use crate::support::*;

#[test]
fn load_older_than_a_put_and_a_remove_stores_nothing() {
    // Put and remove leave the key as the load found it: absent.
    for tag in [false, true] {
        let cache = HydraCache::local().build();
        let door = Door::default();
        let mut older = lead(&cache, "key", 1, tagged("tag"), &door);
        put(&cache, "key", 2, tagged("tag"));
        if tag {
            assert_eq!(invalidate(&cache, "tag"), 1);
        } else {
            assert!(remove(&cache, "key"));
        }
        door.open();
        assert_eq!(older.ends().unwrap(), 1);
        assert_eq!(get(&cache, "key"), None);
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn older_load_does_not_replace_an_equal_value_put_again() {
    // The entry looks as it did when the refresh began; the ttl and the tags are newer.
    let (cache, clock) = clocked(10);
    put(&cache, "key", 1, revalidated(10));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut older = lead(&cache, "key", 7, tagged("old"), &door);
    put(&cache, "key", 1, lasting(100).tag("new"));
    door.open();
    assert_eq!(older.ends().unwrap(), 7);
    clock.advance(SECOND * 99);
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(invalidate(&cache, "old"), 0);
    assert_eq!(invalidate(&cache, "new"), 1);
}

#[test]
fn row_deleted_in_the_database_does_not_come_back() {
    let (cache, clock) = clocked(10);
    let absent = |_| at_once(Ok::<_, Infallible>(Loaded::new(0).no_store()));
    for window in [kept(100), revalidated(100), kept(100).refresh_ahead(0.0)] {
        put(&cache, "key", 1, window.clone());
        clock.advance(SECOND * 10);
        // The loader finds no row any more.
        let call = cache.fetch("key", window, absent);
        assert_eq!(Hand::hold(call).ends().unwrap().value, 0);
        // No later failure serves the value of the deleted row.
        assert!(fail(&cache, "key").unwrap_err().is_load());
        assert_eq!(get(&cache, "key"), None);
    }
}

type Chain<'a> = Pin<Box<dyn Future<Output = CacheResult<u32>> + 'a>>;

/// Loads key `from` by a loader that loads the next of the keys, in a circle.
fn around<'a>(cache: &'a HydraCache, keys: &'a [&'a str], from: usize, seconds: u32) -> Chain<'a> {
    let given = options().load_timeout(SECOND * seconds);
    Box::pin(cache.get_or_load(keys[from], given, move || {
        around(cache, keys, (from + 1) % keys.len(), seconds)
    }))
}

#[test]
fn loaders_that_wait_in_a_circle_end_at_a_timeout() {
    for keys in [&["a"][..], &["a", "b"], &["a", "b", "c", "d"]] {
        let (cache, clock) = timed();
        let mut call = Hand::start(around(&cache, keys, 0, 5));
        assert_eq!(cache.stats().loads, keys.len() as u64);
        clock.advance(nearly(5));
        call.waits();
        clock.advance(NANO);
        let error = call.finish().unwrap_err();
        assert!(error.is_timeout() || error.is_load(), "{error}");
        drop(call);
        // Every key of the circle is usable again.
        for key in keys {
            assert_eq!(load(&cache, key, 9), 9, "{key}");
        }
    }
}

#[test]
fn two_tasks_that_load_each_others_key_end_at_a_timeout() {
    let (cache, clock) = timed();
    let door = Door::default();
    let crossing = |mine: &'static str, other: &'static str, door: Door| {
        let cache = &cache;
        let given = options().load_timeout(SECOND * 5);
        Hand::start(cache.get_or_load(mine, given, move || async move {
            door.pass().await;
            cache.get_or_load(other, options(), ready(7_u32)).await
        }))
    };
    let mut one = crossing("a", "b", door.clone());
    let mut two = crossing("b", "a", door.clone());
    door.open();
    one.waits();
    two.waits();
    clock.advance(SECOND * 5);
    // One of the two loads ends. The call that waited for it loads the key that is free now.
    assert!(one.finish().unwrap_err().is_timeout());
    assert_eq!(two.finish().unwrap(), 7);
    assert_eq!((get(&cache, "a"), get(&cache, "b")), (Some(7), Some(7)));
}

#[test]
fn load_invalidated_at_every_step_ends_for_all_callers() {
    let cache = HydraCache::local().build();
    let runs = Cell::new(0_u32);
    let call = |cache: &HydraCache, by_loader: bool| {
        let (cache, runs) = (cache.clone(), &runs);
        let given = if by_loader { options() } else { tagged("tag") };
        Hand::hold(async move {
            let load = cache.fetch("key", given, |_| async {
                runs.set(runs.get() + 1);
                for _ in 0..3 {
                    yield_now().await;
                }
                let loaded = Loaded::new(runs.get());
                Ok::<_, Infallible>(if by_loader { loaded.tag("tag") } else { loaded })
            });
            load.await.map(|found: Fetched<u32>| found.value)
        })
    };
    for by_loader in [false, true] {
        runs.set(0);
        let mut calls: Vec<_> = (0..20).map(|_| call(&cache, by_loader)).collect();
        let mut polls = 0;
        while !calls.is_empty() {
            // Every call is polled once, and the tag is invalidated before each poll.
            calls.retain_mut(|call| {
                invalidate(&cache, "tag");
                polls += 1;
                assert!(polls < 10_000, "the callers must not starve");
                call.poll().is_pending()
            });
        }
        assert!(runs.get() <= 20, "{} loads of 20 callers", runs.get());
        assert_eq!(get(&cache, "key"), None);
    }
}

#[test]
fn leader_with_waiters_is_reported_as_the_loader() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let fetch = || {
        cache.fetch("key", options(), |_| async {
            door.pass().await;
            Ok::<_, Infallible>(Loaded::new(1_u32))
        })
    };
    let mut leader = Hand::start(fetch());
    let mut waiters = [fetch(), fetch()].map(Hand::start);
    door.open();
    assert_eq!(leader.ends().unwrap().source, Source::Loaded);
    for waiter in &mut waiters {
        assert_eq!(waiter.ends().unwrap().source, Source::Joined);
    }
    assert_eq!(fetch_now(fetch()), Source::Hit);
}

fn fetch_now(call: impl Future<Output = CacheResult<Fetched<u32>>>) -> Source {
    Hand::hold(call).ends().unwrap().source
}

#[test]
fn background_load_of_an_evicted_key_still_stores() {
    let clock = hydracache::ManualClock::new();
    let pool = Pool::default();
    let builder = HydraCache::local().max_capacity(1).clock(clock.clone());
    let builder = builder.timer(clock.clone()).spawner(pool.clone());
    let cache = builder.build();
    put(&cache, "key", 1, revalidated(100));
    clock.advance(SECOND * 10);
    assert_eq!(hand_over(&cache, "key", 2, options()).ends().unwrap(), 1);

    // The only place goes to another key while the background load runs.
    put(&cache, "other", 3, options());
    assert_eq!(cache.entry_count(), 1);
    let mut waiter = join(&cache, "key");
    pool.run();
    assert_eq!(waiter.finish().unwrap(), 2);
    assert!(cache.entry_count() <= 1);
    // The key is not stuck: its next load runs.
    remove(&cache, "key");
    assert_eq!(load(&cache, "key", 4), 4);
}

#[test]
fn value_replaced_in_the_background_ends_its_refresh() {
    // Another call replaces the value; the hung refresh must not stop later refreshes for ever.
    let (cache, clock, pool) = spawning(8);
    put(&cache, "key", 1, revalidated(1_000));
    clock.advance(SECOND * 10);
    assert_eq!(hand_over_hung(&cache, "key", options()).ends().unwrap(), 1);
    let mut hung = pool.only();
    hung.waits();
    put(&cache, "key", 2, revalidated(1_000));
    clock.advance(SECOND * 10);
    assert_eq!(
        hand_over(&cache, "key", 3, revalidated(10)).ends().unwrap(),
        2
    );
    pool.run();
    assert_eq!(get(&cache, "key"), Some(3));
    drop(hung);
    assert_eq!(get(&cache, "key"), Some(3));
}

#[test]
fn hit_ratio_without_calls_is_a_number() {
    let cache = HydraCache::local().build();
    let unused = cache.stats();
    assert!(unused.hit_ratio().abs() < f64::EPSILON);
    put(&cache, "key", 1, options());
    get(&cache, "key");
    get(&cache, "absent");
    assert!((cache.stats().hit_ratio() - 0.5).abs() < f64::EPSILON);
    // Snapshots in the wrong order, and of no calls between them.
    let wrong = unused - cache.stats();
    assert_eq!(wrong, CacheStats::default());
    assert!((cache.stats() - cache.stats()).hit_ratio().abs() < f64::EPSILON);
}

#[test]
fn load_failing_after_an_invalidation_keeps_the_key_stale() {
    // A failed reload must not make the value fresh that an invalidation ended.
    let (cache, _clock) = clocked(10);
    put(&cache, "key", 1, kept(100).tag("tag"));
    assert_eq!(expire_tag(&cache, "tag"), 1);
    for _ in 0..3 {
        assert_eq!(fail(&cache, "key").unwrap(), 1);
        assert_eq!(get(&cache, "key"), None);
    }
    let dropped =
        Hand::start(cache.get_or_load("key", options(), pending::<Result<u32, Infallible>>));
    drop(dropped);
    assert_eq!(get(&cache, "key"), None);
    assert_eq!(load(&cache, "key", 2), 2);
}
