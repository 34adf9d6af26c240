//! Single flight: many callers of one key, and two callers for each of many keys, on one
//! thread.
//!
//! The loader yields once. The lower limit is the executor alone: as many tasks, each with one
//! yield. foyer is left out because its loads are spawned on tokio, and `cached` because its
//! single flight is a macro over a function.

use std::cell::Cell;
use std::convert::Infallible;

use anyhow::Result;
use async_executor::LocalExecutor;
use futures_lite::future::{block_on, yield_now};
use hydracache::{CacheOptions, HydraCache};

use crate::rounds::{Times, interleave, time};
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;

const CONTESTANTS: [&str; 4] = ["hydracache", "quick_cache", "moka", "executor alone"];
const OURS: usize = 0;
const ALONE: usize = 3;

/// The value of every load.
const ANSWER: u64 = 7;
const CAPACITY: usize = 100_000;

/// The keys, the number of callers per key, and the number of loads so far.
struct Scenario {
    keys: Vec<String>,
    callers: usize,
    loads: Cell<usize>,
}

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let many = settings.size(10_000, 200);
    let one_key = measure(settings, 1, many);
    let many_keys = measure(settings, many, 2);

    let many = table::count(many as u64);
    let columns = [
        String::new(),
        format!("1 key x {many}"),
        "over alone".into(),
        format!("{many} keys x 2"),
        "over alone".into(),
    ];
    let columns = columns.each_ref().map(String::as_str);
    let mut table = Table::new("flight: microseconds for all callers", &columns);
    for (contestant, name) in CONTESTANTS.iter().enumerate() {
        let mut cells = vec![(*name).into()];
        for times in [&one_key, &many_keys] {
            cells.push(format!("{:.0}", times.median(contestant)));
            cells.push(table::ratio(times.ratio(contestant, ALONE)));
        }
        table.row(cells);
    }
    table.print();
    let what = |how| format!("flight, {how}: over the executor alone");
    targets.at_most(1.5, one_key.ratio(OURS, ALONE), what("1 key x many"));
    targets.at_most(2.6, many_keys.ratio(OURS, ALONE), what("many keys x 2"));
    Ok(())
}

fn measure(settings: &Settings, keys: usize, callers: usize) -> Times {
    let keys = (0..keys).map(|id| format!("user:{id}")).collect();
    let scenario = Scenario {
        keys,
        callers,
        loads: Cell::new(0),
    };
    interleave(settings.rounds(), CONTESTANTS.len(), |contestant, _| {
        scenario.round(contestant)
    })
}

impl Scenario {
    /// Runs all callers against a new cache of one contestant, and returns microseconds.
    fn round(&self, contestant: usize) -> f64 {
        self.loads.set(0);
        let micros = match CONTESTANTS[contestant] {
            "hydracache" => {
                let cache = HydraCache::local().max_capacity(CAPACITY as u64).build();
                let load = || async { Ok::<_, Infallible>(self.load().await) };
                self.run_all(&async |key: &String| {
                    let answer = cache.get_or_load(key, CacheOptions::new(), load);
                    answer.await.expect("the loader cannot fail")
                })
            }
            "quick_cache" => {
                let cache = quick_cache::sync::Cache::<String, u64>::new(CAPACITY);
                self.run_all(&async |key: &String| {
                    let load = async { Ok::<_, Infallible>(self.load().await) };
                    let answer = cache.get_or_insert_async(key.as_str(), load);
                    answer.await.expect("the loader cannot fail")
                })
            }
            "moka" => {
                let cache = moka::future::Cache::<String, u64>::new(CAPACITY as u64);
                self.run_all(&async |key: &String| {
                    cache.get_with_by_ref(key.as_str(), self.load()).await
                })
            }
            _ => {
                self.loads.set(self.keys.len());
                self.run_all(&async |_: &String| {
                    yield_now().await;
                    ANSWER
                })
            }
        };
        assert_eq!(
            self.loads.get(),
            self.keys.len(),
            "not exactly one load per key"
        );
        micros
    }

    async fn load(&self) -> u64 {
        self.loads.set(self.loads.get() + 1);
        yield_now().await;
        ANSWER
    }

    /// Runs every caller as a task of its own.
    fn run_all(&self, call: &impl AsyncFn(&String) -> u64) -> f64 {
        let (sum, elapsed) = time(|| {
            let executor = LocalExecutor::new();
            let mut tasks = Vec::with_capacity(self.keys.len() * self.callers);
            for key in &self.keys {
                for _ in 0..self.callers {
                    tasks.push(executor.spawn(async move { call(key).await }));
                }
            }
            block_on(executor.run(async {
                let mut sum = 0;
                for task in tasks {
                    sum += task.await;
                }
                sum
            }))
        });
        let callers = (self.keys.len() * self.callers) as u64;
        assert_eq!(sum, callers * ANSWER, "a wrong answer");
        elapsed.as_secs_f64() * 1e6
    }
}
