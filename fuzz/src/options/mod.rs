//! Any values of options, in any combination, under a clock that leaps and goes back: no
//! panic but those that are documented, no overflow, and the states of the plain formula.

mod input;
mod plain;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_lite::future::block_on;
use hydracache::{Clock, HydraCache, Loaded};

pub use self::input::Input;
use self::input::{Step, Time, Wishes};
use self::plain::{Plain, Said, State};

/// A clock that shows what it is told to.
#[derive(Clone, Debug, Default)]
struct Jumpy(Arc<Mutex<Duration>>);

impl Jumpy {
    fn show(&self, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }
}

impl Clock for Jumpy {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of an entry.
struct Known {
    id: u32,
    times: Plain,
    /// It was gone for a while, and may have been reclaimed.
    may_be_gone: bool,
}

struct World {
    cache: HydraCache,
    clock: Jumpy,
    defaults: Said,
    entries: HashMap<u8, Known>,
    /// The keys that may have a back-off.
    backoffs: Vec<u8>,
    next_id: u32,
}

/// Runs one input.
///
/// # Panics
///
/// If the cache does something else than it promises.
pub fn run(input: &Input) {
    let clock = Jumpy::default();
    let (options, defaults) = input.defaults.options();
    let cache = HydraCache::local()
        .clock(clock.clone())
        // No loader waits here.
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
        world.take(step);
        world.note_gone();
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
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Show(time) => self.clock.show(time.get()),
            Step::Advance(time) => {
                let now = self.clock.now();
                self.clock.show(now.saturating_add(time.get()));
            }
            Step::Put(key, ref wishes) => {
                let (key, id) = (key % 4, self.next());
                let (options, said) = wishes.options();
                block_on(self.cache.put(&name(key), id, options)).expect("a put");
                self.stored(key, id, said.or(self.defaults));
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
            Step::Load(key, ref wishes, works) => self.load(key % 4, wishes, works),
            Step::Fetch(key, ref wishes, ttl, works) => self.fetch(key % 4, wishes, ttl, works),
            Step::Refresh(key, ref wishes, works) => self.refresh(key % 4, wishes, works),
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
                self.forgive(key % 4);
            }
        }
    }

    fn next(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn forgive(&mut self, key: u8) {
        self.backoffs.retain(|&other| other != key);
    }

    fn stored(&mut self, key: u8, id: u32, said: Said) {
        self.forgive(key);
        self.note_gone();
        let times = Plain::new(&said, self.clock.now());
        self.entries.remove(&key);
        if said.ttl != Some(Duration::ZERO) {
            let known = Known {
                id,
                times,
                may_be_gone: false,
            };
            self.entries.insert(key, known);
        }
    }

    fn expire(&mut self, key: u8) {
        let now = self.clock.now();
        // No window begins at the end of time.
        if Plain::is_last(now) {
            self.entries.remove(&key);
        }
        if let Some(known) = self.entries.get_mut(&key) {
            known.times.expire(now);
        }
    }

    /// What is gone may be reclaimed: then it stays away though the clock goes back.
    fn note_gone(&mut self) {
        let now = self.clock.now();
        for known in self.entries.values_mut() {
            known.may_be_gone |= known.times.states(now).1 == State::Gone;
        }
    }

    /// A read, which finds what is in this state at most.
    fn read(&mut self, key: u8, most: State) {
        let now = self.clock.now();
        if let Some(known) = self.entries.get_mut(&key) {
            let (first, last) = known.times.states(now);
            if first <= most {
                let is_certain = last <= most && !known.may_be_gone;
                known.times.read(now, is_certain);
            }
        }
    }

    /// The first and the last state that an entry may be in.
    fn states(&self, key: u8) -> (State, State) {
        let now = self.clock.now();
        match self.entries.get(&key) {
            None => (State::Gone, State::Gone),
            Some(known) => {
                let (first, last) = known.times.states(now);
                (first, if known.may_be_gone { State::Gone } else { last })
            }
        }
    }

    fn assert_read(&self, key: u8, got: Option<u32>) {
        let (first, last) = self.states(key);
        let known = self.entries.get(&key).map(|known| known.id);
        match got {
            Some(id) => {
                assert_eq!(Some(id), known);
                assert!(first <= State::Due, "{key} was served and is {first:?}");
            }
            None => assert!(last > State::Due, "{key} was not found and is {last:?}"),
        }
    }

    fn load(&mut self, key: u8, wishes: &Wishes, works: bool) {
        let (id, (options, said)) = (self.next(), wishes.options());
        let mut called = false;
        let loader = || {
            called = true;
            async move { if works { Ok(id) } else { Err("away") } }
        };
        let got = block_on(self.cache.get_or_load(&name(key), options, loader));
        self.loaded(key, id, said, called.then_some(works), got.ok());
    }

    fn fetch(&mut self, key: u8, wishes: &Wishes, ttl: Option<Time>, works: bool) {
        let (id, (options, mut said)) = (self.next(), wishes.options());
        let mut called = false;
        let loader = |_| {
            called = true;
            let loaded = match ttl {
                Some(ttl) => Loaded::new(id).ttl(ttl.get()),
                None => Loaded::new(id),
            };
            async move { if works { Ok(loaded) } else { Err("away") } }
        };
        let got = block_on(self.cache.fetch(&name(key), options, loader));
        if let Some(ttl) = ttl {
            said.ttl = Some(ttl.get());
        }
        self.loaded(
            key,
            id,
            said,
            called.then_some(works),
            got.ok().map(|it| it.value),
        );
    }

    /// What a loading call gave: `called` says whether its loader was called, and worked.
    fn loaded(&mut self, key: u8, id: u32, said: Said, called: Option<bool>, got: Option<u32>) {
        let said = said.or(self.defaults);
        let (first, last) = self.states(key);
        let old = self.entries.get(&key).map(|known| known.id);
        let paused = self.backoffs.contains(&key);
        self.read(key, State::Fallback);
        match called {
            None => {
                // It was fresh, or a back-off was on.
                assert!(first == State::Fresh || paused, "not loaded, and {first:?}");
                match got {
                    Some(got) => {
                        assert_eq!(Some(got), old);
                        assert!(first < State::Gone);
                    }
                    None => assert!(last == State::Gone && paused),
                }
            }
            Some(true) => {
                assert!(last > State::Fresh, "loaded, and {last:?}");
                assert_eq!(got, Some(id));
                self.stored(key, id, said);
            }
            Some(false) => {
                assert!(last > State::Fresh, "loaded, and {last:?}");
                match got {
                    Some(got) => {
                        assert_eq!(Some(got), old);
                        assert!(first < State::Gone, "served, and {first:?}");
                    }
                    None => assert_eq!(last, State::Gone),
                }
                self.forgive(key);
                if said.error_backoff.is_some_and(|time| !time.is_zero()) {
                    self.backoffs.push(key);
                }
            }
        }
    }

    fn refresh(&mut self, key: u8, wishes: &Wishes, works: bool) {
        let (id, (options, said)) = (self.next(), wishes.options());
        let said = said.or(self.defaults);
        let loader = || async move { if works { Ok(id) } else { Err("away") } };
        let got = block_on(self.cache.refresh(&name(key), options, loader));
        let (first, _) = self.states(key);
        self.read(key, State::Fallback);
        match got {
            Ok(got) if works => {
                assert_eq!(got, id);
                self.stored(key, id, said);
                return;
            }
            Ok(got) => {
                assert_eq!(Some(got), self.entries.get(&key).map(|known| known.id));
                assert!(first < State::Gone);
            }
            Err(error) => assert!(!works && error.is_load()),
        }
        if said.error_backoff.is_some_and(|time| !time.is_zero()) {
            self.backoffs.push(key);
        }
    }
}
