//! A shard at the largest numbers. Indices are narrow in tests: see `src/index/index_vec.rs`.

use std::time::Duration;

use super::tests::LOG;
use super::*;
use crate::index::Index;
use crate::key::KeyHasher;
use crate::options::CacheOptions;
use crate::shard::flight::Flight;
use crate::shard::invalidation_log::InvalidationLog;
use crate::shard::requests::{Completion, LoadLookup, LoadRequest, StoreMode};
use crate::value::{NewValue, TypeTag};

const NOW: Now<'static> = Now::Known(Moment::ZERO);

struct World {
    core: Core,
    hashing: Hashing,
}

impl World {
    /// Creates a shard without limits.
    fn new() -> Self {
        let limits = Limits {
            entries: usize::MAX,
            bytes: usize::MAX,
            entry_bytes: usize::MAX,
            evicted_at_once: 8,
        };
        let hashing = Hashing::new(KeyHasher::default());
        let core = Core::new(limits, hashing.clone());
        Self { core, hashing }
    }

    fn key<'a>(&self, text: &'a str) -> Key<'a> {
        let (bytes, hash) = (text.as_bytes(), self.hashing.hash(text.as_bytes()));
        Key { hash, bytes }
    }

    fn put(&mut self, text: &str, options: &CacheOptions) {
        let mut write = write(text, options);
        let key = self.key(text);
        let mut trash = Trash::default();
        self.core
            .put(key, &mut write, &options.tags, &NOW, &mut trash);
    }

    fn has(&self, text: &str) -> bool {
        let Some(id) = self.core.contents.find_fresh(self.key(text), &NOW) else {
            return false;
        };
        assert_eq!(
            self.core.contents.bytes(id),
            text,
            "{text} has the value of another key"
        );
        true
    }

    fn invalidate(&mut self, effect: Effect, name: &str) -> Arc<TagInvalidation> {
        let invalidation = Arc::new(TagInvalidation::new(effect));
        let tag = HashedTag::new(name.into(), &self.hashing);
        let now = Now::Known(Moment::ZERO);
        self.core.invalidate(&[tag], &invalidation, &now);
        invalidation
    }

    fn claim(&mut self, text: &str, options: &CacheOptions) -> Arc<Flight> {
        let mut request = LoadRequest::new(TypeTag::of::<()>(), &LOG);
        request.started_at = Some(0);
        let key = self.key(text);
        let lookup = self.core.claim(key, &request, &options.tags, &NOW);
        let LoadLookup::Lead(claimed) = lookup else {
            panic!("the load of {text} did not claim a slot");
        };
        claimed.flight
    }

    /// Completes a load with a tag chosen by the loader.
    fn complete(&mut self, text: &str, flight: &Arc<Flight>, chosen: &str) {
        let options = CacheOptions::new();
        let own_tags = [HashedTag::new(chosen.into(), &self.hashing)];
        let completion = Completion {
            flight,
            entry: &mut write(text, &options),
            own_tags: &own_tags,
            is_unchanged: false,
            log: &InvalidationLog::default(),
        };
        let (key, mut trash) = (self.key(text), Trash::default());
        self.core.complete(key, completion, &NOW, &mut trash);
    }
}

fn write<'a>(text: &str, options: &'a CacheOptions) -> NewEntry<'a> {
    NewEntry {
        value: NewValue::reused(Bytes::from(text.as_bytes().to_vec()), None),
        ttl: options.ttl,
        extra: options.extra.as_deref(),
        needs_age: false,
        mode: StoreMode::Replace,
    }
}

#[test]
fn shard_without_limits_evicts_when_ids_run_out() {
    let mut world = World::new();
    let (forever, hour) = (CacheOptions::new(), Duration::from_secs(3600));
    let texts: Vec<String> = (0..3 * Contents::MAX_ENTRIES)
        .map(|n| n.to_string())
        .collect();
    // Three times as many entries as ids: some with a deadline, some read again.
    for (n, text) in texts.iter().enumerate() {
        if n % 100 == 0 {
            world.put(text, &CacheOptions::new().ttl(hour));
        } else {
            world.put(text, &forever);
        }
        assert!(world.has(text));
        if n % 7 == 0 {
            world.core.probe(world.key(&texts[n / 2]), &NOW);
        }
    }
    assert!(
        world.core.len() > Contents::MAX_ENTRIES - 8 && world.core.len() <= Contents::MAX_ENTRIES
    );
    let stored = texts.iter().filter(|text| world.has(text));
    assert_eq!(stored.count(), world.core.len());
    // Each entry is stored or was evicted.
    let (len, evicted) = (world.core.len() as u64, world.core.stats.evictions);
    assert_eq!(len + evicted, texts.len() as u64);
    world.core.validate();
}

/// Returns a shard filled with entries of ten tags each until no pair is left, and the number
/// of entries.
fn filled() -> (World, usize) {
    let mut world = World::new();
    let with_window = CacheOptions::new().stale_if_error(Duration::from_secs(60));
    for n in 0..usize::from(Index::MAX) {
        let tags = (0..10).map(|tag| format!("{n} {tag}"));
        world.put(&n.to_string(), &with_window.clone().tags(tags));
        if world.core.stats.rejections > 0 {
            assert!(!world.has(&n.to_string()));
            // Use up the last pairs.
            let mut more = 0;
            while world.core.stats.rejections < 2 {
                world.put(
                    &format!("more {more}"),
                    &with_window.clone().tag(format!("more {more}")),
                );
                more += 1;
            }
            world.core.validate();
            return (world, n);
        }
    }
    panic!("no put was refused")
}

#[test]
fn put_without_free_pairs_is_refused() {
    let (mut world, filled) = filled();
    assert!(filled > usize::from(Index::MAX) / 21);
    let tagged = |tag: &str| CacheOptions::new().tag(tag);
    // A refused put removes the old value.
    world.put("untagged", &CacheOptions::new());
    assert!(world.has("untagged"));
    world.put("untagged", &tagged("new"));
    assert!(!world.has("untagged"));
    assert_eq!(world.core.stats.rejections, 3);
    // Nothing was evicted, and each tag reaches the right entry.
    assert!((0..filled).all(|n| world.has(&n.to_string())));
    let invalidation = world.invalidate(Effect::Remove, "7 3");
    assert!(!world.has("7") && world.has("6") && world.has("8"));
    world.core.sweep(usize::MAX, &mut Trash::default());
    assert_eq!(invalidation.count(), 1);
    world.put("again", &tagged("new"));
    assert!(world.has("again"));
    // The freed pairs serve a new tag, with working invalidations.
    world.invalidate(Effect::Remove, "new");
    assert!(!world.has("again"));
    world.core.validate();
}

#[test]
fn load_without_free_pairs_is_not_stored() {
    let (mut world, _) = filled();
    // The loader chooses the tag: no pair is reserved at the start.
    let flight = world.claim("chosen", &CacheOptions::new());
    world.complete("chosen", &flight, "new");
    assert!(!world.has("chosen"));
    let tagged = CacheOptions::new().tag("other");
    let flight = world.claim("in options", &tagged);
    // Tags that are incomplete cannot be told from dead ones, so nobody joins the first load.
    let newer = world.claim("in options", &tagged);
    world.complete("in options", &newer, "0 0");
    // The newer load was refused, and fences the older load as a stored value would.
    world.complete("in options", &flight, "0 0");
    assert!(!world.has("in options"));
    world.core.validate();
    // One load was fenced. The others were refused, after the two refusals of `filled`.
    assert_eq!(world.core.stats.stale_load_discards, 1);
    assert_eq!(world.core.stats.rejections, 4);
    assert_eq!(world.core.in_flight.usage().0, 0);
}

/// Otherwise the entry would stay, and a later removal would not reach the entry.
#[test]
fn expired_entry_without_free_pairs_is_removed() {
    let (mut world, _) = filled();
    let invalidation = world.invalidate(Effect::Expire, "5 5");
    world.core.sweep(usize::MAX, &mut Trash::default());
    assert_eq!(invalidation.count(), 1);
    assert!(world.core.contents.find(world.key("5")).is_none());
    // The removal of "5" gave pairs back.
    let invalidation = world.invalidate(Effect::Expire, "6 6");
    world.core.sweep(usize::MAX, &mut Trash::default());
    assert_eq!(invalidation.count(), 1);
    assert!(
        world.core.contents.find(world.key("6")).is_some(),
        "there are free pairs now"
    );
    world.core.validate();
}
