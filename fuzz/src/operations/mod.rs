//! Sequences of complete and partly polled calls agree with a simple model.
//!
//! Checked are every answer, every counter, every removed entry with its cause, and after each
//! step every internal invariant.

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

use self::calls::{Call, Expected, StoredBy};
use self::entry::Entry;
pub use self::input::Input;
use self::input::{CallOptions, Form, RawOptions, TAGS};
use self::model::{Bounds, Key, Model};
use self::values::{bytes_of, key_name};

/// The largest number of running loading calls.
const MAX_CALLS: usize = 8;

/// Keys from here on are used only by `Step::Fill`, and without jitter.
const FIRST_OF_MANY: Key = 1000;

/// The bytes and causes reported to the removal listener.
type Removals = Arc<Mutex<Vec<(Vec<u8>, RemovalCause)>>>;

/// Runs one input.
///
/// # Panics
///
/// If the cache breaks a promise.
pub fn run(input: &Input) {
    let mut world = World::new(input);
    for step in &input.steps {
        world.model.step += 1;
        world.run_step(step);
        world.check_invariants();
    }
    world.finish();
}

/// The cache, the model, and the running calls.
struct World {
    cache: HydraCache,
    clock: ManualClock,
    model: Model,
    defaults: CallOptions,
    calls: Vec<Call>,
    reported: Removals,
    /// The value id of each stored byte string.
    ids: HashMap<Vec<u8>, u32>,
    /// The key, the tags and the step of origin of each value: the step of its put, or of the
    /// start of its load.
    origins: HashMap<u32, (Key, u8, u64)>,
    /// The step of the last invalidation of each key, of each tag, and of everything.
    removed: HashMap<Key, u64>,
    invalidated: [u64; TAGS as usize],
    flushed: u64,
    next_id: u32,
    /// The number of `Step::Fill` so far.
    fills: u8,
    removals: RemovalCounts,
    was_garbage: bool,
}

/// Counts of the removals reported to the listener.
#[derive(Default)]
struct RemovalCounts {
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
        let defaults = setup.defaults.as_ref().map(RawOptions::settings);
        let defaults = defaults
            .filter(CallOptions::is_modelled)
            .unwrap_or_default();
        let clock = ManualClock::new();
        let reported = Removals::default();
        let listener = {
            let reported = Arc::clone(&reported);
            move |_: &str, bytes: &hydracache::Bytes, cause| {
                let mut reported = reported.lock().unwrap_or_else(PoisonError::into_inner);
                reported.push((bytes.to_vec(), cause));
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
            reported,
            ids: HashMap::new(),
            origins: HashMap::new(),
            removed: HashMap::new(),
            invalidated: [0; TAGS as usize],
            flushed: 0,
            next_id: 1,
            fills: 0,
            removals: RemovalCounts::default(),
            was_garbage: false,
        }
    }

    /// The options for the model (with the builder's defaults) and for the call (without).
    fn settings(&self, raw: &RawOptions) -> (CallOptions, CacheOptions) {
        let own = raw.settings();
        let filled = own.clone().or(&self.defaults);
        if filled.is_modelled() {
            return (filled, own.options());
        }
        let own = CallOptions {
            jitter: Some(0),
            ..own
        };
        let filled = own.clone().or(&self.defaults);
        (filled, own.options())
    }

    /// The id of a new value.
    fn value(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn record_origin(&mut self, id: u32, form: Form, key: Key, tags: u8, step: u64) {
        self.ids.insert(bytes_of(id, form), id);
        self.was_garbage |= form == Form::Garbage || form == Form::Raw;
        self.origins.insert(id, (key, tags, step));
    }

    /// Stores a value in the model.
    fn store(
        &mut self,
        key: Key,
        (id, form): (u32, Form),
        ttl: Option<u64>,
        tags: u8,
        settings: &CallOptions,
        how: StoredBy,
    ) {
        let StoredBy { timed, no_store } = how;
        let size = bytes_of(id, form).len();
        let name = key_name(key).len();
        let now = self.model.now;
        let entry = Entry::new((id, form, size), name, ttl, tags, settings, timed, now);
        let is_wanted = !no_store && (ttl != Some(0) || entry.has_window());
        self.model.store(key, entry, size, is_wanted);
    }

    /// Asserts the main promise without the model: the answer of a call is not older than an
    /// invalidation that began before the call.
    fn assert_not_older(&self, id: u32, began: u64) {
        let Some(&(key, tags, origins)) = self.origins.get(&id) else {
            panic!("{id} was never stored or loaded");
        };
        let of_tags = (0..TAGS).filter(|tag| tags & (1 << tag) != 0);
        let last = of_tags
            .map(|tag| self.invalidated[usize::from(tag)])
            .chain(self.removed.get(&key).copied())
            .chain([self.flushed])
            .filter(|&step| step < began)
            .max();
        assert!(
            last.is_none_or(|last| last <= origins),
            "{id} is older than an invalidation"
        );
    }

    fn poll(&mut self, at: usize) {
        let mut call = self.calls.swap_remove(at);
        let (expected, completion) = call.expect(&mut self.model);
        let got = call.poll();
        call.compare(&self.model, expected, got.as_ref());
        let began = call.load().map(|flight| self.model.flights[flight].step);
        if let (Expected::Value(id, ..), Some(began)) = (expected, began) {
            // An unchanged value already has an origin.
            if !self.origins.contains_key(&id) {
                self.record_origin(id, call.form(), call.key(), call.settings().tags, began);
            }
        }
        if let (Some(completion), Some(began)) = (completion, began) {
            let settings = call.settings();
            let id = completion.id;
            // A value confirmed as unchanged is as new as a value loaded by the same load.
            let entry = self.origins.entry(id);
            entry.and_modify(|origins| *origins = (origins.0, origins.1 | completion.tags, began));
            let value = (id, completion.form);
            self.store(
                call.key(),
                value,
                completion.ttl,
                completion.tags,
                settings,
                completion.by,
            );
        }
        if let Expected::Value(id, ..) = expected {
            self.assert_not_older(id, call.began());
        }
        self.check_removals();
        if let Expected::Pending = expected {
            self.calls.push(call);
        }
    }

    /// Checks each reported removal and its cause against the model.
    fn check_removals(&mut self) {
        let reported =
            std::mem::take(&mut *self.reported.lock().unwrap_or_else(PoisonError::into_inner));
        let mut evicted = None;
        for (bytes, cause) in reported {
            let id = self.ids[&bytes];
            self.removals.all += 1;
            match cause {
                RemovalCause::Evicted => self.removals.evicted += 1,
                RemovalCause::Expired => self.removals.expired += 1,
                RemovalCause::Invalidated => self.removals.invalidated += 1,
                _ => {}
            }
            let expected = self
                .model
                .unreported
                .iter()
                .position(|unreported| unreported.0 == id);
            if let Some(at) = expected {
                let (_, expected) = self.model.unreported.swap_remove(at);
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
            // An entry ended by `expire_tag` also leaves if there is no room for a new tag beside the
            // dead one, which the model does not count.
            let may_lack_room = !entry.is_fresh(now) && self.model.bounds.bytes < usize::MAX;
            let has_ended = entry.state(now) == entry::State::Expired;
            let left = entries.remove(&key);
            if !has_ended {
                evicted = left.filter(|_| !may_lack_room);
            }
        }
        if let Some(evicted) = evicted {
            self.assert_was_full(&evicted);
        }
        self.learn();
    }

    /// Asserts that the last eviction was necessary, and that no dead or expired entry was left
    /// to remove instead.
    fn assert_was_full(&self, evicted: &Entry) {
        let Model {
            bounds,
            entries,
            now,
            unreported,
            ..
        } = &self.model;
        let all = self.model.cost_with(Some(evicted));
        let full = entries.len() + 1 > bounds.entries || all > bounds.bytes;
        assert!(
            full,
            "an eviction below the bounds: {evicted:?}, {all}, {bounds:?}, at {now}"
        );
        assert!(unreported.is_empty(), "a dead entry outlived an eviction");
        let expired = |entry: &Entry| entry.state(*now) == entry::State::Expired;
        assert!(
            !entries.values().any(expired),
            "an expired entry outlived an eviction"
        );
    }

    /// Asks the cache for random outcomes: whether entries with jitter are still fresh.
    fn learn(&mut self) {
        let now = self.model.now;
        for (&key, entry) in self.model.entries.range_mut(..FIRST_OF_MANY) {
            if entry.is_unsure(now) {
                let is_fresh = ready(self.cache.contains_key(&key_name(key)));
                entry.learn(is_fresh, now);
            }
        }
    }

    /// Checks every internal invariant, and the bounds.
    fn check_invariants(&self) {
        #[cfg(fuzzing)]
        self.cache.validate();
        let Model {
            bounds, entries, ..
        } = &self.model;
        assert!(
            entries.len() <= bounds.entries,
            "more entries than the capacity"
        );
        let all = self.model.cost_with(None);
        assert!(all <= bounds.bytes, "more bytes than `max_bytes`");
    }

    /// Compares the counters and the number of entries with the model.
    fn check_counters(&mut self) {
        let held = self.cache.entry_count();
        let mut stats = self.cache.stats();
        self.check_removals();
        assert_eq!(self.model.unreported, [], "dead entries were not swept");
        assert_eq!(held, self.model.entries.len() as u64);
        assert_eq!(
            self.model.stored,
            held + self.removals.all,
            "each entry is removed once"
        );
        assert!(self.was_garbage || stats.decode_failures == 0);
        stats.decode_failures = 0;
        let mut expected = self.model.stats;
        expected.evictions = self.removals.evicted;
        expected.expirations = self.removals.expired;
        expected.invalidations = self.removals.invalidated;
        assert_eq!(stats, expected);
    }

    /// Drops all calls, and checks that nothing is left behind.
    fn finish(&mut self) {
        self.check_counters();
        while let Some(call) = self.calls.pop() {
            call.cancel(&mut self.model);
        }
        ready(self.cache.flush()).expect("a flush");
        self.model.flush();
        self.check_counters();
        self.check_invariants();
        assert_eq!(self.cache.entry_count(), 0);
    }

    fn advance(&mut self, time: u64) {
        self.clock.advance(Duration::from_nanos(time));
        self.model.now += time;
        self.learn();
    }
}

/// The output of a future that never waits, or only yields.
fn ready<T>(future: impl Future<Output = T>) -> T {
    futures_lite::future::block_on(future)
}
