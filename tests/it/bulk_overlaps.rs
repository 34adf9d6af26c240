//! Many keys at once where calls overlap, are dropped, panic, or take too long.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::{CacheError, HydraCache, TypedCache};
use serde::{Deserialize, Serialize, Serializer};

use crate::parts::*;
use crate::stale::*;
use crate::support::*;

type Log = RefCell<Vec<Vec<u64>>>;

/// A call whose loader writes down which keys it was given, waits at a door, and gives one
/// number for all.
fn gated<'a>(
    part: &'a Numbers,
    keys: &'a [u64],
    value: u32,
    door: &'a Door,
    log: &'a Log,
) -> Calls<'a> {
    let load = move |keys: Vec<u64>| async move {
        log.borrow_mut().push(keys.clone());
        door.pass().await;
        Ok::<_, Infallible>(keys.iter().map(|_| Number(value)).collect::<Vec<_>>())
    };
    Hand::start(part.get_or_load_many(keys, options(), load))
}

#[test]
fn calls_that_overlap_wait_for_what_the_others_have() {
    for second_first in [false, true] {
        let cache = HydraCache::local().build();
        let (part, log) = (numbers(&cache), Log::default());
        let (one, two) = (Door::default(), Door::default());
        let mut a = gated(&part, &[1, 2], 1, &one, &log);
        let mut b = gated(&part, &[3, 2, 1], 2, &two, &log);
        assert_eq!(log.take(), [vec![1, 2], vec![3]]);
        if second_first {
            two.open();
            b.waits();
            assert_eq!(read(&part, 3), Some(2), "its own are stored first");
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

/// Each call has a key that the one before it waits for. The first has to wait for the last.
fn ring(size: usize, order: &[usize]) {
    let cache = HydraCache::local().build();
    let (part, log) = (numbers(&cache), Log::default());
    let doors: Vec<Door> = (0..size).map(|_| Door::default()).collect();
    let never_opened = Door::default();
    let all_keys: Vec<u64> = (0..size as u64).collect();
    let keys: Vec<[u64; 2]> = (0..size)
        .map(|at| [all_keys[at], all_keys[(at + 1) % size]])
        .collect();
    let mut calls = Vec::new();
    for at in 0..size {
        // So that the call does not take this key, which the next one is to have.
        let next = &keys[at][1];
        let is_last = at + 1 == size;
        let other = (!is_last).then(|| lead_one(&part, next, 9, options(), &never_opened));
        calls.push(gated(&part, &keys[at], 1, &doors[at], &log));
        drop(other);
    }
    let own: Vec<Vec<u64>> = all_keys.iter().map(|&key| vec![key]).collect();
    assert_eq!(log.take(), own);
    for &at in order {
        doors[at].open();
        let polled = calls[at].poll();
        assert_eq!(read(&part, all_keys[at]), Some(1));
        let is_over = polled.is_ready();
        let next_is_there = read(&part, keys[at][1]).is_some();
        assert_eq!(is_over, next_is_there, "it waits for the next and no other");
        if is_over {
            calls[at] = Hand::hold(std::future::ready(Vec::new()));
        }
    }
    for call in &mut calls {
        assert!(each(call.ends()).iter().all(|it| *it == Ok(1)));
    }
    assert!(log.take().is_empty(), "nothing was loaded twice");
}

#[test]
fn no_two_calls_wait_for_each_other() {
    ring(2, &[0, 1]);
    ring(2, &[1, 0]);
}

#[test]
fn no_calls_wait_in_a_ring() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        ring(3, &order);
    }
}

fn small(key: u64) -> u32 {
    key.try_into().unwrap()
}

#[test]
fn threads_that_load_overlapping_keys_all_come_to_an_end() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let part = numbers(&cache);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let part = &part;
                scope.spawn(move || {
                    for round in 0..500_u64 {
                        let mut keys = [round, round + 1, round + 2, round + 3];
                        keys.rotate_left(usize::try_from(thread).unwrap());
                        let load = |keys: Vec<u64>| async move {
                            futures_lite::future::yield_now().await;
                            let given = keys.iter().map(|&key| Number(small(key)));
                            Ok::<_, Infallible>(given.collect::<Vec<_>>())
                        };
                        let call = part.get_or_load_many(keys, options(), load);
                        if thread == 3 && round % 3 == 0 {
                            drop(Hand::hold(call).poll());
                            continue;
                        }
                        let expected = keys.map(small);
                        assert_eq!(all(block_on(call)), expected);
                    }
                });
            }
        });
    });
}

#[test]
fn a_key_whose_leader_was_dropped_comes_back_to_the_loader_alone() {
    let cache = HydraCache::local().build();
    let (part, log) = (numbers(&cache), Log::default());
    let (door, never_opened) = (Door::default(), Door::default());
    store(&part, 5, 5, options());
    let dropped = lead_one(&part, &2, 9, options(), &never_opened);
    let also_dropped = lead_one(&part, &4, 9, options(), &never_opened);
    let mut ends = lead_one(&part, &3, 3, options(), &door);
    door.open();
    let mut many = gated(&part, &[4, 1, 2, 3, 5], 1, &never_opened, &log);
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
fn a_dropped_call_frees_all_of_its_keys() {
    let cache = HydraCache::local().build();
    let (part, log, door) = (numbers(&cache), Log::default(), Door::default());
    let many = gated(&part, &[1, 2, 3], 1, &door, &log);
    let mut waiter = gated_waiter(&part, &[2, 3, 4], &door, &log);
    assert_eq!(log.take(), [vec![1, 2, 3], vec![4]]);
    drop(many);
    door.open();
    assert_eq!(all(waiter.ends()), [2, 2, 2]);
    assert_eq!(log.take(), [[2, 3]]);
    assert_eq!(load_one(&part, 1, 7), 7);
    assert_eq!(cache.stats().load_failures, 0, "cancelled is not failed");
}

fn gated_waiter<'a>(part: &'a Numbers, keys: &'a [u64], door: &'a Door, log: &'a Log) -> Calls<'a> {
    gated(part, keys, 2, door, log)
}

#[test]
fn what_was_loaded_stays_though_the_call_is_dropped_while_it_waits() {
    let cache = HydraCache::local().build();
    let (part, log, door) = (numbers(&cache), Log::default(), Door::default());
    let never_opened = Door::default();
    let other = lead_one(&part, &2, 9, options(), &never_opened);
    door.open();
    drop(gated(&part, &[1, 2], 1, &door, &log));
    assert_eq!(read(&part, 1), Some(1));
    drop(other);
}

fn boom() -> Result<Vec<Number>, Infallible> {
    panic!("boom")
}

/// Runs a call that must panic.
#[track_caller]
fn panics<T>(hand: &mut Hand<'_, T>) {
    let call = || drop(hand.poll());
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
}

#[test]
fn a_panic_of_the_loader_unwinds_and_those_who_wait_for_any_key_are_told() {
    let cache = HydraCache::local().build();
    let (part, door) = (numbers(&cache), Door::default());
    let mut many = Hand::start(part.get_or_load_many([1, 2], options(), |_| async {
        door.pass().await;
        boom()
    }));
    let mut waiters = [join_one(&part, &1), join_one(&part, &2)];
    door.open();
    panics(&mut many);
    for waiter in &mut waiters {
        assert!(waiter.ends().unwrap_err().is_panic());
    }
    assert_eq!((load_one(&part, 1, 7), load_one(&part, 2, 8)), (7, 8));
    assert_stats(cache.stats(), |stats| {
        stats.misses = 6;
        stats.loads = 4;
        stats.load_failures = 2;
        stats.single_flight_joins = 2;
    });
}

#[test]
fn a_loader_that_panics_before_its_future_is_made() {
    type Never = std::future::Ready<Result<Vec<Number>, Infallible>>;
    let cache = HydraCache::local().build();
    let part = numbers(&cache);
    let joined = Cell::new(None);
    let mut many = Hand::hold(part.get_or_load_many([1, 2], options(), |_| -> Never {
        joined.set(Some(join_one(&part, &2)));
        panic!("early")
    }));
    panics(&mut many);
    let mut waiter = joined.take().unwrap();
    assert!(waiter.ends().unwrap_err().is_panic());
    assert_eq!((load_one(&part, 1, 7), load_one(&part, 2, 8)), (7, 8));
    assert_eq!(cache.stats().load_failures, 2);
}

/// 1 cannot be encoded, and 2 panics.
#[derive(Debug, Deserialize, PartialEq)]
struct Moody(u8);

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            1 => Err(serde::ser::Error::custom("no form")),
            2 => panic!("moody"),
            other => serializer.serialize_u8(other),
        }
    }
}

#[test]
fn if_encoding_one_panics_those_before_are_stored_and_those_after_are_looked_for_again() {
    let cache = HydraCache::local().build();
    let part: TypedCache<u8, Moody> = cache.typed("moody");
    let door = Door::default();
    let load = |keys: Vec<u8>| {
        let door = &door;
        async move {
            door.pass().await;
            Ok::<_, Infallible>(keys.into_iter().map(Moody).collect::<Vec<_>>())
        }
    };
    let mut many = Hand::start(part.get_or_load_many([7, 2, 9], options(), load));
    let mut waits = [7, 2, 9].map(|key| {
        let part = part.clone();
        Hand::start(async move { part.get_or_load(&key, options(), ready(Moody(3))).await })
    });
    door.open();
    panics(&mut many);
    let [before, of_it, after] = waits.each_mut().map(Hand::ends);
    assert_eq!(*before.unwrap(), Moody(7));
    assert!(of_it.unwrap_err().is_panic());
    assert_eq!(*after.unwrap(), Moody(3), "by its own loader");
    assert_eq!(cache.stats().load_failures, 1);
}

#[test]
fn one_that_cannot_be_encoded_fails_alone() {
    let cache = HydraCache::local().build();
    let part: TypedCache<u8, Moody> = cache.typed("moody");
    let load = |keys: Vec<u8>| async move {
        Ok::<_, Infallible>(keys.into_iter().map(Moody).collect::<Vec<_>>())
    };
    let found = block_on(part.get_or_load_many([7, 1, 9], options(), load));
    assert!(found[0].is_ok() && found[2].is_ok());
    assert!(found[1].as_ref().is_err_and(CacheError::is_encode));
    assert_eq!(cache.entry_count(), 2);
}

#[test]
fn a_load_timeout_is_that_of_the_whole_call() {
    let (cache, clock) = timed();
    let (part, door) = (numbers(&cache), Door::default());
    let others = [
        lead_one(&part, &8, 8, options(), &door),
        lead_one(&part, &9, 9, options(), &door),
    ];
    let wishes = options().load_timeout(SECOND * 2);
    let hangs = |_| pending::<Result<Vec<Number>, Infallible>>();
    let keys = [1, 8, 2, 9];
    let mut many = Hand::start(part.get_or_load_many(keys, wishes, hangs));
    let mut waiter = join_one(&part, &2);
    clock.advance(nearly(2));
    many.waits();
    clock.advance(NANO);
    assert!(many.was_woken());
    for found in many.ends() {
        assert!(found.unwrap_err().is_timeout());
    }
    assert!(waiter.ends().unwrap_err().is_timeout());
    assert_eq!((load_one(&part, 1, 7), load_one(&part, 2, 8)), (7, 8));
    assert_eq!(cache.stats().timeouts, 4);
    assert_eq!(cache.stats().load_failures, 2);
    door.open();
    for mut other in others {
        other.ends().unwrap();
    }
    assert_eq!((read(&part, 8), read(&part, 9)), (Some(8), Some(9)));
}

#[test]
fn what_is_late_is_served_old_where_there_is_an_old_value() {
    let (cache, clock) = timed();
    let (part, door) = (numbers(&cache), Door::default());
    store(&part, 1, 1, kept(50));
    store(&part, 2, 2, kept(50));
    clock.advance(SECOND * 10);
    let other = lead_one(&part, &2, 9, options(), &door);
    let wishes = options().load_timeout(SECOND * 2);
    let hangs = |_| pending::<Result<Vec<Number>, Infallible>>();
    let mut many = Hand::start(part.get_or_load_many([1, 2, 3], wishes, hangs));
    clock.advance(SECOND * 2);
    let found: Vec<_> = each(many.ends()).into_iter().map(Result::ok).collect();
    assert_eq!(found, [Some(1), Some(2), None]);
    drop(other);
}

#[test]
fn a_soft_timeout_bounds_the_wait_for_others_where_there_is_an_old_value() {
    let (cache, clock) = timed();
    let (part, door) = (numbers(&cache), Door::default());
    store(&part, 1, 1, kept(50));
    store(&part, 2, 2, kept(50));
    clock.advance(SECOND * 10);
    let others = [
        lead_one(&part, &1, 9, options(), &door),
        lead_one(&part, &2, 9, options(), &door),
    ];
    let wishes = options().soft_timeout(SECOND * 2);
    let mut many = Hand::start(part.get_or_load_many([1, 2], wishes, |_| never::<Vec<Number>>()));
    clock.advance(nearly(2));
    many.waits();
    clock.advance(NANO);
    assert!(many.was_woken());
    assert_eq!(all(many.ends()), [1, 2]);
    drop(others);
}
