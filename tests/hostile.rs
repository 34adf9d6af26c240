//! Everything at once: loads, puts and invalidations of all kinds on all cores, half of the keys
//! in one shard, tags by the million, values from nothing to as large as there may be, loaders
//! that hang, fail and panic, and a call in three dropped at one of its await points.
//!
//! Of each value that was loaded it is checked that it is whole, and not older than an
//! invalidation of its key, of its group or of all, or than a put, that had returned before the
//! call began. A call that is not woken ends the run. After each round, when nothing runs any
//! more, the memory of a cache that is full, and now and then of one that was emptied, is what
//! it was; and no load has kept its seat, and every inner invariant holds.
//!
//! As it stands this takes some seconds, and sees nothing of what is inside: not that last part,
//! nor which shard a key is in. `bash .ci/hostile 10` does, and `bash .ci/hostile 600` has values
//! of up to 16 MiB. `HOSTILE_SEED` draws other calls; their order is the machine's.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an error that nobody asked for is a failure"
)]

#[path = "hostile/calls.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod calls;
#[path = "hostile/cut.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod cut;
#[path = "hostile/draw.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod draw;
#[path = "hostile/loads.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod loads;
#[path = "hostile/measure.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod measure;
#[path = "hostile/truth.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod truth;
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
use cut::Cut;
use draw::VERBS;
use futures_lite::future::{FutureExt, block_on, yield_now};
use hydracache::{BoxFuture, Clock, HydraCache, ManualClock, SystemClock, TypedCache};
use loads::Asked;
use measure::Memory;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use truth::{KEYS, Truth};
use value::Value;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Calls at a time, on each thread.
const LANES: usize = 48;

/// How long a call may take, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much faster time passes for the cache.
const PACE: u32 = 20;

/// At how many of its steps a call is dropped at most.
const STEPS: usize = 8;

struct World {
    cache: HydraCache,
    typed: TypedCache<u32, Value>,
    clock: ManualClock,
    truth: Arc<Truth>,
    names: Vec<String>,
    /// How many tags there have been.
    tags: AtomicU64,
    largest: usize,
    /// Loads in the background.
    executor: Arc<Executor<'static>>,
    stop: AtomicBool,
    lanes: Vec<Lane>,
}

/// What a lane is at.
#[derive(Default)]
struct Lane {
    verb: AtomicU64,
    calls: AtomicU64,
    /// Calls of each verb.
    of: [AtomicU64; VERBS.len()],
    /// Calls dropped after so many steps.
    cuts: [AtomicU64; STEPS],
}

#[test]
fn nothing_breaks_grows_or_stays() {
    let seconds = number("HOSTILE_SECONDS", 6);
    let seed = number("HOSTILE_SEED", 1);
    panic::set_hook(Box::new(|info| fail(&info.to_string())));
    let before = ALLOCATOR.allocated();
    hostile(Duration::from_secs(seconds), seed);
    let left = ALLOCATOR.allocated().saturating_sub(before);
    say(&format!("{left} bytes are left of everything"));
    assert!(
        left < 256 << 10,
        "{left} bytes are left of a cache that is gone"
    );
}

fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = env::var(name) else {
        return default;
    };
    text.parse()
        .unwrap_or_else(|_| fail(&format!("{name} is {text:?}, and must be a whole number")))
}

/// Past the test's capture, which is lost when the program ends.
fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Ends the program, whatever other threads are at.
fn fail(why: &str) -> ! {
    say(why);
    exit(101);
}

fn hostile(time: Duration, seed: u64) {
    let long = time >= Duration::from_secs(60);
    // A small cache is as full as its few large entries let it be.
    let (bytes, largest, rounds, percent) = if long {
        (1 << 31, 16 << 20, 30, 5)
    } else {
        (1 << 27, 1 << 18, 6, 10)
    };
    let threads = thread::available_parallelism()
        .map_or(2, usize::from)
        .max(2);
    let world = World::new(bytes, largest, threads * LANES);
    let mut memory = Memory::new(bytes);
    for round in 0..rounds {
        let began = SystemClock::new().now();
        world.stop.store(false, Ordering::SeqCst);
        thread::scope(|scope| {
            for thread in 0..threads {
                let (world, seed) = (&world, seed + 1000 * round + thread as u64);
                scope.spawn(move || world.run(thread, seed));
            }
            world.watch(began, time / u32::try_from(rounds).unwrap());
        });
        world.settle();
        memory.round(&world, round);
    }
    world.report();
    memory.report(percent);
}

impl World {
    fn new(bytes: u64, largest: usize, lanes: usize) -> Self {
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
            truth: Arc::new(Truth::new()),
            tags: AtomicU64::new(0),
            largest,
            executor,
            stop: AtomicBool::new(false),
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
        }
    }

    /// Runs the lanes of a thread until they are to stop.
    fn run(&self, thread: usize, seed: u64) {
        let local = LocalExecutor::new();
        let lanes = self.lanes.iter().enumerate().skip(thread * LANES);
        let tasks: Vec<_> = lanes
            .take(LANES)
            .map(|(number, lane)| {
                let rng = StdRng::seed_from_u64(seed.wrapping_mul(7919) + number as u64);
                local.spawn(self.call(lane, rng))
            })
            .collect();
        block_on(self.executor.run(local.run(async {
            for task in tasks {
                task.await;
            }
        })));
    }

    /// One call after the other.
    async fn call(&self, lane: &Lane, mut rng: StdRng) {
        while !self.stop.load(Ordering::SeqCst) {
            let (verb, call) = calls::draw(self, &mut rng);
            lane.verb.store(verb as u64, Ordering::SeqCst);
            lane.of[verb].fetch_add(1, Ordering::SeqCst);
            let left = rng.random_bool(0.3).then(|| rng.random_range(0..STEPS));
            let cut = Cut {
                call: Some(call),
                left: left.map(|left| u32::try_from(left).unwrap()),
            };
            match AssertUnwindSafe(cut).catch_unwind().await {
                Ok(true) => {}
                Ok(false) => {
                    lane.cuts[left.unwrap_or_default()].fetch_add(1, Ordering::SeqCst);
                }
                Err(panic) if panic.is::<Asked>() => {}
                Err(panic) => resume_unwind(panic),
            }
            lane.calls.fetch_add(1, Ordering::SeqCst);
            // Others have a turn, whatever is ready.
            yield_now().await;
        }
        lane.verb.store(u64::MAX, Ordering::SeqCst);
    }

    /// Lets time pass until the round is over and all its calls have ended. Ends the program
    /// when one does not.
    fn watch(&self, began: Duration, time: Duration) {
        let mut moved: Vec<(u64, Duration)> = vec![(u64::MAX, began); self.lanes.len()];
        let mut last = began;
        loop {
            thread::yield_now();
            let now = SystemClock::new().now();
            self.clock.advance(now.saturating_sub(last) * PACE);
            last = now;
            if now.saturating_sub(began) >= time {
                self.stop.store(true, Ordering::SeqCst);
            }
            let mut ended = true;
            for (lane, (calls, when)) in self.lanes.iter().zip(&mut moved) {
                let (verb, count) = (
                    lane.verb.load(Ordering::SeqCst),
                    lane.calls.load(Ordering::SeqCst),
                );
                if *calls != count {
                    (*calls, *when) = (count, now);
                }
                let is_at_work = verb != u64::MAX;
                ended &= !is_at_work;
                if is_at_work && now.saturating_sub(*when) > PATIENCE {
                    let verb = VERBS[usize::try_from(verb).unwrap()];
                    fail(&format!("a call of {verb} has not ended in {PATIENCE:?}"));
                }
            }
            if ended && self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Ends what runs in the background.
    fn settle(&self) {
        let began = SystemClock::new().now();
        while !self.executor.is_empty() {
            self.clock.advance(Duration::from_millis(10));
            while self.executor.try_tick() {}
            assert!(
                SystemClock::new().now() < began + PATIENCE,
                "a load in the background never ends"
            );
        }
    }

    fn report(&self) {
        let sum = |of: &dyn Fn(&Lane) -> u64| self.lanes.iter().map(of).sum::<u64>();
        let calls = sum(&|lane| lane.calls.load(Ordering::SeqCst));
        let cuts: Vec<u64> = (0..STEPS)
            .map(|step| sum(&|lane| lane.cuts[step].load(Ordering::SeqCst)))
            .collect();
        let tags = self.tags.load(Ordering::SeqCst);
        say(&format!(
            "{calls} calls, {tags} tags; dropped after 0, 1, ... steps: {cuts:?}"
        ));
        for (verb, name) in VERBS.iter().enumerate() {
            let of = sum(&|lane| lane.of[verb].load(Ordering::SeqCst));
            // A few thousand calls need not have one of each.
            assert!(of > 0 || calls < 200_000, "no {name}");
        }
        let stats = self.cache.stats();
        say(&format!("{stats:?}"));
        let ways = [
            stats.stale_load_discards,
            stats.single_flight_joins,
            stats.stale_serves,
            stats.timeouts,
            stats.evictions,
            stats.expirations,
        ];
        assert!(
            !ways.contains(&0) || calls < 200_000,
            "something never happened"
        );
        assert!(
            cuts.iter().all(|&cuts| cuts > 0),
            "a step at which nothing was dropped"
        );
    }
}

/// The name of a loaded key: of every other one, in the shard of the first.
fn name(cache: &HydraCache, number: usize) -> String {
    let names = (0..).map(|salt| format!("key {number} {salt}"));
    let near = |name: &String| number % 2 == 1 || measure::share_a_shard(cache, "key 0 0", name);
    let mut name = names.into_iter().find(near).unwrap_or_default();
    if number % 16 == 1 {
        name.push_str(&"a long name ".repeat(20));
    }
    name
}
