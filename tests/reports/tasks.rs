//! Futures that change their task, are dropped at odd moments, or run inside `wake`.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::future::{or, yield_now};
use hydracache::HydraCache;

use crate::stale::*;
use crate::support::*;

/// A task that counts its wakes.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll_in<F: Future + ?Sized>(task: &Arc<Task>, future: Pin<&mut F>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(task));
    future.poll(&mut Context::from_waker(&waker))
}

fn wakes(task: &Task) -> usize {
    task.0.load(Ordering::SeqCst)
}

#[test]
fn waiter_moved_to_another_task_wakes_the_new_task() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 1, options(), &door);
    let mut waiter = pin!(cache.get_or_load("key", options(), never::<u32>));
    let (old, new) = (Arc::<Task>::default(), Arc::<Task>::default());
    assert!(poll_in(&old, waiter.as_mut()).is_pending());
    assert!(poll_in(&new, waiter.as_mut()).is_pending());
    // The waker of the task that the waiter left is given back.
    assert_eq!(Arc::strong_count(&old), 1);
    door.open();
    assert_eq!(leader.ends().unwrap(), 1);
    assert_eq!((wakes(&old), wakes(&new)), (0, 1));
    assert!(matches!(poll_in(&new, waiter), Poll::Ready(Ok(1))));
}

#[test]
fn dropped_waiter_gives_its_waker_back_at_once() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 1, options(), &door);
    let task = Arc::<Task>::default();
    let mut waiters = Vec::new();
    for _ in 0..1_000 {
        let mut waiter = Box::pin(cache.get_or_load("key", options(), never::<u32>));
        assert!(poll_in(&task, waiter.as_mut()).is_pending());
        waiters.push(waiter);
    }
    assert!(Arc::strong_count(&task) > 1_000);
    drop(waiters);
    // The load still runs, and holds nothing of those who left.
    assert_eq!(Arc::strong_count(&task), 1);
    door.open();
    assert_eq!(leader.ends().unwrap(), 1);
    assert_eq!(wakes(&task), 0);
}

#[test]
fn self_waking_leader_dropped_after_a_poll_is_replaced() {
    let cache = HydraCache::local().build();
    let mut leader = Hand::hold(cache.get_or_load("key", options(), || async {
        yield_now().await; // wakes its own task
        Ok::<_, Infallible>(1_u32)
    }));
    leader.waits();
    let call = || Hand::start(cache.get_or_load("key", options(), ready(2_u32)));
    let (mut first, mut second) = (call(), call());
    drop(leader);
    assert!(first.was_woken() && second.was_woken());
    assert_eq!(second.ends().unwrap(), 2);
    assert_eq!(first.ends().unwrap(), 2);
    assert_eq!(cache.stats().loads, 2);
}

#[test]
fn waiter_dropped_after_its_wake_does_not_stop_others() {
    for ends_well in [true, false] {
        let cache = HydraCache::local().build();
        let door = Door::default();
        let mut leader = lead(&cache, "key", 1, options(), &door);
        let mut waiters: Vec<_> = (0..10)
            .map(|_| Hand::start(cache.get_or_load("key", options(), ready(1_u32))))
            .collect();
        if ends_well {
            door.open();
            assert_eq!(leader.ends().unwrap(), 1);
        }
        drop(leader);
        // Woken, and dropped before the next poll.
        let last = waiters.pop().unwrap();
        drop(waiters);
        let mut last = last;
        assert!(last.was_woken());
        assert_eq!(last.ends().unwrap(), 1);
    }
}

#[test]
fn call_that_is_ready_wakes_no_task() {
    let (cache, _clock) = timed();
    let given = options().load_timeout(SECOND);
    let mut loads = Hand::hold(cache.get_or_load("key", given.clone(), ready(1_u32)));
    assert_eq!(loads.ends().unwrap(), 1);
    assert!(!loads.was_woken());
    let mut hits = Hand::hold(cache.get_or_load("key", given, never::<u32>));
    assert_eq!(hits.ends().unwrap(), 1);
    assert!(!hits.was_woken());

    // A leader does not wake itself, and a waiter is woken once.
    let door = Door::default();
    let mut leader = lead(&cache, "other", 2, options(), &door);
    let waiter = Arc::<Task>::default();
    let mut call = pin!(cache.get_or_load("other", options(), never::<u32>));
    assert!(poll_in(&waiter, call.as_mut()).is_pending());
    door.open();
    assert!(leader.was_woken(), "by the door");
    assert_eq!(leader.ends().unwrap(), 2);
    assert!(!leader.was_woken());
    assert!(matches!(poll_in(&waiter, call), Poll::Ready(Ok(2))));
    assert_eq!(wakes(&waiter), 1);
}

/// A loader that needs three polls.
async fn slow() -> Result<u32, Infallible> {
    for _ in 0..2 {
        yield_now().await;
    }
    Ok(1)
}

#[test]
fn call_made_again_in_a_select_loop_loads_again() {
    let cache = HydraCache::local().build();
    let tick = || async {
        yield_now().await;
        None
    };
    // The call is dropped at each tick: its load ends each time, as documented.
    block_on(async {
        for _ in 0..5 {
            let call = async { cache.get_or_load("key", options(), slow).await.ok() };
            assert_eq!(or(call, tick()).await, None);
        }
    });
    assert_eq!((cache.stats().loads, cache.entry_count()), (5, 0));

    // The remedy: one call outside the loop.
    let value = block_on(async {
        let mut call = pin!(cache.get_or_load("key", options(), slow));
        loop {
            if let Some(value) = or(async { call.as_mut().await.ok() }, tick()).await {
                return value;
            }
        }
    });
    assert_eq!(value, 1);
    assert_eq!((cache.stats().loads, cache.entry_count()), (6, 1));
}

/// A future that holds something until it is dropped itself, ended or not.
struct Holding<F>(Pin<Box<F>>, Arc<()>);

impl<F: Future> Future for Holding<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        assert!(Arc::strong_count(&self.1) > 1);
        self.0.as_mut().poll(cx)
    }
}

#[test]
fn loader_is_dropped_when_its_load_ends() {
    let cache = HydraCache::local().build();
    let held = Arc::new(());
    let call = |held: Arc<()>, fails: bool, door: Door| {
        let load = async move {
            door.pass().await;
            if fails { Err("down") } else { Ok(1_u32) }
        };
        let load = Holding(Box::pin(load), held);
        Hand::hold(cache.get_or_load("key", options(), move || load))
    };
    for fails in [true, false] {
        let door = Door::default();
        let mut leader = call(Arc::clone(&held), fails, door.clone());
        leader.waits();
        let mut waiter = join(&cache, "key");
        assert_eq!(Arc::strong_count(&held), 2);
        door.open();
        assert_eq!(leader.ends().is_err(), fails);
        // The ended call and a waiter that nobody polls hold nothing of the loader.
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(waiter.ends().is_err(), fails);
    }
}

#[test]
fn ended_call_drops_its_timer() {
    let sleeps = Arc::new(());
    let counted = Arc::clone(&sleeps);
    let timer = move |_| {
        let held = Arc::clone(&counted);
        async move {
            pending::<()>().await;
            drop(held);
        }
    };
    let cache = HydraCache::local().timer(timer).build();
    let idle = Arc::strong_count(&sleeps);
    let given = options().load_timeout(SECOND * 3_600);
    for fails in [false, true] {
        let door = Door::default();
        let call = || {
            let door = &door;
            Hand::start(cache.get_or_load("key", given.clone(), move || async move {
                door.pass().await;
                if fails { Err("down") } else { Ok(1_u32) }
            }))
        };
        let (mut leader, mut waiter, dropped) = (call(), call(), call());
        assert!(Arc::strong_count(&sleeps) > idle, "the calls sleep");
        drop(dropped);
        door.open();
        assert_eq!(leader.ends().is_err(), fails);
        assert_eq!(waiter.ends().is_err(), fails);
        // Both futures still exist.
        assert_eq!(Arc::strong_count(&sleeps), idle, "{fails}");
        remove(&cache, "key");
    }
}

#[test]
fn loader_that_owns_its_cache_is_dropped_with_it() {
    let cache = HydraCache::local().build();
    let held = Arc::new(());
    let typed = cache.typed::<u32, u32>("squares");
    let (own, inside) = (typed.clone(), Arc::clone(&held));
    let squares = typed.with_loader(move |key: u32| {
        let (own, _inside) = (own.clone(), Arc::clone(&inside));
        async move {
            own.put(&(key + 1), 0, options()).await?;
            Ok::<_, hydracache::CacheError>(key * key)
        }
    });
    assert_eq!(*block_on(squares.get(&3)).unwrap(), 9);
    assert_eq!(*block_on(squares.get(&4)).unwrap(), 0);
    assert_eq!(Arc::strong_count(&held), 2);
    drop((squares, typed, cache));
    assert_eq!(Arc::strong_count(&held), 1);
}
