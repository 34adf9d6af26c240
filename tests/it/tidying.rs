//! `tidy` gives back everything that expired, and tells the listener, without a write.

use std::sync::{Arc, Mutex};

use hydracache::{Bytes, CacheBuilder, HydraCache, RemovalCause};

use crate::leaps::Leaping;
use crate::parts::*;
use crate::stale::*;
use crate::support::*;

type Log = Arc<Mutex<Vec<(String, RemovalCause)>>>;

fn logged(builder: CacheBuilder) -> (HydraCache, Log) {
    let log = Log::default();
    let sink = Arc::clone(&log);
    let listener = move |key: &str, _: &Bytes, cause| {
        sink.lock().unwrap().push((key.to_owned(), cause));
    };
    (builder.on_removal(listener).build(), log)
}

fn take(log: &Log) -> Vec<(String, RemovalCause)> {
    let mut all = std::mem::take(&mut *log.lock().unwrap());
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn tidy(cache: &HydraCache) -> u64 {
    block_on(cache.tidy()).unwrap()
}

#[test]
fn tidy_removes_what_expired_and_tells_the_listener() {
    use RemovalCause::Expired;
    let clock = hydracache::ManualClock::new();
    let (cache, log) = logged(HydraCache::local().clock(clock.clone()));
    put(&cache, "ttl", 1, lasting(10));
    put(&cache, "idle", 1, options().time_to_idle(SECOND * 10));
    put(&cache, "window", 1, lasting(1).stale_if_error(SECOND * 9));
    put(
        &cache,
        "zero",
        1,
        lasting(0).stale_while_revalidate(SECOND * 10),
    );
    put(&cache, "long", 1, lasting(11));
    put(&cache, "endless", 1, options());
    put(&cache, "stale", 1, kept(100));
    put(&cache, "read", 1, options().time_to_idle(SECOND * 10));
    clock.advance(SECOND * 5);
    assert_eq!(get(&cache, "read"), Some(1));
    clock.advance(nearly(5));
    assert_eq!(tidy(&cache), 0);
    clock.advance(NANO);
    assert_eq!(tidy(&cache), 4);
    let expired = ["idle", "ttl", "window", "zero"].map(|key| (key.to_owned(), Expired));
    assert_eq!(take(&log), expired);
    assert_eq!(cache.entry_count(), 4);
    assert_eq!(tidy(&cache), 0);
    assert_eq!(get(&cache, "read"), Some(1));
    assert_eq!(fail(&cache, "stale").unwrap(), 1, "inside its window");
    let stats = cache.stats();
    assert_eq!(
        (stats.expirations, stats.invalidations, stats.evictions),
        (4, 0, 0)
    );
}

/// Futures that were dropped after the first poll leave entries for others to give back.
#[test]
fn tidy_finishes_dropped_invalidations() {
    use RemovalCause::{Expired, Flushed, Invalidated};
    let (cache, log) = logged(HydraCache::local());
    let fill = |name: &str| {
        let stored = |n: u32| put(&cache, &format!("{name} {n}"), 1, tagged(name));
        (0..1000).for_each(stored);
    };
    fill("flushed");
    drop(Hand::start(cache.flush()));
    fill("removed");
    drop(Hand::start(cache.invalidate_tag("removed")));
    fill("expired");
    drop(Hand::start(cache.expire_tag("expired")));
    let already = take(&log).len();
    assert!(already < 3000);
    assert_eq!(usize::try_from(tidy(&cache)), Ok(3000 - already));
    let causes = take(&log).into_iter().map(|(key, cause)| match &key[..7] {
        "flushed" => assert_eq!(cause, Flushed),
        "removed" => assert_eq!(cause, Invalidated),
        _ => assert_eq!(cause, Expired),
    });
    assert_eq!(causes.count(), 3000 - already);
    let stats = cache.stats();
    assert_eq!((stats.expirations, stats.invalidations), (1000, 1000));
    assert_eq!(cache.entry_count(), 0);
}

/// An entry expired by its tag stays for its window, and is not counted as removed.
#[test]
fn tidy_keeps_an_expired_entry_inside_its_window() {
    let (cache, _) = clocked(100);
    put(&cache, "key", 1, kept(100).tag("tag"));
    drop(Hand::hold(cache.expire_tag("tag")).poll());
    assert_eq!(tidy(&cache), 0);
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    assert_eq!(invalidate(&cache, "tag"), 0);
    assert!(
        fail(&cache, "key").is_err(),
        "a later invalidation reaches the entry"
    );
}

#[test]
fn tidy_works_in_slices_and_yields_between() {
    let (cache, clock) = clocked(10_000);
    for key in 0..2000 {
        put(&cache, &key.to_string(), 1, lasting(10));
    }
    clock.advance(SECOND * 10);
    let mut call = Hand::start(cache.tidy());
    assert!(call.was_woken());
    assert_eq!(cache.entry_count(), 2000 - 256, "one slice a poll");
    call.waits();
    assert_eq!(cache.entry_count(), 2000 - 512);
    // A dropped call leaves the rest to another.
    drop(call);
    assert_eq!(tidy(&cache), 2000 - 512);
    assert_eq!(cache.stats().expirations, 2000);
}

#[test]
fn unpolled_tidy_does_nothing() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, lasting(10));
    clock.advance(SECOND * 10);
    drop(cache.tidy());
    assert_eq!(cache.entry_count(), 1);
}

#[test]
fn tidy_visits_every_shard_and_typed_caches() {
    let clock = hydracache::ManualClock::new();
    let builder = HydraCache::local().max_capacity(1_000_000);
    let cache = builder.clock(clock.clone()).build();
    let typed = numbers(&cache);
    for key in 0..5000_u64 {
        put(&cache, &key.to_string(), 1, lasting(10));
        store(&typed, key, 1, lasting(10));
        put(&cache, &format!("long {key}"), 1, lasting(1000));
    }
    clock.advance(SECOND * 10);
    assert_eq!(tidy(&cache), 10_000);
    assert_eq!(cache.entry_count(), 5000);
}

/// Entries read all the time are filed again when reached; those behind them are found.
#[test]
fn tidy_finds_idle_entries_among_many_that_were_read() {
    let (cache, clock) = clocked(100_000);
    let idle = options().time_to_idle(SECOND * 100);
    for key in 0..5000 {
        put(&cache, &format!("read {key}"), 1, idle.clone());
        put(&cache, &format!("idle {key}"), 1, idle.clone());
    }
    clock.advance(SECOND * 50);
    for key in 0..5000 {
        assert_eq!(get(&cache, &format!("read {key}")), Some(1));
    }
    clock.advance(SECOND * 50);
    assert_eq!(tidy(&cache), 5000);
    for key in 0..5000 {
        assert_eq!(get(&cache, &format!("read {key}")), Some(1));
    }
}

/// The clock decides at the moment of the call: an entry that is fresh again stays.
#[test]
fn tidy_with_a_clock_that_goes_back_removes_no_fresh_entry() {
    let clock = Leaping::default();
    let cache = HydraCache::local().clock(clock.clone()).build();
    clock.set_to(SECOND * 1000);
    let fill = |from: u32| {
        for key in from..from + 500 {
            put(&cache, &key.to_string(), 1, lasting(10));
        }
    };
    fill(0);
    clock.set_to(SECOND * 2000);
    let mut call = Hand::start(cache.tidy());
    // Half of the entries are removed. The clock goes back, and the others are fresh again.
    clock.set_to(SECOND * 1005);
    assert_eq!(call.finish().unwrap(), 256);
    assert_eq!(cache.keys().count(), 500 - 256);
    fill(500);
    assert_eq!(tidy(&cache), 0);
    assert_eq!(cache.keys().count(), 1000 - 256);
    clock.set_to(SECOND * 1010);
    assert_eq!(tidy(&cache), 500 - 256);
    clock.set_to(SECOND * 1015);
    assert_eq!(tidy(&cache), 500);
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn tidy_is_no_read_and_fences_no_load() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, lasting(10));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut leader = lead(&cache, "key", 2, options(), &door);
    let before = cache.stats();
    assert_eq!(tidy(&cache), 1);
    assert_stats(cache.stats() - before, |stats| stats.expirations = 1);
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(get(&cache, "key"), Some(2), "the load is stored");
}

/// The error of a back-off may be large: it is given back when the back-off is over.
#[test]
fn tidy_forgets_errors_whose_backoff_is_over() {
    let (cache, clock) = clocked(100);
    let error = Arc::new(());
    let failing = |key: &str, seconds: u32| {
        let error = Dropped(Arc::clone(&error));
        let options = options().error_backoff(SECOND * seconds);
        let call = cache.get_or_load(key, options, || async { Err::<u32, _>(error) });
        block_on(call).unwrap_err();
    };
    failing("short", 5);
    failing("long", 50);
    assert_eq!(Arc::strong_count(&error), 3);
    clock.advance(nearly(5));
    tidy(&cache);
    assert_eq!(Arc::strong_count(&error), 3);
    clock.advance(NANO);
    assert_eq!(tidy(&cache), 0, "an error is no entry");
    assert_eq!(Arc::strong_count(&error), 2);
    let backed_off = cache.get_or_load("long", options(), never::<u32>);
    assert!(block_on(backed_off).unwrap_err().is_load());
}

#[derive(Debug)]
struct Dropped(#[expect(dead_code, reason = "counted by its owner")] Arc<()>);

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("down")
    }
}

impl std::error::Error for Dropped {}

/// The listener may call the cache from within `tidy`, also `tidy` itself.
#[test]
fn listener_may_call_tidy() {
    let clock = hydracache::ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.build_cyclic(|builder, weak| {
        let weak = weak.clone();
        builder.on_removal(move |_, _, _| {
            let cache = weak.upgrade().unwrap();
            drop(Hand::hold(cache.tidy()).poll());
        })
    });
    for key in 0..1000 {
        put(&cache, &key.to_string(), 1, lasting(10));
    }
    clock.advance(SECOND * 10);
    tidy(&cache);
    assert_eq!(cache.entry_count(), 0);
    assert_eq!(cache.stats().expirations, 1000);
}
