//! Random operations on a shard: every invariant holds after each, and nothing is left behind.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::error::CacheError;
use crate::options::CacheOptions;
use crate::shard::background_task::BackgroundTask;
use crate::shard::flight::Flight;
use crate::shard::invalidation_log::InvalidationLog;
use crate::shard::requests::{Completion, Failure, LoadLookup, LoadRequest, StoreMode};
use crate::value::{NewValue, TypeTag};

/// The log of all tests: no invalidation here visits several shards.
pub(super) static LOG: LazyLock<InvalidationLog> = LazyLock::new(InvalidationLog::default);

const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const TAGS: [&str; 4] = ["w", "x", "y", "z"];

/// Three hashes for eight keys: most keys collide.
pub(super) fn key(text: &str) -> Key<'_> {
    let bytes = text.as_bytes();
    let hash = Hashing::Colliding.hash(bytes);
    Key { hash, bytes }
}

/// A shard, and the state of the callers.
pub(super) struct World {
    rng: StdRng,
    pub(super) core: Core,
    now: Moment,
    loads: Vec<(Key<'static>, Arc<Flight>)>,
    invalidations: Vec<Arc<TagInvalidation>>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let limits = Limits {
            entries: 5,
            // Some four entries.
            bytes: 800,
            entry_bytes: 3,
            evicted_at_once: 8,
        };
        Self {
            rng: StdRng::seed_from_u64(seed),
            core: Core::new(limits, Hashing::Colliding),
            now: Moment::of(Duration::ZERO),
            loads: Vec::new(),
            invalidations: Vec::new(),
        }
    }

    fn key(&mut self) -> Key<'static> {
        let index = self.rng.random_range(0..KEYS.len());
        key(KEYS[index])
    }

    fn tags(&mut self) -> TagNames {
        let count = self.rng.random_range(0..4);
        let tag = |_| TAGS[self.rng.random_range(0..TAGS.len())];
        CacheOptions::new().tags((0..count).map(tag)).tags
    }

    fn write<'a>(&mut self, options: &'a mut CacheOptions) -> NewEntry<'a> {
        let ttl = match self.rng.random_range(0..4) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds - 1)),
        };
        let bytes = Bytes::from(vec![0; self.rng.random_range(0..5)]);
        let value = NewValue::reused(bytes, None);
        // Values of up to four bytes: the longest exceeds `entry_bytes`.
        let window = |rng: &mut StdRng| Duration::from_secs(rng.random_range(1..4));
        if self.rng.random_bool(0.3) {
            *options = CacheOptions::new().stale_if_error(window(&mut self.rng));
        }
        if self.rng.random_bool(0.2) {
            *options = options.clone().time_to_idle(window(&mut self.rng));
        }
        NewEntry {
            value,
            ttl,
            extra: options.extra.as_deref(),
            needs_age: self.rng.random_bool(0.2),
            mode: StoreMode::Replace,
        }
    }

    fn step(&mut self) {
        let mut trash = Trash::default();
        let (key, now) = (self.key(), Now::Known(self.now));
        // Each branch is an operation of a caller, a sweep, or a step of the clock.
        match self.rng.random_range(0..14) {
            0..3 => {
                let mut options = CacheOptions::new();
                let (mut write, tags) = (self.write(&mut options), self.tags());
                self.core.put(key, &mut write, &tags, &now, &mut trash);
            }
            3..6 => {
                let tags = self.tags();
                // With or without chosen tags, in the caller or in the background.
                let mut request = LoadRequest::new(TypeTag::of::<()>(), &LOG);
                request.started_at = self.rng.random_bool(0.5).then_some(0);
                let after = Duration::from_secs(self.rng.random_range(0..3));
                let is_background = self.rng.random_bool(0.3);
                request.background = is_background
                    .then(|| Arc::new(BackgroundTask::new(after, after, self.now.after(after))));
                let lookup = self.core.claim(key, &request, &tags, &now);
                match lookup {
                    LoadLookup::Lead(claimed) => self.loads.push((key, claimed.flight)),
                    // As a caller does: end the load, and look again later.
                    LoadLookup::Overdue(flight) => {
                        let core = &mut self.core;
                        core.abandon(key, &flight, &Failure::None, &now, &mut trash);
                    }
                    _ => {}
                }
                if self.rng.random_bool(0.2) {
                    let request = LoadRequest::new(TypeTag::of::<()>(), &LOG);
                    let tags = self.tags();
                    let claimed = self.core.claim_refresh(key, &request, &tags, &now);
                    if let Ok((flight, _)) = claimed {
                        self.loads.push((key, flight));
                    }
                }
            }
            6..8 if !self.loads.is_empty() => {
                let at = self.rng.random_range(0..self.loads.len());
                let (key, flight) = self.loads.swap_remove(at);
                if self.rng.random_bool(0.3) {
                    // Cancelled, failed, or failed with a back-off of a second.
                    let error = CacheError::panic(key.bytes);
                    let failure = match self.rng.random_range(0..3) {
                        0 => Failure::None,
                        time => Failure::Error(&error, Duration::from_secs(time - 1)),
                    };
                    let core = &mut self.core;
                    core.abandon(key, &flight, &failure, &now, &mut trash);
                } else {
                    let mut options = CacheOptions::new();
                    let tags = self.tags().into_iter();
                    let hashed = |name| self.core.contents.hashed_tag(name);
                    let own_tags: Vec<_> = tags.map(hashed).collect();
                    let completion = Completion {
                        flight: &flight,
                        entry: &mut self.write(&mut options),
                        own_tags: &own_tags,
                        is_unchanged: self.rng.random_bool(0.2),
                        log: &InvalidationLog::default(),
                    };
                    self.core.complete(key, completion, &now, &mut trash);
                }
            }
            8 => {
                self.core.remove(key, &now, &mut trash);
            }
            9 => {
                // Any tag, known to the shard or not.
                let effects = [Effect::Remove, Effect::Expire];
                let effect = effects[self.rng.random_range(0..2)];
                let invalidation = Arc::new(TagInvalidation::new(effect));
                let name = TAGS[self.rng.random_range(0..TAGS.len())];
                let tag = self.core.contents.hashed_tag(name);
                self.core.invalidate(&[tag], &invalidation, &now);
                self.invalidations.push(invalidation);
            }
            10 if self.rng.random_bool(0.2) => self.core.flush(&now, &mut trash),
            // As `compact` does: never with dead members.
            10 if !self.core.contents.tags.has_dead_members() => {
                self.core.move_to_new_tables(&mut trash);
            }
            10 => {
                self.core.sweep(2, &mut trash);
            }
            11 => {
                self.core.expire(key, &now, &mut trash);
            }
            12 => {
                self.core.probe(key, &now);
            }
            _ => self.now = self.now.after(Duration::from_secs(1)),
        }
        self.core.validate();
    }
}

#[test]
fn random_operations_keep_every_invariant() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.step();
        }
    }
}

#[test]
fn ended_loads_and_removed_entries_leave_nothing() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..100 {
            world.step();
        }
        let mut trash = Trash::default();
        // 1. End all loads.
        for (key, flight) in world.loads.drain(..) {
            let now = Now::Known(world.now);
            world
                .core
                .abandon(key, &flight, &Failure::None, &now, &mut trash);
        }
        assert_eq!(world.core.in_flight.usage().0, 0);
        // 2. Remove all entries, and sweep.
        for text in KEYS {
            let now = Now::Known(world.now);
            world.core.remove(key(text), &now, &mut trash);
        }
        world.core.sweep(usize::MAX, &mut trash);
        assert_eq!(world.core.len(), 0);
        // 3. Nothing is left, and no invalidation counted more than the statistics.
        assert!(world.core.contents.tags.is_empty());
        let counted_by = |effect| {
            let invalidations = world
                .invalidations
                .iter()
                .filter(move |invalidation| invalidation.effect == effect);
            invalidations
                .map(|invalidation| invalidation.count())
                .sum::<u64>()
        };
        let stats = world.core.stats;
        assert!(counted_by(Effect::Remove) <= stats.invalidations);
        assert_eq!(world.core.backoffs.len(), 0);
    }
}

#[test]
fn full_counters_wrap_to_zero() {
    for seed in 0..100 {
        let (mut world, mut full) = (World::new(seed), World::new(seed));
        full.core.stats = CacheStats::full();
        for _ in 0..100 {
            world.step();
            full.step();
        }
        let counted = world.core.stats;
        assert_eq!(full.core.stats, counted.add(CacheStats::full()));
    }
}

/// Returns a value of a single byte, fresh for a second.
pub(super) fn byte(options: &CacheOptions) -> NewEntry<'_> {
    NewEntry {
        value: NewValue::typed(Bytes::from_static(&[1]), TypeTag::of::<u8>()),
        ttl: Some(Duration::from_secs(1)),
        extra: options.extra.as_deref(),
        needs_age: false,
        mode: StoreMode::Replace,
    }
}

// In the log, the invalidation of the tag is before the load. In this shard, the last one
// visited by the invalidation, the tag dies after the start.
#[test]
fn unchanged_value_with_a_dead_old_tag_is_discarded() {
    for tag_dies in [false, true] {
        let (mut core, mut trash) = (World::new(0).core, Trash::default());
        let old = CacheOptions::new();
        let old = old.stale_if_error(Duration::from_secs(9)).tag("old");
        core.put(
            key("a"),
            &mut byte(&old),
            &old.tags,
            &Now::Known(Moment::ZERO),
            &mut trash,
        );
        let time = Moment::of(Duration::from_secs(2));
        let (now, none) = (Now::Known(time), CacheOptions::new());
        let mut request = LoadRequest::new(TypeTag::of::<u8>(), &LOG);
        request.started_at = Some(0);
        let LoadLookup::Lead(claimed) = core.claim(key("a"), &request, &none.tags, &now) else {
            panic!("the key was not claimed");
        };
        // The invalidation visits this shard only now.
        if tag_dies {
            let tag = core.contents.hashed_tag("old");
            let invalidation = Arc::new(TagInvalidation::new(Effect::Remove));
            core.invalidate(&[tag], &invalidation, &now);
        }
        let completion = Completion {
            flight: &claimed.flight,
            entry: &mut byte(&none),
            own_tags: &[],
            is_unchanged: true,
            log: &InvalidationLog::default(),
        };
        core.complete(key("a"), completion, &now, &mut trash);
        assert_eq!(core.contains(key("a"), &now), !tag_dies);
        assert_eq!(core.stats.stale_load_discards, u64::from(tag_dies));
    }
}

// An entry expired before an invalidation is not counted by the invalidation.
#[test]
fn evicted_entry_counts_under_the_first_end() {
    for (expected, at) in [("in time", 2), ("by the invalidation", 0)] {
        let (mut core, mut trash) = (World::new(0).core, Trash::default());
        let options = CacheOptions::new().tag("w");
        let put = &mut byte(&options);
        core.put(
            key("a"),
            put,
            &options.tags,
            &Now::Known(Moment::ZERO),
            &mut trash,
        );
        let at = Moment::of(Duration::from_secs(at));
        let tag = core.contents.hashed_tag("w");
        let invalidation = Arc::new(TagInvalidation::new(Effect::Remove));
        core.invalidate(&[tag], &invalidation, &Now::Known(at));
        let (evicted, not_live) = core
            .contents
            .evict(1, &Now::Known(at), |entry, cause| trash.entry(entry, cause));
        assert_eq!(evicted, 1);
        match &not_live[..] {
            [Liveness::Expired] => assert_eq!(expected, "in time"),
            [Liveness::Invalidated(_)] => assert_eq!(expected, "by the invalidation"),
            not_live => panic!("{not_live:?}"),
        }
    }
}

// Two operations meet the entry before the sweep.
#[test]
fn invalidated_entry_is_counted_once() {
    let (mut core, mut trash) = (World::new(0).core, Trash::default());
    let (now, options) = (Now::Known(Moment::ZERO), CacheOptions::new().tag("w"));
    core.put(
        key("a"),
        &mut byte(&options),
        &options.tags,
        &now,
        &mut trash,
    );
    let invalidation = Arc::new(TagInvalidation::new(Effect::Remove));
    let tag = core.contents.hashed_tag("w");
    core.invalidate(&[tag], &invalidation, &now);
    assert!(!core.expire(key("a"), &now, &mut trash));
    // `expire` removed the entry, and so the sweep finds none.
    core.sweep(usize::MAX, &mut trash);
    assert_eq!((invalidation.count(), core.stats.invalidations), (1, 1));
}
