//! Behaviours from the stress tests of other caches, with threads that run to a fixed count.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use hydracache::RemovalCause::{Evicted, Expired, Flushed, Invalidated, Replaced};
use hydracache::{CacheOptions, HydraCache, ManualClock, RemovalCause};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::stale::*;
use crate::support::*;

/// Sets a flag when dropped, so that the other threads stop after a panic too.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Runs `first` to its end on this thread; meanwhile each of `others` runs in a loop on a
/// thread of its own.
fn while_others(first: impl FnOnce(), others: &[&(dyn Fn(&mut StdRng) + Sync)]) {
    let (go, stop) = (Barrier::new(others.len() + 1), AtomicBool::new(false));
    thread::scope(|scope| {
        for (seed, other) in (0..).zip(others) {
            let (go, stop) = (&go, &stop);
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(seed);
                go.wait();
                while !stop.load(SeqCst) {
                    other(&mut rng);
                }
            });
        }
        let _stop = StopOnDrop(&stop);
        go.wait();
        first();
    });
}

/// `quick_cache`: after a failed load another caller loads; after the first success none does.
#[test]
fn failing_loads_retry_until_the_first_success_ends_loading() {
    const THREADS: usize = 6;
    const ROUNDS: u32 = 300;
    let cache = HydraCache::local().build();
    let go = Barrier::new(THREADS);
    let mut rng = StdRng::seed_from_u64(7);
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| (rng.random_range(0..12_u32), AtomicU32::new(0)))
        .collect();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for (round, (failures, entered)) in rounds.iter().enumerate() {
                    let key = format!("key {round}");
                    let loader = async || {
                        let before = entered.fetch_add(1, SeqCst);
                        thread::yield_now();
                        let succeeds = before == *failures;
                        succeeds.then_some(round).ok_or(io::Error::other("not yet"))
                    };
                    go.wait();
                    let load = || block_on(cache.get_or_load(&key, options(), loader));
                    let found = std::iter::repeat_with(load).find_map(Result::ok);
                    assert_eq!(found, Some(round));
                }
            });
        }
    });
    for (failures, entered) in &rounds {
        assert_eq!(entered.load(SeqCst), failures + 1);
    }
    let failures = rounds.iter().map(|(failures, _)| u64::from(*failures));
    let stats = cache.stats();
    assert_eq!(stats.load_failures, failures.sum::<u64>());
    assert_eq!(stats.loads, stats.load_failures + u64::from(ROUNDS));
}

/// `moka`: an entry leaves and re-enters the order of expiry as its puts change the options.
#[test]
fn put_without_ttl_never_expires_after_earlier_ttls() {
    let (cache, clock) = clocked(1_000);
    let key = |n: u32| format!("key {}", n % 8);
    let read = |rng: &mut StdRng| {
        let n = rng.random_range(0..8);
        block_on(cache.get::<u32>(&key(n))).unwrap();
    };
    let advance = |rng: &mut StdRng| {
        clock.advance(SECOND / rng.random_range(1..5));
        put(&cache, "brief", 1, lasting(1));
        cache.entry_count();
    };
    let write = || {
        for n in 0..20_000 {
            put(&cache, &key(n), n, lasting(1));
            let idle = options().time_to_idle(SECOND);
            put(&cache, &key(n), n, idle);
            put(&cache, &key(n), n, options());
            assert_eq!(get(&cache, &key(n)), Some(n));
        }
    };
    while_others(write, &[&read, &advance]);
    assert!((19_992..20_000).all(|n| get(&cache, &key(n)) == Some(n)));
}

/// `moka`: one writer overwrites 90 keys, another writes each key once.
#[test]
fn capacity_and_byte_bounds_hold_under_concurrent_writes() {
    let bound = 64 * (8 + 100 + 104);
    let cache = HydraCache::local()
        .max_capacity(64)
        .max_bytes(bound)
        .build();
    let write = |key: u32, size: usize| {
        let bytes = vec![7; size].into();
        block_on(cache.put_bytes(&format!("{key:08}"), bytes, options())).unwrap();
        assert!(cache.entry_count() <= 64);
    };
    let overwrite = |rng: &mut StdRng| write(rng.random_range(0..90), rng.random_range(0..300));
    let read = |rng: &mut StdRng| {
        assert!(cache.entry_count() <= 64);
        let key = format!("{:08}", rng.random_range(0..90));
        block_on(cache.get_bytes(&key)).unwrap();
    };
    let write_once = || (1_000..21_000).for_each(|key| write(key, key as usize % 200));
    while_others(write_once, &[&overwrite, &read]);
    let len = |key: String| block_on(cache.get_bytes(&key)).unwrap().unwrap().len();
    let costs = cache.keys().map(|key| 8 + len(key) as u64 + 104);
    assert!(costs.sum::<u64>() <= bound);
    let stats = cache.stats();
    assert!(stats.evictions > 10_000, "{}", stats.evictions);
}

/// `moka`: an iterator runs beside writers that add and remove no key.
#[test]
fn keys_lists_each_key_once_during_overwrites() {
    for capacity in [2_048, 1 << 20] {
        let cache = HydraCache::local().max_capacity(capacity).build();
        let write = |n: u32| put(&cache, &format!("key {n}"), n, options());
        (0..1_024).for_each(write);
        let overwrite = |rng: &mut StdRng| write(rng.random_range(0..1_024));
        let list = || {
            for _ in 0..100 {
                let keys: Vec<String> = cache.keys().collect();
                assert_eq!(keys.len(), 1_024);
                assert_eq!(keys.into_iter().collect::<BTreeSet<_>>().len(), 1_024);
            }
        };
        while_others(list, &[&overwrite, &overwrite]);
    }
}

/// Caffeine: an overwritten key is present at every moment.
#[test]
fn overwritten_key_is_never_absent_to_readers() {
    let build: [fn() -> HydraCache; 2] = [
        || HydraCache::local().build(),
        || HydraCache::local().max_bytes(1_100).build(),
    ];
    let kinds = [options(), tagged("tag"), lasting(60).tags(["a", "b"])];
    for (build, options) in build
        .iter()
        .flat_map(|it| kinds.clone().map(|kind| (it, kind)))
    {
        let cache = build();
        let write = |n: usize| {
            let bytes = vec![7; n % 700].into();
            block_on(cache.put_bytes("key", bytes, options.clone())).unwrap();
        };
        write(1);
        let read = |_: &mut StdRng| {
            assert!(block_on(cache.get_bytes("key")).unwrap().is_some());
            assert!(block_on(cache.contains_key("key")));
            assert_eq!(cache.keys().count(), 1);
        };
        while_others(|| (0..5_000).for_each(write), &[&read, &read]);
        assert_eq!(cache.stats().misses, 0);
    }
}

/// Reports to the listener: how often for each value, and all causes.
struct Reported {
    values: Vec<AtomicU32>,
    causes: Mutex<Vec<RemovalCause>>,
}

impl Reported {
    fn count(&self, cause: RemovalCause) -> u64 {
        let causes = self.causes.lock().unwrap();
        causes.iter().filter(|it| **it == cause).count() as u64
    }
}

/// Caffeine: a listener, while entries are evicted, expired, overwritten, removed and flushed
/// at the same time.
#[test]
fn listener_gets_each_removal_once_with_the_counted_cause() {
    const PUTS: u32 = 30_000;
    let reported = Arc::new(Reported {
        values: (0..PUTS).map(|_| AtomicU32::new(0)).collect(),
        causes: Mutex::default(),
    });
    let (heard, clock) = (Arc::clone(&reported), ManualClock::new());
    let listener = move |key: &str, value: &hydracache::Bytes, cause| {
        let number = u32::from_le_bytes(value[..].try_into().unwrap());
        assert_eq!(key, (number % 100).to_string(), "a value of another key");
        heard.values[number as usize].fetch_add(1, SeqCst);
        heard.causes.lock().unwrap().push(cause);
    };
    let builder = HydraCache::local().max_capacity(50).clock(clock.clone());
    let cache = builder.on_removal(listener).build();
    let next = AtomicU32::new(0);
    let store = |options: CacheOptions| {
        let number = next.fetch_add(1, SeqCst);
        let (key, bytes) = ((number % 100).to_string(), number.to_le_bytes());
        if number < PUTS {
            block_on(cache.put_bytes(&key, bytes.to_vec().into(), options)).unwrap();
        }
        number < PUTS
    };
    let write = |rng: &mut StdRng| {
        let kinds = [options(), tagged("tag"), lasting(1), kept(5)];
        store(kinds[rng.random_range(0..4)].clone());
    };
    let disturb = |rng: &mut StdRng| {
        let key = rng.random_range(0..100).to_string();
        match rng.random_range(0..60) {
            0 => _ = invalidate(&cache, "tag"),
            1 => drop(Hand::hold(cache.invalidate_tag("tag")).poll()),
            2 => flush(&cache),
            3 => clock.advance(SECOND),
            4 => _ = expire(&cache, &key),
            5..20 => _ = remove(&cache, &key),
            _ => _ = block_on(cache.get_bytes(&key)).unwrap(),
        }
    };
    while_others(|| while store(tagged("tag")) {}, &[&write, &disturb]);
    flush(&cache);
    assert_eq!(cache.entry_count(), 0);
    assert!(reported.values.iter().all(|times| times.load(SeqCst) == 1));
    let stats = cache.stats();
    assert_eq!(reported.count(Evicted), stats.evictions);
    assert_eq!(reported.count(Invalidated), stats.invalidations);
    assert_eq!(reported.count(Expired), stats.expirations);
    let rest = reported.count(Flushed) + reported.count(Replaced);
    let counted = stats.evictions + stats.invalidations + stats.expirations;
    assert_eq!(rest + counted, u64::from(PUTS));
}
