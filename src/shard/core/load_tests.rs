//! Loads under the lock: fences, the order of loads, types.

use std::time::Duration;

use super::tests::{LOG, World, byte, key};
use super::*;
use crate::error::CacheError;
use crate::options::CacheOptions;
use crate::shard::flight::Flight;
use crate::shard::invalidation_log::InvalidationLog;
use crate::shard::requests::{Completion, Failure, LoadLookup, LoadRequest};
use crate::value::TypeTag;

const NOW: Now<'static> = Now::Known(Moment::ZERO);

/// Claims the slot of a missing key.
fn lead(core: &mut Core, text: &'static str, tags: &TagNames) -> Arc<Flight> {
    let request = LoadRequest::new(TypeTag::of::<u8>(), &LOG);
    match core.claim(key(text), &request, tags, &Now::Known(Moment::ZERO)) {
        LoadLookup::Lead(claimed) => claimed.flight,
        other => panic!("{other:?}"),
    }
}

// The move binds the tags of loads again, too.
#[test]
fn invalidation_after_compact_fences_earlier_loads() {
    let (mut core, mut trash) = (World::new(0).core, Trash::default());
    let (now, options) = (Now::Known(Moment::ZERO), CacheOptions::new().tag("w"));
    let flight = &lead(&mut core, "a", &options.tags);
    core.move_to_new_tables(&mut trash);
    core.validate();
    let invalidation = Arc::new(TagInvalidation::new(Effect::Remove));
    let tag = core.contents.hashed_tag("w");
    core.invalidate(&[tag], &invalidation, &now);
    let completion = Completion {
        flight,
        entry: &mut byte(&options),
        own_tags: &[],
        is_unchanged: false,
        log: &InvalidationLog::default(),
    };
    core.complete(key("a"), completion, &now, &mut trash);
    assert_eq!((core.len(), core.stats.stale_load_discards), (0, 1));
}

// Two keys with one hash: one load fails, and the other goes on.
#[test]
fn loads_with_equal_hashes_are_told_apart() {
    let (a, b) = (key("a"), key("d"));
    assert_eq!(a.hash, b.hash);
    let (mut core, mut trash) = (World::new(0).core, Trash::default());
    let (now, none) = (Now::Known(Moment::ZERO), CacheOptions::new());
    let [first, second] = ["a", "d"].map(|text| lead(&mut core, text, &none.tags));
    let error = CacheError::panic(a.bytes);
    let failure = Failure::Error(&error, Duration::ZERO);
    core.abandon(a, &first, &failure, &now, &mut trash);
    assert_eq!(core.backoffs.len(), 0, "a back-off of zero is kept");
    assert!(core.in_flight.get(a).is_empty());
    let [load] = core.in_flight.get(b) else {
        panic!("the load of the other key left");
    };
    assert!(Arc::ptr_eq(&load.flight, &second));
}

// A fresh value of another type came between the look-up and the claim: no load may replace
// the value.
#[test]
fn claim_returns_a_fresh_value_of_another_type() {
    let (mut core, now) = (World::new(0).core, Now::Known(Moment::ZERO));
    let mut trash = Trash::default();
    let due = CacheOptions::new().refresh_ahead(0.0);
    core.put(key("a"), &mut byte(&due), &due.tags, &now, &mut trash);
    // The entry is due, so a load of the same type may start.
    let same = LoadRequest::new(TypeTag::of::<u8>(), &LOG);
    let other = LoadRequest::new(TypeTag::of::<bool>(), &LOG);
    let mut claim = |request| core.claim(key("a"), request, &due.tags, &now);
    assert!(matches!(claim(&other), LoadLookup::Hit(_)));
    assert!(matches!(claim(&same), LoadLookup::Lead(_)));
}

/// Claims the slot for a refresh, over any other load.
fn refresh(core: &mut Core, text: &'static str) -> Arc<Flight> {
    let request = LoadRequest::new(TypeTag::of::<u8>(), &LOG);
    let claimed = core.claim_refresh(key(text), &request, &TagNames::new(), &NOW);
    claimed.expect("no value of another type").0
}

/// Completes a load of "a" with a time to live. Returns `true` if the value was stored.
fn complete(core: &mut Core, flight: &Arc<Flight>, ttl: Option<u64>) -> bool {
    let options = CacheOptions::new();
    let mut entry = byte(&options);
    entry.ttl = ttl.map(Duration::from_secs);
    let discards = core.stats.stale_load_discards;
    let completion = Completion {
        flight,
        entry: &mut entry,
        own_tags: &[],
        is_unchanged: false,
        log: &InvalidationLog::default(),
    };
    core.complete(key("a"), completion, &NOW, &mut Trash::default());
    core.validate();
    core.stats.stale_load_discards == discards
}

fn abandon(core: &mut Core, flight: &Arc<Flight>, failure: &Failure<'_>) {
    core.abandon(key("a"), flight, failure, &NOW, &mut Trash::default());
    core.validate();
}

// Every order in which three loads of a key can end: a load is stored unless a newer load has
// been stored.
#[test]
fn load_is_stored_unless_a_newer_load_was() {
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let mut core = World::new(0).core;
        let oldest = lead(&mut core, "a", &TagNames::new());
        let loads = [oldest, refresh(&mut core, "a"), refresh(&mut core, "a")];
        let mut newest_stored = None;
        for load in order {
            let expected = newest_stored.is_none_or(|newest| load > newest);
            // A time to live of zero stores nothing, and removes the older value all the same.
            let ttl = (load == 1).then_some(0);
            assert_eq!(
                complete(&mut core, &loads[load], ttl),
                expected,
                "{order:?}: {load}"
            );
            newest_stored = newest_stored.max(Some(load));
            assert_eq!(core.contains(key("a"), &NOW), newest_stored != Some(1));
        }
        assert_eq!(core.in_flight.usage().0, 0);
    }
}

#[test]
fn failed_newer_load_leaves_the_older_load() {
    let error = CacheError::panic(b"a");
    let failures = [
        Failure::None,
        Failure::Error(&error, Duration::from_secs(9)),
    ];
    for failure in failures {
        let mut core = World::new(0).core;
        let older = lead(&mut core, "a", &TagNames::new());
        let newer = refresh(&mut core, "a");
        abandon(&mut core, &newer, &failure);
        assert!(complete(&mut core, &older, None), "{failure:?}");
        assert!(core.contains(key("a"), &NOW));
    }
}

#[test]
fn later_calls_join_the_newest_load() {
    let mut core = World::new(0).core;
    let older = lead(&mut core, "a", &TagNames::new());
    let newer = refresh(&mut core, "a");
    let joined = |core: &Core| {
        let request = LoadRequest::new(TypeTag::of::<u8>(), &LOG);
        match core.probe_load(key("a"), &request, &NOW) {
            LoadLookup::Join { flight, .. } => flight,
            other => panic!("{other:?}"),
        }
    };
    assert!(Arc::ptr_eq(&joined(&core), &newer));
    abandon(&mut core, &newer, &Failure::None);
    assert!(Arc::ptr_eq(&joined(&core), &older));
}

#[test]
fn put_and_remove_fence_every_load_of_the_key() {
    for put in [true, false] {
        let mut core = World::new(0).core;
        let loads = [
            lead(&mut core, "a", &TagNames::new()),
            refresh(&mut core, "a"),
        ];
        let (options, mut trash) = (CacheOptions::new(), Trash::default());
        if put {
            let mut entry = byte(&options);
            core.put(key("a"), &mut entry, &options.tags, &NOW, &mut trash);
        } else {
            core.remove(key("a"), &NOW, &mut trash);
        }
        for load in &loads {
            assert!(!complete(&mut core, load, None));
        }
        assert_eq!(core.contains(key("a"), &NOW), put);
    }
}
