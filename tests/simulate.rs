//! `hydracache::testing` keeps its promises, and the cache stays correct in 10,000 seeds of it.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use hydracache::testing::{Chaos, World, explore, simulate};
use hydracache::{CacheOptions, Clock, HydraCache, Loaded};

const SECOND: Duration = Duration::from_secs(1);
const ROWS: usize = 4;

/// The message of the panic of a scenario; `None` if the scenario ends.
fn failure(seed: u64, scenario: impl AsyncFnOnce(World)) -> Option<String> {
    let run = AssertUnwindSafe(|| simulate(seed, |world| scenario(world)));
    let panic = catch_unwind(run).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()))
}

/// The order and the times at which three tasks ran.
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
fn same_seed_repeats_its_order_and_other_seeds_differ() {
    assert_eq!(trace(17), trace(17));
    let orders: std::collections::HashSet<_> = (0..50).map(trace).collect();
    assert!(orders.len() > 40);
}

#[test]
fn panic_of_a_scenario_or_a_task_fails_the_simulation() {
    let of_scenario = failure(1, async |_| panic!("a bug"));
    assert_eq!(of_scenario.as_deref(), Some("a bug"));
    let of_a_task = failure(1, async |world: World| {
        world.spawn(async { panic!("a bug of a task") }).await;
    });
    assert_eq!(of_a_task.as_deref(), Some("a bug of a task"));
}

#[test]
fn deadlocked_scenario_panics_with_an_explanation() {
    let message = failure(1, async |world: World| {
        world.spawn(std::future::pending::<()>()).await;
    });
    assert!(message.unwrap().contains("nothing will wake them"));
}

#[test]
fn clock_advances_when_every_task_waits() {
    simulate(1, |world| async move {
        let before = world.clock().now();
        world.wait(SECOND * 3600).await;
        assert!(world.clock().now() >= before + SECOND * 3600);
    });
}

#[test]
fn chaos_faults_occur_at_the_configured_rates() {
    let (failed, panicked, slow) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let chaos = Chaos::none().fail(0.5).panic(0.1).hang(0.1);
    for seed in 0..1000 {
        simulate(seed, |world| {
            let (failed, panicked, slow) = (&failed, &panicked, &slow);
            async move {
                world.set_chaos(chaos);
                let load = world.clone();
                match world.spawn(async move { load.load(|| ()).await }).await {
                    Some(Err(_)) => failed.set(failed.get() + 1),
                    Some(Ok(())) => {}
                    None => panicked.set(panicked.get() + 1),
                }
                slow.set(slow.get() + u32::from(world.clock().now() > SECOND * 1000));
            }
        });
    }
    // The means are 450, 100 and 100; four standard deviations are 63 and 38.
    assert!((387..513).contains(&failed.get()), "{failed:?}");
    assert!((62..138).contains(&panicked.get()), "{panicked:?}");
    assert!((62..138).contains(&slow.get()), "{slow:?}");
}

#[test]
fn slow_load_takes_seconds_and_other_loads_almost_no_time() {
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
fn chaos_some_has_fixed_rates_and_world_tells_its_seed() {
    let each = Chaos::none().slow(0.25).fail(0.1).hang(0.02).panic(0.02);
    assert_eq!(Chaos::some(), each.cancel(0.01));
    simulate(17, |world| async move { assert_eq!(world.seed(), 17) });
}

#[test]
fn task_cancelled_at_its_first_poll_returns_none() {
    simulate(1, |world| async move {
        world.set_chaos(Chaos::none().cancel(1.0));
        assert_eq!(world.spawn(async { 7 }).await, None);
    });
}

#[test]
fn fault_of_a_load_names_the_simulated_backend() {
    simulate(1, |world| async move {
        world.set_chaos(Chaos::none().fail(1.0));
        let fault = world.load(|| ()).await.unwrap_err();
        assert_eq!(fault.to_string(), "the simulated backend failed");
    });
}

#[test]
#[should_panic(expected = "a probability is from 0 to 1, not 1.5")]
fn probability_above_one_panics() {
    let _ = Chaos::none().fail(1.5);
}

/// A service with every kind of loading call. Each row is a number that only grows, and each
/// write invalidates the row afterwards.
#[derive(Clone)]
struct Service {
    world: World,
    cache: HydraCache,
    rows: Rc<[Cell<u64>; ROWS]>,
    /// The value of each row when its last returned invalidation began.
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

    /// Reads a row by a random method, and checks that the answer is not too old.
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
fn service_under_chaos_serves_no_invalidated_value() {
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
