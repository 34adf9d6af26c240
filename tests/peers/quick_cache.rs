//! What the tests of `quick_cache` check.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};

use hydracache::HydraCache;

use crate::stale::*;
use crate::support::*;

#[test]
fn whatever_the_capacity_the_last_put_is_there() {
    for capacity in [1, 2, 3, 7, 100] {
        let cache = HydraCache::local().max_capacity(capacity).build();
        for n in 0..1000 {
            let key = format!("key {n}");
            put(&cache, &key, n, options());
            assert_eq!(get(&cache, &key), Some(n), "of {capacity}");
            let loaded = format!("loaded {n}");
            assert_eq!(load(&cache, &loaded, n), n);
            assert_eq!(get(&cache, &loaded), Some(n), "of {capacity}");
        }
        assert_eq!(cache.entry_count(), capacity);
    }
}

/// The seat of a load that was removed goes to others, of this key and of another.
#[test]
fn a_leader_whose_seat_went_to_others_harms_nobody_when_it_is_dropped() {
    let cache = HydraCache::local().build();
    let (door, other) = (Door::default(), Door::default());
    let first = lead(&cache, "a", 1, tagged("first"), &door);
    remove(&cache, "a");
    let mut again = lead(&cache, "a", 2, tagged("again"), &other);
    let mut beside = lead(&cache, "b", 3, tagged("beside"), &other);
    put(&cache, "c", 4, tagged("beside"));
    drop(first);
    let mut waiters = [join(&cache, "a"), join(&cache, "b")];
    other.open();
    assert_eq!((again.ends().unwrap(), beside.ends().unwrap()), (2, 3));
    let waited = waiters.each_mut().map(|waiter| waiter.ends().unwrap());
    assert_eq!(waited, [2, 3]);
    assert_eq!(invalidate(&cache, "first"), 0);
    assert_eq!(invalidate(&cache, "again"), 1);
    assert_eq!(invalidate(&cache, "beside"), 2);
}

#[test]
fn a_leader_that_is_dropped_after_a_put_leaves_what_was_put() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let leader = lead(&cache, "key", 1, options(), &door);
    put(&cache, "key", 2, options());
    drop(leader);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!((cache.entry_count(), cache.stats().loads), (1, 1));
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn times(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Polls a future with two wakers, one after the other, and then does what it waits for.
#[track_caller]
fn assert_wakes_the_last(future: impl Future, act: impl FnOnce()) {
    let mut future = Box::pin(future);
    let wakers = [Arc::new(Woken::default()), Arc::new(Woken::default())];
    for woken in &wakers {
        let waker = Waker::from(Arc::clone(woken));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    let before = wakers[1].times();
    act();
    assert!(wakers[1].times() > before, "the task has moved");
    assert_eq!(wakers[0].times(), 0, "the task was there once");
}

/// A task may move to another executor, or a `select!` give it another waker.
#[test]
fn who_is_polled_with_another_waker_is_woken_by_that() {
    let (cache, clock) = timed();
    let (door, hung) = (Door::default(), Door::default());
    let mut leader = lead(&cache, "key", 1, options(), &door);
    let waiter = cache.get_or_load("key", options(), never::<u32>);
    assert_wakes_the_last(waiter, || {
        door.open();
        leader.ends().unwrap();
    });
    let leader = lead(&cache, "hung", 1, options(), &hung);
    let bounded = cache.get_or_load("hung", options().load_timeout(SECOND), never::<u32>);
    assert_wakes_the_last(bounded, || clock.advance(SECOND));
    let heir = cache.get_or_load("hung", options(), ready(2_u32));
    assert_wakes_the_last(heir, || drop(leader));
    let endless = || std::future::pending::<Result<u32, Infallible>>();
    let driven = cache.get_or_load("own", options().load_timeout(SECOND), endless);
    assert_wakes_the_last(driven, || clock.advance(SECOND));
}

/// Their `remove_if` is an `update` that gives the value back or not.
#[test]
fn an_update_removes_what_it_refuses_and_nothing_else() {
    let (cache, _) = clocked(100);
    for (key, value) in [("a", 10), ("b", 20), ("c", 30)] {
        put(&cache, key, value, options());
    }
    let refuse = |key, refused: u32| {
        let keep = |old: Option<u32>| old.filter(|value| *value != refused);
        block_on(cache.update(key, options(), keep)).unwrap()
    };
    assert_eq!(refuse("b", 20), None);
    assert_eq!(refuse("c", 999), Some(30));
    assert_eq!(refuse("nobody", 1), None);
    let left = ["a", "b", "c", "nobody"].map(|key| get(&cache, key));
    assert_eq!(left, [Some(10), None, Some(30), None]);
    assert_eq!(cache.entry_count(), 2);
    assert_eq!(cache.stats().invalidations, 1);
}
