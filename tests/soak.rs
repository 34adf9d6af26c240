//! A day of a service whose database is flaky, slow, hangs now and then and goes away for
//! minutes every hour. On one thread, by a clock and a timer of the test, polled by
//! hand: nothing waits and no time passes.
//!
//! At each answer it is checked that
//!
//! - it is not older than an invalidation of its key (`remove`, `put`, `invalidate_tags`,
//!   `flush`) that had made its first poll before the call began; nor, if nothing
//!   failed, than such an `expire` or `expire_tag`;
//! - it is not older than its time to live and the longer of its windows allow; beyond
//!   the window of revalidating, that a load failed, or the call waited its soft timeout;
//! - `get` and a hit are fresh; the age that `fetch` says is the true one;
//! - an error comes only after a failure, and never while there is an old value to serve.
//!
//! Besides: no call waits longer than its timeout, and no loader runs longer; a key has one
//! load at a time that may store; who comes upon a key with no fresh value and nothing in
//! its way starts a load, also after a loader that hung, and nobody does before a back-off
//! is over; who waits, waits for a loader that runs, and is woken when it ends; and in the
//! end the counters are those that the test kept for itself.
//!
//! As it stands it asks 30 times a simulated second for a simulated day: 2.6 million
//! requests, which a debug build does in some ten seconds. A busy service asks 10,000 times
//! a second, which are 864 million: a release build does them in some four minutes.
//!
//! ```text
//! SOAK_RATE=10000 cargo test --release --test soak
//! ```
//!
//! `SOAK_SECONDS` sets how many seconds are simulated, and `SOAK_SEED` another course of
//! events. One seed has always the same.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an error that nobody asked for is a failure"
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
use database::{Database, Line, Row};
use hydracache::{BoxFuture, CacheOptions, Clock, HydraCache, Loaded, ManualClock, Old};
use kinds::{GROUPS, KEYS, TICK, Verb, kind_of, tag};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::{Hand, block_on};

const TICKS_A_SECOND: u64 = 10;
const BACKGROUND: usize = 4;
const CROWD: usize = 600;

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
    /// Invalidations that have begun.
    told: Vec<Hand<'a, u64>>,
    seen: Seen,
}

impl<'a> World<'a> {
    fn random(&mut self, most: usize) -> usize {
        self.rng.random_range(0..most)
    }

    /// Some keys are asked for more often than others.
    fn popular(&mut self) -> usize {
        let key = self.random(KEYS);
        self.random(key + 1)
    }

    fn request(&mut self) {
        let key = self.popular();
        self.seen.requests += 1;
        if self.random(8) == 0 {
            return self.get(key);
        }
        let (call, hand) = (self.call(key), self.hand(key));
        let (free, starts) = (call.free, call.starts);
        self.seen.lookups += 1;
        let fresh = self.poll(call, hand);
        self.take_spawned();
        let started = self.database.state().lines[key].starts > starts;
        assert!(fresh || started || !free, "{key}: nobody loads");
    }

    /// Polls a call, and checks its answer. Whether it has one that is fresh.
    fn poll(&mut self, mut call: Call, mut hand: Hand<'a, Answer>) -> bool {
        let starts = || self.database.state().lines[call.key].starts;
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
        let call = self.call(key);
        let read = block_on(self.cache.get::<Row>(&self.names[key])).unwrap();
        if let Some(row) = read {
            assert!(self.check(&call, Ok((row, None))), "{key}: read, not fresh");
        }
    }

    /// A call that begins now.
    fn call(&self, key: usize) -> Call {
        let (at, kind) = (self.clock.now(), kind_of(key));
        let full = self.background.len() == BACKGROUND;
        let state = self.database.state();
        let line = &state.lines[key];
        let backed_off = line.failed.is_some_and(|it| at < it + kind.error_backoff);
        Call {
            key,
            at,
            floor: line.floor,
            fresh_floor: line.fresh_floor,
            had: line.has(at).then_some(line.breaks),
            starts: line.starts,
            leads: false,
            full,
            free: line.running.is_empty() && !backed_off && !full,
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
                        // It has its tag.
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

    /// Takes over what the cache gave away.
    fn take_spawned(&mut self) {
        let spawned = std::mem::take(&mut *self.spawned.lock().unwrap());
        for future in spawned {
            self.seen.background += 1;
            let mut hand = Hand::hold(future);
            if hand.poll().is_pending() {
                self.background.push(hand);
            }
        }
        assert!(self.background.len() <= BACKGROUND);
    }

    /// Moves the clock, and polls whoever was woken, until nobody is.
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
        // A slice at a time.
        let told = std::mem::take(&mut self.told);
        for hand in told {
            self.go_on(hand);
        }
        self.check_waiting();
    }

    /// A caller goes away, perhaps with the load that others wait for.
    fn hang_up(&mut self) {
        if !self.calls.is_empty() {
            let at = self.random(self.calls.len());
            let left = self.calls.swap_remove(at);
            self.database.state().hanging_up = true;
            drop(left);
            self.database.state().hanging_up = false;
        }
    }

    /// The database changes, and the cache is told.
    fn change(&mut self) {
        self.crowd();
        let state = self.database.state();
        let busy = |key: &usize| !state.lines[*key].running.is_empty();
        let busy: Vec<usize> = (0..KEYS).filter(busy).collect();
        drop(state);
        let key = match busy.len() {
            0 => self.popular(),
            _ if self.random(2) == 0 => self.popular(),
            some => busy[self.random(some)],
        };
        let (cache, database, name) = (self.cache, self.database, &self.names[key]);
        let (group, to) = (database.state().lines[key].group, self.random(GROUPS));
        let fence = |ends: bool, keys: &dyn Fn(usize, &Line) -> bool| {
            database.state().fence(ends, keys);
        };
        let of_group = |_: usize, line: &Line| line.group == group;
        match self.random(20) {
            0..5 => {
                let row = database.state().put(key, self.clock.now());
                let options = kind_of(key).put_options(group);
                block_on(cache.put(name, row, options)).unwrap();
            }
            5..10 => {
                fence(true, &|other, _| other == key);
                self.tell(async move { u64::from(cache.remove(name).await.unwrap()) });
            }
            10..13 => {
                fence(true, &of_group);
                self.tell(async move { cache.invalidate_tag(&tag(group)).await.unwrap() });
            }
            13..15 if kind_of(key).verb == Verb::Fetch => {
                // To another group: the old one has to be told too.
                fence(true, &|_, line| [group, to].contains(&line.group));
                database.state().lines[key].group = to;
                let tags = [tag(group), tag(to)];
                self.tell(async move { cache.invalidate_tags(tags).await.unwrap() });
            }
            15 => {
                fence(false, &|other, _| other == key);
                block_on(cache.expire(name)).unwrap();
            }
            16..19 => {
                fence(false, &of_group);
                self.tell(async move {
                    cache.expire_tag(&tag(group)).await.unwrap();
                    0
                });
            }
            19 if to == 0 => {
                fence(true, &|_, _| true);
                self.tell(async move {
                    cache.flush().await.unwrap();
                    0
                });
            }
            _ => {}
        }
    }

    /// More entries with the tag of group 0 than are given back at one poll, and older than
    /// the others, so that they go first.
    fn crowd(&self) {
        if !self.told.is_empty() || block_on(self.cache.contains_key("crowd:0")) {
            return;
        }
        for number in 0..CROWD {
            let (key, options) = (format!("crowd:{number}"), CacheOptions::new().tag(tag(0)));
            block_on(self.cache.put(&key, 0_u8, options)).unwrap();
        }
    }

    /// Begins an invalidation, which may take a few polls; it says how many entries left.
    fn tell(&mut self, act: impl Future<Output = u64> + 'a) {
        self.go_on(Hand::hold(act));
    }

    fn go_on(&mut self, mut told: Hand<'a, u64>) {
        match told.poll() {
            Poll::Ready(left) => self.seen.invalidated += left,
            Poll::Pending => self.told.push(told),
        }
    }

    /// All is well again: every key has its value.
    fn finish(&mut self) {
        self.database.state().well = true;
        for _ in 0..600 * TICKS_A_SECOND {
            self.tick();
        }
        assert!(self.calls.is_empty() && self.background.is_empty() && self.told.is_empty());
        for key in 0..KEYS {
            let (call, answer) = (self.call(key), self.hand(key).ends());
            self.seen.lookups += 1;
            self.check(&call, answer);
            let state = self.database.state();
            assert!(state.lines[key].starts > call.starts, "{key}: not loaded");
        }
        self.add_up(self.cache.stats());
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().unwrap())
}

#[test]
fn a_day_in_which_nothing_is_older_than_allowed() {
    let seconds = number("SOAK_SECONDS", 86_400);
    let (rate, seed) = (number("SOAK_RATE", 30), number("SOAK_SEED", 0));
    let (clock, spawned) = (ManualClock::new(), Arc::new(Mutex::new(Vec::new())));
    let queue = Arc::clone(&spawned);
    let cache = HydraCache::local()
        .max_capacity((KEYS + CROWD) as u64)
        .clock(clock.clone())
        .timer(clock.clone())
        .spawner(move |load| queue.lock().unwrap().push(load))
        .max_background_loads(BACKGROUND)
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
        told: Vec::new(),
        seen: Seen::default(),
    };
    for tick in 0..seconds * TICKS_A_SECOND {
        let so_far = rate * tick / TICKS_A_SECOND;
        for _ in so_far..rate * (tick + 1) / TICKS_A_SECOND {
            world.request();
        }
        if world.random(50) == 0 {
            world.change();
        }
        if world.random(20) == 0 {
            world.hang_up();
        }
        world.tick();
    }
    world.finish();
    assert_eq!(world.seen.requests, rate * seconds);
}
