//! `max_bytes` holds for real memory, whatever tags the entries have.

use hydracache::{CacheOptions, HydraCache};

use crate::support::*;

/// A name, a number a little below the cost of an entry, and the options of an entry.
type Shape<'a> = (&'a str, u64, &'a dyn Fn(u64) -> CacheOptions);

/// Puts more entries into a cache than `max_bytes` allows. Returns the allocated bytes in percent
/// of the bound, in the middle and at the end: when the cache was full for the first time, and
/// after all entries were replaced.
fn percent_of(bound: u64, puts: u64, options: impl Fn(u64) -> CacheOptions) -> [i64; 2] {
    let mut cache = None;
    let mut held = 0;
    let percent = [0..puts / 2, puts / 2..puts].map(|part| {
        let measured = allocation_counter::measure(|| {
            let cache = cache.get_or_insert_with(|| HydraCache::local().max_bytes(bound).build());
            for n in part {
                let value = vec![7; 64].into();
                block_on(cache.put_bytes(&format!("{n:016}"), value, options(n))).unwrap();
            }
        });
        held += measured.bytes_current;
        held * 100 / i64::try_from(bound).unwrap()
    });
    let stats = cache.unwrap().stats();
    assert!(stats.evictions > puts / 2 && stats.rejections == 0);
    percent
}

#[test]
fn memory_is_within_20_percent_of_max_bytes_with_any_tags() {
    let long = "x".repeat(190);
    let numbered = |n: u64, tags: u64| (0..tags).map(move |tag| format!("{}", n * tags + tag));
    let shapes: [Shape<'_>; 6] = [
        ("no tags", 180, &|_| options()),
        ("one shared tag", 200, &|_| tagged("shared")),
        ("a unique short tag", 300, &|n| {
            options().tags(numbered(n, 1))
        }),
        ("two unique short tags", 420, &|n| {
            options().tags(numbered(n, 2))
        }),
        ("a unique tag of 200 bytes", 500, &|n| {
            tagged(&format!("{n:010}{long}"))
        }),
        ("1,000 unique tags", 120_000, &|n| {
            options().tags(numbered(n, 1000))
        }),
    ];
    for bound in [1_000_000, 2_300_000] {
        for (name, cost, options) in &shapes {
            let percent = percent_of(bound, 3 * bound / cost, options);
            let is_within = percent.iter().all(|percent| (80..=110).contains(percent));
            assert!(is_within, "{bound} bytes, {name}: {percent:?} percent");
        }
    }
}

/// Also if the names alone are many times as large as the bound.
#[test]
fn rejected_tags_leave_no_memory() {
    let cache = HydraCache::local().max_bytes(20_000).build();
    let held = allocation_counter::measure(|| {
        for n in 0..20 {
            let tags = (0..10_000).map(|tag| format!("{n} {tag}"));
            put(&cache, &n.to_string(), 7, options().tags(tags));
        }
    });
    assert_eq!((cache.entry_count(), cache.stats().rejections), (0, 20));
    assert!(held.bytes_current < 50_000, "{} bytes", held.bytes_current);
}
