//! A simulation for tests of services: tasks on one thread, in an order drawn from a seed,
//! with a backend that is slow, hangs, fails and panics, and a time that passes only there.
//!
//! A service with a cache goes wrong between two awaits. [`simulate`] runs the same scenario
//! in another order for each seed: which task goes on at each point where one waits, how long
//! the backend takes and whether it answers, which task is dropped half way. Nothing waits for
//! real time, so thousands of orders take a second, and a failing seed fails again.
//!
//! It is behind the feature `testing`, for `[dev-dependencies]`.
//!
//! # Examples
//!
//! A service that invalidates *before* it commits, which is wrong. A simulation finds the
//! order in which a reader gets between the two, and what it read outlives the commit:
//!
//! ```
//! use std::cell::Cell;
//! use std::rc::Rc;
//!
//! use hydracache::testing::{World, simulate};
//! use hydracache::{CacheOptions, HydraCache};
//!
//! async fn read(world: &World, cache: &HydraCache, row: &Cell<u32>) -> Option<u32> {
//!     let load = || world.load(|| row.get());
//!     cache.get_or_load("row", CacheOptions::new(), load).await.ok()
//! }
//!
//! async fn scenario(world: World) {
//!     let (cache, row) = (world.builder().build(), Rc::new(Cell::new(1)));
//!     let reader = {
//!         let (world, cache, row) = (world.clone(), cache.clone(), Rc::clone(&row));
//!         world.clone().spawn(async move { read(&world, &cache, &row).await })
//!     };
//!     cache.remove("row").await.unwrap(); // too early
//!     world.pause().await; // the database commits
//!     row.set(2);
//!     reader.await;
//!     if let Some(seen) = read(&world, &cache, &row).await {
//!         assert_eq!(seen, 2, "stale");
//!     }
//! }
//!
//! let fails = |seed| std::panic::catch_unwind(|| simulate(seed, scenario)).is_err();
//! let seed = (0..1_000).find(|&seed| fails(seed)).expect("one of them finds it");
//! assert!(fails(seed)); // and finds it again
//! ```

mod chaos;
mod executor;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub use self::chaos::{Chaos, Fault};
pub use self::world::{Spawned, World};

/// Runs a scenario in the order of one seed, until its future ends.
///
/// Tasks that it spawned and did not wait for are dropped then.
///
/// # Panics
///
/// If the scenario does, or a task of it; if everything waits and nothing can wake any of
/// it; after a million steps. The seed is printed first: give it again to see the same.
///
/// # Examples
///
/// ```
/// use hydracache::CacheOptions;
/// use hydracache::testing::simulate;
///
/// simulate(17, |world| async move {
///     let cache = world.builder().build();
///     cache.put("name", "Ada", CacheOptions::new()).await.unwrap();
///     assert!(cache.contains_key("name").await);
/// });
/// ```
pub fn simulate<Fut: Future<Output = ()>>(seed: u64, scenario: impl FnOnce(World) -> Fut) {
    let run = || {
        let (world, queues) = World::new(seed);
        executor::run(&world, &queues, scenario(world.clone()));
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        eprintln!("the simulation failed: run it again with seed {seed}");
        resume_unwind(panic);
    }
}

/// Runs a scenario in the orders of many seeds; or, if the variable `SIMULATE_SEED` is set, in
/// the order of that one.
///
/// # Panics
///
/// As [`simulate`], at the first seed that fails; if the variable is not a number.
///
/// # Examples
///
/// ```
/// use hydracache::CacheOptions;
/// use hydracache::testing::explore;
///
/// explore(0..100, |world| async move {
///     let cache = world.builder().build();
///     let load = || world.load(|| 7_u32);
///     let loaded = cache.get_or_load("row", CacheOptions::new(), load).await;
///     assert!(loaded.is_ok_and(|row| row == 7));
/// });
/// ```
pub fn explore<Fut: Future<Output = ()>>(
    seeds: impl IntoIterator<Item = u64>,
    scenario: impl Fn(World) -> Fut,
) {
    match std::env::var("SIMULATE_SEED") {
        Ok(seed) => {
            let seed = seed.trim().parse();
            let seed = seed.unwrap_or_else(|_| panic!("SIMULATE_SEED is to be a number"));
            simulate(seed, scenario);
        }
        Err(_) => seeds.into_iter().for_each(|seed| simulate(seed, &scenario)),
    }
}
