//! Seeded schedules over the real cache: loads that wait, fail, panic, are dropped or
//! never polled again, among puts, removals, invalidations, flushes and expiry, all
//! on one thread and polled by hand, in every order that the seed says.
//!
//! One rule is checked at each answer: it is not older than an invalidation of its
//! key that had made its first poll before the call began.
//!
//! A failing seed is printed; `INTERLEAVE_SEED=17 cargo test --test interleave` runs
//! that one alone.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an error that nobody asked for is a failure"
)]

#[path = "it/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod support;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::task::Poll;

use futures_lite::future::yield_now;
use hydracache::{CacheOptions, CacheResult, HydraCache, ManualClock};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::{Hand, SECOND, block_on, clocked};

const SCHEDULES: u64 = 20_000;
const STEPS: usize = 60;

/// Every key has always the same tags.
const KEYS: [(&str, &[&str]); 4] = [
    ("a", &["x"]),
    ("b", &["x", "y"]),
    ("c", &["y", "z"]),
    ("d", &[]),
];
const TAGS: [&str; 3] = ["x", "y", "z"];

/// The database: a version a key. And what must be seen of it.
#[derive(Default)]
struct Rows {
    version: [Cell<u32>; KEYS.len()],
    /// The version that was there when the last invalidation of the key began.
    floor: [Cell<u32>; KEYS.len()],
    loads: Cell<u64>,
    failures: Cell<u64>,
}

impl Rows {
    fn write(&self, key: usize) -> u32 {
        self.version[key].set(self.version[key].get() + 1);
        self.version[key].get()
    }

    fn invalidated(&self, key: usize) {
        self.floor[key].set(self.version[key].get());
    }
}

/// How a load ends, after so many more polls.
#[derive(Clone, Copy)]
enum End {
    Value,
    Error,
    Panic,
}

async fn load(rows: &Rows, key: usize, polls: u32, end: End) -> Result<u32, &'static str> {
    rows.loads.set(rows.loads.get() + 1);
    let read = rows.version[key].get();
    for _ in 0..polls {
        yield_now().await;
    }
    match end {
        End::Value => return Ok(read),
        End::Error => rows.failures.set(rows.failures.get() + 1),
        End::Panic => {
            rows.failures.set(rows.failures.get() + 1);
            // A payload of its own, so that no message is printed 100,000 times.
            panic_any(Planned);
        }
    }
    Err("away")
}

/// The payload of a panic that the schedule asked for.
struct Planned;

/// A loading call that has begun.
struct Call<'a> {
    key: usize,
    /// What its answer must not be older than.
    floor: u32,
    hand: Hand<'a, CacheResult<u32>>,
}

struct World<'a> {
    rng: RefCell<StdRng>,
    cache: &'a HydraCache,
    clock: &'a ManualClock,
    rows: &'a Rows,
    calls: Vec<Call<'a>>,
    /// Calls that are kept, and never polled again.
    parked: Vec<Call<'a>>,
}

impl World<'_> {
    fn random(&self, most: usize) -> usize {
        self.rng.borrow_mut().random_range(0..most)
    }

    fn options(&self, key: usize) -> CacheOptions {
        let options = CacheOptions::new().tags(KEYS[key].1);
        match self.random(4) {
            0 => options.ttl(SECOND),
            _ => options,
        }
    }

    fn step(&mut self) {
        let key = self.random(KEYS.len());
        let name = KEYS[key].0;
        match self.random(16) {
            0..4 => self.begin(key),
            4..9 if !self.calls.is_empty() => self.poll(),
            9 if !self.calls.is_empty() => {
                let at = self.random(self.calls.len());
                drop(self.calls.swap_remove(at));
            }
            10 if !self.calls.is_empty() && self.random(4) == 0 => {
                let at = self.random(self.calls.len());
                self.parked.push(self.calls.swap_remove(at));
            }
            11 => {
                let value = self.rows.write(key);
                let options = self.options(key);
                block_on(self.cache.put(name, value, options)).unwrap();
                self.rows.invalidated(key);
            }
            12 => {
                self.rows.write(key);
                block_on(self.cache.remove(name)).unwrap();
                self.rows.invalidated(key);
            }
            13 => self.invalidate_tag(),
            14 if self.random(3) == 0 => {
                for key in 0..KEYS.len() {
                    self.rows.write(key);
                }
                // Dropped after its first poll, it has done all.
                drop(Hand::hold(self.cache.flush()).poll());
                (0..KEYS.len()).for_each(|key| self.rows.invalidated(key));
            }
            15 if self.random(3) == 0 => self.clock.advance(SECOND),
            _ => {
                if let Some(read) = block_on(self.cache.get::<u32>(name)).unwrap() {
                    assert!(read >= self.rows.floor[key].get(), "{name}: a stale read");
                }
            }
        }
        assert!(self.cache.entry_count() <= 3);
    }

    fn begin(&mut self, key: usize) {
        let (polls, end) = (self.random(4), self.random(8));
        let end = match end {
            0 => End::Error,
            1 => End::Panic,
            _ => End::Value,
        };
        let (rows, polls) = (self.rows, u32::try_from(polls).unwrap());
        let loader = move || load(rows, key, polls, end);
        let options = self.options(key);
        let call = self.cache.get_or_load(KEYS[key].0, options, loader);
        self.calls.push(Call {
            key,
            floor: rows.floor[key].get(),
            hand: Hand::hold(call),
        });
        let last = self.calls.len() - 1;
        self.poll_one(last);
    }

    fn poll(&mut self) {
        let at = self.random(self.calls.len());
        self.poll_one(at);
    }

    /// Polls a call, and checks its answer if it has one.
    fn poll_one(&mut self, at: usize) {
        let Call { key, floor, hand } = &mut self.calls[at];
        match catch_unwind(AssertUnwindSafe(|| hand.poll())) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(Ok(read))) => {
                assert!(read >= *floor, "{}: a stale answer", KEYS[*key].0);
            }
            Ok(Poll::Ready(Err(error))) => assert!(error.is_load() || error.is_panic()),
            Err(payload) => assert!(payload.is::<Planned>(), "a panic of the cache's"),
        }
        self.calls.swap_remove(at);
    }

    fn invalidate_tag(&mut self) {
        let tag = TAGS[self.random(TAGS.len())];
        let tagged = || (0..KEYS.len()).filter(|&key| KEYS[key].1.contains(&tag));
        for key in tagged() {
            self.rows.write(key);
        }
        drop(Hand::hold(self.cache.invalidate_tag(tag)).poll());
        tagged().for_each(|key| self.rows.invalidated(key));
    }

    /// Every call that is polled comes to an end, whatever others were left behind.
    fn finish(&mut self) {
        // A removal sends nobody past a parked leader who waits for it already; with
        // the parked dropped, nobody has anything to wait for.
        self.parked.clear();
        for _ in 0..1000 {
            if self.calls.is_empty() {
                break;
            }
            (0..self.calls.len()).rev().for_each(|at| self.poll_one(at));
        }
        assert!(self.calls.is_empty(), "calls that wait for nobody");
        let stats = self.cache.stats();
        assert_eq!(stats.loads, self.rows.loads.get());
        assert_eq!(stats.load_failures, self.rows.failures.get());
    }
}

fn run(seed: u64) {
    let (cache, clock) = clocked(3);
    let rows = Rows::default();
    let mut world = World {
        rng: RefCell::new(StdRng::seed_from_u64(seed)),
        cache: &cache,
        clock: &clock,
        rows: &rows,
        calls: Vec::new(),
        parked: Vec::new(),
    };
    for _ in 0..STEPS {
        world.step();
    }
    world.finish();
}

#[test]
fn no_schedule_reads_what_is_stale() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Planned>() {
            hook(info);
        }
    }));
    let seeds = match std::env::var("INTERLEAVE_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..SCHEDULES,
    };
    for seed in seeds {
        let held = catch_unwind(|| run(seed)).is_ok();
        assert!(
            held,
            "replay with INTERLEAVE_SEED={seed} cargo test --test interleave"
        );
    }
}
