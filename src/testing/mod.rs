//! A simulation for tests of services: tasks on a single thread, in an order drawn from a seed.
//! The simulated backend is slow, hangs, fails and panics; only simulated time passes.
//!
//! The bugs of a cached service happen between two awaits. [`simulate`] runs the same scenario
//! in another order for each seed: the seed chooses the task at each step, the time and the
//! result of each load, and the tasks dropped midway. Nothing waits for real time, so thousands
//! of orders take a second, and a failed seed fails again.
//!
//! This module needs the feature `testing`, for `[dev-dependencies]`.
//!
//! # Examples
//!
//! A service with a bug: the invalidation comes *before* the commit. The simulation finds an
//! order with a read between the two steps. The old value then stays in the cache:
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
//!     world.pause().await; // other tasks may run here
//!     row.set(2); // the commit
//!     reader.await;
//!     if let Some(seen) = read(&world, &cache, &row).await {
//!         assert_eq!(seen, 2, "stale");
//!     }
//! }
//!
//! let fails = |seed| std::panic::catch_unwind(|| simulate(seed, scenario)).is_err();
//! let seed = (0..1_000).find(|&seed| fails(seed)).expect("a seed shows the bug");
//! assert!(fails(seed)); // and shows the bug again
//! ```

mod chaos;
mod executor;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub use self::chaos::{Chaos, Fault};
pub use self::world::{Spawned, World};

/// Runs a scenario in the order of a seed, until the future of the scenario ends.
///
/// Unfinished tasks are dropped at the end.
///
/// # Panics
///
/// If the scenario or a task panics; if everything waits and nothing sleeps; after a million
/// steps. The seed is printed to standard error first: the same seed fails in the same way.
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
    // The world is made inside, so that every run of a seed begins in the same state.
    let run = || {
        let (world, queues) = World::new(seed);
        executor::run(&world, &queues, scenario(world.clone()));
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        eprintln!("the simulation failed: run it again with seed {seed}");
        resume_unwind(panic);
    }
}

/// Runs a scenario in the orders of many seeds.
///
/// If the environment variable `SIMULATE_SEED` is set, runs the order of this seed only.
///
/// # Panics
///
/// As [`simulate`], at the first failed seed; or if `SIMULATE_SEED` is not a number.
///
/// # Examples
///
/// ```
/// use hydracache::CacheOptions;
/// use hydracache::testing::explore;
///
/// explore(0..100, |world| async move {
///     let cache = world.builder().build(); // a new cache for each seed
///     let load = || world.load(|| 7_u32);
///     let loaded = cache.get_or_load("row", CacheOptions::new(), load).await;
///     assert!(loaded.is_ok_and(|row| row == 7));
/// });
/// ```
pub fn explore<Fut: Future<Output = ()>>(
    seeds: impl IntoIterator<Item = u64>,
    scenario: impl Fn(World) -> Fut,
) {
    // A variable and not an argument: to repeat a failed seed, the test need not be changed.
    match std::env::var("SIMULATE_SEED") {
        Ok(seed) => {
            let seed = seed.trim().parse();
            let seed = seed.unwrap_or_else(|_| panic!("SIMULATE_SEED must be a number"));
            simulate(seed, scenario);
        }
        Err(_) => seeds.into_iter().for_each(|seed| simulate(seed, &scenario)),
    }
}
