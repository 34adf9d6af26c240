//! A call for many keys that had to wait looks again, once, at the values found before the wait.

use std::cell::Cell;
use std::convert::Infallible;

use hydracache::{CacheOptions, HydraCache};

use crate::parts::*;
use crate::pool::*;
use crate::stale::*;
use crate::support::*;

type End = (&'static str, fn(&HydraCache, &Numbers));

/// Every invalidation that ends the value of key 1.
const ENDS: [End; 6] = [
    ("remove", |_, typed| {
        assert!(block_on(typed.remove(&1)).unwrap());
    }),
    ("tag", |cache, _| assert_eq!(invalidate(cache, "tag"), 1)),
    ("expire_tag", |cache, _| {
        assert_eq!(expire_tag(cache, "tag"), 1);
    }),
    ("unswept tag", |cache, _| {
        drop(Hand::hold(cache.invalidate_tag("tag")).poll());
    }),
    ("invalidate_all", |_, typed| assert_eq!(clear(typed), 1)),
    ("flush", |cache, _| flush(cache)),
];

/// 1. The call finds key 1, and loads key 2. 2. Key 1 is invalidated. 3. The load of key 2 ends.
/// 4. The call loads key 1.
#[test]
fn value_invalidated_during_the_own_load_is_loaded() {
    for (name, end) in ENDS {
        let (cache, _) = clocked(100);
        let (typed, log, door) = (numbers(&cache), Log::default(), Door::default());
        store(&typed, 1, 10, tagged("tag"));
        let mut call = gated_many(&typed, &[1, 2], 20, &door, &log);
        assert_eq!(log.take(), [[2]]);
        end(&cache, &typed);
        door.open();
        // `flush` and `invalidate_all` fence the load of key 2, which is not stored: the call
        // returns the value all the same.
        assert_eq!(all(call.ends()), [20, 20], "{name}");
        assert_eq!(log.take(), [[1]], "{name}");
        assert_eq!(read(&typed, 1), Some(20));
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads), (2, 1, 2), "{name}");
    }
}

/// The same, where the call waits for the load of another call.
#[test]
fn value_invalidated_during_the_wait_for_another_load_is_loaded() {
    for (name, end) in ENDS {
        let (cache, _) = clocked(100);
        let (typed, log, door) = (numbers(&cache), Log::default(), Door::default());
        store(&typed, 1, 10, tagged("tag"));
        let open = Door::default();
        open.open();
        let mut leader = lead_one(&typed, &2, 5, options(), &door);
        let mut call = gated_many(&typed, &[1, 2], 20, &open, &log);
        end(&cache, &typed);
        door.open();
        leader.ends().unwrap();
        assert_eq!(all(call.ends()), [20, 5], "{name}");
        assert_eq!(log.take(), [[1]], "{name}");
        assert_eq!(cache.stats().single_flight_joins, 1);
    }
}

#[test]
fn newer_value_found_by_the_second_look_is_returned() {
    let (cache, _) = clocked(100);
    let (typed, log, door) = (numbers(&cache), Log::default(), Door::default());
    store(&typed, 1, 10, options());
    let mut call = gated_many(&typed, &[1, 2], 20, &door, &log);
    store(&typed, 1, 11, options());
    door.open();
    assert_eq!(all(call.ends()), [11, 20]);
    assert_eq!(log.take(), [[2]]);
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 1;
        stats.loads = 1;
    });
}

#[test]
fn second_look_joins_the_load_of_another_call() {
    let (cache, _) = clocked(100);
    let (typed, log) = (numbers(&cache), Log::default());
    let (door, other_door) = (Door::default(), Door::default());
    store(&typed, 1, 10, options());
    let mut call = gated_many(&typed, &[1, 2], 20, &door, &log);
    assert!(block_on(typed.remove(&1)).unwrap());
    let mut other = lead_one(&typed, &1, 5, options(), &other_door);
    door.open();
    call.waits();
    other_door.open();
    other.ends().unwrap();
    assert_eq!(all(call.ends()), [5, 20]);
    assert_eq!(log.take(), [[2]]);
}

/// The second look is the last: a key that is invalidated all the time does not hold the call.
#[test]
fn second_look_happens_once() {
    let (cache, _) = clocked(100);
    let typed = numbers(&cache);
    (1..4).for_each(|key| store(&typed, key, 10, options()));
    let calls = Cell::new(0);
    let load = |keys: Vec<u64>| {
        // Each loader invalidates everything, also the values loaded before.
        calls.set(calls.get() + 1);
        clear(&typed);
        async move { Ok::<_, Infallible>(keys.iter().map(|_| Number(20)).collect::<Vec<_>>()) }
    };
    let call = typed.get_or_load_many([1, 2, 3, 4], options(), load);
    assert_eq!(all(Hand::hold(call).ends()), [20, 20, 20, 20]);
    assert_eq!(calls.get(), 2);
}

#[test]
fn call_that_never_waited_looks_once() {
    let (cache, _) = clocked(100);
    let typed = numbers(&cache);
    (1..4).for_each(|key| store(&typed, key, 10, options()));
    let call = typed.get_or_load_many([1, 2, 3], options(), |_: Vec<u64>| async {
        Err::<Vec<Number>, _>("the loader must not run")
    });
    assert_eq!(all(Hand::hold(call).ends()), [10, 10, 10]);
    assert_stats(cache.stats(), |stats| stats.hits = 3);
}

/// Otherwise every slow call would load the values that are about to be refreshed.
#[test]
fn second_look_begins_no_load_ahead_of_the_end() {
    let (cache, clock) = clocked(100);
    let (typed, log, door) = (numbers(&cache), Log::default(), Door::default());
    store(&typed, 1, 10, lasting(10).refresh_ahead(0.5));
    let mut call = gated_many(&typed, &[1, 2], 20, &door, &log);
    clock.advance(SECOND * 7);
    door.open();
    assert_eq!(all(call.ends()), [10, 20]);
    assert_eq!(log.take(), [[2]]);
}

#[test]
fn value_that_expired_during_the_wait_is_loaded() {
    let (cache, clock) = clocked(100);
    let (typed, log, door) = (numbers(&cache), Log::default(), Door::default());
    store(&typed, 1, 10, lasting(10));
    let mut call = gated_many(&typed, &[1, 2], 20, &door, &log);
    clock.advance(SECOND * 10);
    door.open();
    assert_eq!(all(call.ends()), [20, 20]);
    assert_eq!(log.take(), [vec![2], vec![1]]);
}

/// A stale value is looked at again too: `remove` ends the service of a stale value.
#[test]
fn stale_value_is_looked_at_again() {
    for removed in [false, true] {
        let (cache, clock) = clocked(100);
        let (typed, log, door) = (numbers(&cache), Log::default(), Door::default());
        let never_opened = Door::default();
        store(&typed, 1, 10, revalidated(100));
        clock.advance(SECOND * 10);
        let leader = lead_one(&typed, &1, 5, options(), &never_opened);
        let mut call = gated_many(&typed, &[1, 2], 20, &door, &log);
        if removed {
            assert!(!block_on(typed.remove(&1)).unwrap());
        }
        door.open();
        assert_eq!(all(call.ends()), if removed { [20, 20] } else { [10, 20] });
        assert_eq!(
            cache.stats().stale_serves,
            1,
            "counted by the first look alone"
        );
        drop(leader);
    }
}

/// A failed second load is the answer of the key: the found value is no longer valid.
#[test]
fn failed_second_load_is_an_error_of_its_key() {
    let (cache, _) = clocked(100);
    let typed = numbers(&cache);
    store(&typed, 1, 10, options());
    let calls = Cell::new(0);
    let load = |keys: Vec<u64>| {
        calls.set(calls.get() + 1);
        if calls.get() == 1 {
            assert!(block_on(typed.remove(&1)).unwrap());
        }
        let failed = calls.get() == 2;
        async move {
            let number = |_: &u64| if failed { Err("down") } else { Ok(Number(20)) };
            keys.iter().map(number).collect::<Vec<_>>()
        }
    };
    let call = typed.get_or_load_many([1, 2], options(), load);
    let answers = Hand::hold(call).ends();
    assert!(answers[0].as_ref().unwrap_err().is_load());
    assert_eq!(answers[1].as_ref().unwrap().0, 20);
}

/// A call whose time is over keeps the values that it found.
#[test]
fn call_out_of_time_does_not_look_again() {
    let (cache, clock) = timed();
    let typed = numbers(&cache);
    store(&typed, 1, 10, options());
    let within = CacheOptions::new().load_timeout(SECOND);
    let load = |_: Vec<u64>| std::future::pending::<Result<Vec<Number>, Infallible>>();
    let mut call = Hand::start(typed.get_or_load_many([1, 2], within, load));
    assert!(block_on(typed.remove(&1)).unwrap());
    clock.advance(SECOND);
    let answers = call.ends();
    assert_eq!(answers[0].as_ref().unwrap().0, 10);
    assert!(answers[1].as_ref().unwrap_err().is_timeout());
}

/// The own keys of the second round land before the call waits for others, as in the first.
#[test]
fn two_second_looks_do_not_wait_for_each_other() {
    let (cache, _) = clocked(100);
    let (typed, log) = (numbers(&cache), Log::default());
    let (one, two) = (Door::default(), Door::default());
    store(&typed, 1, 10, options());
    store(&typed, 2, 10, options());
    let mut a = gated_many(&typed, &[1, 2, 3], 20, &one, &log);
    let mut b = gated_many(&typed, &[2, 1, 4], 30, &two, &log);
    assert!(block_on(typed.remove(&1)).unwrap() && block_on(typed.remove(&2)).unwrap());
    one.open();
    assert_eq!(all(a.ends()), [20, 20, 20]);
    two.open();
    assert_eq!(all(b.ends()), [20, 20, 30]);
    assert_eq!(log.take(), [vec![3], vec![4], vec![1, 2]]);
}

/// Key 1 is found, key 2 is stale. The load of key 2 runs out of time, and the stale value is the
/// answer. Key 1 was invalidated: without time left, no second load starts.
#[test]
fn call_out_of_time_with_stale_answers_does_not_look_again() {
    let (cache, clock) = timed();
    let typed = numbers(&cache);
    store(&typed, 2, 20, kept(90));
    clock.advance(SECOND * 10);
    store(&typed, 1, 10, options());
    let calls = Cell::new(0);
    let hangs = |_: Vec<u64>| {
        calls.set(calls.get() + 1);
        std::future::pending::<Result<Vec<Number>, Infallible>>()
    };
    let within = options().load_timeout(SECOND);
    let mut call = Hand::start(typed.get_or_load_many([1, 2], within, hangs));
    block_on(typed.remove(&1)).unwrap();
    clock.advance(SECOND);
    assert_eq!(all(call.ends()), [10, 20]);
    assert_eq!((calls.get(), cache.stats().timeouts), (1, 1));
}

/// The error of a back-off may be a timeout of long ago: the call still has time.
#[test]
fn call_with_a_backed_off_timeout_looks_again() {
    let (cache, clock, pool) = spawning(4);
    let (typed, log, door) = (numbers(&cache), Log::default(), Door::default());
    // 1. The background load of key 3 fails at its deadline, and the value expires.
    let backed_off = kept(20).load_timeout(SECOND).error_backoff(SECOND * 90);
    store(&typed, 3, 30, backed_off.clone());
    clock.advance(SECOND * 10);
    let hung = typed.with_options(backed_off);
    let hung = hung.with_loader(|_| std::future::pending::<Result<Number, Infallible>>());
    drop(Hand::start(hung.get(&3)));
    clock.advance(SECOND);
    drop(Hand::hold(hung.get(&3)).poll());
    clock.advance(SECOND * 20);
    drop(pool.take());
    // 2. The call finds key 1, loads key 2, and gets the error of key 3.
    store(&typed, 1, 10, options());
    let mut call = gated_many(&typed, &[1, 2, 3], 20, &door, &log);
    block_on(typed.remove(&1)).unwrap();
    door.open();
    let mut found = call.ends();
    assert!(found.pop().unwrap().unwrap_err().is_timeout());
    assert_eq!(all(found), [20, 20]);
    assert_eq!(log.take(), [[2], [1]]);
}
