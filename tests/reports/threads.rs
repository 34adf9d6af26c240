//! Runtimes that end or are missing, threads that end, and destructors.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Waker};
use std::thread;

use hydracache::{CacheResult, HydraCache, ManualClock};

use crate::parts::Gate;
use crate::stale::*;
use crate::support::*;

fn tokio_runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

#[test]
fn waiter_loads_when_the_runtime_of_the_leader_ends() {
    let cache = HydraCache::local().build();
    let runtime = tokio_runtime();
    let own = cache.clone();
    runtime.spawn(async move {
        let hung = pending::<Result<u32, Infallible>>;
        own.get_or_load("key", options(), hung).await
    });
    runtime.block_on(tokio::task::yield_now());
    assert_eq!(cache.stats().loads, 1);
    // On another runtime, a caller waits for the load.
    let mut waiter = Hand::start(cache.get_or_load("key", options(), ready(2_u32)));
    drop(runtime);
    assert!(waiter.was_woken());
    assert_eq!(waiter.ends().unwrap(), 2);
    // A runtime that starts later finds the entry.
    let found = tokio_runtime().block_on(cache.get::<u32>("key"));
    assert_eq!(found.unwrap(), Some(2));
}

#[test]
fn background_of_an_ended_runtime_does_not_stop_callers() {
    let clock = ManualClock::new();
    let runtime = tokio_runtime();
    let handle = runtime.handle().clone();
    let builder = HydraCache::local()
        .clock(clock.clone())
        .timer(clock.clone());
    let builder = builder.spawner(move |load| drop(handle.spawn(load)));
    let cache = builder.build();
    drop(runtime);
    put(
        &cache,
        "key",
        1,
        revalidated(10).stale_if_error(SECOND * 20),
    );
    clock.advance(SECOND * 10);
    let call = || {
        let call = cache.get_or_refresh("key", kept(20), ready(2_u32));
        Hand::hold(call).finish().unwrap()
    };
    // Every background load is dropped unpolled: the stale value is served.
    for _ in 0..100 {
        assert_eq!(call(), 1);
    }
    clock.advance(SECOND * 10);
    assert_eq!(call(), 1);
    // After the windows, and for a missing key, the caller runs the loader.
    clock.advance(SECOND * 10);
    assert_eq!(call(), 2);
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn timer_that_panics_outside_its_runtime_frees_the_key() {
    let cache = HydraCache::local().timer(tokio::time::sleep).build();
    let given = options().load_timeout(SECOND);
    let hung = pending::<Result<u32, Infallible>>;
    let mut leader = Hand::hold(cache.get_or_load("key", given.clone(), hung));
    let polled = catch_unwind(AssertUnwindSafe(|| leader.poll()));
    assert!(polled.is_err(), "tokio's timer needs its runtime");
    drop(leader);
    assert_eq!(load(&cache, "key", 1), 1);

    // A waiter whose timer panics leaves the load alone.
    let door = Door::default();
    let mut leader = lead(&cache, "other", 2, options(), &door);
    let mut waiter = Hand::hold(cache.get_or_load("other", given, never::<u32>));
    assert!(catch_unwind(AssertUnwindSafe(|| waiter.poll())).is_err());
    drop(waiter);
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(get(&cache, "other"), Some(2));
}

#[test]
fn spawner_that_panics_outside_its_runtime_frees_the_key() {
    let clock = ManualClock::new();
    let builder = HydraCache::local()
        .clock(clock.clone())
        .timer(clock.clone());
    let builder = builder.max_background_loads(1);
    let cache = builder.spawner(|load| drop(tokio::spawn(load))).build();
    put(&cache, "key", 1, revalidated(100));
    clock.advance(SECOND * 10);
    for _ in 0..3 {
        let call = || Hand::hold(cache.get_or_refresh("key", options(), ready(2_u32))).ends();
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    }
    // Inside the runtime the one place of the background is still free.
    tokio_runtime().block_on(async {
        let call = cache.get_or_refresh("key", options(), ready(3_u32));
        assert_eq!(call.await.unwrap(), 1);
        while cache.get::<u32>("key").await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(get(&cache, "key"), Some(3));
}

type Call = Pin<Box<dyn Future<Output = CacheResult<u32>> + Send>>;

fn poll_once(mut call: Call) -> Call {
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    call
}

#[test]
fn load_may_begin_end_and_be_dropped_on_three_threads() {
    let cache = HydraCache::local().build();
    let gate = Gate::default();
    let call = |key: &'static str| -> Call {
        let (cache, gate) = (cache.clone(), gate.clone());
        Box::pin(async move {
            let load = || async {
                gate.pass().await;
                Ok::<_, Infallible>(1)
            };
            cache.get_or_load(key, options(), load).await
        })
    };
    let (one, two) = (call("ends"), call("dropped"));
    let begin = move || (poll_once(one), poll_once(two));
    let (one, two) = thread::spawn(begin).join().unwrap();
    gate.open();
    let ended = thread::spawn(move || block_on(one)).join().unwrap();
    assert_eq!(ended.unwrap(), 1);
    thread::spawn(move || drop(two)).join().unwrap();
    assert_eq!(get(&cache, "ends"), Some(1));
    assert_eq!(load(&cache, "dropped", 2), 2);
}

/// Uses a cache when dropped, in every way that needs no waiting.
struct Undo(HydraCache, Arc<AtomicU32>);

/// Polls a call that needs no waiting. `block_on` has a thread-local value of its own, and panics
/// in such a destructor.
fn now<T>(call: impl Future<Output = T>) -> T {
    Hand::hold(call).ends()
}

impl Drop for Undo {
    fn drop(&mut self) {
        let Self(cache, done) = self;
        now(cache.remove("undo")).unwrap();
        now(cache.put("done", 1_u32, tagged("tag"))).unwrap();
        assert_eq!(now(cache.get("done")).unwrap(), Some(1_u32));
        now(cache.put("text", "a", options())).unwrap();
        assert_eq!(now(cache.get::<String>("text")).unwrap().unwrap(), "a");
        let load = cache.get_or_load("loaded", options(), ready(2_u32));
        assert_eq!(now(load).unwrap(), 2);
        now(cache.expire_tag("tag")).unwrap();
        now(cache.typed::<u32, u32>("name").put(&1, 1, options())).unwrap();
        assert!(cache.stats().hits > 0);
        done.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local! {
    static FIRST: RefCell<Option<Undo>> = const { RefCell::new(None) };
    static LAST: RefCell<Option<Undo>> = const { RefCell::new(None) };
}

#[test]
fn cache_works_in_destructors_of_thread_locals() {
    let cache = HydraCache::local().build();
    let done = Arc::new(AtomicU32::new(0));
    for round in 1..=10 {
        let (cache, done) = (cache.clone(), Arc::clone(&done));
        let thread = thread::spawn(move || {
            // One thread-local value is older than the thread's first call of the cache, and
            // one is newer: their destructors run on both sides of any of the cache's own.
            let undo = || Some(Undo(cache.clone(), Arc::clone(&done)));
            FIRST.set(undo());
            put(&cache, "undo", round, options());
            get(&cache, "undo");
            LAST.set(undo());
        });
        thread.join().unwrap();
    }
    assert_eq!(done.load(Ordering::SeqCst), 20);
    assert_eq!(get(&cache, "undo"), None);
    // No count of an ended thread is lost: one read of each thread, and two of each destructor,
    // which finds the loaded value after the first time.
    assert_eq!(cache.stats().hits, 10 + 20 * 2 + 19);
}

#[test]
fn cache_works_in_destructors_during_a_panic() {
    let cache = HydraCache::local().build();
    let done = Arc::new(AtomicU32::new(0));
    put(&cache, "undo", 1, options());
    let task = || {
        let _undo = Undo(cache.clone(), Arc::clone(&done));
        panic!("the task fails");
    };
    assert!(catch_unwind(AssertUnwindSafe(task)).is_err());
    assert_eq!(done.load(Ordering::SeqCst), 1);
    assert_eq!(get(&cache, "undo"), None);
    assert_eq!(get(&cache, "loaded"), Some(2));

    // The same inside a loader, with a waiter: the destructor runs before the key is free.
    let undo = || Undo(cache.clone(), Arc::clone(&done));
    let mut leader = Hand::hold(cache.get_or_load("key", options(), || async {
        let _undo = undo();
        futures_lite::future::yield_now().await;
        let is_up = std::hint::black_box(false);
        assert!(is_up, "the loader fails");
        Ok::<_, Infallible>(0_u32)
    }));
    leader.waits();
    let mut waiter = join(&cache, "key");
    assert!(catch_unwind(AssertUnwindSafe(|| leader.poll())).is_err());
    assert_eq!(done.load(Ordering::SeqCst), 2);
    assert!(waiter.ends().unwrap_err().is_panic());
    assert_eq!(load(&cache, "key", 3), 3);
}

#[test]
fn cache_in_a_static_is_built_once_by_its_first_loads() {
    static BUILT: AtomicU32 = AtomicU32::new(0);
    static CACHE: LazyLock<HydraCache> = LazyLock::new(|| {
        BUILT.fetch_add(1, Ordering::SeqCst);
        HydraCache::local().build()
    });
    // The first call of each thread is a load, whose loader uses the static too.
    let call = || {
        block_on(CACHE.get_or_load("key", options(), || async {
            let inner = CACHE.get_or_load("inner", options(), ready(1_u32));
            inner.await.map(|value| value + 1)
        }))
    };
    let threads: Vec<_> = (0..8).map(|_| thread::spawn(call)).collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap().unwrap(), 2);
    }
    assert_eq!(BUILT.load(Ordering::SeqCst), 1);
    assert_eq!(CACHE.stats().loads, 2);
    // A static is never dropped: give the memory back for the leak check.
    flush(&CACHE);
}
