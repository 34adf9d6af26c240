//! A simulated day in front of a failing database serves no value older than allowed.
//!
//! The database is flaky and slow, hangs now and then, and is down for minutes every hour. The
//! test runs on one thread with a manual clock and timer and polls every future by hand, so no
//! real time passes.
//!
//! Checks of each answer:
//!
//! - The answer is not older than an invalidation of the key (`remove`, `put`,
//!   `invalidate_tags`, `flush`) whose first poll was before the call; nor, without a failure,
//!   than such an `expire` or `expire_tag`.
//! - The answer is not older than the time to live plus the longer window. Beyond
//!   `stale_while_revalidate`, a load has failed or the call has waited its soft timeout.
//! - `get` and a hit return fresh values; the age reported by `fetch` is correct.
//! - An error follows a failure, and never while a stale value could be served.
//!
//! Checks between the calls:
//!
//! - No call waits and no loader runs longer than the load timeout.
//! - A key has at most one load that may be stored.
//! - A call that finds no fresh value starts a load, also after a loader that hung, unless
//!   a load, a back-off or the bound of background loads prevents it.
//! - A waiter waits for a running loader and is woken at its end.
//! - At the end, the counters equal the counts of the test.
//!
//! By default 30 requests per simulated second make 2.6 million requests, in about ten seconds
//! with a debug build. A busy service has 10,000 requests per second, or 864 million a day: a
//! release build needs about four minutes.
//!
//! ```text
//! SOAK_RATE=10000 cargo test --release --test soak
//! ```
//!
//! `SOAK_SECONDS` sets the simulated seconds, `SOAK_SEED` the course of events. One seed
//! always gives the same run.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

#[path = "soak/checks.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod checks;
#[path = "soak/database.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod database;
#[path = "soak/kinds.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod kinds;
#[path = "it/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod support;

use std::sync::{Arc, Mutex};
use std::task::Poll;

use checks::{Answer, Call, Seen};
use database::{Database, KeyRecord, Row};
use hydracache::{BoxFuture, CacheOptions, Clock, HydraCache, Loaded, ManualClock, Old};
use kinds::{GROUPS, KEYS, TICK, Verb, kind_of, tag};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::{Hand, block_on};

const TICKS_PER_SECOND: u64 = 10;
const MAX_BACKGROUND_LOADS: usize = 4;
const EXTRA_ENTRIES: usize = 600;

/// The state of one run.
struct World<'a> {
    rng: StdRng,
    cache: &'a HydraCache,
    clock: &'a ManualClock,
    database: &'a Arc<Database>,
    names: &'a [String],
    options: &'a [CacheOptions],
    calls: Vec<(Call, Hand<'a, Answer>)>,
    spawned: &'a Mutex<Vec<BoxFuture>>,
    background: Vec<Hand<'static, ()>>,
    /// Invalidations that need more polls.
    invalidations: Vec<Hand<'a, u64>>,
    seen: Seen,
}

impl<'a> World<'a> {
    fn random(&mut self, most: usize) -> usize {
        self.rng.random_range(0..most)
    }

    /// A random key; smaller numbers are drawn more often.
    fn popular_key(&mut self) -> usize {
        let key = self.random(KEYS);
        self.random(key + 1)
    }

    fn request(&mut self) {
        let key = self.popular_key();
        self.seen.requests += 1;
        if self.random(8) == 0 {
            return self.get(key);
        }
        let (call, hand) = (self.begin_call(key), self.hand(key));
        let (may_load, starts) = (call.may_load, call.starts);
        self.seen.lookups += 1;
        let fresh = self.poll(call, hand);
        self.take_spawned();
        let started = self.database.state().records[key].starts > starts;
        assert!(fresh || started || !may_load, "{key}: no load was started");
    }

    /// Polls a call and checks the answer. Returns whether the call ended with a fresh value.
    fn poll(&mut self, mut call: Call, mut hand: Hand<'a, Answer>) -> bool {
        let starts = || self.database.state().records[call.key].starts;
        let before = starts();
        let polled = hand.poll();
        call.leads |= starts() > before;
        match polled {
            Poll::Ready(answer) => self.check(&call, answer),
            Poll::Pending => {
                self.calls.push((call, hand));
                false
            }
        }
    }

    fn get(&mut self, key: usize) {
        self.seen.lookups += 1;
        let call = self.begin_call(key);
        let read = block_on(self.cache.get::<Row>(&self.names[key])).unwrap();
        if let Some(row) = read {
            assert!(self.check(&call, Ok((row, None))), "{key}: a stale read");
        }
    }

    /// Records the expectations for a call that begins now.
    fn begin_call(&self, key: usize) -> Call {
        let (at, kind) = (self.clock.now(), kind_of(key));
        let background_full = self.background.len() == MAX_BACKGROUND_LOADS;
        let state = self.database.state();
        let record = &state.records[key];
        let backed_off = record.failed.is_some_and(|it| at < it + kind.error_backoff);
        Call {
            key,
            at,
            floor: record.floor,
            fresh_floor: record.fresh_floor,
            losses_with_stale: record.has(at).then_some(record.losses),
            starts: record.starts,
            leads: false,
            background_full,
            may_load: record.running.is_empty() && !backed_off && !background_full,
        }
    }

    fn hand(&self, key: usize) -> Hand<'a, Answer> {
        let (cache, database, name) = (self.cache, self.database, &self.names[key]);
        let (kind, options) = (kind_of(key), self.options[key].clone());
        match kind.verb {
            Verb::GetOrLoad => Hand::hold(async move {
                let load = async || Ok::<_, &str>(Arc::clone(database).load(key, None).await?.row);
                let row = cache.get_or_load(name, options, load).await?;
                Ok((row, None))
            }),
            Verb::Fetch => Hand::hold(async move {
                let load = async |old: Option<Old<Row>>| {
                    let row = old.as_ref().map(|old| *old.value());
                    let read = Arc::clone(database).load(key, row).await?;
                    let loaded = match old {
                        // The old value keeps its tag.
                        Some(old) if read.unchanged => old.unchanged(),
                        _ => Loaded::new(read.row).tag(tag(read.group)),
                    };
                    let loaded = loaded.ttl(kind.ttl);
                    Ok::<_, &str>(if read.store {
                        loaded
                    } else {
                        loaded.no_store()
                    })
                };
                let fetched = cache.fetch(name, options, load).await?;
                Ok((fetched.value, Some(fetched)))
            }),
            Verb::GetOrRefresh => {
                let database = Arc::clone(database);
                let load =
                    move || async move { Ok::<_, &str>(database.load(key, None).await?.row) };
                Hand::hold(async move {
                    let row = cache.get_or_refresh(name, options, load).await?;
                    Ok((row, None))
                })
            }
        }
    }

    /// Polls every newly spawned background load once, and keeps the pending ones.
    fn take_spawned(&mut self) {
        let spawned = std::mem::take(&mut *self.spawned.lock().unwrap());
        for future in spawned {
            self.seen.background += 1;
            let mut hand = Hand::hold(future);
            if hand.poll().is_pending() {
                self.background.push(hand);
            }
        }
        assert!(self.background.len() <= MAX_BACKGROUND_LOADS);
    }

    /// Advances the clock, and polls woken futures until none is woken.
    fn tick(&mut self) {
        self.clock.advance(TICK);
        let mut woken = true;
        while woken {
            woken = false;
            self.background.retain_mut(|hand| {
                let wakes = hand.was_woken();
                woken |= wakes;
                !(wakes && hand.poll().is_ready())
            });
            for at in (0..self.calls.len()).rev() {
                if self.calls[at].1.was_woken() {
                    woken = true;
                    let (call, hand) = self.calls.swap_remove(at);
                    self.poll(call, hand);
                }
            }
            self.take_spawned();
        }
        // One slice of each invalidation per tick.
        let invalidations = std::mem::take(&mut self.invalidations);
        for hand in invalidations {
            self.poll_invalidation(hand);
        }
        self.check_waiting();
    }

    /// Drops a random call, and with it perhaps a load that other calls wait for.
    fn drop_a_call(&mut self) {
        if !self.calls.is_empty() {
            let at = self.random(self.calls.len());
            let left = self.calls.swap_remove(at);
            self.database.state().dropping_call = true;
            drop(left);
            self.database.state().dropping_call = false;
        }
    }

    /// Changes the database, and puts or invalidates in the cache.
    fn change(&mut self) {
        self.add_extra_entries();
        let state = self.database.state();
        let busy = |key: &usize| !state.records[*key].running.is_empty();
        let busy: Vec<usize> = (0..KEYS).filter(busy).collect();
        drop(state);
        let key = match busy.len() {
            0 => self.popular_key(),
            _ if self.random(2) == 0 => self.popular_key(),
            some => busy[self.random(some)],
        };
        let (cache, database, name) = (self.cache, self.database, &self.names[key]);
        let (group, to) = (database.state().records[key].group, self.random(GROUPS));
        let fence = |removes: bool, keys: &dyn Fn(usize, &KeyRecord) -> bool| {
            database.state().fence(removes, keys);
        };
        let of_group = |_: usize, record: &KeyRecord| record.group == group;
        match self.random(20) {
            0..5 => {
                let row = database.state().put(key, self.clock.now());
                let options = kind_of(key).put_options(group);
                block_on(cache.put(name, row, options)).unwrap();
            }
            5..10 => {
                fence(true, &|other, _| other == key);
                self.invalidate(async move { u64::from(cache.remove(name).await.unwrap()) });
            }
            10..13 => {
                fence(true, &of_group);
                self.invalidate(async move { cache.invalidate_tag(&tag(group)).await.unwrap() });
            }
            13..15 if kind_of(key).verb == Verb::Fetch => {
                // The row moves to another group: both groups are invalidated.
                fence(true, &|_, record| [group, to].contains(&record.group));
                database.state().records[key].group = to;
                let tags = [tag(group), tag(to)];
                self.invalidate(async move { cache.invalidate_tags(tags).await.unwrap() });
            }
            15 => {
                fence(false, &|other, _| other == key);
                block_on(cache.expire(name)).unwrap();
            }
            16..19 => {
                fence(false, &of_group);
                self.invalidate(async move {
                    cache.expire_tag(&tag(group)).await.unwrap();
                    0
                });
            }
            19 if to == 0 => {
                fence(true, &|_, _| true);
                self.invalidate(async move {
                    cache.flush().await.unwrap();
                    0
                });
            }
            _ => {}
        }
    }

    /// Adds more entries with the tag of group 0 than one slice of an invalidation removes.
    /// They are older than the other entries, so the invalidation removes them first.
    fn add_extra_entries(&self) {
        if !self.invalidations.is_empty() || block_on(self.cache.contains_key("extra:0")) {
            return;
        }
        for number in 0..EXTRA_ENTRIES {
            let (key, options) = (format!("extra:{number}"), CacheOptions::new().tag(tag(0)));
            block_on(self.cache.put(&key, 0_u8, options)).unwrap();
        }
    }

    /// Starts an invalidation, which may need several polls.
    fn invalidate(&mut self, invalidation: impl Future<Output = u64> + 'a) {
        self.poll_invalidation(Hand::hold(invalidation));
    }

    fn poll_invalidation(&mut self, mut invalidation: Hand<'a, u64>) {
        match invalidation.poll() {
            Poll::Ready(removed) => self.seen.invalidated += removed,
            Poll::Pending => self.invalidations.push(invalidation),
        }
    }

    /// The database recovers: every call ends, and every key can be loaded.
    fn finish(&mut self) {
        self.database.state().recovered = true;
        for _ in 0..600 * TICKS_PER_SECOND {
            self.tick();
        }
        assert!(
            self.calls.is_empty() && self.background.is_empty() && self.invalidations.is_empty()
        );
        for key in 0..KEYS {
            let (call, answer) = (self.begin_call(key), self.hand(key).ends());
            self.seen.lookups += 1;
            self.check(&call, answer);
            let state = self.database.state();
            assert!(state.records[key].starts > call.starts, "{key}: not loaded");
        }
        self.check_counters(self.cache.stats());
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().unwrap())
}

#[test]
fn simulated_day_serves_no_value_older_than_allowed() {
    let seconds = number("SOAK_SECONDS", 86_400);
    let (rate, seed) = (number("SOAK_RATE", 30), number("SOAK_SEED", 0));
    let (clock, spawned) = (ManualClock::new(), Arc::new(Mutex::new(Vec::new())));
    let queue = Arc::clone(&spawned);
    let cache = HydraCache::local()
        .max_capacity((KEYS + EXTRA_ENTRIES) as u64)
        .clock(clock.clone())
        .timer(clock.clone())
        .spawner(move |load| queue.lock().unwrap().push(load))
        .max_background_loads(MAX_BACKGROUND_LOADS)
        .build();
    let names: Vec<String> = (0..KEYS).map(|key| format!("row:{key}")).collect();
    let options = (0..KEYS).map(|key| kind_of(key).options(key % GROUPS));
    let mut world = World {
        rng: StdRng::seed_from_u64(seed),
        cache: &cache,
        clock: &clock,
        database: &Database::new(clock.clone(), seed),
        names: &names,
        options: &options.collect::<Vec<_>>(),
        calls: Vec::new(),
        spawned: &spawned,
        background: Vec::new(),
        invalidations: Vec::new(),
        seen: Seen::default(),
    };
    for tick in 0..seconds * TICKS_PER_SECOND {
        let so_far = rate * tick / TICKS_PER_SECOND;
        for _ in so_far..rate * (tick + 1) / TICKS_PER_SECOND {
            world.request();
        }
        if world.random(50) == 0 {
            world.change();
        }
        if world.random(20) == 0 {
            world.drop_a_call();
        }
        world.tick();
    }
    world.finish();
    assert_eq!(world.seen.requests, rate * seconds);
}
