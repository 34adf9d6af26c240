//! Names of keys and tags that other caches mistake for each other, or cannot store.

use std::collections::{BTreeMap, HashMap};

use hydracache::HydraCache;

use crate::support::*;

/// Texts that some caches or their protocols treat specially.
const ODD: [&str; 20] = [
    "",
    " ",
    "\0",
    "\0\0",
    "a\0",
    "a\0b",
    "a",
    "a\tb",
    "a\r\nb",
    "get a\r\n",
    "*",
    "a*",
    "a?",
    "[a]",
    "a:b",
    "a.b",
    "__proto__",
    "constructor",
    "%00",
    "\u{202e}a",
];

#[test]
fn keys_of_control_characters_stay_distinct() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<str, u32>("odd");
    for (number, key) in (0..).zip(ODD) {
        put(&cache, key, number, options());
        block_on(typed.put(key, number + 100, options())).unwrap();
    }
    for (number, key) in (0..).zip(ODD) {
        assert_eq!(get(&cache, key), Some(number), "{key:?}");
        let found = block_on(typed.get(key)).unwrap();
        assert_eq!(found.as_deref(), Some(&(number + 100)), "{key:?}");
    }
    assert_eq!(cache.entry_count(), 40);
    for key in ODD {
        assert!(block_on(cache.remove(key)).unwrap(), "{key:?}");
    }
    assert_eq!(cache.entry_count(), 20);
}

#[test]
fn tag_with_a_wildcard_matches_only_itself() {
    let cache = HydraCache::local().build();
    for tag in ODD {
        put(&cache, tag, 1, tagged(tag));
    }
    for (gone, tag) in (1..).zip(ODD) {
        assert_eq!(invalidate(&cache, tag), 1, "{tag:?}");
        assert_eq!(cache.entry_count(), 20 - gone, "{tag:?}");
    }
}

#[test]
fn invalidation_of_no_tags_removes_nothing() {
    let cache = HydraCache::local().build();
    put(&cache, "tagged", 1, tagged("tag"));
    put(&cache, "plain", 2, options());
    put(&cache, "no tags", 3, options().tags([""; 0]));
    let door = Door::default();
    let mut leader = lead(&cache, "loading", 4, options(), &door);
    assert_eq!(block_on(cache.invalidate_tags([""; 0])).unwrap(), 0);
    assert_eq!(cache.entry_count(), 3);
    door.open();
    assert_eq!(leader.ends().unwrap(), 4);
    assert_eq!(get(&cache, "loading"), Some(4));
}

#[test]
fn keys_differ_by_case_and_by_unicode_form() {
    let cache = HydraCache::local().build();
    // `é` as one character and as two, the roman numeral and the letter, dotted and dotless i.
    let keys = [
        "cafe",
        "Cafe",
        "CAFE",
        "caf\u{e9}",
        "cafe\u{301}",
        "\u{2160}",
        "I",
        "i",
        "\u{131}",
        "\u{130}",
        "cafe ",
        "cafe\u{200b}",
    ];
    for (number, key) in (0..).zip(keys) {
        put(&cache, key, number, tagged(key));
    }
    for (number, key) in (0..).zip(keys) {
        assert_eq!(get(&cache, key), Some(number), "{key:?}");
        assert_eq!(invalidate(&cache, key), 1, "{key:?}");
        assert_eq!(get(&cache, key), None, "{key:?}");
    }
}

#[test]
fn keys_and_tags_beyond_65_535_bytes_stay_distinct() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<str, u32>("long");
    // Lengths equal modulo 2^8 and 2^16, and texts equal but for the last byte.
    let lengths = [255, 256, 511, 65_535, 65_536, 65_537, 131_071, 131_072];
    let keys = lengths.map(|length| "k".repeat(length));
    let ends = lengths.map(|length| "k".repeat(length - 1) + "e");
    let keys: Vec<&String> = keys.iter().chain(&ends).collect();
    for (number, key) in (0..).zip(&keys) {
        put(&cache, key, number, tagged(key));
        block_on(typed.put(key.as_str(), number, options())).unwrap();
    }
    for (number, key) in (0..).zip(&keys) {
        assert_eq!(get(&cache, key), Some(number), "{}", key.len());
        let found = block_on(typed.get(key.as_str())).unwrap();
        assert_eq!(found.as_deref(), Some(&number), "{}", key.len());
        assert_eq!(invalidate(&cache, key), 1, "{}", key.len());
    }
    assert_eq!(cache.entry_count(), 16);
}

#[test]
fn tuple_keys_keep_the_borders_of_their_parts() {
    let cache = HydraCache::local().build();
    let numbers = cache.typed::<(u64, u64), u32>("numbers");
    let texts = cache.typed::<(&str, &str), u32>("texts");
    let pairs = [(1, 23), (12, 3), (123, 0), (0, 123)];
    for (number, pair) in (0..).zip(pairs) {
        block_on(numbers.put(&pair, number, options())).unwrap();
    }
    for (number, pair) in (0..).zip(pairs) {
        let found = block_on(numbers.get(&pair)).unwrap();
        assert_eq!(found.as_deref(), Some(&number), "{pair:?}");
    }
    let pairs = [("a", "b=1"), ("a=b", "1"), ("", "a=b=1"), ("a=b=1", "")];
    for (number, pair) in (0..).zip(pairs) {
        block_on(texts.put(&pair, number, options())).unwrap();
    }
    for (number, pair) in (0..).zip(pairs) {
        let found = block_on(texts.get(&pair)).unwrap();
        assert_eq!(found.as_deref(), Some(&number), "{pair:?}");
    }
}

#[test]
fn map_key_is_found_in_any_order_only_if_sorted() {
    let cache = HydraCache::local().build();
    let sorted = cache.typed::<BTreeMap<u32, u32>, u32>("sorted");
    let hashed = cache.typed::<HashMap<u32, u32>, u32>("hashed");
    let (up, down) = (0..10, (0..10).rev());
    block_on(sorted.put(&up.clone().map(|it| (it, it)).collect(), 1, options())).unwrap();
    let other: BTreeMap<u32, u32> = down.clone().map(|it| (it, it)).collect();
    assert_eq!(*block_on(sorted.get(&other)).unwrap().unwrap(), 1);

    // The documented limit: two equal hash maps rarely have one order, and are two keys.
    for _ in 0..20 {
        let map: HashMap<u32, u32> = up.clone().map(|it| (it, it)).collect();
        block_on(hashed.put(&map, 2, options())).unwrap();
        assert_eq!(*block_on(hashed.get(&map)).unwrap().unwrap(), 2);
    }
    assert!(cache.entry_count() > 2, "{}", cache.entry_count());
}

#[test]
fn float_keys_are_found_by_their_bits() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<f64, u32>("floats");
    let keys = [
        0.0,
        -0.0,
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        f64::MIN_POSITIVE,
        0.1 + 0.2,
        0.3,
    ];
    for (number, key) in (0..).zip(&keys) {
        block_on(typed.put(key, number, options())).unwrap();
    }
    for (number, key) in (0..).zip(&keys) {
        let found = block_on(typed.get(key)).unwrap();
        assert_eq!(found.as_deref(), Some(&number), "{key}");
    }
}

#[test]
fn two_caches_share_nothing() {
    let (one, two) = (HydraCache::local().build(), HydraCache::local().build());
    put(&one, "key", 1, tagged("tag"));
    block_on(one.typed::<u32, u32>("name").put(&7, 1, options())).unwrap();

    assert_eq!(get(&two, "key"), None);
    // The name has other types in the other cache.
    let other = two.typed::<str, String>("name");
    assert_eq!(block_on(other.get("7")).unwrap(), None);
    assert_eq!(invalidate(&two, "tag"), 0);
    block_on(two.flush()).unwrap();
    assert_eq!(get(&one, "key"), Some(1));
    assert_eq!((one.entry_count(), two.entry_count()), (2, 0));
    assert_eq!((one.stats().hits, two.stats().misses), (1, 2));

    // A load of one cache is not joined by the other.
    let door = Door::default();
    let leader = lead(&one, "load", 1, options(), &door);
    assert_eq!(load(&two, "load", 2), 2);
    drop(leader);
}
