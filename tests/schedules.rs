//! Random schedules of typed caches on one thread serve no stale value and lose no wake.
//!
//! Overlapping calls for many keys, loading caches and background loads run among puts,
//! removals and invalidations. Calls are dropped at any point. All futures are polled by hand.
//!
//! Checks:
//!
//! - No answer is older than an invalidation of the key that returned before the call began.
//! - At the end only woken futures are polled, and every call ends.
//!
//! A failure prints its seed; `SCHEDULES_SEED=17 cargo test --test schedules` runs only that
//! seed.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_lite::future::{block_on, yield_now};
use hydracache::{
    BoxFuture, CacheOptions, CacheResult, HydraCache, Loaded, LoadingCache, ManualClock, TypedCache,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SCHEDULES: u64 = 4_000;
const STEPS: usize = 200;
const KEYS: usize = 6;
const TENTH: Duration = Duration::from_millis(100);

/// The database: a version for each key. Loaders fail for some versions.
type Rows = [AtomicU32; KEYS];

/// The answers of a call, one for each key.
type Answers = Vec<(usize, CacheResult<Arc<u32>>)>;

#[derive(Default)]
struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// A future, and whether it was woken since its last poll.
struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    woken: Arc<WakeFlag>,
}

impl<'a, T> Task<'a, T> {
    fn new(future: impl Future<Output = T> + 'a) -> Self {
        let woken = Arc::new(WakeFlag(true.into()));
        let future = Box::pin(future);
        Self { future, woken }
    }

    fn poll(&mut self) -> Poll<T> {
        self.woken.0.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(SeqCst)
    }
}

/// A call, and the versions in the database when the call began.
struct Call<'a> {
    floor: Vec<u32>,
    task: Task<'a, Answers>,
}

/// The state of one schedule.
struct World<'a> {
    seed: u64,
    rng: StdRng,
    clock: ManualClock,
    cache: HydraCache,
    part: TypedCache<usize, u32>,
    loading: LoadingCache<usize, u32>,
    rows: Arc<Rows>,
    spawned: Arc<Mutex<Vec<BoxFuture>>>,
    calls: Vec<Call<'a>>,
    background: Vec<Task<'static, ()>>,
    answered: u64,
}

/// Random windows and timeouts for the entries of a seed.
fn random_options(rng: &mut StdRng) -> CacheOptions {
    let options = match rng.random_range(0..3) {
        0 => CacheOptions::new(),
        1 => CacheOptions::new().ttl(TENTH * 30).refresh_ahead(0.3),
        _ => CacheOptions::new()
            .ttl(TENTH * 10)
            .stale_while_revalidate(TENTH * 10)
            .stale_if_error(TENTH * 30)
            .error_backoff(TENTH * 3),
    };
    match rng.random_range(0..3) {
        0 => options.soft_timeout(TENTH * 3 * rng.random_range(0..3)),
        _ => options,
    }
}

impl World<'_> {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = ManualClock::new();
        let spawned = Arc::new(Mutex::new(Vec::new()));
        let mut builder = HydraCache::local()
            .max_capacity([0, 3, 100][rng.random_range(0..3)])
            .clock(clock.clone())
            .timer(clock.clone());
        if rng.random() {
            let list = Arc::clone(&spawned);
            builder = builder.spawner(move |load| list.lock().unwrap().push(load));
        }
        let cache = builder.build();
        let options = random_options(&mut rng).tag("part");
        let part = cache.typed::<usize, u32>("part").with_options(options);
        let rows: Arc<Rows> = Arc::default();
        let read = Arc::clone(&rows);
        let loading = part.with_loader(move |key: usize| {
            let version = read[key].load(SeqCst);
            async move {
                yield_now().await;
                yield_now().await;
                if version % 7 == 6 {
                    return Err("a failing version");
                }
                Ok(Loaded::new(version).tag(format!("row:{key}")))
            }
        });
        Self {
            seed,
            rng,
            clock,
            cache,
            part,
            loading,
            rows,
            spawned,
            calls: Vec::new(),
            background: Vec::new(),
            answered: 0,
        }
    }

    fn call(&mut self, future: impl Future<Output = Answers> + 'static) {
        let floor = self.rows.iter().map(|row| row.load(SeqCst)).collect();
        let task = Task::new(future);
        self.calls.push(Call { floor, task });
    }

    fn load_many(&mut self) {
        let count = self.rng.random_range(1..5);
        let keys: Vec<usize> = (0..count).map(|_| self.rng.random_range(0..KEYS)).collect();
        let (polls, fails) = (self.rng.random_range(0..4), self.rng.random_ratio(1, 3));
        let options = if self.rng.random_ratio(1, 4) {
            CacheOptions::new().load_timeout(TENTH * 10)
        } else {
            CacheOptions::new()
        };
        let (part, rows) = (self.part.clone(), Arc::clone(&self.rows));
        self.call(async move {
            let load = |keys: Vec<usize>| {
                let version = |key: usize| rows[key].load(SeqCst);
                let versions: Vec<u32> = keys.into_iter().map(version).collect();
                async move {
                    for _ in 0..polls {
                        yield_now().await;
                    }
                    let row = |version: u32| match version % 3 {
                        2 if fails => Err("a failing version"),
                        _ => Ok(version),
                    };
                    versions.into_iter().map(row).collect::<Vec<_>>()
                }
            };
            let found = part.get_or_load_many(keys.clone(), options, load).await;
            keys.into_iter().zip(found).collect()
        });
    }

    fn load_one(&mut self) {
        let key = self.rng.random_range(0..KEYS);
        let loading = self.loading.clone();
        self.call(async move { vec![(key, loading.get(&key).await)] });
    }

    /// Writes a row, then invalidates or puts the key.
    fn write(&mut self) {
        let key = self.rng.random_range(0..KEYS);
        let version = self.rows[key].fetch_add(1, SeqCst) + 1;
        match self.rng.random_range(0..4) {
            0 => drop(block_on(self.part.remove(&key)).unwrap()),
            1 => drop(block_on(self.part.invalidate_all()).unwrap()),
            2 => drop(block_on(self.cache.invalidate_tag("part")).unwrap()),
            _ => block_on(self.part.put(&key, version, CacheOptions::new())).unwrap(),
        }
    }

    fn take_spawned(&mut self) {
        let spawned = std::mem::take(&mut *self.spawned.lock().unwrap());
        self.background.extend(spawned.into_iter().map(Task::new));
    }

    /// Polls or drops a background load.
    fn run_background(&mut self) {
        self.take_spawned();
        if self.background.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.background.len());
        if self.rng.random_ratio(1, 5) || self.background[at].poll().is_ready() {
            self.background.swap_remove(at);
        }
    }

    /// Polls a call and checks the answers, if the call ends.
    fn poll_call(&mut self, at: usize) -> bool {
        let Poll::Ready(answers) = self.calls[at].task.poll() else {
            return false;
        };
        let floor = self.calls.swap_remove(at).floor;
        let seed = self.seed;
        for (key, answer) in answers {
            match answer {
                Ok(version) => {
                    let least = floor[key];
                    assert!(
                        *version >= least,
                        "seed {seed}: version {version} of key {key} is older than {least}"
                    );
                    self.answered += 1;
                }
                Err(error) => assert!(
                    error.is_load() || error.is_timeout() || error.is_dropped(),
                    "seed {seed}: {error}"
                ),
            }
        }
        true
    }

    fn step(&mut self) {
        match self.rng.random_range(0..12) {
            0..=2 => self.load_many(),
            3 => self.load_one(),
            4 | 5 => self.write(),
            6 => self.clock.advance(TENTH * 2),
            7 => self.run_background(),
            choice if !self.calls.is_empty() => {
                let at = self.rng.random_range(0..self.calls.len());
                if choice == 8 && self.rng.random() {
                    self.calls.swap_remove(at);
                } else if self.calls[at].task.is_woken() || self.rng.random_ratio(1, 4) {
                    self.poll_call(at);
                }
            }
            _ => {}
        }
    }

    /// Polls only woken futures, and asserts that every future ends.
    fn finish(&mut self) {
        loop {
            self.take_spawned();
            let is_woken = |call: &Call<'_>| call.task.is_woken();
            if let Some(at) = self.calls.iter().position(is_woken) {
                self.poll_call(at);
            } else if let Some(at) = self.background.iter().position(Task::is_woken) {
                if self.background[at].poll().is_ready() {
                    self.background.swap_remove(at);
                }
            } else {
                break;
            }
        }
        let waiting = self.calls.len() + self.background.len();
        assert_eq!(
            waiting, 0,
            "seed {}: futures that are never woken",
            self.seed
        );
    }
}

#[test]
fn typed_schedules_serve_no_stale_value_and_never_hang() {
    let seed = std::env::var("SCHEDULES_SEED");
    let seeds = match seed.map(|seed| seed.parse().unwrap()) {
        Ok(seed) => seed..seed + 1,
        Err(_) => 0..SCHEDULES,
    };
    let mut answered = 0;
    for seed in seeds.clone() {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.finish();
        answered += world.answered;
    }
    assert!(answered > 10 * (seeds.end - seeds.start), "{answered}");
}
