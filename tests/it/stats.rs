//! Each counter moves exactly when the rule of the counter says so.

use std::sync::{Barrier, mpsc};

use hydracache::{Bytes, CacheStats, HydraCache};

use crate::support::*;

#[test]
fn reads_count_once_and_peek_and_contains_key_never() {
    let cache = HydraCache::local().build();
    put(&cache, "key", 1, options());
    for key in ["key", "absent"] {
        block_on(cache.peek::<u32>(key)).unwrap();
        block_on(cache.contains_key(key));
    }
    block_on(cache.remove("absent")).unwrap();
    assert_stats(cache.stats(), |_| {});
    for key in ["key", "absent"] {
        get(&cache, key);
        block_on(cache.get_bytes(key)).unwrap();
        load(&cache, key, 2);
    }
    assert_stats(cache.stats(), |stats| {
        stats.hits = 3;
        stats.misses = 3;
        stats.loads = 1;
    });
}

#[test]
fn waiter_that_later_hits_counts_one_miss_and_no_join() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    // 1. A load starts, a call joins. 2. A put stores 2. 3. The leader is dropped.
    let leader = lead(&cache, "key", 1, options(), &door);
    let mut waiter = join(&cache, "key");
    put(&cache, "key", 2, options());
    drop(leader);
    // The waiter looks again and hits: one miss, no join.
    assert_eq!(waiter.ends().unwrap(), 2);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 2;
        stats.loads = 1;
    });
}

#[test]
fn removals_count_live_entries_and_overwriting_counts_none() {
    let cache = HydraCache::local().build();
    for key in ["a", "b", "c", "d"] {
        put(&cache, key, 1, tagged(key));
        put(&cache, key, 2, tagged(key));
    }
    assert!(block_on(cache.remove("a")).unwrap());
    assert!(block_on(cache.invalidate_key("b")).unwrap());
    assert_eq!(invalidate(&cache, "c"), 1);
    assert_stats(cache.stats(), |stats| stats.invalidations = 3);
    block_on(cache.flush()).unwrap();
    assert_stats(cache.stats(), |stats| stats.invalidations = 3);
}

#[test]
fn evictions_count_live_entries() {
    let cache = HydraCache::local().max_capacity(3).build();
    for n in 0..10 {
        put(&cache, &format!("key {n}"), n, options());
    }
    assert_stats(cache.stats(), |stats| stats.evictions = 7);
    assert_eq!(cache.entry_count(), 3);
}

#[test]
fn rejections_count_size_and_capacity_but_not_zero_ttl() {
    let cache = HydraCache::local().max_entry_bytes(2).build();
    let bytes = |len| Bytes::from(vec![0; len]);
    block_on(cache.put_bytes("fits", bytes(2), options())).unwrap();
    block_on(cache.put_bytes("large", bytes(3), options())).unwrap();
    block_on(cache.put_bytes("large and brief", bytes(3), lasting(0))).unwrap();
    block_on(cache.put_bytes("brief", bytes(1), lasting(0))).unwrap();
    assert_stats(cache.stats(), |stats| stats.rejections = 2);
    assert_eq!(cache.entry_count(), 1);

    let none = HydraCache::local().max_capacity(0).build();
    put(&none, "key", 1, options());
    assert_eq!(load(&none, "key", 2), 2);
    assert_stats(none.stats(), |stats| {
        stats.misses = 1;
        stats.loads = 1;
        stats.rejections = 2;
    });
}

#[test]
fn rejected_put_removes_the_stored_entry() {
    let cache = HydraCache::local().max_entry_bytes(2).build();
    put(&cache, "key", 1, options());
    block_on(cache.put_bytes("key", Bytes::from_static(b"long"), options())).unwrap();
    assert_eq!(get(&cache, "key"), None);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 1;
        stats.rejections = 1;
    });
}

#[test]
fn fenced_load_counts_as_discarded_only() {
    let cache = HydraCache::local().max_capacity(0).build();
    let door = Door::default();
    // 1. A load starts. 2. A remove fences the load. 3. The load ends.
    let mut leader = lead(&cache, "key", 1, options(), &door);
    block_on(cache.remove("key")).unwrap();
    door.open();
    leader.ends().unwrap();
    assert_stats(cache.stats(), |stats| {
        stats.misses = 1;
        stats.loads = 1;
        stats.stale_load_discards = 1;
    });
}

#[test]
fn fenced_load_that_fails_counts_as_a_failure_only() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader =
        Hand::start(
            cache.get_or_load::<u32, &str, _, _>("key", options(), || async {
                door.pass().await;
                Err("down")
            }),
        );
    block_on(cache.remove("key")).unwrap();
    door.open();
    leader.ends().unwrap_err();
    let stats = cache.stats();
    assert_eq!((stats.load_failures, stats.stale_load_discards), (1, 0));
}

#[test]
fn difference_of_two_snapshots_covers_the_calls_between() {
    let cache = HydraCache::local().build();
    assert_eq!(cache.stats(), CacheStats::default());
    assert!(cache.stats().hit_ratio().abs() < 1e-9);
    put(&cache, "key", 1, options());
    let before = cache.stats();
    for _ in 0..3 {
        get(&cache, "key");
    }
    get(&cache, "absent");
    let between = cache.stats() - before;
    assert!((between.hit_ratio() - 0.75).abs() < 1e-9);
    assert_eq!((before - cache.stats()).hits, 0);
}

#[test]
fn stats_and_entry_count_sum_all_shards() {
    let cache = HydraCache::local().max_capacity(1 << 20).build();
    for n in 0..1000 {
        let key = format!("key {n}");
        put(&cache, &key, n, options());
        get(&cache, &key);
    }
    assert_eq!(cache.stats().hits, 1000);
    assert_eq!(cache.entry_count(), 1000);
}

/// A thread turns a hit into a miss while the thread's own stripe has no hits.
#[test]
fn counts_of_many_threads_add_up() {
    let cache = HydraCache::local().build();
    put(&cache, "key", 7, options());
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                for n in 0..1000 {
                    get(&cache, if n % 4 == 0 { "absent" } else { "key" });
                }
            });
        }
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5 {
                let bytes = Bytes::from_static(b"not a number, this");
                block_on(cache.put_bytes("key", bytes, options())).unwrap();
                assert_eq!(load(&cache, "key", 1), 1);
            }
        });
    });
    assert_stats(cache.stats(), |stats| {
        stats.hits = 30_000;
        stats.misses = 10_005;
        stats.loads = 5;
        stats.decode_failures = 5;
    });
}

/// Threads 1, 17 and 33 count at the same time. No count is lost, whether the threads share
/// a stripe or not.
#[test]
fn threads_sharing_a_stripe_lose_no_count() {
    const ROUNDS: u64 = 50_000;
    let cache = HydraCache::local().build();
    put(&cache, "key", 7, options());
    let start = Barrier::new(33);
    std::thread::scope(|scope| {
        let (has_counted, counted) = mpsc::channel();
        for number in 0..33 {
            let (cache, start, has_counted) = (&cache, &start, has_counted.clone());
            scope.spawn(move || {
                get(cache, "key");
                has_counted.send(()).unwrap();
                start.wait();
                let rounds = if number % 16 == 0 { ROUNDS } else { 0 };
                for _ in 0..rounds {
                    get(cache, "key");
                }
            });
            counted.recv().unwrap();
        }
    });
    assert_stats(cache.stats(), |stats| stats.hits = 33 + 3 * ROUNDS);
}

/// More threads than stripes, in sequence.
#[test]
fn counts_of_ended_threads_remain() {
    let cache = HydraCache::local().build();
    put(&cache, "key", 7, options());
    for _ in 0..320 {
        std::thread::scope(|scope| {
            scope.spawn(|| get(&cache, "key"));
        });
    }
    assert_stats(cache.stats(), |stats| stats.hits = 320);
}
