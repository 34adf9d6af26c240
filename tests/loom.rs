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
use std::time::Duration;

use hydracache::{CacheOptions, HydraCache, Loaded, ManualClock, Old};
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

    /// Reads with a loader that chooses its tags.
    fn fetch(&self) -> u32 {
        let loader = |_| async {
            let read = self.row.load(Ordering::SeqCst);
            Ok::<_, Infallible>(Loaded::new(read).tag("tag"))
        };
        let fetched = block_on(self.cache.fetch("key", CacheOptions::new(), loader));
        fetched.unwrap().value
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
fn load_against_expire() {
    load_against(|cache| {
        block_on(cache.expire("key")).unwrap();
    });
}

#[test]
fn load_against_expire_tag() {
    load_against(|cache| {
        block_on(cache.expire_tag("tag")).unwrap();
    });
}

#[test]
fn load_against_update() {
    load_against(|cache| {
        let change = |_: Option<u32>| Some(1);
        block_on(cache.update("key", options(), change)).unwrap();
    });
}

/// The tag is known only when the load lands: it is marked, then the shard is visited.
/// Who comes after that may still join the load.
fn fetch_against(invalidate: fn(&HydraCache)) {
    explore(move || {
        let service = Service::new();
        let reader = {
            let service = service.clone();
            thread::spawn(move || service.fetch())
        };
        service.row.store(1, Ordering::SeqCst);
        invalidate(&service.cache);
        assert_eq!(service.fetch(), 1, "stale after the invalidation");
        reader.join().unwrap();
        assert_eq!(service.fetch(), 1, "stale after the load");
    });
}

#[test]
fn fetch_against_invalidate_tag() {
    fetch_against(|cache| {
        block_on(cache.invalidate_tag("tag")).unwrap();
    });
}

#[test]
fn fetch_against_expire_tag() {
    fetch_against(|cache| {
        block_on(cache.expire_tag("tag")).unwrap();
    });
}

/// "Not modified" says nothing of a value that was invalidated meanwhile: marked before the
/// load began, visited after.
#[test]
fn unchanged_against_invalidate_tag() {
    explore(|| {
        let clock = ManualClock::new();
        let cache = HydraCache::local().max_capacity(2).clock(clock).build();
        let second = Duration::from_secs(1);
        let due = CacheOptions::new().ttl(second).refresh_ahead(0.0);
        block_on(cache.put("key", 0_u32, due.clone().tag("tag"))).unwrap();
        let other = {
            let cache = cache.clone();
            thread::spawn(move || {
                let confirm = async |old: Option<Old<u32>>| {
                    let new = || Loaded::new(1).no_store();
                    Ok::<_, Infallible>(old.map_or_else(new, Old::unchanged))
                };
                block_on(cache.fetch("key", due, confirm)).unwrap();
            })
        };
        block_on(cache.invalidate_tag("tag")).unwrap();
        other.join().unwrap();
        assert_eq!(block_on(cache.get::<u32>("key")).unwrap(), None, "revived");
    });
}

/// A load in the background, in a thread of its own, against an invalidation.
fn background_against(invalidate: fn(&HydraCache)) {
    explore(move || {
        let clock = ManualClock::new();
        let (give, take) = std::sync::mpsc::channel();
        let cache = HydraCache::local()
            .max_capacity(2)
            .clock(clock.clone())
            .timer(|_| std::future::pending::<()>())
            .spawner(move |load| give.send(load).unwrap())
            .build();
        let row = Arc::new(AtomicU32::new(0));
        let service = Service { cache, row };
        let second = Duration::from_secs(1);
        let stale = options().ttl(second).stale_while_revalidate(second);
        block_on(service.cache.put("key", 0_u32, stale)).unwrap();
        clock.advance(second);
        let row = service.row.clone();
        let loader = move || async move { Ok::<_, Infallible>(row.load(Ordering::SeqCst)) };
        let call = service.cache.get_or_refresh("key", options(), loader);
        assert_eq!(block_on(call).unwrap(), 0);
        let load = take.recv().unwrap();
        let background = thread::spawn(move || block_on(load));
        service.row.store(1, Ordering::SeqCst);
        invalidate(&service.cache);
        assert_eq!(service.read(), 1, "stale after the invalidation");
        background.join().unwrap();
        assert_eq!(service.read(), 1, "stale after the load");
    });
}

#[test]
fn background_load_against_remove() {
    background_against(|cache| {
        block_on(cache.remove("key")).unwrap();
    });
}

#[test]
fn background_load_against_invalidate_tag() {
    background_against(|cache| {
        block_on(cache.invalidate_tag("tag")).unwrap();
    });
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
