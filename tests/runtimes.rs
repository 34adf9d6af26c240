//! The cache behaves the same on every runtime: each scenario runs on tokio, smol, async-std
//! and without a runtime.
//!
//! A scenario is written once, against the trait `Runtime`, and becomes a test for each
//! runtime in the list at the end of the file. No scenario depends on real time: a loader
//! waits until the cache has counted the expected misses.

#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

#[path = "it/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod support;

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;

use futures_lite::FutureExt;
use futures_lite::future::{or, yield_now, zip};
use hydracache::{CacheResult, HydraCache};
use smol::channel;

use support::{
    SECOND, assert_stats, block_on, clocked, lasting, options, ready, tagged, without_hanging,
};

/// A future that every runtime can spawn.
trait Job<T>: Future<Output = T> + Send + 'static {}
impl<T, F: Future<Output = T> + Send + 'static> Job<T> for F {}

/// The operations of a runtime that the scenarios need.
trait Runtime: Sized {
    type Task<T>;

    fn run<F: Future<Output = ()>>(scenario: impl FnOnce(Self) -> F);

    fn spawn<T: Send + 'static>(&self, job: impl Job<T>) -> Self::Task<T>;

    /// The output of a task; `None` if the task panicked.
    async fn join<T>(task: Self::Task<T>) -> Option<T>;

    /// Cancels a task, and waits until its future is dropped.
    async fn stop<T>(task: Self::Task<T>);
}

/// No runtime: every task is a thread that blocks on its future.
struct Bare;

struct Thread<T> {
    stop: channel::Sender<Infallible>,
    ended: channel::Receiver<Option<T>>,
}

impl Runtime for Bare {
    type Task<T> = Thread<T>;

    fn run<F: Future<Output = ()>>(scenario: impl FnOnce(Self) -> F) {
        block_on(scenario(Self));
    }

    fn spawn<T: Send + 'static>(&self, job: impl Job<T>) -> Thread<T> {
        let (stop, stopped) = channel::bounded(1);
        let (end, ended) = channel::bounded(1);
        thread::spawn(move || {
            let stopped = async move { stopped.recv().await.ok().map(|never| match never {}) };
            let all = or(stopped, async { Some(job.await) });
            let output = catch_unwind(AssertUnwindSafe(|| block_on(all)));
            end.try_send(output.unwrap_or_default())
        });
        Thread { stop, ended }
    }

    async fn join<T>(task: Thread<T>) -> Option<T> {
        task.ended.recv().await.unwrap()
    }

    async fn stop<T>(task: Thread<T>) {
        drop(task.stop);
        assert!(task.ended.recv().await.unwrap().is_none());
    }
}

struct Smol;

impl Runtime for Smol {
    type Task<T> = smol::Task<T>;

    fn run<F: Future<Output = ()>>(scenario: impl FnOnce(Self) -> F) {
        smol::block_on(scenario(Self));
    }

    fn spawn<T: Send + 'static>(&self, job: impl Job<T>) -> smol::Task<T> {
        smol::spawn(job)
    }

    async fn join<T>(task: smol::Task<T>) -> Option<T> {
        AssertUnwindSafe(task).catch_unwind().await.ok()
    }

    async fn stop<T>(task: smol::Task<T>) {
        assert!(task.cancel().await.is_none());
    }
}

struct SmolLocal(Rc<smol::LocalExecutor<'static>>);

impl Runtime for SmolLocal {
    type Task<T> = smol::Task<T>;

    fn run<F: Future<Output = ()>>(scenario: impl FnOnce(Self) -> F) {
        let executor = Rc::new(smol::LocalExecutor::new());
        let scenario = scenario(Self(Rc::clone(&executor)));
        smol::block_on(executor.run(scenario));
    }

    fn spawn<T: Send + 'static>(&self, job: impl Job<T>) -> smol::Task<T> {
        self.0.spawn(job)
    }

    async fn join<T>(task: smol::Task<T>) -> Option<T> {
        Smol::join(task).await
    }

    async fn stop<T>(task: smol::Task<T>) {
        Smol::stop(task).await;
    }
}

struct AsyncStd;

impl Runtime for AsyncStd {
    type Task<T> = async_std::task::JoinHandle<T>;

    fn run<F: Future<Output = ()>>(scenario: impl FnOnce(Self) -> F) {
        async_std::task::block_on(scenario(Self));
    }

    fn spawn<T: Send + 'static>(&self, job: impl Job<T>) -> Self::Task<T> {
        async_std::task::spawn(job)
    }

    async fn join<T>(task: Self::Task<T>) -> Option<T> {
        AssertUnwindSafe(task).catch_unwind().await.ok()
    }

    async fn stop<T>(task: Self::Task<T>) {
        assert!(task.cancel().await.is_none());
    }
}

/// Tokio with `WORKERS` worker threads; with zero, the current-thread runtime.
struct Tokio<const WORKERS: usize>;

impl<const WORKERS: usize> Runtime for Tokio<WORKERS> {
    type Task<T> = tokio::task::JoinHandle<T>;

    fn run<F: Future<Output = ()>>(scenario: impl FnOnce(Self) -> F) {
        let runtime = match WORKERS {
            0 => tokio::runtime::Builder::new_current_thread().build(),
            _ => tokio::runtime::Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .build(),
        };
        runtime.unwrap().block_on(scenario(Self));
    }

    fn spawn<T: Send + 'static>(&self, job: impl Job<T>) -> Self::Task<T> {
        tokio::spawn(job)
    }

    async fn join<T>(task: Self::Task<T>) -> Option<T> {
        let ended = task.await;
        assert!(
            !ended
                .as_ref()
                .is_err_and(tokio::task::JoinError::is_cancelled)
        );
        ended.ok()
    }

    async fn stop<T>(task: Self::Task<T>) {
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }
}

/// Yields until the condition holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// A call whose loader waits until `misses` calls have missed, its own included.
fn call(
    cache: &HydraCache,
    misses: u64,
    answer: impl FnOnce() -> io::Result<u32> + Send + 'static,
) -> impl Job<CacheResult<u32>> {
    let cache = cache.clone();
    async move {
        let loader = || async {
            until(|| cache.stats().misses >= misses).await;
            answer()
        };
        cache.get_or_load("key", tagged("tag"), loader).await
    }
}

async fn concurrent_callers_share_one_load<R: Runtime>(runtime: R) {
    let cache = HydraCache::local().build();
    let callers = [0; 100].map(|_| runtime.spawn(call(&cache, 100, || Ok(7))));
    for caller in callers {
        assert_eq!(R::join(caller).await.unwrap().unwrap(), 7);
    }
    assert_stats(cache.stats(), |all| {
        all.misses = 100;
        all.loads = 1;
        all.single_flight_joins = 99;
    });
}

async fn concurrent_callers_share_one_error<R: Runtime>(runtime: R) {
    let cache = HydraCache::local().build();
    let fail = || Err(io::Error::other("the database is unavailable"));
    let callers = [0; 10].map(|_| runtime.spawn(call(&cache, 10, fail)));
    for caller in callers {
        let error = R::join(caller).await.unwrap().unwrap_err();
        assert!(error.is_load());
        assert!(error.source().unwrap().is::<io::Error>());
    }
    assert_stats(cache.stats(), |all| {
        all.misses = 10;
        all.loads = 1;
        all.load_failures = 1;
        all.single_flight_joins = 9;
    });
    assert_eq!(call(&cache, 0, || Ok(7)).await.unwrap(), 7);
}

async fn one_waiter_loads_after_its_leader_is_stopped<R: Runtime>(runtime: R) {
    let cache = HydraCache::local().build();
    let leader = runtime.spawn(call(&cache, u64::MAX, || Ok(1)));
    until(|| cache.stats().loads == 1).await;
    let waiters = [0; 10].map(|_| runtime.spawn(call(&cache, 0, || Ok(2))));
    until(|| cache.stats().misses == 11).await;

    R::stop(leader).await;
    for waiter in waiters {
        assert_eq!(R::join(waiter).await.unwrap().unwrap(), 2);
    }
    assert_eq!(cache.stats().loads, 2);
}

async fn stopped_waiter_leaves_the_load_to_the_others<R: Runtime>(runtime: R) {
    let cache = HydraCache::local().build();
    let leader = runtime.spawn(call(&cache, 4, || Ok(1)));
    until(|| cache.stats().loads == 1).await;
    let [stopped, waiter] = [0; 2].map(|_| runtime.spawn(call(&cache, 0, || Ok(2))));
    until(|| cache.stats().misses == 3).await;

    R::stop(stopped).await;
    // This is the fourth miss: the loader now ends.
    assert_eq!(cache.get::<u32>("key").await.unwrap(), None);
    for caller in [leader, waiter] {
        assert_eq!(R::join(caller).await.unwrap().unwrap(), 1);
    }
    assert_eq!(cache.stats().loads, 1);
}

async fn invalidation_fences_a_running_load<R: Runtime>(runtime: R) {
    let cache = HydraCache::local().build();
    let callers = [0; 2].map(|_| runtime.spawn(call(&cache, 3, || Ok(1))));
    until(|| cache.stats().misses == 2).await;

    assert_eq!(cache.invalidate_tag("tag").await.unwrap(), 0);
    // This is the third miss: the loader now ends.
    assert_eq!(cache.get::<u32>("key").await.unwrap(), None);
    for caller in callers {
        assert_eq!(R::join(caller).await.unwrap().unwrap(), 1);
    }
    assert!(!cache.contains_key("key").await);
    assert_eq!(cache.stats().stale_load_discards, 1);
    assert_eq!(call(&cache, 0, || Ok(2)).await.unwrap(), 2);
}

async fn loader_panic_is_an_error_for_every_waiter<R: Runtime>(runtime: R) {
    let cache = HydraCache::local().build();
    let leader = runtime.spawn(call(&cache, 11, || panic!("an intended panic of a test")));
    until(|| cache.stats().loads == 1).await;
    let waiters = [0; 10].map(|_| runtime.spawn(call(&cache, 0, || Ok(2))));
    for waiter in waiters {
        assert!(R::join(waiter).await.unwrap().unwrap_err().is_panic());
    }
    assert!(R::join(leader).await.is_none());
    assert_eq!(call(&cache, 0, || Ok(3)).await.unwrap(), 3);
}

async fn entry_expires_by_the_manual_clock<R: Runtime>(runtime: R) {
    let (cache, clock) = clocked(10);
    let load = |value: u32| {
        let cache = cache.clone();
        let call = async move { cache.get_or_load("key", lasting(60), ready(value)).await };
        runtime.spawn(call)
    };
    assert_eq!(R::join(load(1)).await.unwrap().unwrap(), 1);
    clock.advance(SECOND * 59);
    assert_eq!(R::join(load(2)).await.unwrap().unwrap(), 1);
    clock.advance(SECOND);
    assert_eq!(R::join(load(3)).await.unwrap().unwrap(), 3);
}

/// Loads with a loader that borrows and is not `Send`.
async fn load_borrowed(cache: &HydraCache, name: &Rc<str>, loads: &Cell<u32>) {
    let loader = || async {
        until(|| cache.stats().misses == 2).await;
        loads.set(loads.get() + 1);
        Ok::<_, Infallible>(Rc::clone(name))
    };
    let value = cache.get_or_load("key", options(), loader).await;
    assert_eq!(value.unwrap(), *name);
}

async fn loader_may_borrow_and_need_not_be_send<R: Runtime>(_: R) {
    let (cache, name, loads) = (HydraCache::local().build(), "Ada".into(), Cell::new(0));
    let load = || load_borrowed(&cache, &name, &loads);
    zip(load(), load()).await;
    assert_eq!(loads.get(), 1);
}

#[test]
fn local_executor_task_runs_a_borrowing_loader() {
    without_hanging(|| {
        let (cache, name, loads) = (HydraCache::local().build(), "Ada".into(), Cell::new(0));
        let executor = smol::LocalExecutor::new();
        let tasks = [0; 2].map(|_| executor.spawn(load_borrowed(&cache, &name, &loads)));
        smol::block_on(executor.run(async {
            for task in tasks {
                task.await;
            }
        }));
        assert_eq!(loads.get(), 1);
    });
}

#[test]
fn one_cache_serves_several_runtimes_at_once() {
    without_hanging(|| {
        Tokio::<2>::run(async |tokio| {
            let cache = HydraCache::local().build();
            let one = tokio.spawn(call(&cache, 3, || Ok(7)));
            let two = Smol.spawn(call(&cache, 3, || Ok(7)));
            let three = AsyncStd.spawn(call(&cache, 3, || Ok(7)));
            assert_eq!(one.await.unwrap().unwrap(), 7);
            assert_eq!((two.await.unwrap(), three.await.unwrap()), (7, 7));
            assert_eq!(cache.stats().loads, 1);
        });
    });
}

/// Makes each scenario a test for each runtime.
macro_rules! matrix {
    ($($name:ident: $runtime:ty),* $(,)?) => {
        $(mod $name {
            scenarios!($runtime: concurrent_callers_share_one_load, concurrent_callers_share_one_error,
                one_waiter_loads_after_its_leader_is_stopped, stopped_waiter_leaves_the_load_to_the_others,
                invalidation_fences_a_running_load, loader_panic_is_an_error_for_every_waiter,
                entry_expires_by_the_manual_clock, loader_may_borrow_and_need_not_be_send);
        })*
    };
}

macro_rules! scenarios {
    ($runtime:ty: $($scenario:ident),*) => {
        use super::*;
        $(#[test]
        fn $scenario() {
            without_hanging(|| <$runtime>::run(super::$scenario));
        })*
    };
}

matrix! {
    bare_block_on: Bare,
    smol_global: Smol,
    smol_local: SmolLocal,
    async_std_global: AsyncStd,
    tokio_current_thread: Tokio<0>,
    tokio_multi_thread: Tokio<4>,
}
