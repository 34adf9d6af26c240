//! Random calls, one after another, against a model so plain that it is plainly
//! right: every answer, every counter and the number of entries after each call. Which
//! live entry a full cache lets go is its own choice: the model asks what is left, and
//! sees to it that it was one, and only when there was no room.
//!
//! What the model cannot see, the tables inside, is checked after each of as many
//! random acts in `src/shard/core/tests.rs`.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an error that nobody asked for is a failure"
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
    Put(u8, Kept),
    /// A loading call, with what its loader would give.
    Load(u8, Kept, Result<u32, ()>),
    Remove(u8),
    InvalidateTags(Vec<u8>),
    Flush,
    Advance(u8),
}

/// What a call wishes for its entry.
#[derive(Clone, Debug)]
struct Kept {
    value: u32,
    tags: Vec<u8>,
    /// In seconds.
    ttl: Option<u8>,
}

fn calls() -> impl Strategy<Value = Call> {
    let key = || 0..6_u8;
    let kept = || {
        let ttl = proptest::option::of(0..4_u8);
        (any::<u32>(), vec(0..3_u8, 0..3), ttl).prop_map(|(value, tags, ttl)| Kept {
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
        6 => (key(), kept()).prop_map(|(key, kept)| Call::Put(key, kept)),
        4 => (key(), kept(), loaded).prop_map(|(key, kept, loaded)| Call::Load(key, kept, loaded)),
        2 => key().prop_map(Call::Remove),
        2 => vec(0..3_u8, 0..3).prop_map(Call::InvalidateTags),
        1 => Just(Call::Flush),
        2 => (1..3_u8).prop_map(Call::Advance),
    ]
}

/// The entries that take up room.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    now: Duration,
    stats: CacheStats,
    /// The ways to leave, or not to come, that no counter has.
    replaced: u64,
    flushed: u64,
    stored: u64,
}

struct Entry {
    key: u8,
    kept: Kept,
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

    /// Takes out what is chosen, and says how many of it were live.
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
            return Some(self.entries[at].kept.value);
        }
        self.stats.misses += 1;
        self.take(|entry| entry.key == key);
        None
    }

    /// `is_held` says whether the cache has a key now, after the same put.
    fn put(&mut self, key: u8, kept: Kept, is_held: impl Fn(u8) -> bool) {
        self.replaced += self.take(|entry| entry.key == key);
        let now = self.now;
        self.take(|entry| entry.deadline.is_some_and(|deadline| deadline <= now));
        if kept.ttl == Some(0) {
            return;
        }
        self.stored += 1;
        let deadline = kept.ttl.map(|ttl| self.now + SECOND * ttl.into());
        self.entries.push(Entry {
            key,
            kept,
            deadline,
        });
        if self.entries.len() > CAPACITY {
            self.entries.retain(|entry| is_held(entry.key));
            self.stats.evictions += 1;
        }
    }

    fn load(
        &mut self,
        key: u8,
        kept: Kept,
        loaded: Result<u32, ()>,
        is_held: impl Fn(u8) -> bool,
    ) -> Result<u32, ()> {
        if let Some(at) = self.find_live(key) {
            self.stats.hits += 1;
            return Ok(self.entries[at].kept.value);
        }
        self.stats.misses += 1;
        self.stats.loads += 1;
        match loaded {
            Ok(value) => self.put(key, Kept { value, ..kept }, is_held),
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
        let live = self.take(|entry| entry.kept.tags.iter().any(|tag| tags.contains(tag)));
        self.stats.invalidations += live;
        live
    }

    /// What was stored is held or has left in one way.
    fn validate(&self, held: u64) {
        let left = self.stats.evictions + self.stats.expirations + self.stats.invalidations;
        assert_eq!(self.stored, held + left + self.replaced + self.flushed);
    }
}

fn name(number: u8) -> String {
    format!("name {number}")
}

fn options(kept: &Kept) -> CacheOptions {
    let options = CacheOptions::new().tags(kept.tags.iter().map(|&tag| name(tag)));
    match kept.ttl {
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
                assert_eq!(got, at.map(|at| model.entries[at].kept.value));
            }
            Call::Contains(key) => {
                let got = block_on(cache.contains_key(&name(key)));
                assert_eq!(got, model.find_live(key).is_some());
            }
            Call::Put(key, kept) => {
                block_on(cache.put(&name(key), kept.value, options(&kept))).unwrap();
                model.put(key, kept, is_held);
            }
            Call::Load(key, kept, loaded) => {
                let answer = || async { loaded.map_err(|()| "away") };
                let name = name(key);
                let got = block_on(cache.get_or_load(&name, options(&kept), answer));
                let expected = model.load(key, kept, loaded, is_held);
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
    fn the_cache_does_as_the_model(calls in vec(calls(), 0..60)) {
        run(calls);
    }
}
