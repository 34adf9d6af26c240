//! Random sequential calls give the same answers, counters and entry counts as a simple model.
//!
//! The policy chooses which live entry a full cache evicts. The model asks the cache which
//! entries are left, and checks that exactly one is evicted, and only when the cache is full.
//!
//! The internal tables, hidden from the model, are checked after random operations in
//! `src/shard/core/tests.rs`.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

use std::time::Duration;

use futures_lite::future::block_on;
use hydracache::{CacheOptions, CacheStats, HydraCache, ManualClock};
use proptest::collection::vec;
use proptest::prelude::*;

const CAPACITY: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
enum Call {
    Get(u8),
    Peek(u8),
    Contains(u8),
    Put(u8, NewEntry),
    PutIfAbsent(u8, NewEntry),
    Update(u8, NewEntry),
    /// A loading call, with the result of its loader.
    Load(u8, NewEntry, Result<u32, ()>),
    Remove(u8),
    InvalidateTags(Vec<u8>),
    Flush,
    Tidy,
    Advance(u8),
}

/// The value and options of a call that stores.
#[derive(Clone, Debug)]
struct NewEntry {
    value: u32,
    tags: Vec<u8>,
    /// The time to live in seconds.
    ttl: Option<u8>,
}

fn calls() -> impl Strategy<Value = Call> {
    let key = || 0..6_u8;
    let new = || {
        let ttl = proptest::option::of(0..4_u8);
        (any::<u32>(), vec(0..3_u8, 0..3), ttl).prop_map(|(value, tags, ttl)| NewEntry {
            value,
            tags,
            ttl,
        })
    };
    let loaded = prop_oneof![4 => any::<u32>().prop_map(Ok), 1 => Just(Err(()))];
    prop_oneof![
        4 => key().prop_map(Call::Get),
        1 => key().prop_map(Call::Peek),
        1 => key().prop_map(Call::Contains),
        6 => (key(), new()).prop_map(|(key, new)| Call::Put(key, new)),
        1 => (key(), new()).prop_map(|(key, new)| Call::PutIfAbsent(key, new)),
        3 => (key(), new()).prop_map(|(key, new)| Call::Update(key, new)),
        4 => (key(), new(), loaded).prop_map(|(key, new, loaded)| Call::Load(key, new, loaded)),
        2 => key().prop_map(Call::Remove),
        2 => vec(0..3_u8, 0..3).prop_map(Call::InvalidateTags),
        1 => Just(Call::Flush),
        1 => Just(Call::Tidy),
        2 => (1..3_u8).prop_map(Call::Advance),
    ]
}

/// The expected contents and counters of the cache.
#[derive(Default)]
struct Model {
    /// Every entry that still occupies capacity, expired or not.
    entries: Vec<Entry>,
    now: Duration,
    stats: CacheStats,
    /// Removals without a counter, and the number of stored entries.
    replaced: u64,
    flushed: u64,
    stored: u64,
}

struct Entry {
    key: u8,
    new: NewEntry,
    deadline: Option<Duration>,
}

impl Model {
    fn is_live(&self, entry: &Entry) -> bool {
        entry.deadline.is_none_or(|deadline| self.now < deadline)
    }

    fn find_live(&self, key: u8) -> Option<usize> {
        let found = |entry: &Entry| entry.key == key && self.is_live(entry);
        self.entries.iter().position(found)
    }

    /// Removes the chosen entries and returns how many were live; counts the expired ones.
    fn take(&mut self, chosen: impl Fn(&Entry) -> bool) -> u64 {
        let (taken, left) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(chosen);
        self.entries = left;
        let taken: Vec<Entry> = taken;
        let live = taken.iter().filter(|entry| self.is_live(entry)).count() as u64;
        self.stats.expirations += taken.len() as u64 - live;
        live
    }

    fn get(&mut self, key: u8) -> Option<u32> {
        if let Some(at) = self.find_live(key) {
            self.stats.hits += 1;
            return Some(self.entries[at].new.value);
        }
        self.stats.misses += 1;
        self.take(|entry| entry.key == key);
        None
    }

    /// `is_held` tells whether the cache still holds a key after the same put.
    fn put(&mut self, key: u8, new: NewEntry, is_held: impl Fn(u8) -> bool) {
        let deadline = new.ttl.map(|ttl| self.now + SECOND * ttl.into());
        self.store(key, new, deadline, is_held);
    }

    fn put_if_absent(&mut self, key: u8, new: NewEntry, is_held: impl Fn(u8) -> bool) -> bool {
        if self.find_live(key).is_some() {
            return false;
        }
        let is_stored = new.ttl != Some(0);
        self.put(key, new, is_held);
        is_stored
    }

    /// Adds the value to the value of the entry. Returns the value before.
    fn update(&mut self, key: u8, mut new: NewEntry, is_held: impl Fn(u8) -> bool) -> Option<u32> {
        let Some(at) = self.find_live(key) else {
            self.put(key, new, is_held);
            return None;
        };
        let (old, mut deadline) = (&self.entries[at], self.entries[at].deadline);
        let seen = old.new.value;
        new.value = new.value.wrapping_add(seen);
        new.tags.extend(&old.new.tags);
        if let Some(ttl) = new.ttl {
            deadline = Some(self.now + SECOND * ttl.into());
        }
        self.store(key, new, deadline, is_held);
        Some(seen)
    }

    fn tidy(&mut self) -> u64 {
        let (now, before) = (self.now, self.entries.len());
        self.take(|entry| entry.deadline.is_some_and(|deadline| deadline <= now));
        (before - self.entries.len()) as u64
    }

    fn store(
        &mut self,
        key: u8,
        new: NewEntry,
        deadline: Option<Duration>,
        is_held: impl Fn(u8) -> bool,
    ) {
        self.replaced += self.take(|entry| entry.key == key);
        let now = self.now;
        self.take(|entry| entry.deadline.is_some_and(|deadline| deadline <= now));
        if new.ttl == Some(0) {
            return;
        }
        self.stored += 1;
        self.entries.push(Entry { key, new, deadline });
        if self.entries.len() > CAPACITY {
            self.entries.retain(|entry| is_held(entry.key));
            self.stats.evictions += 1;
        }
    }

    fn load(
        &mut self,
        key: u8,
        new: NewEntry,
        loaded: Result<u32, ()>,
        is_held: impl Fn(u8) -> bool,
    ) -> Result<u32, ()> {
        if let Some(at) = self.find_live(key) {
            self.stats.hits += 1;
            return Ok(self.entries[at].new.value);
        }
        self.stats.misses += 1;
        self.stats.loads += 1;
        match loaded {
            Ok(value) => self.put(key, NewEntry { value, ..new }, is_held),
            Err(()) => self.stats.load_failures += 1,
        }
        loaded
    }

    fn remove(&mut self, key: u8) -> bool {
        let live = self.take(|entry| entry.key == key);
        self.stats.invalidations += live;
        live > 0
    }

    fn invalidate(&mut self, tags: &[u8]) -> u64 {
        let live = self.take(|entry| entry.new.tags.iter().any(|tag| tags.contains(tag)));
        self.stats.invalidations += live;
        live
    }

    /// Every stored entry is held, or was removed for exactly one reason.
    fn validate(&self, held: u64) {
        let left = self.stats.evictions + self.stats.expirations + self.stats.invalidations;
        assert_eq!(self.stored, held + left + self.replaced + self.flushed);
    }
}

fn name(number: u8) -> String {
    format!("name {number}")
}

fn options(new: &NewEntry) -> CacheOptions {
    let options = CacheOptions::new().tags(new.tags.iter().map(|&tag| name(tag)));
    match new.ttl {
        Some(ttl) => options.ttl(SECOND * ttl.into()),
        None => options,
    }
}

fn run(calls: Vec<Call>) {
    let clock = ManualClock::new();
    let builder = HydraCache::local().max_capacity(CAPACITY as u64);
    let cache = builder.clock(clock.clone()).build();
    let is_held = |key: u8| block_on(cache.contains_key(&name(key)));
    let mut model = Model::default();
    for call in calls {
        match call {
            Call::Get(key) => {
                let got = block_on(cache.get::<u32>(&name(key))).unwrap();
                assert_eq!(got, model.get(key));
            }
            Call::Peek(key) => {
                let got = block_on(cache.peek::<u32>(&name(key))).unwrap();
                let at = model.find_live(key);
                assert_eq!(got, at.map(|at| model.entries[at].new.value));
            }
            Call::Contains(key) => {
                let got = block_on(cache.contains_key(&name(key)));
                assert_eq!(got, model.find_live(key).is_some());
            }
            Call::Put(key, new) => {
                block_on(cache.put(&name(key), new.value, options(&new))).unwrap();
                model.put(key, new, is_held);
            }
            Call::PutIfAbsent(key, new) => {
                let name = name(key);
                let call = cache.put_if_absent(&name, new.value, options(&new));
                let got = block_on(call).unwrap();
                assert_eq!(got, model.put_if_absent(key, new, is_held));
            }
            Call::Update(key, new) => {
                let (name, mut seen) = (name(key), None);
                let change = |value: Option<u32>| {
                    seen = value;
                    Some(value.unwrap_or(0).wrapping_add(new.value))
                };
                block_on(cache.update(&name, options(&new), change)).unwrap();
                assert_eq!(seen, model.update(key, new, is_held));
            }
            Call::Load(key, new, loaded) => {
                let answer = || async { loaded.map_err(|()| "unavailable") };
                let name = name(key);
                let got = block_on(cache.get_or_load(&name, options(&new), answer));
                let expected = model.load(key, new, loaded, is_held);
                assert_eq!(got.map_err(|_| ()), expected);
            }
            Call::Remove(key) => {
                let got = block_on(cache.remove(&name(key))).unwrap();
                assert_eq!(got, model.remove(key));
            }
            Call::InvalidateTags(tags) => {
                let names = tags.iter().map(|&tag| name(tag));
                let got = block_on(cache.invalidate_tags(names)).unwrap();
                assert_eq!(got, model.invalidate(&tags));
            }
            Call::Flush => {
                block_on(cache.flush()).unwrap();
                model.flushed += model.take(|_| true);
            }
            Call::Tidy => assert_eq!(block_on(cache.tidy()).unwrap(), model.tidy()),
            Call::Advance(seconds) => {
                clock.advance(SECOND * seconds.into());
                model.now += SECOND * seconds.into();
            }
        }
        let held = cache.entry_count();
        assert_eq!(held, model.entries.len() as u64);
        assert_eq!(cache.stats(), model.stats);
        model.validate(held);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_calls_match_the_model(calls in vec(calls(), 0..60)) {
        run(calls);
    }
}
