//! Dead tags before the sweep, and over a move to new tables.

use std::time::Duration;

use bytes::Bytes;

use super::tests::LOG;
use super::*;
use crate::options::CacheOptions;
use crate::shard::core::sweeping::MAX_RECLAIMED_PER_WRITE;
use crate::shard::flight::Flight;
use crate::shard::invalidation_log::InvalidationLog;
use crate::shard::requests::{Completion, LoadLookup, LoadRequest};
use crate::value::{NewValue, TypeTag};

fn key(text: &str) -> Key<'_> {
    let bytes = text.as_bytes();
    let hash = Hashing::Colliding.hash(bytes);
    Key { hash, bytes }
}

/// Returns a value of a single byte, fresh for a second.
fn byte(options: &CacheOptions) -> NewEntry<'_> {
    NewEntry {
        value: NewValue::typed(Bytes::from_static(&[1]), TypeTag::of::<u8>()),
        ttl: Some(Duration::from_secs(1)),
        extra: options.extra.as_deref(),
        needs_age: false,
        mode: StoreMode::Replace,
    }
}

fn core(entries: usize, bytes: usize) -> Core {
    let limits = Limits {
        entries,
        bytes,
        entry_bytes: 99,
        evicted_at_once: 8,
    };
    Core::new(limits, Hashing::Colliding)
}

impl Core {
    fn put_at(&mut self, text: &str, options: &CacheOptions, now: Moment) {
        let (mut entry, mut trash) = (byte(options), Trash::default());
        let now = Now::Known(now);
        self.put(key(text), &mut entry, &options.tags, &now, &mut trash);
        self.validate();
    }

    fn invalidate_name(&mut self, name: &str, effect: Effect, at: Moment) {
        let tag = self.contents.hashed_tag(name);
        let invalidation = Arc::new(TagInvalidation::new(effect));
        self.invalidate(&[tag], &invalidation, &Now::Known(at));
        self.validate();
    }
}

/// Claims the slot of a key with a stale value, for a load that may return the value unchanged.
fn lead(core: &mut Core, text: &str, now: Moment) -> Arc<Flight> {
    let mut request = LoadRequest::new(TypeTag::of::<u8>(), &LOG);
    request.started_at = Some(0);
    let none = CacheOptions::new();
    match core.claim(key(text), &request, &none.tags, &Now::Known(now)) {
        LoadLookup::Lead(claimed) => claimed.flight,
        other => panic!("{other:?}"),
    }
}

/// An invalidation, and a step that comes before or after the invalidation or not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    None,
    Before,
    After,
}

// 1. A load starts, with a stale value of the tag "old". 2. The tag dies, or not, and the
// tables move before or after. 3. The loader returns the old value, or another value.
#[test]
fn dead_tag_of_the_old_value_discards_only_the_unchanged_value() {
    let kept = CacheOptions::new().stale_if_error(Duration::from_secs(9));
    let tagged = kept.clone().tag("old");
    let now = Moment::of(Duration::from_secs(2));
    for is_unchanged in [true, false] {
        for (tag_dies, moves) in [
            (true, Step::None),
            (true, Step::Before),
            (true, Step::After),
            (false, Step::None),
            (false, Step::Before),
        ] {
            for effect in [Effect::Remove, Effect::Expire] {
                let (mut core, mut trash) = (core(9, usize::MAX), Trash::default());
                core.put_at("a", &tagged, Moment::ZERO);
                let flight = lead(&mut core, "a", now);
                if moves == Step::Before {
                    core.move_to_new_tables(&mut trash);
                }
                if tag_dies {
                    core.invalidate_name("old", effect, now);
                }
                if moves == Step::After {
                    // The tables move only without members of dead tags.
                    core.sweep(usize::MAX, &mut trash);
                    core.move_to_new_tables(&mut trash);
                }
                core.validate();
                let completion = Completion {
                    flight: &flight,
                    entry: &mut byte(&kept),
                    own_tags: &[],
                    is_unchanged,
                    log: &InvalidationLog::default(),
                };
                core.complete(key("a"), completion, &Now::Known(now), &mut trash);
                core.validate();
                let is_discarded = is_unchanged && tag_dies;
                let case = format!("{is_unchanged} {tag_dies} {moves:?} {effect:?}");
                assert_eq!(
                    core.contains(key("a"), &Now::Known(now)),
                    !is_discarded,
                    "{case}"
                );
                assert_eq!(
                    core.stats.stale_load_discards,
                    u64::from(is_discarded),
                    "{case}"
                );
            }
        }
    }
}

// The live tag of an entry that stays is one record more, while the dead tag has other members.
#[test]
fn entry_stays_after_expire_tag_only_within_max_bytes() {
    let kept = CacheOptions::new().stale_if_error(Duration::from_secs(9));
    let tagged = kept.tag("t");
    for (room, stay) in [(96, 1), (97, 2)] {
        let entries = 2 * (1 + 1 + 104 + 88 + 28) + 97;
        let mut core = core(9, entries + room);
        core.put_at("a", &tagged, Moment::ZERO);
        core.put_at("b", &tagged, Moment::ZERO);
        core.invalidate_name("t", Effect::Expire, Moment::ZERO);
        core.sweep(usize::MAX, &mut Trash::default());
        core.validate();
        assert_eq!(core.len(), stay);
        assert_eq!(core.stats.expirations, 2 - stay as u64);
    }
}

// A removal of ten thousand tags is long, so a write sweeps a single such entry.
#[test]
fn write_sweeps_fewer_entries_if_the_entries_have_many_tags() {
    for (tags, swept) in [(0, MAX_RECLAIMED_PER_WRITE), (99, 10), (5000, 1)] {
        let mut core = core(1000, usize::MAX);
        let many = (0..tags).map(|tag| format!("{tag}"));
        let options = CacheOptions::new().tags(many).tag("dead");
        // Few pairs are left for more: the indices of a unit test are narrow.
        let number = if tags == 5000 { 5 } else { 300 };
        for n in 0..number {
            let (mut entry, mut trash) = (byte(&options), Trash::default());
            let (text, now) = (n.to_string(), Now::Known(Moment::ZERO));
            core.put(key(&text), &mut entry, &options.tags, &now, &mut trash);
        }
        core.invalidate_name("dead", Effect::Remove, Moment::ZERO);
        core.reclaim(&Now::Known(Moment::ZERO), &mut Trash::default());
        assert_eq!(core.len(), number - swept, "{tags} tags");
    }
}
