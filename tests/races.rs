//! Real threads racing on one key: loads, puts, invalidations and drops keep every promise.
//!
//! Each test fails on a build without the guard under test: see `docs/architecture.md`.
//! The tests are a binary of their own and run one at a time, since two threads race only if
//! both have a core.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

#[path = "it/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod support;

#[path = "races/race.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod race;

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use hydracache::{HydraCache, Loaded};

use race::{alone, race, spin};
use support::{
    Hand, SECOND, block_on, clocked, get, invalidate, lasting, options, put, ready, tagged,
    without_hanging,
};

/// The race, if the look-up and the claim were two critical sections:
///
/// 1. Caller A finds the key missing and releases the lock.
/// 2. Caller B loads and stores the key.
/// 3. A claims the slot without a second look-up: two loads of one key.
#[test]
fn two_racing_callers_of_a_missing_key_load_once() {
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

/// A thread reads a database row through the cache; the other thread writes the row, invalidates
/// and reads.
fn load_against(invalidate: impl Fn(&HydraCache) + Sync) {
    let cache = HydraCache::local().max_capacity(16).build();
    let row = AtomicU64::new(0);
    let read = |tag: &str| {
        let loader = || async {
            let read = row.load(Ordering::SeqCst);
            // The load lasts about as long as the write of the other thread.
            spin(u32::try_from(read).unwrap());
            Ok::<_, Infallible>(read)
        };
        block_on(cache.get_or_load("key", tagged(tag), loader)).unwrap()
    };
    let write = |round: u32| {
        row.store(u64::from(round) + 1, Ordering::SeqCst);
        invalidate(&cache);
        // The load of the other thread may complete meanwhile.
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
            // The next round begins with a missing key, and so with a load.
            block_on(cache.remove("key")).unwrap();
        },
    );
}

/// The race, if the check for a fence and the store were two critical sections:
///
/// 1. The reader's load completes, finds no fence, and releases the lock.
/// 2. The writer writes the row and invalidates.
/// 3. The reader stores the old row: a stale value stays.
#[test]
fn load_racing_an_invalidation_serves_no_stale_value() {
    load_against(|cache| {
        invalidate(cache, "tag");
    });
    load_against(|cache| drop(block_on(cache.remove("key"))));
    load_against(|cache| drop(block_on(cache.flush())));
}

/// An invalidation visits one shard after the other. Without the list of running invalidations:
///
/// 1. A invalidates the tag of a row and a list, and visits the shard of the list.
/// 2. B claims the list's slot, and reads the row, whose shard is not visited yet.
/// 3. A visits the shard of the row, and returns.
/// 4. B stores the list, made from the invalidated row.
#[test]
fn list_made_from_a_row_during_an_invalidation_is_not_stored() {
    let cache = HydraCache::local().max_capacity(1 << 20).build();
    let key = |kind: &str, round: u32| format!("{kind} {round}");
    let prepare = |round| put(&cache, &key("row", round), 1, tagged("group"));
    prepare(0);
    race(
        20_000,
        |round| {
            if round % 2 == 0 {
                invalidate(&cache, "group");
            } else {
                block_on(cache.flush()).unwrap();
            }
        },
        |round| {
            let list = key("list", round);
            let read = async || {
                let row: Option<u32> = cache.get(&key("row", round)).await?;
                Ok::<_, hydracache::CacheError>(row.unwrap_or(0))
            };
            // The tag comes from the call, or is chosen by the loader.
            if round % 4 < 2 {
                block_on(cache.get_or_load(&list, tagged("group"), read)).unwrap();
            } else {
                let chosen = async |_| read().await.map(|row| Loaded::new(row).tag("group"));
                block_on(cache.fetch(&list, options(), chosen)).unwrap();
            }
        },
        |round| {
            let list = get(&cache, &key("list", round));
            assert_ne!(
                list,
                Some(1),
                "round {round}: made from the invalidated row"
            );
            prepare(round + 1);
        },
    );
}

/// Loads a ready value, or joins a running load.
fn load(cache: &HydraCache, key: &str, value: u32) -> u32 {
    block_on(cache.get_or_load(key, options(), ready(value))).unwrap()
}

/// A test or a loader may wait for `CacheStats::misses` to know that callers have joined.
#[test]
fn caller_counted_as_a_miss_has_already_joined() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let call = |round: u32| {
            let all = || cache.stats().misses == 2 * (u64::from(round) + 1);
            let loader = async || {
                while !all() {
                    thread::yield_now();
                }
                Err::<u32, _>(io::Error::other("unavailable"))
            };
            block_on(cache.get_or_load("key", options(), loader)).unwrap_err();
        };
        race(10_000, call, call, |round| {
            assert_eq!(cache.stats().loads, u64::from(round) + 1);
        });
    });
}

/// The race, if a put did not fence:
///
/// 1. The load claims the slot and reads the old value.
/// 2. The put stores the new value.
/// 3. The load completes and overwrites the new value.
#[test]
fn load_racing_a_put_does_not_overwrite_it() {
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

/// The race, if the entry and the tag index changed in two critical sections:
///
/// 1. The put stores the entry and releases the lock.
/// 2. The removal takes the entry out.
/// 3. The put lists the tag for an entry that is absent, or of another put: a later
///    `invalidate_tag` misses an entry or counts one too many.
#[test]
fn put_racing_a_removal_stays_reachable_by_its_tag() {
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
                let is_present = block_on(cache.contains_key("key"));
                assert_eq!(
                    invalidate(&cache, "tag"),
                    u64::from(is_present),
                    "a tag missed its entry"
                );
                assert!(!block_on(cache.contains_key("key")));
            },
        );
    }
}

/// 1. The read finds the entry expired.
/// 2. The put stores a fresh value.
/// 3. The read must not remove the fresh value.
#[test]
fn read_of_an_expired_entry_keeps_a_racing_put() {
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

/// Every stored entry is still held or was removed for one reason: none twice, none lost.
#[test]
fn concurrent_removals_count_each_entry_once() {
    let _alone = alone();
    let cache = HydraCache::local().max_capacity(64).build();
    let put_by = |from: u32| {
        for n in from..from + 20_000 {
            // Each thread has its own keys: no entry is overwritten.
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
fn racing_invalidations_return_counts_that_sum_exactly() {
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

/// 1. Thread A claims the slot with an endless loader.
/// 2. Thread B joins the load, or claims the slot.
/// 3. A drops its call: B must be woken and load.
#[test]
fn waiter_completes_while_another_thread_drops_leaders() {
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
