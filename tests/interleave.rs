//! Random schedules of loads and invalidations on one thread serve no invalidated value.
//!
//! Loads wait, fail, panic, time out, are dropped or never polled again; in the caller or in
//! the background; with or without loader-chosen tags; among puts, removals, invalidations,
//! flushes and expiry. All futures are polled by hand, in an order drawn from the seed.
//!
//! No answer may be older than an invalidation of the key whose first poll was before the
//! call; no fresh answer may be older than an `expire` before the call. Polled calls must end.
//!
//! A failure prints its seed; `INTERLEAVE_SEED=17 cargo test --test interleave` repeats it.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

#[path = "it/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod support;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_lite::future::yield_now;
use hydracache::{BoxFuture, CacheOptions, CacheResult, HydraCache, Loaded, ManualClock, Source};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::{Hand, SECOND, block_on};

const SCHEDULES: u64 = 20_000;
const STEPS: usize = 60;

/// The keys, each with its fixed tags.
const KEYS: [(&str, &[&str]); 4] = [
    ("a", &["x"]),
    ("b", &["x", "y"]),
    ("c", &["y", "z"]),
    ("d", &[]),
];
const TAGS: [&str; 3] = ["x", "y", "z"];

/// A number that is shared with loads, which must be `Send`.
#[derive(Default)]
struct Number(AtomicU32);

impl Number {
    fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    fn set(&self, number: u32) {
        self.0.store(number, Ordering::SeqCst);
    }
}

/// The database, a version for each key, and the oldest version that a read may return.
#[derive(Default)]
struct Rows {
    version: [Number; KEYS.len()],
    /// The version at the last invalidation of the key.
    floor: [Number; KEYS.len()],
    /// The version at the last invalidation or `expire` of the key.
    fresh_floor: [Number; KEYS.len()],
    loads: Number,
    failures: Number,
}

impl Rows {
    fn write(&self, key: usize) -> u32 {
        self.version[key].set(self.version[key].get() + 1);
        self.version[key].get()
    }

    fn invalidated(&self, key: usize) {
        self.floor[key].set(self.version[key].get());
        self.expired(key);
    }

    fn expired(&self, key: usize) {
        self.fresh_floor[key].set(self.version[key].get());
    }
}

#[derive(Clone, Copy)]
enum End {
    Value,
    Error,
    Panic,
}

/// Reads the version of a key, then ends as `end` says after more polls.
async fn load(rows: Arc<Rows>, key: usize, polls: u32, end: End) -> Result<u32, &'static str> {
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
            // The panic hook prints no message for this payload, which is raised 100,000 times.
            panic_any(Planned);
        }
    }
    Err("unavailable")
}

/// The payload of a panic drawn by the schedule.
struct Planned;

/// A running loading call.
struct Call<'a> {
    key: usize,
    /// The oldest version that any answer, and a fresh answer, may have.
    floor: u32,
    fresh_floor: u32,
    hand: Hand<'a, CacheResult<Answer>>,
}

/// The answer of a call, and whether the answer is known to be fresh.
struct Answer {
    read: u32,
    fresh: bool,
}

/// The state of one schedule.
struct World<'a> {
    rng: RefCell<StdRng>,
    cache: &'a HydraCache,
    clock: &'a ManualClock,
    rows: &'a Arc<Rows>,
    calls: Vec<Call<'a>>,
    /// Calls that are kept, but not polled again.
    parked: Vec<Call<'a>>,
    /// Background loads.
    jobs: &'a Mutex<Vec<BoxFuture>>,
}

impl World<'_> {
    fn random(&self, most: usize) -> usize {
        self.rng.borrow_mut().random_range(0..most)
    }

    fn options(&self, tags: &[&str]) -> CacheOptions {
        let options = CacheOptions::new().tags(tags);
        let some = |one_in: usize| self.random(one_in) == 0;
        let mut options = match self.random(4) {
            0 => options.ttl(SECOND),
            1 => options.ttl(3 * SECOND).refresh_ahead(0.5),
            _ => options,
        };
        if some(3) {
            options = options.stale_while_revalidate(SECOND);
        }
        if some(3) {
            options = options.stale_if_error(5 * SECOND);
        }
        if some(4) {
            options = options.load_timeout(SECOND).soft_timeout(SECOND / 2);
        }
        if some(4) {
            options = options.error_backoff(2 * SECOND);
        }
        options
    }

    fn step(&mut self) {
        let key = self.random(KEYS.len());
        let name = KEYS[key].0;
        match self.random(20) {
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
                let options = self.options(KEYS[key].1);
                block_on(self.cache.put(name, value, options)).unwrap();
                self.rows.invalidated(key);
            }
            12 => {
                self.rows.write(key);
                block_on(self.cache.remove(name)).unwrap();
                self.rows.invalidated(key);
            }
            13 => self.end_tag(true),
            14 if self.random(3) == 0 => {
                for key in 0..KEYS.len() {
                    self.rows.write(key);
                }
                // The first poll has done all of the work.
                drop(Hand::hold(self.cache.flush()).poll());
                (0..KEYS.len()).for_each(|key| self.rows.invalidated(key));
            }
            15 if self.random(2) == 0 => self.clock.advance(SECOND / 2),
            16 => self.run_background(),
            17 => {
                self.rows.write(key);
                block_on(self.cache.expire(name)).unwrap();
                self.rows.expired(key);
            }
            18 => self.end_tag(false),
            _ => {
                if let Some(read) = block_on(self.cache.get::<u32>(name)).unwrap() {
                    let floor = self.rows.fresh_floor[key].get();
                    assert!(read >= floor, "{name}: a stale read");
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
        let rows_of_load = Arc::clone(rows);
        let loader = move || load(rows_of_load, key, polls, end);
        let (cache, name, options) = (self.cache, KEYS[key].0, self.options(KEYS[key].1));
        let any = |read| Answer { read, fresh: false };
        let hand = match self.random(4) {
            0 => {
                let own = KEYS[key].1;
                let options = self.options(&[]);
                let full = async move |_| Ok::<_, &str>(Loaded::new(loader().await?).tags(own));
                Hand::hold(async move {
                    let fetched = cache.fetch(name, options, full).await?;
                    let (read, source) = (fetched.value, fetched.source);
                    let fresh = source != Source::Stale;
                    Ok(Answer { read, fresh })
                })
            }
            1 => Hand::hold(async move { cache.refresh(name, options, loader).await.map(any) }),
            2 => {
                let call = cache.get_or_refresh(name, options, loader);
                Hand::hold(async move { call.await.map(any) })
            }
            _ => Hand::hold(async move { cache.get_or_load(name, options, loader).await.map(any) }),
        };
        self.calls.push(Call {
            key,
            floor: rows.floor[key].get(),
            fresh_floor: rows.fresh_floor[key].get(),
            hand,
        });
        let last = self.calls.len() - 1;
        self.poll_one(last);
    }

    fn poll(&mut self) {
        let at = self.random(self.calls.len());
        self.poll_one(at);
    }

    /// Polls a call and checks the answer, if the call ends.
    fn poll_one(&mut self, at: usize) {
        let Call {
            key,
            floor,
            fresh_floor,
            hand,
        } = &mut self.calls[at];
        match catch_unwind(AssertUnwindSafe(|| hand.poll())) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(Ok(Answer { read, fresh }))) => {
                let floor = if fresh { *fresh_floor } else { *floor };
                assert!(read >= floor, "{}: a stale answer", KEYS[*key].0);
            }
            Ok(Poll::Ready(Err(error))) => {
                let dropped = error.to_string().contains("dropped before it ended");
                let failed = error.is_load() || error.is_panic() || error.is_timeout();
                assert!(failed || dropped, "{error}");
            }
            Err(payload) => assert!(payload.is::<Planned>(), "a panic of the cache's"),
        }
        self.calls.swap_remove(at);
    }

    /// Polls or drops a background load.
    fn run_background(&mut self) {
        let mut jobs = std::mem::take(&mut *self.jobs.lock().unwrap());
        if !jobs.is_empty() {
            let at = self.random(jobs.len());
            let mut job = jobs.swap_remove(at);
            if self.random(4) > 0 {
                let mut cx = Context::from_waker(Waker::noop());
                match catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(&mut cx))) {
                    Ok(Poll::Pending) => jobs.push(job),
                    Ok(Poll::Ready(())) => {}
                    Err(payload) => assert!(payload.is::<Planned>(), "a panic of the cache's"),
                }
            }
        }
        self.jobs.lock().unwrap().append(&mut jobs);
    }

    /// Invalidates or expires a random tag.
    fn end_tag(&mut self, remove: bool) {
        let tag = TAGS[self.random(TAGS.len())];
        let tagged = || (0..KEYS.len()).filter(|&key| KEYS[key].1.contains(&tag));
        for key in tagged() {
            self.rows.write(key);
        }
        if remove {
            drop(Hand::hold(self.cache.invalidate_tag(tag)).poll());
            tagged().for_each(|key| self.rows.invalidated(key));
        } else {
            drop(Hand::hold(self.cache.expire_tag(tag)).poll());
            tagged().for_each(|key| self.rows.expired(key));
        }
    }

    /// Asserts that every polled call ends once the parked calls are dropped.
    fn finish(&mut self) {
        // A removal does not free the waiters of a parked leader. With the parked calls
        // dropped, no call has anything left to wait for.
        self.parked.clear();
        self.jobs.lock().unwrap().clear();
        for _ in 0..1000 {
            if self.calls.is_empty() {
                break;
            }
            (0..self.calls.len()).rev().for_each(|at| self.poll_one(at));
            self.run_background();
        }
        assert!(self.calls.is_empty(), "calls that never end");
        let (stats, rows) = (self.cache.stats(), self.rows);
        // A background load may be dropped before its loader has begun.
        assert!(stats.loads >= rows.loads.get().into());
        let failures = stats.load_failures - u64::from(rows.failures.get());
        assert!(failures <= stats.timeouts, "unexplained failures");
        self.jobs.lock().unwrap().clear();
    }
}

fn run(seed: u64) {
    let clock = ManualClock::new();
    let jobs = Arc::new(Mutex::new(Vec::new()));
    let spawned = Arc::clone(&jobs);
    let cache = HydraCache::local()
        .max_capacity(3)
        .clock(clock.clone())
        .timer(clock.clone())
        .spawner(move |job| spawned.lock().unwrap().push(job))
        .max_background_loads(2)
        .build();
    let rows = Arc::new(Rows::default());
    let mut world = World {
        rng: RefCell::new(StdRng::seed_from_u64(seed)),
        cache: &cache,
        clock: &clock,
        rows: &rows,
        calls: Vec::new(),
        parked: Vec::new(),
        jobs: &jobs,
    };
    for _ in 0..STEPS {
        world.step();
    }
    world.finish();
}

#[test]
fn random_schedules_serve_no_invalidated_value() {
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
        let passed = catch_unwind(|| run(seed)).is_ok();
        assert!(
            passed,
            "replay with INTERLEAVE_SEED={seed} cargo test --test interleave"
        );
    }
}
