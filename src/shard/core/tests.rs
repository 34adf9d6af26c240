//! Random acts on one shard, every inner invariant checked after each. What the
//! acts mean is tested from outside; here it is that nothing is left behind.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use bytes::Bytes;

use std::time::Duration;

use super::*;
use crate::error::CacheError;
use crate::options::CacheOptions;
use crate::shard::flight::Flight;
use crate::shard::invalidation_log::InvalidationLog;
use crate::shard::requests::{Completion, Failure, LoadLookup, LoadRequest};
use crate::value::{NewValue, TypeTag};

const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const TAGS: [&str; 4] = ["w", "x", "y", "z"];

/// Three hashes for eight keys: most of them collide.
fn key(text: &str) -> Key<'_> {
    let bytes = text.as_bytes();
    let hash = Hashing::Colliding.hash(bytes);
    Key { hash, bytes }
}

/// One shard, and what its callers hold.
struct World {
    rng: StdRng,
    core: Core,
    now: Moment,
    leads: Vec<(Key<'static>, Arc<Flight>)>,
    invalidations: Vec<Arc<TagInvalidation>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let limits = Limits {
            entries: 5,
            // Some four entries.
            bytes: 500,
            entry_bytes: 3,
            evicted_at_once: 8,
        };
        Self {
            rng: StdRng::seed_from_u64(seed),
            core: Core::new(limits, Hashing::Colliding),
            now: Moment::of(Duration::ZERO),
            leads: Vec::new(),
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
        }
    }

    fn step(&mut self) {
        let mut trash = Trash::default();
        let (key, now) = (self.key(), Now::Known(self.now));
        match self.rng.random_range(0..14) {
            0..3 => {
                let mut options = CacheOptions::new();
                let (mut write, tags) = (self.write(&mut options), self.tags());
                self.core.put(key, &mut write, &tags, &now, &mut trash);
            }
            3..6 => {
                let tags = self.tags();
                let mut request = LoadRequest::new(TypeTag::of::<()>());
                request.started_at = self.rng.random_bool(0.5).then_some(0);
                let after = Duration::from_secs(self.rng.random_range(0..3));
                request.deadline = self.rng.random_bool(0.3).then(|| self.now.after(after));
                let look = self.core.claim(key, &request, &tags, &now);
                if let LoadLookup::Lead(seated) = look {
                    self.leads.push((key, seated.flight));
                }
            }
            6..8 if !self.leads.is_empty() => {
                let at = self.rng.random_range(0..self.leads.len());
                let (key, flight) = self.leads.swap_remove(at);
                if self.rng.random_bool(0.3) {
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
                    let landing = Completion {
                        flight: &flight,
                        entry: &mut self.write(&mut options),
                        own_tags: &own_tags,
                        is_unchanged: self.rng.random_bool(0.2),
                        log: &InvalidationLog::default(),
                    };
                    self.core.complete(key, landing, &now, &mut trash);
                }
            }
            8 => {
                self.core.remove(key, &now, &mut trash);
            }
            9 => {
                let effects = [Effect::Remove, Effect::Expire];
                let effect = effects[self.rng.random_range(0..2)];
                let invalidation = Arc::new(TagInvalidation::new(effect, self.now));
                let name = TAGS[self.rng.random_range(0..TAGS.len())];
                let tag = self.core.contents.hashed_tag(name);
                self.core.invalidate(&[tag], &invalidation);
                self.invalidations.push(invalidation);
            }
            10 if self.rng.random_bool(0.2) => self.core.flush(self.now, &mut trash),
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
fn random_acts_keep_every_invariant() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.step();
        }
    }
}

#[test]
fn nothing_is_left_behind() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..100 {
            world.step();
        }
        let mut trash = Trash::default();
        for (key, flight) in world.leads.drain(..) {
            let now = Now::Known(world.now);
            world
                .core
                .abandon(key, &flight, &Failure::None, &now, &mut trash);
        }
        assert_eq!(world.core.in_flight.usage().0, 0);
        for text in KEYS {
            let now = Now::Known(world.now);
            world.core.remove(key(text), &now, &mut trash);
        }
        world.core.sweep(usize::MAX, &mut trash);
        assert_eq!(world.core.len(), 0);
        assert!(world.core.contents.tags.is_empty());
        let of = |kind| {
            let invalidations = world
                .invalidations
                .iter()
                .filter(move |invalidation| invalidation.effect == kind);
            invalidations
                .map(|invalidation| invalidation.count())
                .sum::<u64>()
        };
        let stats = world.core.stats;
        assert!(of(Effect::Remove) <= stats.invalidations);
        assert_eq!(world.core.backoffs.len(), 0);
    }
}

#[test]
fn counters_that_are_full_go_on_from_zero() {
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

/// A value of a byte, under `a`.
fn byte(options: &CacheOptions) -> NewEntry<'_> {
    NewEntry {
        value: NewValue::typed(Bytes::from_static(&[1]), TypeTag::of::<u8>()),
        ttl: Some(Duration::from_secs(1)),
        extra: options.extra.as_deref(),
        needs_age: false,
    }
}

/// The tag died before the load began, if one goes by the journal; and after it, if one goes
/// by this shard, which the invalidation came to last.
#[test]
fn what_is_unchanged_is_not_stored_if_its_old_tags_are_dead() {
    for dies in [false, true] {
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
        let mut request = LoadRequest::new(TypeTag::of::<u8>());
        request.started_at = Some(0);
        let LoadLookup::Lead(seated) = core.claim(key("a"), &request, &none.tags, &now) else {
            panic!("nobody loads it");
        };
        if dies {
            let tag = core.contents.hashed_tag("old");
            core.invalidate(
                &[tag],
                &Arc::new(TagInvalidation::new(Effect::Remove, time)),
            );
        }
        let landing = Completion {
            flight: &seated.flight,
            entry: &mut byte(&none),
            own_tags: &[],
            is_unchanged: true,
            log: &InvalidationLog::default(),
        };
        core.complete(key("a"), landing, &now, &mut trash);
        assert_eq!(core.contains(key("a"), &now), !dies);
        assert_eq!(core.stats.stale_load_discards, u64::from(dies));
    }
}

/// What had expired before an invalidation came over it is not that one's.
#[test]
fn what_is_evicted_is_counted_for_what_ended_it_first() {
    for (ends, at) in [("in time", 2), ("by the invalidation", 0)] {
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
        core.invalidate(&[tag], &Arc::new(TagInvalidation::new(Effect::Remove, at)));
        let (evicted, gone) = core
            .contents
            .evict(1, &Now::Known(at), |entry, cause| trash.entry(entry, cause));
        assert_eq!(evicted, 1);
        match &gone[..] {
            [Liveness::Expired] => assert_eq!(ends, "in time"),
            [Liveness::Invalidated(_)] => assert_eq!(ends, "by the invalidation"),
            gone => panic!("{gone:?}"),
        }
    }
}

/// Takes the seat of a key that is missing.
fn lead(core: &mut Core, text: &'static str, tags: &TagNames) -> Arc<Flight> {
    let request = LoadRequest::new(TypeTag::of::<u8>());
    match core.claim(key(text), &request, tags, &Now::Known(Moment::ZERO)) {
        LoadLookup::Lead(seated) => seated.flight,
        other => panic!("{other:?}"),
    }
}

/// A load's tags are bound anew, too.
#[test]
fn what_is_invalidated_after_tables_moved_fences_the_loads_of_before() {
    let (mut core, mut trash) = (World::new(0).core, Trash::default());
    let (now, options) = (Now::Known(Moment::ZERO), CacheOptions::new().tag("w"));
    let flight = &lead(&mut core, "a", &options.tags);
    core.move_to_new_tables(&mut trash);
    core.validate();
    let invalidation = Arc::new(TagInvalidation::new(Effect::Remove, Moment::ZERO));
    let tag = core.contents.hashed_tag("w");
    core.invalidate(&[tag], &invalidation);
    let landing = Completion {
        flight,
        entry: &mut byte(&options),
        own_tags: &[],
        is_unchanged: false,
        log: &InvalidationLog::default(),
    };
    core.complete(key("a"), landing, &now, &mut trash);
    assert_eq!((core.len(), core.stats.stale_load_discards), (0, 1));
}

/// Two keys of one hash: one is loaded, and has failed, and the other is not, and has not.
#[test]
fn loads_are_told_apart_by_their_keys() {
    let (a, b) = (key("a"), key("d"));
    assert_eq!(a.hash, b.hash);
    let (mut core, mut trash) = (World::new(0).core, Trash::default());
    let (now, none) = (Now::Known(Moment::ZERO), CacheOptions::new());
    let [first, second] = ["a", "d"].map(|text| lead(&mut core, text, &none.tags));
    let error = CacheError::panic(a.bytes);
    let failure = Failure::Error(&error, Duration::ZERO);
    core.abandon(a, &first, &failure, &now, &mut trash);
    assert_eq!(core.backoffs.len(), 0, "nobody asked to remember it");
    assert!(core.in_flight.get(a).is_none());
    assert!(Arc::ptr_eq(&core.in_flight.get(b).unwrap().flight, &second));
}

/// Though it is asked to leave twice before its memory is given back.
#[test]
fn what_an_invalidation_ended_is_counted_once() {
    let (mut core, mut trash) = (World::new(0).core, Trash::default());
    let (now, options) = (Now::Known(Moment::ZERO), CacheOptions::new().tag("w"));
    core.put(
        key("a"),
        &mut byte(&options),
        &options.tags,
        &now,
        &mut trash,
    );
    let invalidation = Arc::new(TagInvalidation::new(Effect::Remove, Moment::ZERO));
    let tag = core.contents.hashed_tag("w");
    core.invalidate(&[tag], &invalidation);
    assert!(!core.expire(key("a"), &now, &mut trash));
    core.sweep(usize::MAX, &mut trash);
    assert_eq!((invalidation.count(), core.stats.invalidations), (1, 1));
}

/// What came between the look and the seat is of another type: nothing is loaded over it.
#[test]
fn nobody_sits_down_to_replace_a_fresh_value_of_another_type() {
    let (mut core, now) = (World::new(0).core, Now::Known(Moment::ZERO));
    let mut trash = Trash::default();
    let due = CacheOptions::new().refresh_ahead(0.0);
    core.put(key("a"), &mut byte(&due), &due.tags, &now, &mut trash);
    let same = LoadRequest::new(TypeTag::of::<u8>());
    let other = LoadRequest::new(TypeTag::of::<bool>());
    let mut sit = |request| core.claim(key("a"), request, &due.tags, &now);
    assert!(matches!(sit(&other), LoadLookup::Hit(_)));
    assert!(matches!(sit(&same), LoadLookup::Lead(_)));
}
