//! Bulk loads stay correct when calls overlap, are dropped, panic, or time out.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::{CacheError, HydraCache, TypedCache};
use serde::{Deserialize, Serialize, Serializer};

use crate::parts::*;
use crate::stale::*;
use crate::support::*;

#[test]
fn overlapping_calls_join_each_others_loads() {
    for second_first in [false, true] {
        let cache = HydraCache::local().build();
        let (typed, log) = (numbers(&cache), Log::default());
        let (one, two) = (Door::default(), Door::default());
        // 1. A claims keys 1 and 2. B claims key 3 and joins A's loads.
        let mut a = gated_many(&typed, &[1, 2], 1, &one, &log);
        let mut b = gated_many(&typed, &[3, 2, 1], 2, &two, &log);
        assert_eq!(log.take(), [vec![1, 2], vec![3]]);
        if second_first {
            // 2. B's loader ends first: B stores key 3 and waits for A.
            two.open();
            b.waits();
            assert_eq!(read(&typed, 3), Some(2), "own keys come first");
            one.open();
            assert_eq!(all(a.ends()), [1, 1]);
        } else {
            one.open();
            assert_eq!(all(a.ends()), [1, 1]);
            b.waits();
            two.open();
        }
        assert_eq!(all(b.ends()), [2, 1, 1]);
        assert!(log.take().is_empty());
    }
}

/// A cycle of calls: call n loads key n and waits for key n + 1; the last waits for key 0.
fn assert_cycle_ends(size: usize, order: &[usize]) {
    let cache = HydraCache::local().build();
    let (typed, log) = (numbers(&cache), Log::default());
    let doors: Vec<Door> = (0..size).map(|_| Door::default()).collect();
    let never_opened = Door::default();
    let all_keys: Vec<u64> = (0..size as u64).collect();
    let keys: Vec<[u64; 2]> = (0..size)
        .map(|at| [all_keys[at], all_keys[(at + 1) % size]])
        .collect();
    let mut calls = Vec::new();
    for at in 0..size {
        // Another leader holds the next key, so that this call joins and the next call claims.
        let next = &keys[at][1];
        let is_last = at + 1 == size;
        let other = (!is_last).then(|| lead_one(&typed, next, 9, options(), &never_opened));
        calls.push(gated_many(&typed, &keys[at], 1, &doors[at], &log));
        drop(other);
    }
    let own: Vec<Vec<u64>> = all_keys.iter().map(|&key| vec![key]).collect();
    assert_eq!(log.take(), own);
    for &at in order {
        doors[at].open();
        let polled = calls[at].poll();
        assert_eq!(read(&typed, all_keys[at]), Some(1));
        let has_ended = polled.is_ready();
        let next_is_stored = read(&typed, keys[at][1]).is_some();
        assert_eq!(has_ended, next_is_stored, "it waits for the next only");
        if has_ended {
            calls[at] = Hand::hold(std::future::ready(Vec::new()));
        }
    }
    for call in &mut calls {
        assert!(each(call.ends()).iter().all(|it| *it == Ok(1)));
    }
    assert!(log.take().is_empty(), "no key is loaded twice");
}

#[test]
fn two_calls_never_wait_for_each_other() {
    assert_cycle_ends(2, &[0, 1]);
    assert_cycle_ends(2, &[1, 0]);
}

#[test]
fn three_calls_never_wait_in_a_cycle() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        assert_cycle_ends(3, &order);
    }
}

fn value_of(key: u64) -> u32 {
    key.try_into().unwrap()
}

#[test]
fn threads_loading_overlapping_keys_all_end() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let typed = numbers(&cache);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let typed = &typed;
                scope.spawn(move || {
                    for round in 0..500_u64 {
                        let mut keys = [round, round + 1, round + 2, round + 3];
                        keys.rotate_left(usize::try_from(thread).unwrap());
                        let load = |keys: Vec<u64>| async move {
                            futures_lite::future::yield_now().await;
                            let given = keys.iter().map(|&key| Number(value_of(key)));
                            Ok::<_, Infallible>(given.collect::<Vec<_>>())
                        };
                        let call = typed.get_or_load_many(keys, options(), load);
                        if thread == 3 && round % 3 == 0 {
                            drop(Hand::hold(call).poll());
                            continue;
                        }
                        let expected = keys.map(value_of);
                        assert_eq!(all(block_on(call)), expected);
                    }
                });
            }
        });
    });
}

#[test]
fn keys_of_dropped_leaders_return_to_the_loader() {
    let cache = HydraCache::local().build();
    let (typed, log) = (numbers(&cache), Log::default());
    let (door, never_opened) = (Door::default(), Door::default());
    store(&typed, 5, 5, options());
    let dropped = lead_one(&typed, &2, 9, options(), &never_opened);
    let also_dropped = lead_one(&typed, &4, 9, options(), &never_opened);
    let mut ends = lead_one(&typed, &3, 3, options(), &door);
    door.open();
    let mut many = gated_many(&typed, &[4, 1, 2, 3, 5], 1, &never_opened, &log);
    drop(dropped);
    drop(also_dropped);
    ends.ends().unwrap();
    assert_eq!(log.take(), [[1]]);
    never_opened.open();
    assert_eq!(all(many.ends()), [1, 1, 1, 3, 5]);
    assert_eq!(log.take(), [[4, 2]]);
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 7;
        stats.loads = 6;
        stats.single_flight_joins = 1;
    });
}

#[test]
fn dropped_call_frees_all_its_keys() {
    let cache = HydraCache::local().build();
    let (typed, log, door) = (numbers(&cache), Log::default(), Door::default());
    let many = gated_many(&typed, &[1, 2, 3], 1, &door, &log);
    let mut waiter = gated_waiter(&typed, &[2, 3, 4], &door, &log);
    assert_eq!(log.take(), [vec![1, 2, 3], vec![4]]);
    drop(many);
    door.open();
    assert_eq!(all(waiter.ends()), [2, 2, 2]);
    assert_eq!(log.take(), [[2, 3]]);
    assert_eq!(load_one(&typed, 1, 7), 7);
    assert_eq!(cache.stats().load_failures, 0, "cancelled, not failed");
}

fn gated_waiter<'a>(
    typed: &'a Numbers,
    keys: &'a [u64],
    door: &'a Door,
    log: &'a Log,
) -> Calls<'a> {
    gated_many(typed, keys, 2, door, log)
}

#[test]
fn dropped_waiting_call_leaves_its_loaded_values() {
    let cache = HydraCache::local().build();
    let (typed, log, door) = (numbers(&cache), Log::default(), Door::default());
    let never_opened = Door::default();
    let other = lead_one(&typed, &2, 9, options(), &never_opened);
    door.open();
    drop(gated_many(&typed, &[1, 2], 1, &door, &log));
    assert_eq!(read(&typed, 1), Some(1));
    drop(other);
}

fn boom() -> Result<Vec<Number>, Infallible> {
    panic!("boom")
}

/// Polls a call. The poll must panic.
#[track_caller]
fn panics<T>(hand: &mut Hand<'_, T>) {
    let call = || drop(hand.poll());
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
}

#[test]
fn loader_panic_unwinds_and_fails_waiters_of_every_key() {
    let cache = HydraCache::local().build();
    let (typed, door) = (numbers(&cache), Door::default());
    let mut many = Hand::start(typed.get_or_load_many([1, 2], options(), |_| async {
        door.pass().await;
        boom()
    }));
    let mut waiters = [join_one(&typed, &1), join_one(&typed, &2)];
    door.open();
    panics(&mut many);
    for waiter in &mut waiters {
        assert!(waiter.ends().unwrap_err().is_panic());
    }
    assert_eq!((load_one(&typed, 1, 7), load_one(&typed, 2, 8)), (7, 8));
    assert_stats(cache.stats(), |stats| {
        stats.misses = 6;
        stats.loads = 4;
        stats.load_failures = 2;
        stats.single_flight_joins = 2;
    });
}

#[test]
fn loader_panic_before_its_future_fails_waiters() {
    type Never = std::future::Ready<Result<Vec<Number>, Infallible>>;
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    let joined = Cell::new(None);
    let mut many = Hand::hold(typed.get_or_load_many([1, 2], options(), |_| -> Never {
        joined.set(Some(join_one(&typed, &2)));
        panic!("early")
    }));
    panics(&mut many);
    let mut waiter = joined.take().unwrap();
    assert!(waiter.ends().unwrap_err().is_panic());
    assert_eq!((load_one(&typed, 1, 7), load_one(&typed, 2, 8)), (7, 8));
    assert_eq!(cache.stats().load_failures, 2);
}

/// Encoding fails for 1 and panics for 2.
#[derive(Debug, Deserialize, PartialEq)]
struct MayFail(u8);

impl Serialize for MayFail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            1 => Err(serde::ser::Error::custom("not encodable")),
            2 => panic!("may_fail"),
            other => serializer.serialize_u8(other),
        }
    }
}

#[test]
fn encode_panic_keeps_earlier_values_and_frees_later_keys() {
    let cache = HydraCache::local().build();
    let typed: TypedCache<u8, MayFail> = cache.typed("may_fail");
    let door = Door::default();
    let load = |keys: Vec<u8>| {
        let door = &door;
        async move {
            door.pass().await;
            Ok::<_, Infallible>(keys.into_iter().map(MayFail).collect::<Vec<_>>())
        }
    };
    let mut many = Hand::start(typed.get_or_load_many([7, 2, 9], options(), load));
    let mut waits = [7, 2, 9].map(|key| {
        let typed = typed.clone();
        Hand::start(async move { typed.get_or_load(&key, options(), ready(MayFail(3))).await })
    });
    door.open();
    panics(&mut many);
    let [before, panicked, after] = waits.each_mut().map(Hand::ends);
    assert_eq!(*before.unwrap(), MayFail(7));
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(
        *after.unwrap(),
        MayFail(3),
        "loaded by the waiter's own loader"
    );
    assert_eq!(cache.stats().load_failures, 1);
}

#[test]
fn unencodable_value_fails_only_its_key() {
    let cache = HydraCache::local().build();
    let typed: TypedCache<u8, MayFail> = cache.typed("may_fail");
    let load = |keys: Vec<u8>| async move {
        Ok::<_, Infallible>(keys.into_iter().map(MayFail).collect::<Vec<_>>())
    };
    let found = block_on(typed.get_or_load_many([7, 1, 9], options(), load));
    assert!(found[0].is_ok() && found[2].is_ok());
    assert!(found[1].as_ref().is_err_and(CacheError::is_encode));
    assert_eq!(cache.entry_count(), 2);
}

#[test]
fn load_timeout_bounds_the_whole_bulk_call() {
    let (cache, clock) = timed();
    let (typed, door) = (numbers(&cache), Door::default());
    let others = [
        lead_one(&typed, &8, 8, options(), &door),
        lead_one(&typed, &9, 9, options(), &door),
    ];
    let call_options = options().load_timeout(SECOND * 2);
    let hangs = |_| pending::<Result<Vec<Number>, Infallible>>();
    let keys = [1, 8, 2, 9];
    let mut many = Hand::start(typed.get_or_load_many(keys, call_options, hangs));
    let mut waiter = Hand::start(typed.get_or_load(&2, options(), ready(Number(8))));
    clock.advance(nearly(2));
    many.waits();
    clock.advance(NANO);
    assert!(many.was_woken());
    for found in many.ends() {
        assert!(found.unwrap_err().is_timeout());
    }
    assert_eq!(waiter.ends().unwrap().0, 8, "a waiter with more time loads");
    assert_eq!((load_one(&typed, 1, 7), read(&typed, 2)), (7, Some(8)));
    assert_eq!(cache.stats().timeouts, 4);
    assert_eq!(cache.stats().load_failures, 2);
    door.open();
    for mut other in others {
        other.ends().unwrap();
    }
    assert_eq!((read(&typed, 8), read(&typed, 9)), (Some(8), Some(9)));
}

#[test]
fn bulk_timeout_serves_stale_values_where_present() {
    let (cache, clock) = timed();
    let (typed, door) = (numbers(&cache), Door::default());
    store(&typed, 1, 1, kept(50));
    store(&typed, 2, 2, kept(50));
    clock.advance(SECOND * 10);
    let other = lead_one(&typed, &2, 9, options(), &door);
    let call_options = options().load_timeout(SECOND * 2);
    let hangs = |_| pending::<Result<Vec<Number>, Infallible>>();
    let mut many = Hand::start(typed.get_or_load_many([1, 2, 3], call_options, hangs));
    clock.advance(SECOND * 2);
    let found: Vec<_> = each(many.ends()).into_iter().map(Result::ok).collect();
    assert_eq!(found, [Some(1), Some(2), None]);
    drop(other);
}

#[test]
fn soft_timeout_serves_stale_values_to_a_waiting_bulk_call() {
    let (cache, clock) = timed();
    let (typed, door) = (numbers(&cache), Door::default());
    store(&typed, 1, 1, kept(50));
    store(&typed, 2, 2, kept(50));
    clock.advance(SECOND * 10);
    let others = [
        lead_one(&typed, &1, 9, options(), &door),
        lead_one(&typed, &2, 9, options(), &door),
    ];
    let call_options = options().soft_timeout(SECOND * 2);
    let mut many =
        Hand::start(typed.get_or_load_many([1, 2], call_options, |_| never::<Vec<Number>>()));
    clock.advance(nearly(2));
    many.waits();
    clock.advance(NANO);
    assert!(many.was_woken());
    assert_eq!(all(many.ends()), [1, 2]);
    drop(others);
}
