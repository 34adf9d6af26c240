//! Every order of two threads, over the real lock and the real waiting:
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --no-default-features --test loom --target-dir target/loom`

#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    reason = "in a test an error that nobody asked for is a failure"
)]

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use hydracache::{CacheOptions, HydraCache};
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

fn options() -> CacheOptions {
    CacheOptions::new().tag("tag")
}

/// Explores with at most three unforced switches of a thread, which is where nearly all
/// races are found.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(scenario);
}

/// A row in a database, and the cache in front of it.
#[derive(Clone)]
struct Service {
    cache: HydraCache,
    row: Arc<AtomicU32>,
}

impl Service {
    fn new() -> Self {
        let cache = HydraCache::local().max_capacity(2).build();
        let row = Arc::new(AtomicU32::new(0));
        Self { cache, row }
    }

    fn read(&self) -> u32 {
        let loader = || async { Ok::<_, Infallible>(self.row.load(Ordering::SeqCst)) };
        block_on(self.cache.get_or_load("key", options(), loader)).unwrap()
    }
}

/// One thread loads, the other changes the row and invalidates; then nothing stale may
/// be read.
fn load_against(invalidate: fn(&HydraCache)) {
    explore(move || {
        let service = Service::new();
        let reader = {
            let service = service.clone();
            thread::spawn(move || service.read())
        };
        service.row.store(1, Ordering::SeqCst);
        invalidate(&service.cache);
        assert_eq!(service.read(), 1, "stale after the invalidation");
        reader.join().unwrap();
        assert_eq!(service.read(), 1, "stale after the load");
    });
}

#[test]
fn load_against_remove() {
    load_against(|cache| {
        block_on(cache.remove("key")).unwrap();
    });
}

#[test]
fn load_against_invalidate_tag() {
    load_against(|cache| {
        block_on(cache.invalidate_tag("tag")).unwrap();
    });
}

#[test]
fn load_against_flush() {
    load_against(|cache| block_on(cache.flush()).unwrap());
}

#[test]
fn load_against_put() {
    load_against(|cache| block_on(cache.put("key", 1_u32, options())).unwrap());
}

#[test]
fn two_callers_share_one_load() {
    explore(|| {
        let service = Service::new();
        let other = {
            let service = service.clone();
            thread::spawn(move || service.read())
        };
        service.read();
        other.join().unwrap();
        assert_eq!(service.cache.stats().loads, 1);
    });
}

/// A leader is dropped while another caller comes to wait, or waits already.
#[test]
fn a_dropped_leader_holds_nobody_up() {
    explore(|| {
        let service = Service::new();
        let other = {
            let service = service.clone();
            thread::spawn(move || service.read())
        };
        let cache = service.cache.clone();
        block_on(async move {
            let endless = std::future::pending::<Result<u32, Infallible>>;
            let mut leader = pin!(cache.get_or_load("key", options(), endless));
            // One poll, whatever it finds; then it is dropped.
            poll_fn(|cx| Poll::Ready(drop(leader.as_mut().poll(cx)))).await;
        });
        assert_eq!(other.join().unwrap(), 0);
    });
}
