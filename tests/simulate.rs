//! The simulation that is shipped: what it promises, and the cache itself in ten thousand of
//! its orders, with everything going wrong.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an error that nobody asked for is a failure"
)]

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use hydracache::testing::{Chaos, World, explore, simulate};
use hydracache::{CacheOptions, Clock, HydraCache, Loaded};

const SECOND: Duration = Duration::from_secs(1);
const ROWS: usize = 4;

/// What a scenario panicked with.
fn failure(seed: u64, scenario: impl AsyncFnOnce(World)) -> Option<String> {
    let run = AssertUnwindSafe(|| simulate(seed, |world| scenario(world)));
    let panic = catch_unwind(run).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()))
}

/// The order in which three tasks went on, and when.
fn trace(seed: u64) -> Vec<(u64, Duration)> {
    let trace = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&trace);
    simulate(seed, |world| async move {
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let (world, log) = (world.clone(), Rc::clone(&log));
                world.clone().spawn(async move {
                    for _ in 0..5 {
                        world.pause().await;
                        log.borrow_mut().push((number, world.clock().now()));
                    }
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await, Some(()));
        }
    });
    trace.take()
}

#[test]
fn one_seed_has_one_order_and_others_have_others() {
    assert_eq!(trace(17), trace(17));
    let orders: std::collections::HashSet<_> = (0..50).map(trace).collect();
    assert!(orders.len() > 40);
}

#[test]
fn a_panic_of_the_scenario_and_of_a_task_is_the_simulations() {
    let own = failure(1, async |_| panic!("a bug"));
    assert_eq!(own.as_deref(), Some("a bug"));
    let of_a_task = failure(1, async |world: World| {
        world.spawn(async { panic!("a bug of a task") }).await;
    });
    assert_eq!(of_a_task.as_deref(), Some("a bug of a task"));
}

#[test]
fn a_scenario_that_nothing_will_wake_is_told() {
    let told = failure(1, async |world: World| {
        world.spawn(std::future::pending::<()>()).await;
    });
    assert!(told.unwrap().contains("nothing will wake them"));
}

#[test]
fn time_passes_when_everybody_waits() {
    simulate(1, |world| async move {
        let before = world.clock().now();
        world.wait(SECOND * 3600).await;
        assert!(world.clock().now() >= before + SECOND * 3600);
    });
}

#[test]
fn chaos_is_as_often_as_it_says() {
    let (failed, over, slow) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let chaos = Chaos::none().fail(0.5).panic(0.1).hang(0.1);
    for seed in 0..1000 {
        simulate(seed, |world| {
            let (failed, over, slow) = (&failed, &over, &slow);
            async move {
                world.set_chaos(chaos);
                let load = world.clone();
                match world.spawn(async move { load.load(|| ()).await }).await {
                    Some(Err(_)) => failed.set(failed.get() + 1),
                    Some(Ok(())) => {}
                    None => over.set(over.get() + 1),
                }
                slow.set(slow.get() + u32::from(world.clock().now() > SECOND * 1000));
            }
        });
    }
    // Means of 450, 100 and 100; four deviations are 63 and 38.
    assert!((387..513).contains(&failed.get()), "{failed:?}");
    assert!((62..138).contains(&over.get()), "{over:?}");
    assert!((62..138).contains(&slow.get()), "{slow:?}");
}

#[test]
fn a_slow_load_takes_some_seconds_and_any_other_next_to_nothing() {
    let time = |slow: f64| {
        let sum = Cell::new(Duration::ZERO);
        explore(0..20, |world| {
            let sum = &sum;
            async move {
                world.set_chaos(Chaos::none().slow(slow));
                let began = world.clock().now();
                assert_eq!(world.load(|| 7).await, Ok(7));
                sum.set(sum.get() + world.clock().now().abs_diff(began));
            }
        });
        sum.get()
    };
    assert!(time(0.0) < SECOND, "{:?}", time(0.0));
    assert!(
        (SECOND * 40..SECOND * 160).contains(&time(1.0)),
        "{:?}",
        time(1.0)
    );
}

#[test]
fn a_little_chaos_is_a_little_of_everything() {
    let each = Chaos::none().slow(0.25).fail(0.1).hang(0.02).panic(0.02);
    assert_eq!(Chaos::some(), each.cancel(0.01));
    simulate(17, |world| async move { assert_eq!(world.seed(), 17) });
}

#[test]
fn a_task_whose_first_step_is_its_last_gives_nothing() {
    simulate(1, |world| async move {
        world.set_chaos(Chaos::none().cancel(1.0));
        assert_eq!(world.spawn(async { 7 }).await, None);
    });
}

#[test]
fn the_fault_of_a_load_says_whose_it_is() {
    simulate(1, |world| async move {
        world.set_chaos(Chaos::none().fail(1.0));
        let fault = world.load(|| ()).await.unwrap_err();
        assert_eq!(fault.to_string(), "the simulated backend failed");
    });
}

#[test]
#[should_panic(expected = "a probability is from 0 to 1, not 1.5")]
fn what_is_no_probability_is_told() {
    let _ = Chaos::none().fail(1.5);
}

/// A service over all kinds of loading calls. Each row is a number that only grows, and each
/// write invalidates once it is done.
#[derive(Clone)]
struct Service {
    world: World,
    cache: HydraCache,
    rows: Rc<[Cell<u64>; ROWS]>,
    /// What was written when the last invalidation of each row began that has returned.
    least: Rc<[Cell<u64>; ROWS]>,
}

fn index(id: u64) -> usize {
    usize::try_from(id).unwrap()
}

impl Service {
    fn new(world: &World) -> Self {
        let capacity = [0, 2, 100][index(world.random(0..3))];
        Self {
            cache: world.builder().max_capacity(capacity).build(),
            world: world.clone(),
            rows: Rc::default(),
            least: Rc::default(),
        }
    }

    fn options(&self, id: u64) -> CacheOptions {
        let options = CacheOptions::new().tag(format!("row:{id}"));
        match self.world.random(0..4) {
            0 => options,
            1 => options.ttl(SECOND).refresh_ahead(0.5),
            2 => options
                .ttl(SECOND)
                .stale_while_revalidate(SECOND)
                .stale_if_error(SECOND * 10)
                .error_backoff(SECOND),
            _ => options.load_timeout(SECOND).soft_timeout(SECOND / 10),
        }
    }

    /// Reads a row by one of the verbs; an answer is not older than it may be.
    async fn read(&self) {
        let id = self.world.random(0..ROWS as u64);
        let (key, options) = (format!("row:{id}"), self.options(id));
        let least = self.least[index(id)].get();
        let load = || self.world.load(|| self.rows[index(id)].get());
        let seen = match self.world.random(0..4) {
            0 => self.cache.get::<u64>(&key).await.unwrap(),
            1 => self.cache.get_or_load(&key, options, load).await.ok(),
            2 => self.cache.refresh(&key, options, load).await.ok(),
            _ => {
                let fetched = self.cache.fetch(&key, CacheOptions::new(), async |_| {
                    let row = load().await?;
                    Ok::<_, hydracache::testing::Fault>(Loaded::new(row).tag(format!("row:{id}")))
                });
                fetched.await.ok().map(|fetched| fetched.value)
            }
        };
        if let Some(seen) = seen {
            assert!(seen >= least, "{seen} of row {id}, which was {least}");
        }
    }

    async fn write(&self) {
        let id = self.world.random(0..ROWS as u64);
        self.world.pause().await;
        let row = &self.rows[index(id)];
        row.set(row.get() + 1);
        let written = row.get();
        match self.world.random(0..4) {
            0 => drop(self.cache.remove(&format!("row:{id}")).await),
            1 => drop(self.cache.flush().await),
            _ => drop(self.cache.invalidate_tag(&format!("row:{id}")).await),
        }
        let least = &self.least[index(id)];
        least.set(least.get().max(written));
    }
}

#[test]
fn no_answer_is_older_than_an_invalidation_that_returned() {
    explore(0..10_000, |world| async move {
        world.set_chaos(Chaos::some());
        let service = Service::new(&world);
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let service = service.clone();
                world.spawn(async move {
                    for _ in 0..4 {
                        match task {
                            0 => service.write().await,
                            _ => service.read().await,
                        }
                        service.world.pause().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        let stats = service.cache.stats();
        assert!(stats.loads >= stats.load_failures + stats.stale_load_discards);
    });
}
