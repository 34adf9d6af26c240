//! `max_bytes` is never passed, by the published cost formula, and the formula matches memory.

use hydracache::{Bytes, CacheOptions, HydraCache, ManualClock};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::*;

/// The cost of an entry by the formula of `max_bytes`, without the names of the tags.
fn cost(key: &str, value: u64, tags: u64) -> u64 {
    key.len() as u64 + value + 104 + 28 * tags
}

/// The cost of a tag, once for all entries with the tag.
fn name_cost(tag: &str) -> u64 {
    tag.len() as u64 + 96
}

fn put_sized(cache: &HydraCache, key: &str, size: u64, options: CacheOptions) {
    let size = size.try_into().unwrap();
    block_on(cache.put_bytes(key, vec![7; size].into(), options)).unwrap();
}

/// The length of the value of a key.
fn value_len(cache: &HydraCache, key: &str) -> Option<u64> {
    let bytes = block_on(cache.get_bytes(key)).unwrap();
    bytes.map(|bytes| bytes.len() as u64)
}

#[test]
fn sum_of_costs_never_passes_max_bytes() {
    let mut rng = StdRng::seed_from_u64(1);
    let keys: Vec<String> = (0..40).map(|n| "k".repeat(n + 1)).collect();
    for bound in [300, 1_000, 3_333, 10_000] {
        let cache = HydraCache::local().max_bytes(bound).build();
        let mut tags = vec![0_u8; keys.len()];
        for _ in 0..2_000 {
            let at = rng.random_range(0..keys.len());
            tags[at] = rng.random_range(0..3);
            let names = ["a", "b"].into_iter().take(tags[at].into());
            put_sized(
                &cache,
                &keys[at],
                rng.random_range(0..400),
                options().tags(names),
            );
            let mut names = 0;
            let held = keys.iter().zip(&tags).filter_map(|(key, &tags)| {
                let cost = cost(key, value_len(&cache, key)?, tags.into());
                names = names.max(tags);
                Some(cost)
            });
            let held = held.sum::<u64>() + name_cost("a") * u64::from(names);
            assert!(held <= bound);
        }
        assert!(cache.stats().evictions > 0);
    }
}

/// An overwritten entry keeps the rank in the policy.
#[test]
fn hot_entry_that_grows_is_not_evicted() {
    for round in 0..50 {
        let cache = HydraCache::local().max_bytes(200_000).build();
        for n in 0..1_000 {
            put_sized(&cache, &format!("{round} {n}"), 300, options());
            if n % 10 == 0 {
                put_sized(&cache, "hot", 900, options());
            }
            assert_eq!(value_len(&cache, "hot"), Some(900));
        }
        put_sized(&cache, "hot", 2_500, options());
        for n in 0..60 {
            put_sized(&cache, &format!("once {n}"), 300, options());
        }
        assert_eq!(value_len(&cache, "hot"), Some(2_500), "{round}");
    }
}

#[test]
fn max_bytes_is_used_to_the_last_byte() {
    let cache = HydraCache::local().max_bytes(2 * cost("a", 100, 0)).build();
    for key in ["a", "b"] {
        put_sized(&cache, key, 100, options());
    }
    assert_eq!(cache.entry_count(), 2);
    // One byte above the bound.
    put_sized(&cache, "b", 101, options());
    assert_eq!(value_len(&cache, "b"), Some(101));
    assert_eq!((cache.entry_count(), cache.stats().evictions), (1, 1));
    put_sized(&cache, "a", 99, options());
    assert_eq!(cache.entry_count(), 2);
}

/// A window or an idle time adds a record of times of 88 bytes. A time to live adds nothing.
#[test]
fn entry_with_windows_costs_88_bytes_more() {
    let windows = || lasting(9).stale_while_revalidate(SECOND);
    for (options, more) in [
        (lasting(9), 0),
        (windows(), 88),
        (windows().stale_if_error(SECOND), 88),
    ] {
        for (lacking, stays) in [(0, true), (1, false)] {
            let bound = cost("a", 100, 0) + more - lacking;
            let cache = HydraCache::local().max_bytes(bound).build();
            put_sized(&cache, "a", 100, options.clone());
            assert_eq!(value_len(&cache, "a").is_some(), stays);
        }
    }
}

#[test]
fn entry_above_max_bytes_is_rejected_and_evicts_none() {
    let bound = cost("a", 50, 0) + cost("b", 50, 1) + name_cost("tag");
    let cache = HydraCache::local().max_bytes(bound).build();
    put_sized(&cache, "a", 50, options());
    put_sized(&cache, "b", 50, tagged("tag"));
    put_sized(&cache, "large", bound - 100, options());
    assert_eq!(
        [value_len(&cache, "a"), value_len(&cache, "b")],
        [Some(50); 2]
    );
    assert_stats(cache.stats(), |stats| {
        stats.hits = 2;
        stats.rejections = 1;
    });
    // With the tag the entry is too large. A rejected put still removes the stored entry.
    put_sized(&cache, "a", bound - 105, options());
    assert_eq!(cache.entry_count(), 1);
    put_sized(&cache, "a", bound - 105, tagged("tag"));
    assert_eq!((cache.entry_count(), cache.stats().rejections), (0, 2));
}

#[test]
fn name_of_a_tag_is_charged_once_and_given_back() {
    let tag = "t".repeat(1000);
    let entries = |number| number * cost("a", 0, 1);
    let cache = HydraCache::local()
        .max_bytes(entries(3) + name_cost(&tag))
        .build();
    for key in ["a", "b", "c"] {
        put_sized(&cache, key, 0, tagged(&tag));
    }
    assert_eq!((cache.entry_count(), cache.stats().evictions), (3, 0));
    // A put without tags gives nothing back while other entries have the tag.
    put_sized(&cache, "a", 28, options());
    put_sized(&cache, "b", 28, options());
    assert_eq!((cache.entry_count(), cache.stats().evictions), (3, 0));
    // The last entry leaves the tag: a thousand bytes are free.
    put_sized(&cache, "c", 28 + name_cost(&tag), options());
    assert_eq!((cache.entry_count(), cache.stats().evictions), (3, 0));
    put_sized(&cache, "c", 29 + name_cost(&tag), options());
    assert_eq!(cache.stats().evictions, 1);
}

#[test]
fn eviction_goes_on_until_a_new_name_fits() {
    let cache = HydraCache::local().max_bytes(10 * cost("0", 0, 0)).build();
    for n in 0..10 {
        put_sized(&cache, &n.to_string(), 0, options());
    }
    // 105 bytes of the entry, 28 and 101 for the tag: in place of three entries.
    put_sized(&cache, "a", 0, tagged("12345"));
    assert_eq!((cache.entry_count(), cache.stats().evictions), (8, 3));
    assert_eq!(invalidate(&cache, "12345"), 1);
    // The entries evicted for the next put share a tag with the new entry. The tag stays.
    let name = "n".repeat(400);
    for key in ["b", "c", "d"] {
        put_sized(&cache, key, 0, tagged(&name));
    }
    assert_eq!(cache.stats().rejections, 0);
    put_sized(&cache, "e", 300, tagged(&name));
    assert_eq!(value_len(&cache, "e"), Some(300));
    let others = cache.entry_count() - invalidate(&cache, &name);
    assert_eq!(cache.entry_count(), others);
}

#[test]
fn entry_with_names_above_max_bytes_is_rejected_and_evicts_none() {
    let alone = cost("a", 0, 2) + 2 * name_cost("long");
    let cache = HydraCache::local()
        .max_bytes(alone + cost("b", 0, 1))
        .build();
    put_sized(&cache, "b", 0, tagged("long"));
    // With the name "long" already charged the rest would fit, but not alone.
    let size = cost("b", 0, 1) + 1;
    put_sized(&cache, "a", size, options().tags(["long", "len4"]));
    assert_eq!(value_len(&cache, "a"), None);
    assert_eq!((cache.entry_count(), cache.stats().rejections), (1, 1));
    put_sized(&cache, "a", size - 1, options().tags(["long", "len4"]));
    assert_eq!(value_len(&cache, "a"), Some(size - 1));
    assert_eq!((cache.entry_count(), cache.stats().rejections), (1, 1));
    // A load returns the value all the same. A loader may name the tags.
    for tags in [&["n".repeat(999)][..], &[]] {
        let loaded = hydracache::Loaded::new(7_u32).tag("n".repeat(999));
        let loader = |_| async { Ok::<_, std::convert::Infallible>(loaded) };
        let call = cache.fetch("c", options().tags(tags), loader);
        assert_eq!(block_on(call).unwrap().value, 7);
        assert_eq!(get(&cache, "c"), None);
    }
    assert_eq!((cache.entry_count(), cache.stats().rejections), (1, 3));
}

/// The tags of a load are as free as the load, until an entry has the tags.
#[test]
fn tags_of_running_loads_evict_no_entry() {
    let cache = HydraCache::local().max_bytes(3 * cost("0", 0, 0)).build();
    for n in 0..3 {
        put_sized(&cache, &n.to_string(), 0, options());
    }
    let endless = || std::future::pending::<Result<u32, std::convert::Infallible>>();
    let tags = (0..100).map(|n| format!("tag {n}"));
    let load = Hand::start(cache.get_or_load("key", options().tags(tags), endless));
    put_sized(&cache, "0", 0, options());
    assert_eq!((cache.entry_count(), cache.stats().evictions), (3, 0));
    drop(load);
}

/// An entry may take all of `max_bytes`, however small `max_entry_bytes` is.
#[test]
fn small_max_bytes_is_not_split_between_shards() {
    for most in [0, 1, 50] {
        let cache = HydraCache::local()
            .max_bytes(1_000)
            .max_entry_bytes(most)
            .build();
        for n in 0..9 {
            put_sized(&cache, &n.to_string(), 0, options());
        }
        assert_eq!(cache.entry_count(), 9);
        put_sized(&cache, &"k".repeat(800), 0, options());
        assert_eq!(cache.stats().rejections, 0);
    }
}

/// A shard of fewer than a thousand entries evicts a single entry at a time.
#[test]
fn small_shard_evicts_no_more_than_needed() {
    const VALUE: u64 = 1000;
    let cache = HydraCache::local()
        .max_bytes(8 << 20)
        .max_entry_bytes(64 << 10)
        .build();
    let fit = (1 << 20) / cost("key-00000", VALUE, 0) * 8;
    for n in 0..2 * fit {
        let full = cache.entry_count() == fit;
        put_sized(&cache, &format!("key-{n:05}"), VALUE, options());
        assert!(!full || cache.entry_count() == fit, "{n}");
    }
    assert_eq!(cache.entry_count(), fit);
}

#[test]
fn load_rejected_by_max_bytes_returns_its_value() {
    let cache = HydraCache::local().max_bytes(100).build();
    assert_eq!(load(&cache, "key", 1_000_000), 1_000_000);
    assert_eq!((cache.entry_count(), cache.stats().rejections), (0, 1));
}

#[test]
fn max_capacity_and_max_bytes_both_hold() {
    let build = |entries, bytes| {
        let cache = HydraCache::local()
            .max_capacity(entries)
            .max_bytes(bytes)
            .build();
        for n in 0..100 {
            put_sized(&cache, &format!("{n:02}"), 2, options());
        }
        cache.entry_count()
    };
    assert_eq!(build(10, 1_000_000), 10);
    assert_eq!(build(1_000_000, 1_080), 10);
    assert_eq!(build(0, 1_000), 0);
}

#[test]
fn expired_entries_are_freed_before_live_ones_are_evicted() {
    let clock = ManualClock::new();
    let bound = 10 * cost("0", 100, 1) + name_cost("live") + name_cost("short");
    let cache = HydraCache::local()
        .max_bytes(bound)
        .clock(clock.clone())
        .build();
    for n in 0..5 {
        put_sized(&cache, &n.to_string(), 100, tagged("live"));
    }
    for n in 5..10 {
        put_sized(&cache, &n.to_string(), 100, lasting(1).tag("short"));
    }
    clock.advance(SECOND);
    put_sized(&cache, "a", 500, tagged("live"));
    assert_eq!((cache.stats().evictions, cache.stats().expirations), (0, 5));
    assert_eq!(invalidate(&cache, "live"), 6);
}

#[test]
fn max_bytes_alone_sets_no_bound_on_entries() {
    let cache = HydraCache::local().max_bytes(10_000_000).build();
    for n in 0..20_000 {
        put(&cache, &n.to_string(), n, options());
    }
    assert_eq!(cache.entry_count(), 20_000);
}

/// Each pair of sizes: shortly before tables double, and shortly after.
#[test]
fn formula_is_within_15_percent_of_allocated_memory() {
    let sizes = [10_000_u64, 15_000, 100_000, 115_000];
    let shapes: [(usize, u64, CacheOptions, u64); 4] = [
        (16, 64, options(), 0),
        (16, 64, lasting(3600), 0),
        (16, 64, lasting(3600).tags(["a", "b"]), 2),
        (48, 100, options(), 0),
    ];
    for (size, (key, value, options, tags)) in sizes
        .iter()
        .flat_map(|size| shapes.clone().map(|shape| (size, shape)))
    {
        let (mut cache, mut expected) = (None, tags * name_cost("a"));
        let all = allocation_counter::measure(|| {
            let built = cache.insert(HydraCache::local().max_bytes(1 << 40).build());
            for n in 0..*size {
                let name = format!("{n:0key$}");
                expected += cost(&name, value, tags);
                put_sized(built, &name, value, options.clone());
                drop(block_on(built.get_bytes(&name)).unwrap());
            }
        });
        let percent = u64::try_from(all.bytes_current).unwrap() * 100 / expected;
        assert!(
            (85..=115).contains(&percent),
            "{size} of {key} + {value}: {percent} percent"
        );
    }
}

/// An entry holds a copy of the bytes, not the larger buffer.
#[test]
fn slices_and_spare_capacity_are_not_retained() {
    let cache = HydraCache::local().max_bytes(10_000_000).build();
    let held = allocation_counter::measure(|| {
        for (n, len) in [10, 256, 257, 5_000].into_iter().enumerate() {
            let buffer = Bytes::from(vec![7; 1 << 20]);
            let slice = buffer.slice(1_000..1_000 + len);
            block_on(cache.put_bytes(&format!("slice {n}"), slice, options())).unwrap();
            let mut spare = Vec::with_capacity(1 << 20);
            spare.resize(len, 7);
            block_on(cache.put_bytes(&format!("spare {n}"), spare.into(), options())).unwrap();
        }
    });
    assert!(held.bytes_current < 20_000, "{} bytes", held.bytes_current);
}
