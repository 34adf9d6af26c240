//! Behaviours from the tests of `quick_cache`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};

use hydracache::HydraCache;

use crate::stale::*;
use crate::support::*;

#[test]
fn last_put_is_present_at_every_capacity() {
    for capacity in [1, 2, 3, 7, 100] {
        let cache = HydraCache::local().max_capacity(capacity).build();
        for n in 0..1000 {
            let key = format!("key {n}");
            put(&cache, &key, n, options());
            assert_eq!(get(&cache, &key), Some(n), "capacity {capacity}");
            let loaded = format!("loaded {n}");
            assert_eq!(load(&cache, &loaded, n), n);
            assert_eq!(get(&cache, &loaded), Some(n), "capacity {capacity}");
        }
        assert_eq!(cache.entry_count(), capacity);
    }
}

/// 1. Leader L1 of "a" claims a slot; `remove("a")` fences L1.
/// 2. Leader L2 of "a" and leader L3 of "b" claim slots.
/// 3. L1 is dropped. L2 and L3 keep their slots: both are joined and both complete.
#[test]
fn dropped_leader_leaves_the_loads_that_reuse_its_slot() {
    let cache = HydraCache::local().build();
    let (door, other) = (Door::default(), Door::default());
    let first = lead(&cache, "a", 1, tagged("first"), &door);
    remove(&cache, "a");
    let mut second = lead(&cache, "a", 2, tagged("second"), &other);
    let mut third = lead(&cache, "b", 3, tagged("third"), &other);
    put(&cache, "c", 4, tagged("third"));
    drop(first);
    let mut waiters = [join(&cache, "a"), join(&cache, "b")];
    other.open();
    assert_eq!((second.ends().unwrap(), third.ends().unwrap()), (2, 3));
    let waited = waiters.each_mut().map(|waiter| waiter.ends().unwrap());
    assert_eq!(waited, [2, 3]);
    assert_eq!(invalidate(&cache, "first"), 0);
    assert_eq!(invalidate(&cache, "second"), 1);
    assert_eq!(invalidate(&cache, "third"), 2);
}

#[test]
fn dropped_leader_leaves_the_value_of_a_later_put() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let leader = lead(&cache, "key", 1, options(), &door);
    put(&cache, "key", 2, options());
    drop(leader);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!((cache.entry_count(), cache.stats().loads), (1, 1));
}

/// Counts wakes.
#[derive(Default)]
struct WakeCount(AtomicU32);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl WakeCount {
    fn times(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Polls a future with two wakers in turn, calls `act`, and asserts that only the second is woken.
#[track_caller]
fn assert_wakes_only_the_last(future: impl Future, act: impl FnOnce()) {
    let mut future = Box::pin(future);
    let counts = [
        Arc::new(WakeCount::default()),
        Arc::new(WakeCount::default()),
    ];
    for count in &counts {
        let waker = Waker::from(Arc::clone(count));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    let before = counts[1].times();
    act();
    assert!(counts[1].times() > before, "the last waker was not woken");
    assert_eq!(counts[0].times(), 0, "the replaced waker was woken");
}

/// A task may move to another executor, or a `select!` may poll with another waker.
#[test]
fn future_polled_with_a_new_waker_wakes_only_that_waker() {
    let (cache, clock) = timed();
    let (door, hung) = (Door::default(), Door::default());
    let mut leader = lead(&cache, "key", 1, options(), &door);
    let waiter = cache.get_or_load("key", options(), never::<u32>);
    assert_wakes_only_the_last(waiter, || {
        door.open();
        leader.ends().unwrap();
    });
    let leader = lead(&cache, "hung", 1, options(), &hung);
    let bounded = cache.get_or_load("hung", options().load_timeout(SECOND), never::<u32>);
    assert_wakes_only_the_last(bounded, || clock.advance(SECOND));
    let successor = cache.get_or_load("hung", options(), ready(2_u32));
    assert_wakes_only_the_last(successor, || drop(leader));
    let endless = || std::future::pending::<Result<u32, Infallible>>();
    let driven = cache.get_or_load("own", options().load_timeout(SECOND), endless);
    assert_wakes_only_the_last(driven, || clock.advance(SECOND));
}

/// The `remove_if` of `quick_cache` is an `update` that returns the value or `None`.
#[test]
fn update_returning_none_removes_only_that_entry() {
    let (cache, _) = clocked(100);
    for (key, value) in [("a", 10), ("b", 20), ("c", 30)] {
        put(&cache, key, value, options());
    }
    let remove_if = |key, refused: u32| {
        let keep = |old: Option<u32>| old.filter(|value| *value != refused);
        block_on(cache.update(key, options(), keep)).unwrap()
    };
    assert_eq!(remove_if("b", 20), None);
    assert_eq!(remove_if("c", 999), Some(30));
    assert_eq!(remove_if("absent", 1), None);
    let left = ["a", "b", "c", "absent"].map(|key| get(&cache, key));
    assert_eq!(left, [Some(10), None, Some(30), None]);
    assert_eq!(cache.entry_count(), 2);
    assert_eq!(cache.stats().invalidations, 1);
}
