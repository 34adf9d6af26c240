//! Real threads against each other. Each of these fails on a build with its guard
//! taken out, as `docs/architecture.md` tells.
//!
//! They are a binary of their own, and run one at a time, since two threads race
//! only if both run.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an error that nobody asked for is a failure"
)]

#[path = "it/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod support;

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use hydracache::HydraCache;

use support::{
    Hand, SECOND, block_on, clocked, get, invalidate, lasting, options, put, ready, tagged,
    without_hanging,
};

/// Lets one race run at a time, as long as the guard is held.
fn alone() -> MutexGuard<'static, ()> {
    static RACE: Mutex<()> = Mutex::new(());
    RACE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs both sides once a round, started together.
fn race(
    rounds: u32,
    one: impl Fn(u32) + Sync,
    two: impl Fn(u32) + Sync,
    after: impl Fn(u32) + Sync,
) {
    let _alone = alone();
    let (go, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let broken = AtomicBool::new(false);
    // A side that panics lets the other go, so that the test fails and not hangs.
    let wait_for = |signal: &AtomicU32, round: u32| {
        let mut looks = 0_u32;
        while signal.load(Ordering::Acquire) <= round {
            assert!(!broken.load(Ordering::Acquire), "the other side panicked");
            looks += 1;
            // A machine with one core needs the other side to run at all.
            if looks % 1024 == 0 {
                thread::yield_now();
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let _alarm = Alarm(&broken);
            for round in 0..rounds {
                wait_for(&go, round);
                one(round);
                done.store(round + 1, Ordering::Release);
            }
        });
        let _alarm = Alarm(&broken);
        for round in 0..rounds {
            go.store(round + 1, Ordering::Release);
            // Each round the sides meet at another point.
            spin(round / 7);
            two(round);
            wait_for(&done, round);
            after(round);
        }
    });
}

/// Takes some time, up to a few microseconds: another time for another number.
fn spin(number: u32) {
    for _ in 0..number % 64 * 4 {
        std::hint::spin_loop();
    }
}

/// Says so when its thread panics.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.fetch_or(thread::panicking(), Ordering::AcqRel);
    }
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
    race(20_000, call, call, |round| {
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
        let loader = || async {
            let read = row.load(Ordering::SeqCst);
            // The answer is on its way for as long as the other side may need.
            spin(u32::try_from(read).unwrap());
            Ok::<_, Infallible>(read)
        };
        block_on(cache.get_or_load("key", tagged(tag), loader)).unwrap()
    };
    let write = |round: u32| {
        row.store(u64::from(round) + 1, Ordering::SeqCst);
        invalidate(&cache);
        // The other side may land meanwhile.
        spin(round / 11);
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
            // The next round begins with a load against the writer.
            block_on(cache.remove("key")).unwrap();
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

/// Loads a value that is ready, or waits for whoever loads another.
fn load(cache: &HydraCache, key: &str, value: u32) -> u32 {
    block_on(cache.get_or_load(key, options(), ready(value))).unwrap()
}

/// Which is how a test, or a loader, waits for callers: see `CacheStats::misses`.
#[test]
fn who_has_counted_a_miss_has_joined() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let call = |round: u32| {
            let all = || cache.stats().misses == 2 * (u64::from(round) + 1);
            let loader = async || {
                while !all() {
                    thread::yield_now();
                }
                Err::<u32, _>(io::Error::other("away"))
            };
            block_on(cache.get_or_load("key", options(), loader)).unwrap_err();
        };
        race(10_000, call, call, |round| {
            assert_eq!(cache.stats().loads, u64::from(round) + 1);
        });
    });
}

#[test]
fn a_load_against_a_put() {
    let cache = HydraCache::local().max_capacity(16).build();
    let load = |round: u32| {
        let loader = || async {
            spin(round);
            Ok::<_, Infallible>(round * 2)
        };
        block_on(cache.get_or_load("key", options(), loader)).unwrap();
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
    let (cache, clock) = clocked(16);
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
/// A read finds an entry expired and takes it out, unless a put came between.
#[test]
fn a_read_of_what_expired_against_a_put() {
    let (cache, clock) = clocked(10);
    race(
        20_000,
        |_| {
            get(&cache, "key");
        },
        |round| put(&cache, "key", round, lasting(1)),
        |round| {
            assert_eq!(get(&cache, "key"), Some(round));
            clock.advance(SECOND);
        },
    );
}

#[test]
fn every_entry_that_leaves_is_counted_once() {
    let _alone = alone();
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
    let _alone = alone();
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
