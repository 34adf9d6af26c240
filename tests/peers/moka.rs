//! Behaviours from the tests of `moka`.

use std::cell::Cell;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use hydracache::RemovalCause::{Expired, Flushed, Invalidated, Replaced};
use hydracache::{CacheOptions, HydraCache, ManualClock, RemovalCause, TypedCache};
use serde::{Deserialize, Serialize};

use crate::stale::*;
use crate::support::*;

type Log = Arc<Mutex<Vec<(String, RemovalCause)>>>;

/// A cache whose listener logs removals, and panics while the returned flag is set.
fn cache_with_failing_listener(capacity: u64) -> (HydraCache, ManualClock, Log, Arc<AtomicBool>) {
    let (clock, log, broken) = (ManualClock::new(), Log::default(), Arc::default());
    let (heard, panics) = (Arc::clone(&log), Arc::clone(&broken));
    let listener = move |key: &str, _: &_, cause| {
        let panics: &AtomicBool = &panics;
        assert!(!panics.load(SeqCst), "the listener broke");
        heard.lock().unwrap().push((key.to_owned(), cause));
    };
    let builder = HydraCache::local().max_capacity(capacity);
    let builder = builder.clock(clock.clone()).on_removal(listener);
    (builder.build(), clock, log, broken)
}

fn take_log(log: &Log) -> Vec<(String, RemovalCause)> {
    std::mem::take(&mut *log.lock().unwrap())
}

fn panics<T>(call: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(call()))).is_err()
}

/// The listener runs after the removal or the replacement is done, so a panic undoes nothing.
#[test]
fn listener_panic_unwinds_one_call_and_loses_no_state() {
    type Write = fn(&HydraCache);
    let writes: [(Write, Option<u32>, RemovalCause); 5] = [
        (|cache| put(cache, "key", 2, options()), Some(2), Replaced),
        (|cache| _ = remove(cache, "key"), None, Invalidated),
        (|cache| _ = invalidate(cache, "tag"), None, Invalidated),
        (flush, None, Flushed),
        (
            |cache| {
                let change = |old: Option<u32>| old.map(|value| value + 6);
                block_on(cache.update("key", options(), change)).unwrap();
            },
            Some(7),
            Replaced,
        ),
    ];
    for (write, then, cause) in writes {
        let (cache, _, log, broken) = cache_with_failing_listener(10);
        put(&cache, "key", 1, tagged("tag"));
        put(&cache, "other", 5, tagged("another"));
        broken.store(true, SeqCst);
        assert!(panics(|| write(&cache)), "{cause:?}");
        broken.store(false, SeqCst);
        assert_eq!(get(&cache, "key"), then, "{cause:?}");
        assert_eq!(load(&cache, "key", 9), then.unwrap_or(9));
        put(&cache, "key", 3, options());
        assert_eq!(take_log(&log).pop(), Some(("key".into(), Replaced)));
        let flushed = u64::from(cause == Flushed);
        assert_eq!(cache.entry_count(), 2 - flushed);
        let removed = u64::from(cause == Invalidated);
        assert_eq!(cache.stats().invalidations, removed);
    }
}

#[test]
fn listener_panic_at_a_read_or_eviction_keeps_counts_exact() {
    let (cache, clock, log, broken) = cache_with_failing_listener(2);
    put(&cache, "brief", 1, lasting(1));
    put(&cache, "long", 2, options());
    clock.advance(SECOND);
    broken.store(true, SeqCst);
    assert!(panics(|| get(&cache, "brief")));
    put(&cache, "a", 3, options());
    assert!(panics(|| put(&cache, "b", 4, options())));
    assert_eq!(
        get(&cache, "b"),
        Some(4),
        "the put stored the value before the listener ran"
    );
    broken.store(false, SeqCst);
    put(&cache, "c", 5, options());
    assert_eq!(get(&cache, "c"), Some(5));
    assert_eq!(take_log(&log).len(), 1);
    let stats = cache.stats();
    assert_eq!((stats.expirations, stats.evictions), (1, 2));
    assert_eq!(cache.entry_count(), 2);
}

/// The loader has returned and the value is stored before the listener panics.
#[test]
fn listener_panic_at_load_completion_is_no_load_failure() {
    for later_put in [None, Some(7)] {
        let (cache, clock, _, broken) = cache_with_failing_listener(10);
        put(&cache, "key", 1, lasting(1));
        clock.advance(SECOND);
        let door = Door::default();
        let backing_off = options().error_backoff(SECOND * 9);
        let mut leader = lead(&cache, "key", 2, backing_off, &door);
        let mut waiter = join(&cache, "key");
        broken.store(true, SeqCst);
        door.open();
        assert!(panics(|| leader.poll()));
        broken.store(false, SeqCst);
        assert!(waiter.was_woken());
        if let Some(value) = later_put {
            put(&cache, "key", value, options());
        }
        assert_eq!(waiter.ends().unwrap(), later_put.unwrap_or(2));
        assert_stats(cache.stats(), |stats| {
            stats.misses = 2;
            stats.loads = 1;
            stats.expirations = 1;
        });
    }
}

/// A put, update, load or refresh over an expired entry reports `Expired`, not `Replaced`.
#[test]
fn overwritten_expired_entry_is_reported_as_expired() {
    let idle = || options().time_to_idle(SECOND);
    let writes: [fn(&HydraCache); 5] = [
        |cache| put(cache, "key", 2, options()),
        |cache| {
            let stored = block_on(cache.put_if_absent("key", 2_u32, options()));
            assert!(stored.unwrap());
        },
        |cache| {
            let updated = block_on(cache.update("key", options(), |old: Option<u32>| {
                assert_eq!(old, None);
                Some(2)
            }));
            assert_eq!(updated.unwrap(), Some(2));
        },
        |cache| assert_eq!(load(cache, "key", 2), 2),
        |cache| {
            let refreshed = block_on(cache.refresh("key", options(), ready(2_u32)));
            assert_eq!(refreshed.unwrap(), 2);
        },
    ];
    for write in writes {
        for options in [lasting(1), idle(), lasting(1).stale_if_error(SECOND * 9)] {
            let (cache, clock, log, _) = cache_with_failing_listener(10);
            put(&cache, "key", 1, options);
            clock.advance(SECOND);
            write(&cache);
            assert_eq!(take_log(&log), [("key".into(), Expired)]);
            assert_eq!(get(&cache, "key"), Some(2));
            assert_eq!(cache.stats().expirations, 1);
            put(&cache, "key", 3, CacheOptions::new());
            assert_eq!(take_log(&log), [("key".into(), Replaced)]);
        }
    }
}

thread_local! {
    static DROPPED: Cell<u32> = const { Cell::new(0) };
}

/// Counts the drops of its type on this thread.
#[derive(Deserialize, Serialize)]
struct Counted(u32);

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.set(DROPPED.get() + 1);
    }
}

fn store(part: &TypedCache<u32, Counted>, key: u32, options: CacheOptions) {
    block_on(part.put(&key, Counted(key), options)).unwrap();
}

#[test]
fn removed_value_is_dropped_once_before_the_call_returns() {
    let (cache, clock) = clocked(500);
    let part = cache.typed::<u32, Counted>("counted");
    for key in 0..600 {
        store(&part, key, options());
        assert_eq!(DROPPED.get(), (key + 1).saturating_sub(500));
    }
    assert_eq!(DROPPED.take(), 100);
    store(&part, 599, tagged("tag"));
    assert_eq!(DROPPED.take(), 1, "replaced");
    assert_eq!(invalidate(&cache, "tag"), 1);
    assert_eq!(DROPPED.take(), 1, "invalidated");
    store(&part, 7, lasting(1));
    clock.advance(SECOND);
    DROPPED.take();
    assert!(block_on(part.get(&7)).unwrap().is_none());
    assert_eq!(DROPPED.take(), 1, "expired");
    store(&part, 8, options());
    DROPPED.take();
    let held = block_on(part.get(&8)).unwrap().unwrap();
    assert!(block_on(part.remove(&8)).unwrap());
    assert_eq!(DROPPED.take(), 0, "a reader still holds the value");
    drop(held);
    assert_eq!(DROPPED.take(), 1);
    let left = u32::try_from(cache.entry_count()).unwrap();
    flush(&cache);
    assert_eq!(DROPPED.take(), left);
}

#[test]
fn last_handle_drops_entries_listener_and_loader() {
    let captured = Arc::new(());
    let (heard, loads) = (Arc::clone(&captured), Arc::clone(&captured));
    let builder = HydraCache::local().on_removal(move |_, _, _| drop(Arc::clone(&heard)));
    let cache = builder.build();
    let part = cache.typed::<u32, Counted>("counted");
    let loading = part.with_loader(move |key| {
        drop(Arc::clone(&loads));
        async move { Ok::<_, Infallible>(Counted(key)) }
    });
    (0..10).for_each(|key| store(&part, key, tagged("tag")));
    let last = block_on(loading.get(&10)).unwrap();
    let last_cache = cache.clone();
    drop((cache, part));
    assert_eq!(DROPPED.take(), 0);
    assert_eq!(block_on(loading.get(&3)).unwrap().0, 3);
    drop(loading);
    assert_eq!(DROPPED.take(), 0);
    drop(last_cache);
    assert_eq!(DROPPED.take(), 10, "a reader holds the eleventh value");
    assert_eq!(Arc::strong_count(&captured), 1);
    assert_eq!(last.0, 10);
}

/// The new entry inherits neither the deadline nor the tags of the replaced entry, fresh or
/// expired.
#[test]
fn overwritten_entry_takes_ttl_and_tags_of_the_new_put() {
    let idle = |seconds| options().time_to_idle(SECOND * seconds);
    let all = || {
        let windowed = lasting(32).stale_if_error(SECOND * 9);
        [options(), lasting(32), idle(32), windowed]
    };
    for before in all() {
        for wait in [1, 31, 32, 99] {
            for (number, after) in all().into_iter().enumerate() {
                let (cache, clock) = clocked(10);
                put(&cache, "key", 1, before.clone().tag("before"));
                clock.advance(SECOND * wait);
                put(&cache, "key", 2, after.tag("after"));
                assert_eq!(invalidate(&cache, "before"), 0);
                clock.advance(nearly(32));
                assert_eq!(block_on(cache.peek("key")).unwrap(), Some(2_u32));
                clock.advance(NANO);
                let ended = number > 0;
                assert_eq!(get(&cache, "key"), (!ended).then_some(2));
                clock.advance(SECOND * 1_000);
                assert_eq!(invalidate(&cache, "after"), u64::from(!ended));
            }
        }
    }
}

/// `retain` judges the entries present at the call. `moka` keeps its predicates for a while,
/// and tells later entries from earlier entries by their times.
#[test]
fn retain_skips_keys_inserted_after_its_first_poll() {
    let (cache, _) = clocked(9_999);
    let key = |n: u32| format!("{n:04}");
    (0..600).for_each(|n| put(&cache, &key(n), n, options()));
    let mut retained = Hand::start(cache.retain(|key| {
        assert!(key < "0600", "{key} was put later");
        false
    }));
    // `retain` has run its first slice. A key beyond that slice is judged by the key alone,
    // whenever its value was put.
    (600..700).for_each(|n| put(&cache, &key(n), n, options()));
    put(&cache, &key(0), 7, options());
    put(&cache, &key(599), 7, options());
    assert_eq!(retained.finish().unwrap(), 600);
    assert_eq!(get(&cache, &key(0)), Some(7));
    assert_eq!(get(&cache, &key(599)), None);
    assert_eq!(cache.entry_count(), 101);
    let none = |_: &str| -> bool { panic!("called for an empty cache") };
    let (empty, _) = clocked(9);
    assert_eq!(block_on(empty.retain(none)).unwrap(), 0);
}
