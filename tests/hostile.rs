//! Random calls of every kind on all cores give valid answers and leave no memory behind.
//!
//! Loads, puts and invalidations run at the same time. Half of the keys share one shard. There
//! are millions of tags, and values from empty to the largest allowed. Loaders hang, fail and
//! panic. Every third call is dropped at an await point.
//!
//! Checks:
//!
//! - Every answer is intact, and not older than any put, any invalidation of the key or the
//!   group, or any flush which returned before the call began.
//! - A call that never ends (a lost wake) ends the run.
//! - After each round, with no call running, the memory of the full cache is as large as before;
//!   after every third round, the memory of the emptied cache too.
//! - After each round, no load holds a slot, and every internal invariant holds.
//!
//! A plain `cargo test` takes some seconds and skips the last check, and cannot choose the
//! shard of a key. `bash .ci/hostile 10` builds with `--cfg fuzzing` and checks all;
//! `bash .ci/hostile 600` has values of up to 16 MiB. `HOSTILE_SEED` draws other calls; the
//! threads interleave differently in every run.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

#[path = "hostile/calls.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod calls;
#[path = "hostile/draw.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod draw;
#[path = "hostile/drop_after.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod drop_after;
#[path = "hostile/floors.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod floors;
#[path = "hostile/loads.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod loads;
#[path = "hostile/measure.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod measure;
#[path = "hostile/value.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod value;

use std::alloc::System;
use std::env;
use std::io::Write;
use std::panic::{self, AssertUnwindSafe, resume_unwind};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use async_executor::{Executor, LocalExecutor};
use cap::Cap;
use draw::VERBS;
use drop_after::DropAfter;
use floors::{Floors, KEYS};
use futures_lite::future::{FutureExt, block_on, yield_now};
use hydracache::{BoxFuture, Clock, HydraCache, ManualClock, SystemClock, TypedCache};
use loads::InjectedPanic;
use measure::Memory;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use value::Value;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Workers on each thread: the number of concurrent calls.
const WORKERS: usize = 48;

/// A call that takes longer fails the test; long enough for a busy machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// The cache's clock runs this many times faster than real time.
const CLOCK_SPEED: u32 = 20;

/// A dropped call is polled fewer times than this.
const MAX_POLLS: usize = 8;

/// State shared by all threads of a run.
struct World {
    cache: HydraCache,
    typed: TypedCache<u32, Value>,
    clock: ManualClock,
    floors: Arc<Floors>,
    names: Vec<String>,
    /// The number of tags made so far, each used once.
    tags: AtomicU64,
    largest: usize,
    /// Runs the background loads.
    executor: Arc<Executor<'static>>,
    stop: AtomicBool,
    workers: Vec<Worker>,
}

/// A task that makes one call after another.
#[derive(Default)]
struct Worker {
    /// The verb of the running call, an index of `VERBS`; `u64::MAX` between rounds.
    verb: AtomicU64,
    calls: AtomicU64,
    /// Calls of each verb.
    per_verb: [AtomicU64; VERBS.len()],
    /// Dropped calls, by the number of polls before the drop.
    dropped: [AtomicU64; MAX_POLLS],
}

#[test]
fn every_answer_is_valid_and_memory_returns_to_its_level() {
    let seconds = number("HOSTILE_SECONDS", 6);
    let seed = number("HOSTILE_SEED", 1);
    panic::set_hook(Box::new(|info| fail(&info.to_string())));
    let before = ALLOCATOR.allocated();
    hostile(Duration::from_secs(seconds), seed);
    let left = ALLOCATOR.allocated().saturating_sub(before);
    say(&format!(
        "{left} bytes are still allocated after the cache was dropped"
    ));
    assert!(left < 256 << 10, "{left} bytes leaked by a dropped cache");
}

fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = env::var(name) else {
        return default;
    };
    text.parse()
        .unwrap_or_else(|_| fail(&format!("{name} is {text:?}, and must be a whole number")))
}

/// Prints to stderr directly: the captured output of a test is lost when `fail` exits.
fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Ends the program, while other threads may still run.
fn fail(why: &str) -> ! {
    say(why);
    exit(101);
}

fn hostile(time: Duration, seed: u64) {
    let long = time >= Duration::from_secs(60);
    // In a small cache a few large entries make the memory in use vary more.
    let (bytes, largest, rounds, percent) = if long {
        (1 << 31, 16 << 20, 30, 5)
    } else {
        (1 << 27, 1 << 18, 6, 10)
    };
    let threads = thread::available_parallelism()
        .map_or(2, usize::from)
        .max(2);
    let world = World::new(bytes, largest, threads * WORKERS);
    let mut memory = Memory::new(bytes);
    for round in 0..rounds {
        let began = SystemClock::new().now();
        world.stop.store(false, Ordering::SeqCst);
        thread::scope(|scope| {
            for thread in 0..threads {
                let (world, seed) = (&world, seed + 1000 * round + thread as u64);
                scope.spawn(move || world.run(thread, seed));
            }
            world.advance_until_round_ends(began, time / u32::try_from(rounds).unwrap());
        });
        world.finish_background_loads();
        memory.round(&world, round);
    }
    world.report();
    memory.report(percent);
}

impl World {
    fn new(bytes: u64, largest: usize, workers: usize) -> Self {
        let clock = ManualClock::new();
        let executor = Arc::new(Executor::new());
        let spawner = Arc::clone(&executor);
        let cache = HydraCache::local()
            .max_bytes(bytes)
            .max_capacity(200_000)
            .max_entry_bytes(2 * largest)
            .clock(clock.clone())
            .timer(clock.clone())
            .spawner(move |future: BoxFuture| spawner.spawn(future).detach())
            .on_removal(|key, _, _| assert!(!key.is_empty()))
            .build();
        Self {
            typed: cache.typed("values"),
            names: (0..KEYS).map(|number| name(&cache, number)).collect(),
            cache,
            clock,
            floors: Arc::new(Floors::new()),
            tags: AtomicU64::new(0),
            largest,
            executor,
            stop: AtomicBool::new(false),
            workers: (0..workers).map(|_| Worker::default()).collect(),
        }
    }

    /// Runs the workers of a thread until `stop` is set.
    fn run(&self, thread: usize, seed: u64) {
        let local = LocalExecutor::new();
        let workers = self.workers.iter().enumerate().skip(thread * WORKERS);
        let tasks: Vec<_> = workers
            .take(WORKERS)
            .map(|(number, worker)| {
                let rng = StdRng::seed_from_u64(seed.wrapping_mul(7919) + number as u64);
                local.spawn(self.make_calls(worker, rng))
            })
            .collect();
        block_on(self.executor.run(local.run(async {
            for task in tasks {
                task.await;
            }
        })));
    }

    /// Makes one random call after another until `stop` is set.
    async fn make_calls(&self, worker: &Worker, mut rng: StdRng) {
        while !self.stop.load(Ordering::SeqCst) {
            let (verb, call) = calls::draw(self, &mut rng);
            worker.verb.store(verb as u64, Ordering::SeqCst);
            worker.per_verb[verb].fetch_add(1, Ordering::SeqCst);
            let polls = rng.random_bool(0.3).then(|| rng.random_range(0..MAX_POLLS));
            let call = DropAfter {
                call: Some(call),
                polls_left: polls.map(|polls| u32::try_from(polls).unwrap()),
            };
            match AssertUnwindSafe(call).catch_unwind().await {
                Ok(true) => {}
                Ok(false) => {
                    worker.dropped[polls.unwrap_or_default()].fetch_add(1, Ordering::SeqCst);
                }
                Err(panic) if panic.is::<InjectedPanic>() => {}
                Err(panic) => resume_unwind(panic),
            }
            worker.calls.fetch_add(1, Ordering::SeqCst);
            // Other workers run, even if the next call would be ready at once.
            yield_now().await;
        }
        worker.verb.store(u64::MAX, Ordering::SeqCst);
    }

    /// Advances the clock until the round is over and every call has ended. Ends the program
    /// if a call takes longer than `CALL_TIMEOUT`.
    fn advance_until_round_ends(&self, began: Duration, time: Duration) {
        let mut progress: Vec<(u64, Duration)> = vec![(u64::MAX, began); self.workers.len()];
        let mut last = began;
        loop {
            thread::yield_now();
            let now = SystemClock::new().now();
            self.clock.advance(now.saturating_sub(last) * CLOCK_SPEED);
            last = now;
            if now.saturating_sub(began) >= time {
                self.stop.store(true, Ordering::SeqCst);
            }
            let mut ended = true;
            for (worker, (calls, when)) in self.workers.iter().zip(&mut progress) {
                let (verb, count) = (
                    worker.verb.load(Ordering::SeqCst),
                    worker.calls.load(Ordering::SeqCst),
                );
                if *calls != count {
                    (*calls, *when) = (count, now);
                }
                let is_busy = verb != u64::MAX;
                ended &= !is_busy;
                if is_busy && now.saturating_sub(*when) > CALL_TIMEOUT {
                    let verb = VERBS[usize::try_from(verb).unwrap()];
                    fail(&format!(
                        "a call of {verb} has not ended in {CALL_TIMEOUT:?}"
                    ));
                }
            }
            if ended && self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Runs every background load to its end.
    fn finish_background_loads(&self) {
        let began = SystemClock::new().now();
        while !self.executor.is_empty() {
            self.clock.advance(Duration::from_millis(10));
            while self.executor.try_tick() {}
            assert!(
                SystemClock::new().now() < began + CALL_TIMEOUT,
                "a background load never ends"
            );
        }
    }

    fn report(&self) {
        let sum = |count: &dyn Fn(&Worker) -> u64| self.workers.iter().map(count).sum::<u64>();
        let calls = sum(&|worker| worker.calls.load(Ordering::SeqCst));
        let dropped: Vec<u64> = (0..MAX_POLLS)
            .map(|polls| sum(&|worker| worker.dropped[polls].load(Ordering::SeqCst)))
            .collect();
        let tags = self.tags.load(Ordering::SeqCst);
        say(&format!(
            "{calls} calls, {tags} tags; dropped after 0, 1, ... polls: {dropped:?}"
        ));
        for (verb, name) in VERBS.iter().enumerate() {
            let made = sum(&|worker| worker.per_verb[verb].load(Ordering::SeqCst));
            // A short run may miss a rare verb.
            assert!(made > 0 || calls < 200_000, "no call of {name}");
        }
        let stats = self.cache.stats();
        say(&format!("{stats:?}"));
        let counters = [
            stats.stale_load_discards,
            stats.single_flight_joins,
            stats.stale_serves,
            stats.timeouts,
            stats.evictions,
            stats.expirations,
        ];
        assert!(
            !counters.contains(&0) || calls < 200_000,
            "a counter is still zero: {stats:?}"
        );
        assert!(
            dropped.iter().all(|&calls| calls > 0),
            "no call was dropped after some number of polls"
        );
    }
}

/// The name of a loaded key. Every even key is in the shard of key 0; every 16th name is long.
fn name(cache: &HydraCache, number: usize) -> String {
    let names = (0..).map(|salt| format!("key {number} {salt}"));
    let near = |name: &String| number % 2 == 1 || measure::share_a_shard(cache, "key 0 0", name);
    let mut name = names.into_iter().find(near).unwrap_or_default();
    if number % 16 == 1 {
        name.push_str(&"a long name ".repeat(20));
    }
    name
}
