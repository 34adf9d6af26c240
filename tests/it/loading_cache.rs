//! `LoadingCache`: a typed cache with a loader keeps the promises of every load.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use hydracache::{CacheOptions, CacheResult, HydraCache, Loaded, LoadingCache};
use serde::{Deserialize, Serialize};

use crate::parts::*;
use crate::pool::*;
use crate::stale::*;
use crate::support::*;

type Loading = LoadingCache<u64, Number>;

/// A cache with a loader: waits at the gate, returns 1, then 2, and so on, through `change`.
fn gated(
    typed: &Numbers,
    gate: &Gate,
    change: fn(Loaded<Number>) -> Result<Loaded<Number>, io::Error>,
) -> (Loading, Arc<AtomicU32>) {
    let (gate, calls) = (gate.clone(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&calls);
    let loading = typed.with_loader(move |_| {
        let (gate, number) = (gate.clone(), counted.fetch_add(1, SeqCst) + 1);
        async move {
            gate.pass().await;
            change(Loaded::new(Number(number)))
        }
    });
    (loading, calls)
}

fn call(loading: &Loading) -> Call<'_> {
    Hand::hold(loading.get(&7))
}

fn start_call(loading: &Loading) -> Call<'_> {
    Hand::start(loading.get(&7))
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct User {
    name: String,
}

/// A struct naming the type of a loading cache.
struct Service {
    users: LoadingCache<u64, User>,
}

#[test]
fn loading_cache_can_be_a_field_and_used_from_threads() {
    let cache = HydraCache::local().build();
    let load = |id| async move {
        let name = format!("user {id}");
        Ok::<_, Infallible>(User { name })
    };
    let service = Service {
        users: cache.typed("users").with_loader(load),
    };
    let again = service.users.clone();
    let get = |users: &LoadingCache<u64, User>| block_on(users.get(&7)).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| get(&service.users)).join().unwrap();
        assert_eq!(first.name, "user 7");
        assert!(Arc::ptr_eq(&first, &get(&again)));
    });
}

#[test]
fn concurrent_calls_run_one_loader_and_share_the_value() {
    let cache = HydraCache::local().build();
    let (typed, gate) = (numbers(&cache), Gate::default());
    let (loading, calls) = gated(&typed, &gate, Ok);
    let mut leader = start_call(&loading);
    let other = loading.clone();
    let mut waiters = [
        start_call(&loading),
        start_call(&other),
        join_one(&typed, &7),
    ];
    gate.open();
    let first = leader.ends().unwrap();
    for waiter in &mut waiters {
        assert!(Arc::ptr_eq(&first, &waiter.ends().unwrap()));
    }
    assert!(Arc::ptr_eq(&first, &call(&loading).ends().unwrap()));
    assert_eq!((first.0, calls.load(SeqCst)), (1, 1));
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 4;
        stats.loads = 1;
        stats.single_flight_joins = 3;
    });
}

thread_local! {
    static CLONES: Cell<u32> = const { Cell::new(0) };
}

/// Counts clones.
#[derive(Debug, Serialize)]
struct Key(u64);

impl Clone for Key {
    fn clone(&self) -> Self {
        CLONES.set(CLONES.get() + 1);
        Self(self.0)
    }
}

#[test]
fn key_is_cloned_only_when_a_loader_runs() {
    let typed = HydraCache::local().build().typed::<Key, u64>("keys");
    let loading = typed.with_loader(|key: Key| async move { Ok::<_, Infallible>(key.0 * 2) });
    for _ in 0..3 {
        assert_eq!(*block_on(loading.get(&Key(7))).unwrap(), 14);
        assert_eq!(CLONES.get(), 1);
    }
    block_on(typed.put(&Key(8), 1, options())).unwrap();
    assert_eq!(*block_on(loading.get(&Key(8))).unwrap(), 1);
    assert_eq!(CLONES.get(), 1);
    block_on(loading.refresh(&Key(8))).unwrap();
    assert_eq!(CLONES.get(), 2);
    let keys = [Key(7), Key(8), Key(9), Key(9)];
    let load = |keys: Vec<Key>| async move {
        Ok::<_, Infallible>(keys.iter().map(|key| key.0).collect::<Vec<_>>())
    };
    block_on(typed.get_or_load_many(&keys, options(), load));
    assert_eq!(CLONES.get(), 3);
}

#[test]
fn borrowed_key_reaches_the_loader_as_an_owned_key() {
    let names = HydraCache::local().build().typed::<str, usize>("names");
    let loading = names.with_loader(|name: String| async move { Ok::<_, Infallible>(name.len()) });
    assert_eq!(*block_on(loading.get("Ada")).unwrap(), 3);
    assert_eq!(block_on(names.get_many(["Ada", "x"])).len(), 2);
}

#[test]
fn loader_ttl_overrides_the_handle_and_loader_tags_add_up() {
    let (cache, clock) = clocked(99);
    let typed = numbers(&cache).with_options(lasting(5).tag("handle"));
    let gate = Gate::default();
    gate.open();
    for tag in ["handle", "loader"] {
        let (loading, _) = gated(&typed, &gate, |it| Ok(it.ttl(SECOND * 10).tag("loader")));
        call(&loading).ends().unwrap();
        clock.advance(nearly(10));
        assert_eq!(read(&typed, 7), Some(1));
        assert_eq!(invalidate(&cache, tag), 1);
        block_on(loading.refresh(&7)).unwrap();
        clock.advance(SECOND * 10);
        assert_eq!(read(&typed, 7), None);
    }
    let (loading, calls) = gated(&typed, &gate, |it| Ok(it.no_store()));
    for number in 1..3 {
        assert_eq!(call(&loading).ends().unwrap().0, number);
        assert_eq!(calls.load(SeqCst), number);
    }
    assert_eq!(read(&typed, 7), None);
}

/// Runs `during` before the loader names "tag". Asserts whether the value is stored.
fn check_load(during: impl Fn(&HydraCache, &Numbers), is_stored: bool) {
    let cache = HydraCache::local().build();
    let (typed, gate) = (numbers(&cache), Gate::default());
    let (loading, calls) = gated(&typed, &gate, |it| Ok(it.tag("tag")));
    for refreshes in [false, true] {
        gate.close();
        let before = cache.stats().stale_load_discards;
        let mut leader = if refreshes {
            Hand::start(loading.refresh(&7))
        } else {
            start_call(&loading)
        };
        let mut early = start_call(&loading);
        during(&cache, &typed);
        let mut late = start_call(&loading);
        gate.open();
        let first = leader.ends().unwrap();
        assert!(Arc::ptr_eq(&first, &early.ends().unwrap()));
        let late = late.ends().unwrap();
        assert_eq!(
            Arc::ptr_eq(&first, &late),
            is_stored,
            "a late call joins no fenced load"
        );
        let found = block_on(typed.get(&7)).unwrap().unwrap();
        assert!(Arc::ptr_eq(&found, &late));
        let discards = cache.stats().stale_load_discards - before;
        assert_eq!(discards, u64::from(!is_stored));
        clear(&typed);
    }
    assert_eq!(calls.load(SeqCst), if is_stored { 2 } else { 4 });
}

#[test]
fn invalidations_fence_a_load_whose_loader_names_tags() {
    check_load(|cache, _| assert_eq!(invalidate(cache, "tag"), 0), false);
    check_load(|cache, _| assert_eq!(expire_tag(cache, "tag"), 0), false);
    check_load(|_, typed| assert_eq!(clear(typed), 0), false);
    check_load(|cache, _| flush(cache), false);
    check_load(
        |_, typed| assert!(!block_on(typed.remove(&7)).unwrap()),
        false,
    );
    check_load(|cache, _| assert_eq!(invalidate(cache, "other"), 0), true);
}

/// A cache with a spawner and a loader returning 2. Key 7 holds 1.
fn with_spawner(options: CacheOptions) -> (HydraCache, hydracache::ManualClock, Pool, Loading) {
    let (cache, clock, pool) = spawning(64);
    let typed = numbers(&cache).with_options(options);
    let load = |_| async { Ok::<_, Infallible>(Loaded::new(Number(2)).tag("loader")) };
    let loading = typed.with_loader(load);
    store(&typed, 7, 1, CacheOptions::new());
    (cache, clock, pool, loading)
}

#[test]
fn spawner_loads_in_the_background_while_calls_are_served() {
    let ahead = lasting(10).refresh_ahead(0.5);
    for (options, wait, hits) in [(revalidated(5), 10, 0), (ahead, 5, 3)] {
        let (cache, clock, pool, loading) = with_spawner(options);
        clock.advance(SECOND * wait);
        for _ in 0..3 {
            assert_eq!(call(&loading).ends().unwrap().0, 1);
        }
        assert_eq!(cache.stats().hits, hits);
        pool.only().ends();
        assert_eq!(call(&loading).ends().unwrap().0, 2);
        assert_eq!(invalidate(&cache, "loader"), 1);
        assert_eq!(cache.stats().refreshes, 1);
    }
}

#[test]
fn background_load_of_a_loading_cache_is_fenced() {
    let (cache, clock, pool, loading) = with_spawner(revalidated(5));
    clock.advance(SECOND * 10);
    assert_eq!(call(&loading).ends().unwrap().0, 1);
    invalidate(&cache, "loader");
    pool.only().ends();
    assert_eq!(cache.stats().stale_load_discards, 1);
    assert_eq!(call(&loading).ends().unwrap().0, 1);
    assert_eq!(clear(loading.typed()), 0);
    pool.only().ends();
    assert_eq!(cache.stats().stale_load_discards, 2);
    assert_eq!(read(loading.typed(), 7), None);
}

#[test]
fn first_caller_loads_without_a_spawner_others_get_stale() {
    let (cache, clock) = timed();
    let (typed, gate) = (
        numbers(&cache).with_options(revalidated(5)),
        Gate::default(),
    );
    let (loading, _) = gated(&typed, &gate, Ok);
    store(&typed, 7, 9, options());
    clock.advance(SECOND * 10);
    let mut leader = start_call(&loading);
    assert_eq!(call(&loading).ends().unwrap().0, 9);
    gate.open();
    assert_eq!(leader.ends().unwrap().0, 1);
}

#[test]
fn soft_timeout_bounds_the_first_caller_not_the_load() {
    let (cache, clock, pool) = spawning(64);
    let call_options = kept(50).soft_timeout(SECOND * 2);
    let (typed, gate) = (numbers(&cache).with_options(call_options), Gate::default());
    let (loading, _) = gated(&typed, &gate, Ok);
    store(&typed, 7, 9, options());
    clock.advance(SECOND * 10);
    let mut first = start_call(&loading);
    let mut load = pool.only();
    load.waits();
    clock.advance(SECOND * 2);
    assert!(first.was_woken());
    assert_eq!(first.ends().unwrap().0, 9);
    gate.open();
    load.ends();
    assert_eq!(read(&typed, 7), Some(1));
}

#[test]
fn load_timeout_ends_the_load_and_frees_the_key() {
    let (cache, clock) = timed();
    let typed = numbers(&cache).with_options(options().load_timeout(SECOND * 2));
    let hung = typed.with_loader(|_| pending::<Result<Number, Infallible>>());
    let (mut leader, mut waiter) = (start_call(&hung), start_call(&hung));
    clock.advance(SECOND * 2);
    assert!(leader.ends().unwrap_err().is_timeout());
    assert!(waiter.ends().unwrap_err().is_timeout());
    assert_eq!(load_one(&typed, 7, 3), 3);
}

#[test]
fn refresh_replaces_a_fresh_value_and_joins_no_load() {
    let cache = HydraCache::local().build();
    let (typed, gate) = (numbers(&cache), Gate::default());
    let (loading, _) = gated(&typed, &gate, Ok);
    store(&typed, 7, 9, options());
    let mut first = Hand::start(loading.refresh(&7));
    let mut second = Hand::start(loading.refresh(&7));
    assert_eq!(call(&loading).ends().unwrap().0, 9);
    gate.open();
    assert_eq!(first.ends().unwrap().0, 1);
    assert_eq!(read(&typed, 7), Some(1));
    assert_eq!(second.ends().unwrap().0, 2);
    assert_eq!(read(&typed, 7), Some(2));
}

#[test]
fn failed_load_is_one_error_for_all_and_is_not_cached() {
    let cache = HydraCache::local().build();
    let (typed, gate) = (numbers(&cache), Gate::default());
    let (loading, calls) = gated(&typed, &gate, |_| Err(io::Error::other("down")));
    let (mut leader, mut waiter) = (start_call(&loading), start_call(&loading));
    gate.open();
    let errors = [leader.ends().unwrap_err(), waiter.ends().unwrap_err()];
    let [a, b] = errors.each_ref().map(|error| {
        let source = error.source().unwrap().downcast_ref::<io::Error>();
        std::ptr::from_ref(source.unwrap())
    });
    assert!(std::ptr::eq(a, b), "both calls get one error");
    call(&loading).ends().unwrap_err();
    assert_eq!(calls.load(SeqCst), 2);
}

#[test]
fn loader_panic_unwinds_to_its_caller_and_fails_waiters() {
    let cache = HydraCache::local().build();
    let (typed, gate) = (numbers(&cache), Gate::default());
    let (loading, _) = gated(&typed, &gate, |_| panic!("boom"));
    let (mut leader, mut waiter) = (start_call(&loading), start_call(&loading));
    gate.open();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(leader.poll()))).is_err());
    assert!(waiter.ends().unwrap_err().is_panic());
    assert_eq!(load_one(&typed, 7, 3), 3);
    let early = typed
        .with_loader(|_| -> std::future::Ready<Result<Number, Infallible>> { panic!("early") });
    block_on(typed.remove(&7)).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(call(&early).poll()))).is_err());
    assert_eq!(load_one(&typed, 7, 4), 4);
}

#[test]
fn waiter_of_a_dropped_call_runs_the_loader() {
    let cache = HydraCache::local().build();
    let (typed, gate) = (numbers(&cache), Gate::default());
    let (loading, calls) = gated(&typed, &gate, Ok);
    let (leader, mut waiter) = (start_call(&loading), start_call(&loading));
    drop(leader);
    assert!(waiter.was_woken());
    waiter.waits();
    gate.open();
    assert_eq!(waiter.ends().unwrap().0, 2);
    assert_eq!(calls.load(SeqCst), 2);
}

#[test]
fn loading_and_typed_futures_are_send() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    let names = HydraCache::local().build().typed::<str, String>("names");
    let loading = names.with_loader(|name| async move { Ok::<_, Infallible>(name) });
    drop(send(loading.get("Ada")));
    drop(send(loading.refresh("Ada")));
    drop(send(names.get("Ada")));
    drop(send(names.put("Ada", String::new(), options())));
    drop(send(names.remove("Ada")));
    drop(send(names.invalidate_all()));
    let found: CacheResult<_> = block_on(send(loading).get("Ada"));
    assert_eq!(*found.unwrap(), "Ada");
}

#[test]
fn debug_shows_types_but_no_key_and_no_value() {
    let cache = HydraCache::local().build();
    let names = cache.typed::<str, String>("names");
    block_on(names.put("Ada", "Lovelace".into(), options())).unwrap();
    let loading = names.with_loader(|_| never::<String>());
    for shown in [format!("{names:?}"), format!("{loading:?}")] {
        assert!(shown.contains("\"names\"") && shown.contains("alloc::string::String"));
        assert!(!shown.contains("Ada") && !shown.contains("Lovelace"));
    }
}
