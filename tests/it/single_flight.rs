//! A missing key is loaded once, and every waiter gets the result of the load.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::Arc;

use async_executor::LocalExecutor;
use futures_lite::future::yield_now;
use hydracache::{CacheOptions, HydraCache};

use crate::support::*;

#[test]
fn a_thousand_callers_start_one_load() {
    let cache = HydraCache::local().build();
    let (door, calls) = (Door::default(), Cell::new(0));
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            executor.spawn(async {
                let loader = || async {
                    calls.set(calls.get() + 1);
                    door.pass().await;
                    Ok::<_, Infallible>(7_u32)
                };
                cache.get_or_load("key", options(), loader).await.unwrap()
            })
        })
        .collect();
    while executor.try_tick() {}
    door.open();
    let sum = block_on(executor.run(async {
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
        }
        sum
    }));
    assert_eq!((sum, calls.get()), (7000, 1));
    assert_stats(cache.stats(), |stats| {
        stats.misses = 1000;
        stats.loads = 1;
        stats.single_flight_joins = 999;
    });
}

#[test]
fn calls_with_other_verbs_errors_and_options_share_one_load() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 7, tagged("a"), &door);
    let mut waiters = [
        Hand::start(
            cache.get_or_load::<u32, io::Error, _, _>("key", tagged("b"), || async {
                unreachable!()
            }),
        ),
        Hand::start(cache.try_get_or_insert_with::<u32, String, _, _>(
            "key",
            lasting(9),
            || async { unreachable!() },
        )),
        Hand::start(
            cache.get_or_insert_with::<u32, _, _>("key", options(), || async { unreachable!() }),
        ),
    ];
    door.open();
    assert_eq!(leader.ends().unwrap(), 7);
    for waiter in &mut waiters {
        assert!(waiter.was_woken());
        assert_eq!(waiter.ends().unwrap(), 7);
    }
}

#[test]
fn load_uses_the_options_of_its_leader() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 7, tagged("leader"), &door);
    let mut waiter = Hand::start(cache.get_or_load("key", tagged("waiter"), never::<u32>));
    door.open();
    leader.ends().unwrap();
    waiter.ends().unwrap();
    assert_eq!(invalidate(&cache, "waiter"), 0);
    assert_eq!(invalidate(&cache, "leader"), 1);
}

#[test]
fn failed_load_gives_all_one_error_and_is_not_cached() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = Hand::start(
        cache.get_or_load::<u32, _, _, _>("key", options(), || async {
            door.pass().await;
            Err(io::Error::other("down"))
        }),
    );
    let mut waiter = join(&cache, "key");
    door.open();
    let (a, b) = (leader.ends().unwrap_err(), waiter.ends().unwrap_err());
    assert!(a.is_load() && b.is_load());
    assert_eq!(a.to_string(), b.to_string());
    let [a, b] = [&a, &b].map(|error| {
        let source = error.source().unwrap();
        std::ptr::from_ref(source.downcast_ref::<io::Error>().unwrap())
    });
    assert!(std::ptr::eq(a, b), "leader and waiter get one error");
    assert_eq!(load(&cache, "key", 8), 8);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 3;
        stats.loads = 2;
        stats.load_failures = 1;
        stats.single_flight_joins = 1;
    });
}

/// moka#208: a loader given as a future, not as a closure, ran on hits.
#[test]
fn loader_is_never_called_on_a_hit() {
    let cache = HydraCache::local().build();
    put(&cache, "key", 7, options());
    assert_eq!(
        block_on(cache.get_or_load("key", options(), never::<u32>)).unwrap(),
        7
    );
    let inserted = cache.get_or_insert_with::<u32, _, _>("key", options(), || {
        drop(never::<u32>());
        async { 8 }
    });
    assert_eq!(block_on(inserted).unwrap(), 7);
}

/// moka#240: an unpolled call must not block other calls.
#[test]
fn unpolled_call_claims_no_slot() {
    let cache = HydraCache::local().build();
    let unpolled = Hand::hold(cache.get_or_load("key", options(), never::<u32>));
    assert_eq!(load(&cache, "key", 7), 7);
    drop(unpolled);
    assert_eq!(cache.stats().loads, 1);
}

/// An unpolled leader blocks only its own waiters. After a `remove`, later callers no longer
/// join the load.
#[test]
fn unpolled_leader_blocks_only_its_own_waiters() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let door = Door::default();
        // 1. A load starts, a call joins; neither is polled meanwhile.
        let mut parked = lead(&cache, "key", 1, options(), &door);
        let mut waiter = join(&cache, "key");

        // 2. Other keys work. 3. After a remove and a put, the key works too.
        assert_eq!(load(&cache, "other", 2), 2);
        assert_eq!(get(&cache, "key"), None);
        assert!(!block_on(cache.remove("key")).unwrap());
        assert_eq!(load(&cache, "key", 3), 3);
        put(&cache, "key", 4, options());
        assert_eq!(get(&cache, "key"), Some(4));

        // 4. The first load ends for its own waiter, and is not stored.
        waiter.waits();
        door.open();
        assert_eq!(parked.ends().unwrap(), 1);
        assert_eq!(waiter.ends().unwrap(), 1);
        assert_eq!(get(&cache, "key"), Some(4));
    });
}

/// A fair async lock would hand the permit to a pinned, never again polled future, and
/// the whole cache would hang after some rounds.
#[test]
fn parked_futures_never_hang_other_calls() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let keys: Vec<String> = (0..1000).map(|round| format!("key {round}")).collect();
        let mut parked = Vec::new();
        for (round, key) in (0_u32..).zip(&keys) {
            // Each round leaves a leader, a waiter and sometimes an invalidation: pinned,
            // polled once, neither polled again nor dropped.
            let mut leader = Hand::hold(cache.get_or_load(key, tagged("tag"), || async {
                std::future::pending::<()>().await;
                Ok::<_, Infallible>(0_u32)
            }));
            leader.waits();
            parked.push(leader);
            parked.push(join(&cache, key));
            if round % 100 == 0 {
                for n in 0..500 {
                    put(&cache, &format!("member {n}"), n, tagged("members"));
                }
                parked.push(Hand::start(async {
                    cache.invalidate_tag("members").await?;
                    Ok(0)
                }));
            }
            put(&cache, "a", round, tagged("tag"));
            assert_eq!(get(&cache, "a"), Some(round));
            assert_eq!(invalidate(&cache, "tag"), 1);
            assert_eq!(load(&cache, "b", round), round);
            block_on(cache.flush()).unwrap();
        }
        assert_eq!(cache.stats().loads, 2000);
    });
}

#[test]
fn loader_may_load_other_keys() {
    let cache = HydraCache::local().max_capacity(100).build();
    let outer = cache.get_or_load("outer", options(), || async {
        let inner = cache.get_or_load("inner", options(), ready(20_u32)).await?;
        cache.put("beside", 1_u32, options()).await?;
        Ok::<_, hydracache::CacheError>(inner + 1)
    });
    assert_eq!(block_on(outer).unwrap(), 21);
    assert_eq!(cache.entry_count(), 3);
}

#[test]
fn waiters_get_a_value_that_is_not_stored() {
    let cases: [(HydraCache, CacheOptions, u64); 3] = [
        (HydraCache::local().build(), lasting(0), 0),
        (HydraCache::local().max_entry_bytes(0).build(), options(), 1),
        (HydraCache::local().max_capacity(0).build(), options(), 1),
    ];
    for (cache, options, rejections) in cases {
        let door = Door::default();
        let mut leader = lead(&cache, "key", 7, options, &door);
        let mut waiter = join(&cache, "key");
        door.open();
        assert_eq!(leader.ends().unwrap(), 7);
        assert_eq!(waiter.ends().unwrap(), 7);
        assert_eq!(get(&cache, "key"), None);
        let stats = cache.stats();
        assert_eq!((stats.loads, stats.rejections), (1, rejections));
    }
}

#[test]
fn leader_gets_its_value_without_a_decode() {
    struct Undecodable;
    impl hydracache::Codec for Undecodable {
        fn encode<V: serde::Serialize + ?Sized>(
            &self,
            _: &V,
        ) -> Result<hydracache::Bytes, hydracache::BoxError> {
            Ok(hydracache::Bytes::new())
        }
        fn decode<V: serde::de::DeserializeOwned>(
            &self,
            _: &[u8],
        ) -> Result<V, hydracache::BoxError> {
            panic!("the leader must not decode")
        }
        fn checks_round_trip(&self) -> bool {
            false
        }
    }
    let cache = HydraCache::local().codec(Undecodable).build();
    let loaded = cache.get_or_load("key", options(), ready(7_u32));
    assert_eq!(block_on(loaded).unwrap(), 7);
}

/// Ten thousand keys with two callers each, on a single executor.
#[test]
fn two_callers_of_each_of_10_000_keys_share_one_load() {
    let cache = HydraCache::local().max_capacity(100_000).build();
    let calls = Cell::new(0);
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = (0..20_000_u32)
        .map(|n| {
            let (cache, calls) = (&cache, &calls);
            executor.spawn(async move {
                let key = format!("key {}", n / 2);
                let loader = || async move {
                    calls.set(calls.get() + 1);
                    yield_now().await;
                    Ok::<_, Infallible>(n / 2)
                };
                assert_eq!(
                    cache.get_or_load(&key, options(), loader).await.unwrap(),
                    n / 2
                );
            })
        })
        .collect();
    block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
    assert_eq!(calls.get(), 10_000);
    assert_eq!(cache.stats().single_flight_joins, 10_000);
}

#[test]
fn clones_share_one_cache() {
    let cache = HydraCache::local().build();
    let clone = cache.clone();
    put(&clone, "key", 7, options());
    assert_eq!(get(&cache, "key"), Some(7));
    drop(cache);
    assert_eq!(get(&clone, "key"), Some(7));
    let _shared: Arc<HydraCache> = Arc::new(clone);
}
