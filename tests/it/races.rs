//! Real threads against each other. Each of these failed on a build with its
//! guard taken out; the guards are named in `docs/architecture.md`.

use std::convert::Infallible;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use hydracache::{HydraCache, ManualClock};

use crate::support::*;

/// Runs both sides once a round, started together.
fn race(
    rounds: u32,
    one: impl Fn(u32) + Sync,
    two: impl Fn(u32) + Sync,
    after: impl Fn(u32) + Sync,
) {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..rounds {
                barrier.wait();
                one(round);
                barrier.wait();
            }
        });
        for round in 0..rounds {
            barrier.wait();
            two(round);
            barrier.wait();
            after(round);
        }
    });
}

/// Look up, then join without looking again: two loads for one key.
#[test]
fn a_caller_that_misses_and_a_caller_that_stores_never_both_load() {
    let cache = HydraCache::local().build();
    let loads = AtomicU32::new(0);
    let call = |round: u32| {
        let key = format!("key {round}");
        let loaded = cache.get_or_load(&key, options(), || async {
            loads.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(round)
        });
        assert_eq!(block_on(loaded).unwrap(), round);
    };
    race(50_000, call, call, |round| {
        assert_eq!(
            loads.load(Ordering::SeqCst),
            round + 1,
            "two loads for one key"
        );
    });
}

/// A database row, a reader that loads it through the cache, and a writer that
/// changes it and then invalidates.
fn load_against(invalidate: impl Fn(&HydraCache) + Sync) {
    let cache = HydraCache::local().max_capacity(16).build();
    let row = AtomicU64::new(0);
    let read = |tag: &str| {
        let loader = || async { Ok::<_, Infallible>(row.load(Ordering::SeqCst)) };
        block_on(cache.get_or_load("key", tagged(tag), loader)).unwrap()
    };
    let write = |round: u32| {
        row.store(u64::from(round) + 1, Ordering::SeqCst);
        invalidate(&cache);
        assert_eq!(
            read("tag"),
            u64::from(round) + 1,
            "stale after an invalidation"
        );
    };
    race(
        20_000,
        |_| {
            let _ = read("tag");
        },
        write,
        |round| {
            assert_eq!(read("tag"), u64::from(round) + 1, "stale after the round");
        },
    );
}

/// Check the generation, release the lock, then store: a stale value lives on.
#[test]
fn a_load_against_an_invalidation() {
    load_against(|cache| {
        invalidate(cache, "tag");
    });
    load_against(|cache| drop(block_on(cache.remove("key"))));
    load_against(|cache| drop(block_on(cache.flush())));
}

#[test]
fn a_load_against_a_put() {
    let cache = HydraCache::local().max_capacity(16).build();
    let load = |round: u32| {
        let _ = load(&cache, "key", round * 2);
    };
    let put = |round: u32| {
        put(&cache, "key", round * 2 + 1, options());
        assert_eq!(
            get(&cache, "key"),
            Some(round * 2 + 1),
            "an older load overwrote a put"
        );
    };
    race(20_000, load, put, |round| {
        assert_eq!(get(&cache, "key"), Some(round * 2 + 1));
        block_on(cache.remove("key")).unwrap();
    });
}

/// Entry and tag index changed in separate steps: entries that no tag reaches.
#[test]
fn a_put_against_whatever_removes() {
    let clock = ManualClock::new();
    let cache = HydraCache::local()
        .max_capacity(16)
        .clock(clock.clone())
        .build();
    let removals: [&(dyn Fn() + Sync); 6] = [
        &|| drop(block_on(cache.remove("key"))),
        &|| drop(block_on(cache.flush())),
        &|| {
            clock.advance(SECOND);
            get(&cache, "key");
        },
        &|| {
            invalidate(&cache, "tag");
        },
        &|| drop(Hand::hold(cache.invalidate_tag("tag")).poll()),
        &|| {
            for n in 0..16 {
                put(&cache, &format!("filler {n}"), n, options());
            }
        },
    ];
    for removal in removals {
        race(
            5_000,
            |round| put(&cache, "key", round, lasting(1).tag("tag")),
            |_| removal(),
            |_| {
                let there = block_on(cache.contains_key("key"));
                assert_eq!(
                    invalidate(&cache, "tag"),
                    u64::from(there),
                    "a tag missed its entry"
                );
                assert!(!block_on(cache.contains_key("key")));
            },
        );
    }
}

/// What was stored left in one way or is still there: nothing twice, nothing lost.
#[test]
fn every_entry_that_leaves_is_counted_once() {
    let cache = HydraCache::local().max_capacity(64).build();
    let put_by = |from: u32| {
        for n in from..from + 20_000 {
            // Keys of one's own: nothing is overwritten.
            put(
                &cache,
                &format!("key {n}"),
                n,
                tagged(["a", "b"][n as usize % 2]),
            );
            match n % 50 {
                10 => {
                    invalidate(&cache, "a");
                }
                20 => drop(Hand::hold(cache.invalidate_tags(["a", "b"])).poll()),
                30 => drop(block_on(cache.remove(&format!("key {}", n - 1)))),
                _ => {}
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| put_by(0));
        scope.spawn(|| put_by(1_000_000));
    });
    let stats = cache.stats();
    assert_eq!(
        stats.evictions + stats.invalidations + cache.entry_count(),
        40_000
    );
}

#[test]
fn returned_counts_add_up_to_the_counter() {
    let cache = HydraCache::local().max_capacity(1 << 20).build();
    for n in 0..50_000 {
        put(
            &cache,
            &format!("key {n}"),
            n,
            options().tags(["a", "b", "c"]),
        );
    }
    let counts: u64 = thread::scope(|scope| {
        let threads = ["a", "b", "c"].map(|tag| scope.spawn(|| invalidate(&cache, tag)));
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(counts, 50_000);
    assert_eq!(cache.stats().invalidations, 50_000);
}

#[test]
fn leaders_dropped_on_one_thread_while_the_other_waits() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let endless = || std::future::pending::<Result<u32, Infallible>>();
        race(
            20_000,
            |_| drop(Hand::hold(cache.get_or_load("key", options(), endless)).poll()),
            |round| assert_eq!(load(&cache, "key", round), round),
            |_| drop(block_on(cache.remove("key"))),
        );
    });
}
