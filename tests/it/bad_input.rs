//! Unusual keys, values and loaders work like any other. The tests of other bad input are with
//! the promise: types, codec, errors, expiry, builder, tags, cancellation.

use hydracache::HydraCache;

use crate::support::*;

/// Asserts for the key: put, get, load, remove and invalidation work.
fn assert_key_works(cache: &HydraCache, key: &str) {
    put(cache, key, 1, tagged("tag"));
    assert_eq!(get(cache, key), Some(1));
    assert!(block_on(cache.contains_key(key)));
    assert!(block_on(cache.remove(key)).unwrap());
    assert_eq!(load(cache, key, 2), 2);
    assert_eq!(load(cache, key, 3), 2);
    put(cache, key, 4, tagged("tag"));
    assert_eq!(invalidate(cache, "tag"), 1);
    assert_eq!(get(cache, key), None);
}

#[test]
fn any_text_can_be_a_key() {
    let cache = HydraCache::local().build();
    let long = "k".repeat(1 << 20);
    for key in ["", " ", "a\0b", "ключ", "k:1", long.as_str(), &long[1..]] {
        assert_key_works(&cache, key);
    }
}

#[test]
fn long_keys_differ_by_their_last_byte() {
    let cache = HydraCache::local().build();
    let long = "k".repeat(1 << 20);
    let keys = [format!("{long}a"), format!("{long}b"), long];
    for (value, key) in (0..).zip(&keys) {
        put(&cache, key, value, options());
    }
    for (value, key) in (0..).zip(&keys) {
        assert_eq!(get(&cache, key), Some(value));
    }
}

#[test]
fn keys_around_the_inline_length_work() {
    let cache = HydraCache::local().build();
    for len in 20..26 {
        assert_key_works(&cache, &"k".repeat(len));
        put(&cache, &"x".repeat(len), 1, options());
    }
    assert_eq!(cache.entry_count(), 6);
}

#[test]
fn endless_loader_blocks_only_its_own_callers() {
    without_hanging(|| {
        let cache = HydraCache::local().max_capacity(10).build();
        let endless =
            cache.get_or_load::<u32, String, _, _>("key", tagged("tag"), std::future::pending);
        let mut endless = Hand::start(endless);
        let mut waiter = join(&cache, "key");
        for n in 0..1000 {
            put(&cache, &format!("other {n}"), n, tagged("tag"));
        }
        assert_eq!(invalidate(&cache, "tag"), 10);
        assert_eq!(load(&cache, "key", 2), 2);
        block_on(cache.flush()).unwrap();
        assert_eq!(load(&cache, "key", 3), 3);
        endless.waits();
        waiter.waits();
        drop(endless);
        assert_eq!(waiter.ends().unwrap(), 3);
    });
}

#[test]
fn value_of_zero_bytes_is_a_value() {
    let cache = HydraCache::local().max_entry_bytes(0).build();
    block_on(cache.put("key", (), options())).unwrap();
    assert_eq!(block_on(cache.get::<()>("key")).unwrap(), Some(()));
    assert_eq!(block_on(cache.get_bytes("key")).unwrap().unwrap().len(), 0);
}
