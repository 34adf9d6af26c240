//! Arbitrary options under a clock that jumps both ways follow the documented formula.
//!
//! There are no panics except the documented panics of setters, and no overflows.

mod input;
mod times;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_lite::future::block_on;
use hydracache::{Clock, HydraCache, Loaded};

pub use self::input::Input;
use self::input::{OptionValues, Step, Time};
use self::times::{GivenOptions, PossibleTimes, State};

/// A clock that the test sets to any time.
#[derive(Clone, Debug, Default)]
struct JumpingClock(Arc<Mutex<Duration>>);

impl JumpingClock {
    fn set(&self, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The expected state of an entry.
struct KnownEntry {
    id: u32,
    times: PossibleTimes,
    /// The entry was expired at some time, and may have been reclaimed.
    may_be_reclaimed: bool,
}

/// The cache and the expected state.
struct World {
    cache: HydraCache,
    clock: JumpingClock,
    defaults: GivenOptions,
    entries: HashMap<u8, KnownEntry>,
    /// Keys that may be in back-off.
    backoffs: Vec<u8>,
    next_id: u32,
}

/// Runs one input.
///
/// # Panics
///
/// If the cache breaks a promise.
pub fn run(input: &Input) {
    let clock = JumpingClock::default();
    let (options, defaults) = input.defaults.options();
    let cache = HydraCache::local()
        .clock(clock.clone())
        // No loader of this target waits.
        .timer(|_| std::future::pending::<()>())
        .default_options(options)
        .build();
    let mut world = World {
        cache,
        clock,
        defaults,
        entries: HashMap::new(),
        backoffs: Vec::new(),
        next_id: 0,
    };
    for step in &input.steps {
        world.run_step(step);
        world.note_expired();
        #[cfg(fuzzing)]
        world.cache.validate();
    }
    let stats = world.cache.stats();
    let left = stats.evictions + stats.expirations + stats.invalidations;
    assert!(left + world.cache.entry_count() <= u64::from(world.next_id));
}

fn name(key: u8) -> String {
    format!("key {key}")
}

impl World {
    fn run_step(&mut self, step: &Step) {
        match *step {
            Step::SetClock(time) => self.clock.set(time.get()),
            Step::Advance(time) => {
                let now = self.clock.now();
                self.clock.set(now.saturating_add(time.get()));
            }
            Step::Put(key, ref values) => {
                let (key, id) = (key % 4, self.next());
                let (options, given) = values.options();
                block_on(self.cache.put(&name(key), id, options)).expect("a put");
                self.stored(key, id, given.or(self.defaults));
            }
            Step::Get(key) => {
                let got = block_on(self.cache.get::<u32>(&name(key % 4))).expect("a number");
                self.assert_read(key % 4, got);
                self.read(key % 4, State::Due);
            }
            Step::Peek(key) => {
                let got = block_on(self.cache.peek::<u32>(&name(key % 4))).expect("a number");
                self.assert_read(key % 4, got);
            }
            Step::Contains(key) => {
                let got = block_on(self.cache.contains_key(&name(key % 4)));
                let id = self.entries.get(&(key % 4)).map(|known| known.id);
                self.assert_read(key % 4, id.filter(|_| got));
                assert!(id.is_some() || !got);
            }
            Step::Load(key, ref values, succeeds) => self.load(key % 4, values, succeeds),
            Step::Fetch(key, ref values, ttl, succeeds) => {
                self.fetch(key % 4, values, ttl, succeeds);
            }
            Step::Refresh(key, ref values, succeeds) => self.refresh(key % 4, values, succeeds),
            Step::Expire(key) => {
                let (first, last) = self.states(key % 4);
                let got = block_on(self.cache.expire(&name(key % 4))).expect("an expire");
                assert!(if got {
                    first <= State::Due
                } else {
                    last > State::Due
                });
                self.expire(key % 4);
            }
            Step::ExpireAll => {
                let got = block_on(self.cache.expire_tag("all")).expect("a count");
                let states = (0..4).map(|key| self.states(key));
                let (mut least, mut most) = (0, 0);
                for (first, last) in states {
                    least += u64::from(last <= State::Due);
                    most += u64::from(first <= State::Due);
                }
                assert!((least..=most).contains(&got), "{got}");
                (0..4).for_each(|key| self.expire(key));
            }
            Step::Remove(key) => {
                let (first, last) = self.states(key % 4);
                let got = block_on(self.cache.remove(&name(key % 4))).expect("a remove");
                assert!(if got {
                    first <= State::Due
                } else {
                    last > State::Due
                });
                self.entries.remove(&(key % 4));
                self.end_backoff(key % 4);
            }
        }
    }

    fn next(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn end_backoff(&mut self, key: u8) {
        self.backoffs.retain(|&other| other != key);
    }

    fn stored(&mut self, key: u8, id: u32, given: GivenOptions) {
        self.end_backoff(key);
        self.note_expired();
        let times = PossibleTimes::new(&given, self.clock.now());
        self.entries.remove(&key);
        // A time to live of zero stores a stale value for its windows, and nothing without them.
        let is_set = |window: Option<Duration>| window.is_some_and(|time| !time.is_zero());
        let has_window = is_set(given.stale_while_revalidate) || is_set(given.stale_if_error);
        let is_stale = given.ttl == Some(Duration::ZERO);
        if !is_stale || has_window {
            let known = KnownEntry {
                id,
                times,
                // At the end of time a window may be too short to begin.
                may_be_reclaimed: is_stale && PossibleTimes::is_last(self.clock.now()),
            };
            self.entries.insert(key, known);
        }
    }

    fn expire(&mut self, key: u8) {
        let now = self.clock.now();
        // At the end of time no window can begin.
        if PossibleTimes::is_last(now) {
            self.entries.remove(&key);
        }
        if let Some(known) = self.entries.get_mut(&key) {
            known.times.expire(now);
        }
    }

    /// An expired entry may be reclaimed, and then stays absent even if the clock goes back.
    fn note_expired(&mut self) {
        let now = self.clock.now();
        for known in self.entries.values_mut() {
            known.may_be_reclaimed |= known.times.states(now).1 == State::Expired;
        }
    }

    /// Records a read that finds entries up to state `most`.
    fn read(&mut self, key: u8, most: State) {
        let now = self.clock.now();
        if let Some(known) = self.entries.get_mut(&key) {
            let (first, last) = known.times.states(now);
            if first <= most {
                let is_certain = last <= most && !known.may_be_reclaimed;
                known.times.read(now, is_certain);
            }
        }
    }

    /// The first and the last possible state of an entry.
    fn states(&self, key: u8) -> (State, State) {
        let now = self.clock.now();
        match self.entries.get(&key) {
            None => (State::Expired, State::Expired),
            Some(known) => {
                let (first, last) = known.times.states(now);
                (
                    first,
                    if known.may_be_reclaimed {
                        State::Expired
                    } else {
                        last
                    },
                )
            }
        }
    }

    fn assert_read(&self, key: u8, got: Option<u32>) {
        let (first, last) = self.states(key);
        let known = self.entries.get(&key).map(|known| known.id);
        match got {
            Some(id) => {
                assert_eq!(Some(id), known);
                assert!(first <= State::Due, "{key} was served, but is {first:?}");
            }
            None => assert!(last > State::Due, "{key} was not found, but is {last:?}"),
        }
    }

    fn load(&mut self, key: u8, values: &OptionValues, succeeds: bool) {
        let (id, (options, given)) = (self.next(), values.options());
        let mut called = false;
        let loader = || {
            called = true;
            async move { if succeeds { Ok(id) } else { Err("away") } }
        };
        let got = block_on(self.cache.get_or_load(&name(key), options, loader));
        self.loaded(key, id, given, called.then_some(succeeds), got.ok());
    }

    fn fetch(&mut self, key: u8, values: &OptionValues, ttl: Option<Time>, succeeds: bool) {
        let (id, (options, mut given)) = (self.next(), values.options());
        let mut called = false;
        let loader = |_| {
            called = true;
            let loaded = match ttl {
                Some(ttl) => Loaded::new(id).ttl(ttl.get()),
                None => Loaded::new(id),
            };
            async move { if succeeds { Ok(loaded) } else { Err("away") } }
        };
        let got = block_on(self.cache.fetch(&name(key), options, loader));
        if let Some(ttl) = ttl {
            given.ttl = Some(ttl.get());
        }
        self.loaded(
            key,
            id,
            given,
            called.then_some(succeeds),
            got.ok().map(|it| it.value),
        );
    }

    /// Checks the answer of a loading call; `called` is the result of its loader, if called.
    fn loaded(
        &mut self,
        key: u8,
        id: u32,
        given: GivenOptions,
        called: Option<bool>,
        got: Option<u32>,
    ) {
        let given = given.or(self.defaults);
        let (first, last) = self.states(key);
        let old = self.entries.get(&key).map(|known| known.id);
        let backed_off = self.backoffs.contains(&key);
        self.read(key, State::Fallback);
        match called {
            None => {
                // The value was fresh, or the key was in back-off.
                assert!(
                    first == State::Fresh || backed_off,
                    "not loaded, and {first:?}"
                );
                match got {
                    Some(got) => {
                        assert_eq!(Some(got), old);
                        assert!(first < State::Expired);
                    }
                    None => assert!(last == State::Expired && backed_off),
                }
            }
            Some(true) => {
                assert!(last > State::Fresh, "loaded, and {last:?}");
                assert_eq!(got, Some(id));
                self.stored(key, id, given);
            }
            Some(false) => {
                assert!(last > State::Fresh, "loaded, and {last:?}");
                match got {
                    Some(got) => {
                        assert_eq!(Some(got), old);
                        assert!(first < State::Expired, "served, and {first:?}");
                    }
                    None => assert_eq!(last, State::Expired),
                }
                self.end_backoff(key);
                if given.error_backoff.is_some_and(|time| !time.is_zero()) {
                    self.backoffs.push(key);
                }
            }
        }
    }

    fn refresh(&mut self, key: u8, values: &OptionValues, succeeds: bool) {
        let (id, (options, given)) = (self.next(), values.options());
        let given = given.or(self.defaults);
        let loader = || async move { if succeeds { Ok(id) } else { Err("away") } };
        let got = block_on(self.cache.refresh(&name(key), options, loader));
        self.read(key, State::Fallback);
        match got {
            Ok(got) => {
                assert!(succeeds && got == id);
                self.stored(key, id, given);
                return;
            }
            // A failed refresh is an error, whatever the entry; the entry stays.
            Err(error) => assert!(!succeeds && error.is_load()),
        }
        if given.error_backoff.is_some_and(|time| !time.is_zero()) {
            self.backoffs.push(key);
        }
    }
}
