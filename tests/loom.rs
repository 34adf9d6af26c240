//! Loads racing invalidations serve no stale value in any order of two threads.
//!
//! Loom explores the orders over the real lock and the real waiting:
//!
//! `RUSTFLAGS="--cfg loom --cfg hydracache_loom" cargo test --release --no-default-features --test loom --target-dir target/loom`

#![cfg(hydracache_loom)]
#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hydracache::{CacheError, CacheOptions, HydraCache, Loaded, ManualClock, Old};
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

/// Keys in the two shards of a cache: the hash has fixed seeds under loom. An invalidation visits
/// the shard of the list first. With other keys the scenarios may prove nothing: run `.ci/broken
/// --tests loom stored` after a change.
const ROW: &str = "b";
const LIST: &str = "a";

/// The preemptions of scenarios with tags that the loader chooses.
const CHOSEN: usize = 4;

fn options() -> CacheOptions {
    CacheOptions::new().tag("tag")
}

/// Explores every order with at most three preemptions, which finds nearly all races.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    explore_within(3, scenario);
}

/// Explores every order with at most this number of preemptions.
fn explore_within(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(scenario);
}

/// A database row with a cache in front.
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

    /// Reads the row with a loader that chooses its tags.
    fn fetch(&self) -> u32 {
        let loader = |_| async {
            let read = self.row.load(Ordering::SeqCst);
            Ok::<_, Infallible>(Loaded::new(read).tag("tag"))
        };
        let fetched = block_on(self.cache.fetch("key", CacheOptions::new(), loader));
        fetched.unwrap().value
    }

    /// Reads a list, made from the row in the cache, or else in the database.
    fn list(&self, chosen: bool) -> u32 {
        let read = || async {
            let cached = self.cache.get::<u32>(ROW).await?;
            Ok::<_, CacheError>(cached.unwrap_or_else(|| self.row.load(Ordering::SeqCst)))
        };
        if chosen {
            let loader = |_| async { Ok::<_, CacheError>(Loaded::new(read().await?).tag("tag")) };
            let fetched = block_on(self.cache.fetch(LIST, CacheOptions::new(), loader));
            return fetched.unwrap().value;
        }
        block_on(self.cache.get_or_load(LIST, options(), read)).unwrap()
    }

    /// Reads the row with tags in the options.
    fn read(&self) -> u32 {
        let loader = || async { Ok::<_, Infallible>(self.row.load(Ordering::SeqCst)) };
        block_on(self.cache.get_or_load("key", options(), loader)).unwrap()
    }
}

/// The steps of the two threads, in every order:
///
/// 1. Thread A reads: claims the slot, loads the row, completes.
/// 2. Thread B writes the row, invalidates, and reads.
/// 3. B must read the new row, and again after A has ended.
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
fn load_racing_remove_serves_no_stale_value() {
    load_against(|cache| {
        block_on(cache.remove("key")).unwrap();
    });
}

#[test]
fn load_racing_invalidate_tag_serves_no_stale_value() {
    load_against(|cache| {
        block_on(cache.invalidate_tag("tag")).unwrap();
    });
}

#[test]
fn load_racing_flush_serves_no_stale_value() {
    load_against(|cache| block_on(cache.flush()).unwrap());
}

#[test]
fn load_racing_put_serves_no_stale_value() {
    load_against(|cache| block_on(cache.put("key", 1_u32, options())).unwrap());
}

#[test]
fn load_racing_expire_serves_no_stale_value() {
    load_against(|cache| {
        block_on(cache.expire("key")).unwrap();
    });
}

#[test]
fn load_racing_expire_tag_serves_no_stale_value() {
    load_against(|cache| {
        block_on(cache.expire_tag("tag")).unwrap();
    });
}

#[test]
fn load_racing_update_serves_no_stale_value() {
    load_against(|cache| {
        let change = |_: Option<u32>| Some(1);
        block_on(cache.update("key", options(), change)).unwrap();
    });
}

/// As `load_against`, with a loader that chooses the tag:
///
/// 1. Thread A claims the slot and loads the row. No one knows the tag before the completion.
/// 2. Thread B writes the row. The invalidation records the tag in the invalidation log, then
///    visits the shard.
/// 3. B fetches, and may join the load of A. The join must not return the old row.
///
/// A asks two small locks one after the other, and B writes both: four preemptions or more.
fn fetch_against(invalidate: fn(&HydraCache)) {
    explore_within(CHOSEN, move || {
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
fn fetch_racing_invalidate_tag_serves_no_stale_value() {
    fetch_against(|cache| {
        block_on(cache.invalidate_tag("tag")).unwrap();
    });
}

#[test]
fn fetch_racing_expire_tag_serves_no_stale_value() {
    fetch_against(|cache| {
        block_on(cache.expire_tag("tag")).unwrap();
    });
}

/// A list made from a row, with the row in another shard:
///
/// 1. Thread B writes the row, and invalidates the tag of row and list, shard after shard.
/// 2. Thread A claims the slot of the list in a visited shard, and reads the old row through the
///    cache, from a shard that is not visited yet.
/// 3. A completes. The list must not be read after the invalidation has returned.
fn list_against(invalidate: fn(&HydraCache), chosen: bool) {
    explore_within(if chosen { CHOSEN } else { 3 }, move || {
        // From this capacity on, a cache has two shards.
        let cache = HydraCache::local().max_capacity(16_384).build();
        let row = Arc::new(AtomicU32::new(0));
        let service = Service { cache, row };
        block_on(service.cache.put(ROW, 0_u32, options())).unwrap();
        let reader = {
            let service = service.clone();
            thread::spawn(move || service.list(chosen))
        };
        service.row.store(1, Ordering::SeqCst);
        invalidate(&service.cache);
        assert_eq!(service.list(chosen), 1, "stale after the invalidation");
        reader.join().unwrap();
        assert_eq!(service.list(chosen), 1, "stale after the load");
    });
}

#[test]
fn list_racing_invalidate_tag_is_not_made_from_an_old_row() {
    list_against(
        |cache| {
            block_on(cache.invalidate_tag("tag")).unwrap();
        },
        false,
    );
}

#[test]
fn list_racing_flush_is_not_made_from_an_old_row() {
    list_against(|cache| block_on(cache.flush()).unwrap(), false);
}

#[test]
fn fetched_list_racing_invalidate_tag_is_not_made_from_an_old_row() {
    list_against(
        |cache| {
            block_on(cache.invalidate_tag("tag")).unwrap();
        },
        true,
    );
}

/// "Not modified" must not revive an invalidated value:
///
/// 1. Thread B records the tag in the invalidation log.
/// 2. Thread A claims the slot and finds the old value.
/// 3. B visits the shard: the entry is dead.
/// 4. A completes with "not modified". Nothing may be stored.
#[test]
fn unchanged_racing_invalidate_tag_revives_no_entry() {
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
        assert_eq!(
            block_on(cache.get::<u32>("key")).unwrap(),
            None,
            "a dead entry was revived"
        );
    });
}

/// As `load_against`, with a background load on thread A.
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
fn background_load_racing_remove_serves_no_stale_value() {
    background_against(|cache| {
        block_on(cache.remove("key")).unwrap();
    });
}

#[test]
fn background_load_racing_invalidate_tag_serves_no_stale_value() {
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

/// 1. The leader claims the slot and is dropped, before or after step 2.
/// 2. The other caller joins the load, or claims the slot.
/// 3. The other caller must complete.
#[test]
fn waiter_of_a_dropped_leader_loads_by_itself() {
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
            // The call is polled once, then dropped.
            poll_fn(|cx| Poll::Ready(drop(leader.as_mut().poll(cx)))).await;
        });
        assert_eq!(other.join().unwrap(), 0);
    });
}
