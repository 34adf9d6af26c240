//! Background loads past their deadline, whatever clock and timer say, and whoever is polled first.

use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures_lite::future::yield_now;
use hydracache::{CacheResult, HydraCache, ManualClock, Timer};

use crate::pool::*;
use crate::stale::*;
use crate::support::*;

/// A cache with a clock and a timer of its own.
fn apart(timer: impl Timer + 'static) -> (HydraCache, ManualClock, Pool) {
    let (clock, pool) = (ManualClock::new(), Pool::default());
    let builder = HydraCache::local().clock(clock.clone());
    let builder = builder.timer(timer).spawner(pool.clone());
    (builder.build(), clock, pool)
}

/// Stores a value and lets it go stale: inside its error window a caller waits.
fn put_stale(cache: &HydraCache, clock: &ManualClock) {
    put(cache, "key", 1, kept(1000));
    clock.advance(SECOND * 10);
}

#[test]
fn call_past_the_deadline_ends_the_load_and_gives_its_permit_back() {
    for polls in [0, 1] {
        let (cache, clock, pool) = spawning(1);
        put_stale(&cache, &clock);
        let held = Arc::new(());
        let holds = Arc::clone(&held);
        let hung = move || async move {
            let hung = pending::<Result<u32, Infallible>>().await;
            drop(holds);
            hung
        };
        let caller = Hand::start(cache.get_or_refresh("key", options(), hung));
        let mut task = pool.only();
        (0..polls).for_each(|_| task.waits());
        clock.advance(SECOND * 30);
        // The runtime does not poll the task, and the caller is not polled either.
        let open = || Arc::strong_count(&held) - 1;
        let loader = || async move { Ok::<_, Infallible>(u32::try_from(open()).unwrap()) };
        let call = cache.get_or_load("key", options(), loader);
        assert_eq!(Hand::hold(call).ends().unwrap(), 0, "the future is dropped");
        assert_stats(cache.stats(), |stats| {
            stats.misses = 2;
            stats.loads = 2;
            stats.load_failures = 1;
            stats.timeouts = 1;
            stats.expirations = 1;
        });
        drop(caller);
        task.ends();
        // The only permit is free.
        clock.advance(SECOND * 2000);
        put_stale(&cache, &clock);
        let _caller = Hand::start(hand_over_hung_call(&cache));
        assert_eq!(pool.len(), 1);
        drop(pool.take());
    }
}

fn hand_over_hung_call(cache: &HydraCache) -> impl Future<Output = CacheResult<u32>> + '_ {
    cache.get_or_refresh("key", options(), pending::<Result<u32, Infallible>>)
}

#[test]
fn deadline_in_the_background_begins_a_backoff() {
    for task_first in [true, false] {
        let (cache, clock, pool) = spawning(1);
        put_stale(&cache, &clock);
        let options = options().load_timeout(SECOND).error_backoff(SECOND * 5);
        let hung = pending::<Result<u32, Infallible>>;
        drop(Hand::start(cache.get_or_refresh("key", options, hung)));
        let mut task = pool.only();
        task.waits();
        clock.advance(SECOND);
        if task_first {
            task.ends();
        }
        assert_eq!(served(&cache, "key"), 1, "backed off: no load starts");
        clock.advance(SECOND * 5);
        assert_eq!(load(&cache, "key", 7), 7);
    }
}

/// The timer judges: the waiter takes over, though the clock stands still.
#[test]
fn waiter_takes_over_while_the_clock_stands_still() {
    let timer = ManualClock::new();
    let (cache, clock, pool) = apart(timer.clone());
    put_stale(&cache, &clock);
    let mut caller = Hand::start(hand_over_hung_call(&cache));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), ready(7_u32)));
    let mut task = pool.only();
    timer.advance(SECOND * 30);
    assert!(waiter.was_woken());
    assert_eq!(waiter.ends().unwrap(), 7);
    assert_eq!(
        caller.ends().unwrap(),
        7,
        "the stored value is the best answer"
    );
    task.ends();
}

/// The clock judges: a new call takes over, though the timer stands still.
#[test]
fn new_call_takes_over_while_the_timer_stands_still() {
    let (cache, clock, pool) = apart(ManualClock::new());
    put_stale(&cache, &clock);
    drop(Hand::start(hand_over_hung_call(&cache)));
    let mut task = pool.only();
    task.waits();
    clock.advance(SECOND * 30);
    assert_eq!(load(&cache, "key", 7), 7);
    task.ends();
}

#[test]
fn timer_that_is_ready_at_once_makes_no_call_spin() {
    without_hanging(|| {
        let (cache, clock, pool) = apart(|_: Duration| async {});
        put_stale(&cache, &clock);
        // The load of the first call is over at once: it gets the stale value.
        assert_eq!(block_on(hand_over_hung_call(&cache)).unwrap(), 1);
        assert_eq!(load(&cache, "key", 7), 7);
        drop(pool.take());

        let within = options().load_timeout(SECOND);
        let hung = pending::<Result<u32, Infallible>>;
        let call = cache.get_or_load("other", within, hung);
        assert!(block_on(call).unwrap_err().is_timeout());
    });
}

#[test]
fn caller_of_a_hung_load_times_out_whoever_is_polled_first() {
    for load_timeout in [None, Some(SECOND * 5)] {
        for task_first in [true, false] {
            let (cache, clock, pool) = spawning(4);
            put_stale(&cache, &clock);
            let options = load_timeout.map_or(options(), |time| options().load_timeout(time));
            let hung = pending::<Result<u32, Infallible>>;
            let mut caller = Hand::start(cache.get_or_refresh("key", options, hung));
            let mut task = pool.only();
            task.waits();
            // No stale value is left to serve.
            assert!(!remove(&cache, "key"));
            clock.advance(load_timeout.unwrap_or(SECOND * 30));
            if task_first {
                task.ends();
            }
            let error = caller.ends().unwrap_err();
            assert!(
                error.is_timeout(),
                "{load_timeout:?}, {task_first}: {error}"
            );
            assert!(cache.stats().timeouts <= 1);
        }
    }
}

type BoxedLoad = Pin<Box<dyn Future<Output = CacheResult<u32>> + Send>>;
/// A loader that loads its own key, with itself as the loader.
fn load_itself(
    cache: HydraCache,
    calls: Arc<AtomicUsize>,
) -> impl Future<Output = CacheResult<u32>> + Send {
    calls.fetch_add(1, SeqCst);
    async move {
        let (inner, calls) = (cache.clone(), calls);
        let again = move || Box::pin(load_itself(inner, calls)) as BoxedLoad;
        cache.get_or_refresh("key", options(), again).await
    }
}

/// A loader that waits for itself would start a load of its own at each deadline, for ever and
/// without a caller.
#[test]
fn background_loader_that_loads_its_own_key_ends_at_its_deadline() {
    let (cache, clock, pool) = spawning(4);
    put_stale(&cache, &clock);
    let calls = Arc::new(AtomicUsize::new(0));
    let (inner, counted) = (cache.clone(), Arc::clone(&calls));
    let loader = move || load_itself(inner, counted);
    drop(Hand::start(cache.get_or_refresh("key", options(), loader)));
    let mut tasks = pool.take();
    for _ in 0..5 {
        tasks.extend(pool.take());
        tasks.retain_mut(|task| task.poll().is_pending());
        clock.advance(SECOND * 30);
    }
    assert!(tasks.is_empty() && pool.len() == 0);
    assert_eq!(calls.load(SeqCst), 1);
    // The inner call got the stale value at the deadline, and the loader returned that.
    assert_eq!(get(&cache, "key"), Some(1));
}

#[test]
fn closure_of_an_owned_loader_runs_in_its_callers_task() {
    let (cache, clock, pool) = spawning(4);
    put_stale(&cache, &clock);
    let called = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&called);
    let loader = move || {
        counted.fetch_add(1, SeqCst);
        std::future::ready(Ok::<_, Infallible>(2_u32))
    };
    let mut caller = Hand::start(cache.get_or_refresh("key", options(), loader));
    assert_eq!(called.load(SeqCst), 1, "before the task is polled");
    pool.only().ends();
    assert_eq!(caller.ends().unwrap(), 2);
}

#[test]
fn panic_in_the_closure_of_an_owned_loader_unwinds_to_its_caller() {
    let (cache, clock, pool) = spawning(1);
    put_stale(&cache, &clock);
    let panics = || -> std::future::Ready<Result<u32, Infallible>> { panic!("boom") };
    let call = cache.get_or_refresh("key", options(), panics);
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(call))).is_err());
    assert_eq!((pool.len(), cache.stats().load_failures), (0, 1));
    // Key and permit are free.
    let _caller = Hand::start(hand_over_hung_call(&cache));
    assert_eq!(pool.len(), 1);
    drop(pool.take());
}

/// A thread polls the loader, which blocks. Another call ends the load, and does not wait.
#[test]
fn load_ended_during_a_poll_is_dropped_after_the_poll() {
    // The timer stands still, so the load does not end by itself.
    let (cache, clock, pool) = apart(ManualClock::new());
    put_stale(&cache, &clock);
    let (polled, is_polled) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let blocks = move || async move {
        // The first poll sets the timer.
        yield_now().await;
        polled.send(()).unwrap();
        may_go_on.recv().unwrap();
        let hung = pending::<Result<u32, Infallible>>().await;
        drop(holds);
        hung
    };
    drop(Hand::start(cache.get_or_refresh("key", options(), blocks)));
    let spawned = pool.spawned().pop().unwrap();
    thread::scope(|scope| {
        let task = scope.spawn(move || {
            let mut task = Hand::start(spawned);
            task.ends();
        });
        is_polled.recv().unwrap();
        clock.advance(SECOND * 30);
        assert_eq!(load(&cache, "key", 7), 7);
        assert_eq!(Arc::strong_count(&held), 2, "still polled");
        go_on.send(()).unwrap();
        task.join().unwrap();
    });
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(get(&cache, "key"), Some(7));
}
