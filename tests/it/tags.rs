//! Invalidating a tag removes exactly the entries with the tag, and counts live entries exactly.

use std::time::Duration;

use hydracache::HydraCache;

use crate::support::*;

#[test]
fn tag_invalidation_removes_only_entries_with_the_tag() {
    let cache = HydraCache::local().build();
    put(&cache, "a", 1, options().tags(["x", "y"]));
    put(&cache, "b", 2, options().tags(["y", "z"]));
    put(&cache, "c", 3, tagged("z"));
    put(&cache, "d", 4, options());
    assert_eq!(invalidate(&cache, "y"), 2);
    assert_eq!(
        ["a", "b", "c", "d"].map(|key| get(&cache, key)),
        [None, None, Some(3), Some(4)]
    );
    assert_eq!(invalidate(&cache, "x"), 0);
    assert_eq!(invalidate(&cache, "z"), 1);
    assert_eq!(cache.stats().invalidations, 3);
}

#[test]
fn union_of_tags_counts_each_entry_once() {
    let cache = HydraCache::local().build();
    put(&cache, "a", 1, options().tags(["x", "y"]));
    put(&cache, "b", 2, tagged("y"));
    put(&cache, "c", 3, tagged("z"));
    let union = cache.invalidate_tags(["x", "y", "y", "absent"]);
    assert_eq!(block_on(union).unwrap(), 2);
    assert_eq!(block_on(cache.invalidate_tags([""; 0])).unwrap(), 0);
    assert_eq!(cache.entry_count(), 1);
}

#[test]
fn expired_entries_are_not_counted_as_invalidated() {
    let (cache, clock) = clocked(10_000);
    for n in 0..10 {
        put(&cache, &format!("key {n}"), n, lasting(n + 1).tag("tag"));
    }
    clock.advance(SECOND * 4);
    assert_eq!(invalidate(&cache, "tag"), 6);
    assert_stats(cache.stats(), |stats| {
        stats.invalidations = 6;
        stats.expirations = 4;
    });
}

/// Entries live at the first poll are counted, even if swept after the end of the ttl.
#[test]
fn invalidation_counts_entries_live_at_its_first_poll() {
    let (cache, clock) = clocked(10_000);
    for n in 0..1000 {
        put(
            &cache,
            &format!("key {n}"),
            n,
            lasting(1 + n % 2).tag("tag"),
        );
    }
    clock.advance(SECOND);
    let mut invalidation = Hand::start(cache.invalidate_tag("tag"));
    clock.advance(SECOND);
    let count = invalidation.finish().unwrap();
    assert_eq!(count, 500);
    assert_eq!(cache.stats().expirations, 500);
}

#[test]
fn overwritten_entry_has_only_its_new_tags() {
    let cache = HydraCache::local().build();
    put(&cache, "key", 1, tagged("old"));
    put(&cache, "key", 2, tagged("new"));
    assert_eq!(invalidate(&cache, "old"), 0);
    assert_eq!(get(&cache, "key"), Some(2));
    assert_eq!(invalidate(&cache, "new"), 1);
}

#[test]
fn removed_entries_are_not_counted_by_an_invalidation() {
    let (cache, clock) = clocked(2);
    put(&cache, "one", 1, tagged("tag"));
    put(&cache, "other", 2, tagged("tag"));
    put(&cache, "expired", 3, lasting(1).tag("tag"));
    // The bound of two evicted "one" or "other".
    let removed = ["one", "other"].map(|key| block_on(cache.remove(key)).unwrap());
    assert_ne!(removed[0], removed[1]);
    clock.advance(SECOND);
    assert_eq!(get(&cache, "expired"), None);
    assert_eq!(invalidate(&cache, "tag"), 0);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 1;
        stats.evictions = 1;
        stats.invalidations = 1;
        stats.expirations = 1;
    });
}

#[test]
fn any_text_can_be_a_tag() {
    let cache = HydraCache::local().build();
    let long = "t".repeat(1 << 20);
    for tag in ["", " ", "a\0b", "ü", long.as_str(), &long[1..]] {
        put(&cache, "key", 1, tagged(tag));
        put(&cache, "other", 1, options());
        assert_eq!(invalidate(&cache, tag), 1);
        assert_eq!(cache.entry_count(), 1);
    }
}

#[test]
fn tag_given_twice_counts_the_entry_once() {
    let cache = HydraCache::local().build();
    put(&cache, "key", 1, options().tag("tag").tags(["tag"; 5]));
    assert_eq!(invalidate(&cache, "tag"), 1);
}

#[test]
fn ten_thousand_tags_of_an_entry_all_take_effect() {
    let cache = HydraCache::local().build();
    let names = || (0..10_000).map(|n| format!("tag {n}"));
    put(&cache, "key", 1, options().tags(names()));
    put(&cache, "other", 2, options().tags(names()));
    assert_eq!(invalidate(&cache, "tag 9999"), 2);
    put(&cache, "key", 1, options().tags(names()));
    assert_eq!(block_on(cache.invalidate_tags(names())).unwrap(), 1);
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn tag_invalidation_reaches_every_shard() {
    let cache = HydraCache::local().max_capacity(1 << 20).build();
    for n in 0..10_000 {
        put(
            &cache,
            &format!("key {n}"),
            n,
            tagged("tag").ttl(Duration::MAX),
        );
    }
    assert_eq!(invalidate(&cache, "tag"), 10_000);
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn loaded_entries_have_the_tags_of_their_options() {
    let cache = HydraCache::local().build();
    let loaded = cache.get_or_load("key", options().tags(["a", "b"]), ready(7_u32));
    block_on(loaded).unwrap();
    let inserted = cache.get_or_insert_with("other", tagged("b"), || async { 8_u32 });
    block_on(inserted).unwrap();
    assert_eq!(invalidate(&cache, "b"), 2);
}
