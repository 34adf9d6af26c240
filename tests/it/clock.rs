//! All time comes from the injected clock, asked only when the answer depends on the time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use hydracache::{Bytes, Clock, HydraCache, Loaded, ManualClock, SystemClock, Timer};

use crate::support::*;

#[test]
fn manual_clock_moves_with_its_clones_and_saturates() {
    let clock = ManualClock::new();
    let clone = clock.clone();
    assert_eq!(clock.now(), Duration::ZERO);
    clone.advance(SECOND);
    assert_eq!(clock.now(), SECOND);
    clock.advance(Duration::MAX);
    assert_eq!(clone.now(), Duration::MAX);
    clock.advance(SECOND);
    assert_eq!(clone.now(), Duration::MAX);
}

#[test]
fn system_clock_moves_forward() {
    without_hanging(|| {
        let clock = SystemClock::new();
        let before = clock.now();
        // No sleep: the loop ends as soon as the clock moves.
        while clock.now() == before {}
        assert!(clock.now() > before);
    });
}

#[test]
fn cache_without_an_injected_clock_uses_the_system_clock() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        put(&cache, "key", 1, options().ttl(Duration::from_nanos(1)));
        while get(&cache, "key").is_some() {}
        put(&cache, "key", 1, options().ttl(SECOND * 3600));
        assert_eq!(get(&cache, "key"), Some(1));
    });
}

/// A clock set by the test, with a count of reads.
#[derive(Default)]
struct Counting {
    asked: AtomicU64,
    now: AtomicU64,
}

impl Clock for Counting {
    fn now(&self) -> Duration {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Duration::from_secs(self.now.load(Ordering::Relaxed))
    }
}

#[test]
fn entries_that_cannot_expire_never_ask_the_clock() {
    let clock = Arc::new(Counting::default());
    let cache = HydraCache::local().clock(Arc::clone(&clock)).build();
    let long = "a key too long for its entry, stored beside it";
    for n in 0..10 {
        for key in ["key", long] {
            put(&cache, key, n, tagged("tag"));
            get(&cache, key);
            load(&cache, key, n);
            block_on(cache.remove(key)).unwrap();
        }
        get(&cache, "absent");
        load(&cache, "loaded", n);
    }
    assert_eq!(clock.asked.load(Ordering::Relaxed), 0);
    put(&cache, "key", 1, lasting(1));
    get(&cache, "key");
    assert_eq!(clock.asked.load(Ordering::Relaxed), 2);
}

/// A target without a clock (`wasm32-unknown-unknown`) has a cache all the same. `fetch` alone
/// needs the time, for the age.
#[test]
fn no_verb_asks_the_clock_if_nothing_has_a_time() {
    let clock = Arc::new(Counting::default());
    for capacity in [100, 1 << 20] {
        // One shard, and several.
        let clock = Arc::clone(&clock);
        let cache = HydraCache::local()
            .max_capacity(capacity)
            .clock(clock)
            .build();
        let typed = cache.typed::<u32, u32>("typed").with_options(tagged("tag"));
        let fill = || {
            for n in 0..200 {
                put(&cache, &n.to_string(), n, tagged("tag"));
            }
            block_on(typed.put(&1, 1, options())).unwrap();
        };
        fill();
        // An error without a back-off, and the next load.
        let failed = cache.get_or_load("failed", tagged("tag"), async || Err::<u32, _>("no"));
        block_on(failed).unwrap_err();
        load(&cache, "failed", 1);
        block_on(cache.refresh("1", options(), async || Ok::<u32, Infallible>(2))).unwrap();
        let handed = || async { Ok::<u32, Infallible>(2) };
        block_on(cache.get_or_refresh("handed", tagged("tag"), handed)).unwrap();
        block_on(cache.update("1", options(), |old: Option<u32>| old)).unwrap();
        block_on(cache.put_if_absent("1", 1_u32, options())).unwrap();
        block_on(cache.put_bytes("bytes", Bytes::from_static(b"1"), options())).unwrap();
        block_on(cache.get_bytes("bytes")).unwrap();
        block_on(cache.peek::<u32>("1")).unwrap();
        assert!(block_on(cache.contains_key("1")));
        assert!(block_on(cache.expire("1")).unwrap());
        assert_eq!(block_on(typed.get_many([1, 2])).len(), 2);
        block_on(typed.get_or_load(&3, options(), async || Ok::<u32, Infallible>(3))).unwrap();
        assert!(invalidate(&cache, "tag") > 0);
        fill();
        assert!(block_on(cache.expire_tag("tag")).unwrap() > 0);
        fill();
        block_on(typed.invalidate_all()).unwrap();
        block_on(cache.retain(|key| key != "2")).unwrap();
        let _ = (cache.keys(), cache.stats(), cache.entry_count());
        block_on(cache.flush()).unwrap();
        fill();
        assert_eq!(get(&cache, "1"), Some(1));
        drop(cache);
    }
    assert_eq!(clock.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn clock_that_goes_back_only_prolongs_entries() {
    let clock = Arc::new(Counting::default());
    let cache = HydraCache::local().clock(Arc::clone(&clock)).build();
    clock.now.store(100, Ordering::Relaxed);
    put(&cache, "key", 1, lasting(10));
    clock.now.store(0, Ordering::Relaxed);
    assert_eq!(get(&cache, "key"), Some(1));
    put(&cache, "other", 2, lasting(10));
    clock.now.store(10, Ordering::Relaxed);
    assert_eq!(get(&cache, "other"), None);
    assert_eq!(get(&cache, "key"), Some(1));
    clock.now.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(get(&cache, "key"), None);
}

/// Panics unless the flag is 0.
#[derive(Clone, Default)]
struct PanickingClock(Arc<AtomicU64>);

impl Clock for PanickingClock {
    fn now(&self) -> Duration {
        assert_eq!(self.0.load(Ordering::Relaxed), 0, "the clock is broken");
        Duration::ZERO
    }
}

/// A clock is foreign code. A panic of the clock fails the call and leaves the cache usable.
#[test]
fn panicking_clock_leaves_the_cache_usable() {
    let broken = Arc::new(AtomicU64::new(0));
    let cache = HydraCache::local()
        .clock(PanickingClock(Arc::clone(&broken)))
        .build();
    put(&cache, "key", 1, lasting(1).tag("tag"));
    let door = Door::default();
    // 1. A load starts. 2. Every call panics in the clock. 3. The load ends, and is stored.
    let mut leader = lead(&cache, "loading", 5, options(), &door);
    broken.store(1, Ordering::Relaxed);
    let calls: [fn(&HydraCache); 6] = [
        |cache| put(cache, "loading", 6, lasting(2)),
        |cache| put(cache, "key", 2, lasting(2).tag("other")),
        |cache| {
            let _ = get(cache, "key");
        },
        |cache| drop(block_on(cache.remove("key"))),
        |cache| {
            let _ = load(cache, "loaded", 3);
        },
        |cache| {
            let _ = invalidate(cache, "tag");
        },
    ];
    for call in calls {
        let call = std::panic::AssertUnwindSafe(|| call(&cache));
        assert!(std::panic::catch_unwind(call).is_err());
    }
    broken.store(0, Ordering::Relaxed);
    door.open();
    assert_eq!(leader.ends().unwrap(), 5);
    assert_eq!(
        get(&cache, "loading"),
        Some(5),
        "a failed put must not fence the load"
    );
    assert_eq!(get(&cache, "key"), Some(1));
    assert_eq!(load(&cache, "loaded", 4), 4);
    assert_eq!(invalidate(&cache, "other"), 0);
    assert_eq!(invalidate(&cache, "tag"), 1);
    assert_eq!(cache.entry_count(), 2);
}

/// No stored entry can expire, so the clock is asked for the new entry alone.
#[test]
fn panicking_clock_in_the_first_put_with_an_end_changes_nothing() {
    let broken = Arc::new(AtomicU64::new(0));
    let cache = HydraCache::local()
        .clock(PanickingClock(Arc::clone(&broken)))
        .build();
    let door = Door::default();
    let mut leader = lead(&cache, "loading", 5, options(), &door);
    put(&cache, "key", 1, options());
    broken.store(1, Ordering::Relaxed);
    for key in ["loading", "key"] {
        for ends in [lasting(2), options().time_to_idle(SECOND)] {
            let put = std::panic::AssertUnwindSafe(|| put(&cache, key, 6, ends));
            assert!(std::panic::catch_unwind(put).is_err());
        }
    }
    broken.store(0, Ordering::Relaxed);
    door.open();
    assert_eq!(leader.ends().unwrap(), 5);
    assert_eq!(
        (get(&cache, "loading"), get(&cache, "key")),
        (Some(5), Some(1))
    );
}

/// An eviction also asks the clock for entries with a record of times, even without an end.
#[test]
fn panicking_clock_during_an_eviction_changes_nothing() {
    let clock = PanickingClock::default();
    let builder = HydraCache::local().max_capacity(4);
    let cache = builder.clock(clock.clone()).build();
    for n in 0..4 {
        let loader = |_| std::future::ready(Ok::<_, Infallible>(Loaded::new(n)));
        block_on(cache.fetch(&n.to_string(), tagged("tag"), loader)).unwrap();
    }
    clock.0.store(1, Ordering::Relaxed);
    let full = std::panic::AssertUnwindSafe(|| put(&cache, "new", 9, options()));
    assert!(std::panic::catch_unwind(full).is_err());
    clock.0.store(0, Ordering::Relaxed);
    assert_eq!(cache.entry_count(), 4);
    assert_eq!(cache.stats().evictions, 0);
    put(&cache, "untagged", 9, options());
    assert_eq!(invalidate(&cache, "tag"), 3);
    assert_eq!(get(&cache, "untagged"), Some(9));
}

/// The clock does not keep the waker of a dropped sleep until the time of the sleep.
#[test]
fn dropped_sleep_releases_its_waker() {
    struct Idle;
    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }
    let clock = ManualClock::new();
    let idle = Arc::new(Idle);
    let waker = Waker::from(Arc::clone(&idle));
    let mut sleep = clock.sleep(SECOND);
    assert!(
        sleep
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_eq!(Arc::strong_count(&idle), 3);
    drop(sleep);
    assert_eq!(Arc::strong_count(&idle), 2);
}

#[test]
fn panicking_waker_does_not_stop_other_wakes() {
    struct Broken;
    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("a broken waker")
        }
    }
    let clock = ManualClock::new();
    let later = <ManualClock as Timer>::sleep;
    let mut first = later(&clock, SECOND);
    let broken = Waker::from(Arc::new(Broken));
    let poll = first.as_mut().poll(&mut Context::from_waker(&broken));
    assert!(poll.is_pending());
    let second = Hand::start(later(&clock, SECOND));
    let advance = std::panic::AssertUnwindSafe(|| clock.advance(SECOND));
    assert!(std::panic::catch_unwind(advance).is_err());
    clock.advance(SECOND);
    assert!(second.was_woken());
}

/// The clock steps back between the first look and the claim: the claim finds the entry fresh.
#[test]
fn counted_miss_is_not_counted_again_at_the_claim() {
    #[derive(Clone, Default)]
    struct StepsBack(Arc<AtomicU64>);
    impl Clock for StepsBack {
        fn now(&self) -> Duration {
            let late = self.0.swap(0, Ordering::Relaxed);
            Duration::from_secs(5 + late)
        }
    }
    let clock = StepsBack::default();
    let cache = HydraCache::local().clock(clock.clone()).build();
    let garbage = Bytes::from_static(&[0xff; 20]);
    block_on(cache.put_bytes("key", garbage, lasting(10))).unwrap();
    clock.0.store(10, Ordering::Relaxed);
    assert_eq!(load(&cache, "key", 1), 1);
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses), (0, 1));
    assert_eq!((stats.loads, stats.decode_failures), (1, 1));
}
