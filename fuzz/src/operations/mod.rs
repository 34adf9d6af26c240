//! Sequences of calls, one after another and half done, against a plain model: every
//! answer, every counter, every entry that leaves and its cause, and after each step every
//! inner invariant.

mod calls;
mod entry;
mod input;
mod loader;
mod loading;
mod model;
mod steps;
mod values;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hydracache::{CacheOptions, HydraCache, ManualClock, RemovalCause};

use self::calls::{Call, Expected};
use self::entry::Entry;
pub use self::input::Input;
use self::input::{Form, TAGS, Terms, Wishes};
use self::model::{Bounds, Key, Model};
use self::values::{bytes_of, key_name};

/// Loading calls that are under way at a time, at most.
const CALLS: usize = 8;

/// Keys from here on are only put many at a time, and with a ttl that is not random.
const FIRST_OF_MANY: Key = 1000;

/// What the listener was told.
type Told = Arc<Mutex<Vec<(Vec<u8>, RemovalCause)>>>;

/// Runs one input.
///
/// # Panics
///
/// If the cache does something else than it promises.
pub fn run(input: &Input) {
    let mut world = World::new(input);
    for step in &input.steps {
        world.model.step += 1;
        world.take(step);
        world.look_inside();
    }
    world.finish();
}

/// The cache, the model of it, and the calls that are under way.
struct World {
    cache: HydraCache,
    clock: ManualClock,
    model: Model,
    defaults: Terms,
    calls: Vec<Call>,
    told: Told,
    /// The number of each stored form.
    ids: HashMap<Vec<u8>, u32>,
    /// For each value its key, its tags, and the step in which it began to be: that of its
    /// put, or of the start of its load.
    born: HashMap<u32, (Key, u8, u64)>,
    /// For each key and each tag, and for all, the step of the last invalidation.
    removed: HashMap<Key, u64>,
    invalidated: [u64; TAGS as usize],
    flushed: u64,
    next_id: u32,
    /// How many times many keys were put.
    fills: u8,
    left: LeftBy,
    was_garbage: bool,
}

/// How many left, by the listener.
#[derive(Default)]
struct LeftBy {
    all: u64,
    evicted: u64,
    expired: u64,
    invalidated: u64,
}

impl World {
    fn new(input: &Input) -> Self {
        let setup = &input.setup;
        let bounds = Bounds {
            entries: setup.capacity(),
            bytes: setup.max_bytes(),
            entry_bytes: setup.max_entry_bytes(),
        };
        let defaults = setup.defaults.as_ref().map(Wishes::terms);
        let defaults = defaults.filter(Terms::is_modelled).unwrap_or_default();
        let clock = ManualClock::new();
        let told = Told::default();
        let listener = {
            let told = Arc::clone(&told);
            move |_: &str, bytes: &hydracache::Bytes, cause| {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                told.push((bytes.to_vec(), cause));
            }
        };
        let mut builder = HydraCache::local()
            .max_capacity(bounds.entries as u64)
            .max_entry_bytes(bounds.entry_bytes)
            .default_options(defaults.options())
            .clock(clock.clone())
            .timer(clock.clone())
            .on_removal(listener);
        if bounds.bytes < usize::MAX {
            builder = builder.max_bytes(bounds.bytes as u64);
        }
        Self {
            cache: builder.build(),
            clock,
            model: Model::new(bounds),
            defaults,
            calls: Vec::new(),
            told,
            ids: HashMap::new(),
            born: HashMap::new(),
            removed: HashMap::new(),
            invalidated: [0; TAGS as usize],
            flushed: 0,
            next_id: 1,
            fills: 0,
            left: LeftBy::default(),
            was_garbage: false,
        }
    }

    /// What is meant by wishes: alone, for the call, and with the builder's, for the model.
    fn terms(&self, wishes: &Wishes) -> (Terms, CacheOptions) {
        let own = wishes.terms();
        let filled = own.clone().filled_in(&self.defaults);
        if filled.is_modelled() {
            return (filled, own.options());
        }
        let own = Terms {
            jitter: Some(0),
            ..own
        };
        let filled = own.clone().filled_in(&self.defaults);
        (filled, own.options())
    }

    /// A value that nobody has seen yet.
    fn value(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn note_born(&mut self, id: u32, form: Form, key: Key, tags: u8, step: u64) {
        self.ids.insert(bytes_of(id, form), id);
        self.was_garbage |= form == Form::Garbage || form == Form::Raw;
        self.born.insert(id, (key, tags, step));
    }

    /// The model stores a value.
    fn store(
        &mut self,
        key: Key,
        (id, form): (u32, Form),
        ttl: Option<u64>,
        tags: u8,
        terms: &Terms,
        dated: bool,
    ) {
        let size = bytes_of(id, form).len();
        let name = key_name(key).len();
        let now = self.model.now;
        let entry = Entry::new((id, form, size), name, ttl, tags, terms, dated, now);
        self.model.store(key, entry, size, ttl);
    }

    /// The one rule, apart from all else that the model knows: what a call that began in
    /// some step gives is no older than an invalidation that was begun before.
    fn assert_not_older(&self, id: u32, began: u64) {
        let Some(&(key, tags, born)) = self.born.get(&id) else {
            panic!("{id} was never stored nor loaded");
        };
        let of_tags = (0..TAGS).filter(|tag| tags & (1 << tag) != 0);
        let last = of_tags
            .map(|tag| self.invalidated[usize::from(tag)])
            .chain(self.removed.get(&key).copied())
            .chain([self.flushed])
            .filter(|&step| step < began)
            .max();
        assert!(
            last.is_none_or(|last| last <= born),
            "{id} is older than an invalidation"
        );
    }

    fn poll(&mut self, at: usize) {
        let mut call = self.calls.swap_remove(at);
        let (expected, landing) = call.expect(&mut self.model);
        let got = call.poll();
        call.compare(&self.model, expected, got.as_ref());
        let began = call.load().map(|flight| self.model.flights[flight].step);
        if let (Expected::Value(id, ..), Some(began)) = (expected, began) {
            // One that is unchanged was born before.
            if !self.born.contains_key(&id) {
                self.note_born(id, call.form(), call.key(), call.terms().tags, began);
            }
        }
        if let (Some(landing), Some(began)) = (landing, began) {
            let terms = call.terms();
            let id = landing.id;
            // What a load has found unchanged is as new as what it would have loaded.
            let entry = self.born.entry(id);
            entry.and_modify(|born| *born = (born.0, born.1 | landing.tags, began));
            let value = (id, landing.form);
            self.store(
                call.key(),
                value,
                landing.ttl,
                landing.tags,
                terms,
                landing.dated,
            );
        }
        if let Expected::Value(id, ..) = expected {
            self.assert_not_older(id, call.began());
        }
        self.hear();
        if let Expected::Pending = expected {
            self.calls.push(call);
        }
    }

    /// Takes notice of what the listener was told: each entry that left, and why.
    fn hear(&mut self) {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        let mut evicted = None;
        for (bytes, cause) in told {
            let id = self.ids[&bytes];
            self.left.all += 1;
            match cause {
                RemovalCause::Evicted => self.left.evicted += 1,
                RemovalCause::Expired => self.left.expired += 1,
                RemovalCause::Invalidated => self.left.invalidated += 1,
                _ => {}
            }
            let expected = self.model.dead.iter().position(|dead| dead.0 == id);
            if let Some(at) = expected {
                let (_, expected) = self.model.dead.swap_remove(at);
                assert_eq!(cause, expected, "{id} left");
                continue;
            }
            let entries = &mut self.model.entries;
            let key = entries.iter().find(|(_, entry)| entry.id == id);
            let (&key, entry) = key.unwrap_or_else(|| panic!("{id} left twice"));
            let now = self.model.now;
            match cause {
                RemovalCause::Evicted => assert!(entry.is_fresh(now), "{id} was evicted"),
                RemovalCause::Expired => assert!(!entry.is_fresh(now), "{id} had not expired"),
                _ => panic!("{id} left as {cause:?}"),
            }
            if entry.state(now) != entry::State::Gone {
                evicted = Some(entry.cost);
            }
            entries.remove(&key);
        }
        if let Some(cost) = evicted {
            self.assert_was_full(cost);
        }
        self.learn();
    }

    /// The last one that was evicted had to go, and nothing was there that should have gone
    /// before it.
    fn assert_was_full(&self, cost: usize) {
        let Model {
            bounds,
            entries,
            now,
            dead,
            ..
        } = &self.model;
        let all: usize = entries.values().map(|entry| entry.cost).sum();
        let full = entries.len() + 1 > bounds.entries || all + cost > bounds.bytes;
        assert!(full, "there was room");
        assert!(dead.is_empty(), "the dead go first");
        let gone = |entry: &Entry| entry.state(*now) == entry::State::Gone;
        assert!(!entries.values().any(gone), "the expired go first");
    }

    /// Asks the cache what only chance could know.
    fn learn(&mut self) {
        let now = self.model.now;
        for (&key, entry) in self.model.entries.range_mut(..FIRST_OF_MANY) {
            if entry.is_unsure(now) {
                let is_fresh = ready(self.cache.contains_key(&key_name(key)));
                entry.learn(is_fresh, now);
            }
        }
    }

    /// Every inner invariant, and the bounds.
    fn look_inside(&self) {
        #[cfg(fuzzing)]
        self.cache.validate();
        let Model {
            bounds, entries, ..
        } = &self.model;
        assert!(
            entries.len() <= bounds.entries,
            "more entries than there may be"
        );
        let all: usize = entries.values().map(|entry| entry.cost).sum();
        assert!(all <= bounds.bytes, "more bytes than there may be");
    }

    /// Compares all that can be counted.
    fn settle(&mut self) {
        let held = self.cache.entry_count();
        let mut stats = self.cache.stats();
        self.hear();
        assert_eq!(self.model.dead, [], "what was invalidated stays");
        assert_eq!(held, self.model.entries.len() as u64);
        assert_eq!(self.model.stored, held + self.left.all, "each leaves once");
        assert!(self.was_garbage || stats.decode_failures == 0);
        stats.decode_failures = 0;
        let mut expected = self.model.stats;
        expected.evictions = self.left.evicted;
        expected.expirations = self.left.expired;
        expected.invalidations = self.left.invalidated;
        assert_eq!(stats, expected);
    }

    /// Lets all calls go, and looks whether anything is left behind.
    fn finish(&mut self) {
        self.settle();
        while let Some(call) = self.calls.pop() {
            call.cancel(&mut self.model);
        }
        ready(self.cache.flush()).expect("a flush");
        self.model.flush();
        self.settle();
        self.look_inside();
        assert_eq!(self.cache.entry_count(), 0);
    }

    fn advance(&mut self, time: u64) {
        self.clock.advance(Duration::from_nanos(time));
        self.model.now += time;
        self.learn();
    }
}

/// The end of a future that waits for nobody, or only yields.
fn ready<T>(future: impl Future<Output = T>) -> T {
    futures_lite::future::block_on(future)
}
