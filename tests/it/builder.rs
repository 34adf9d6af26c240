//! The settings of the builder hold, and so do the defaults.

use hydracache::{Bytes, CacheBuilder, HydraCache, KeyHasher, ManualClock};

use crate::stale::{NANO, fail, nearly, served};
use crate::support::*;

fn fill(cache: &HydraCache, count: u32) {
    for n in 0..count {
        put(cache, &format!("key {n}"), n, options());
    }
}

/// As a number of bytes, the capacity would hold only a hundred entries of this size.
#[test]
fn max_capacity_counts_entries() {
    let cache = HydraCache::local().max_capacity(10_000).build();
    for n in 0..10_000_u32 {
        let value = Bytes::from(vec![0; 100]);
        block_on(cache.put_bytes(&format!("key {n}"), value, options())).unwrap();
    }
    assert_eq!(cache.entry_count(), 10_000);
    assert_eq!(cache.stats().evictions, 0);
}

#[test]
fn default_capacity_is_10_000_entries() {
    let cache = HydraCache::local().build();
    fill(&cache, 10_001);
    assert_eq!(cache.entry_count(), 10_000);
}

#[test]
fn capacity_is_never_exceeded_when_a_put_returns() {
    for capacity in [1, 2, 7, 100, 1023, 1024] {
        let cache = HydraCache::local().max_capacity(capacity).build();
        for n in 0..3000 {
            put(&cache, &format!("key {n}"), n, options());
            assert_eq!(cache.entry_count(), u64::from(n + 1).min(capacity));
        }
    }
}

#[test]
fn large_cache_evicts_at_most_5_percent_early_and_stays_full() {
    for capacity in [16_384, 50_000, 100_000] {
        let cache = HydraCache::local().max_capacity(capacity).build();
        fill(&cache, u32::try_from(capacity).unwrap() * 95 / 100);
        assert_eq!(cache.stats().evictions, 0, "{capacity}");
        fill(&cache, u32::try_from(capacity).unwrap() * 3 / 2);
        // At most seven entries may be missing in a shard of at least 8,192.
        assert!((capacity - capacity / 1000..=capacity).contains(&cache.entry_count()));
    }
}

#[test]
fn largest_capacity_reserves_no_memory() {
    let built = allocation_counter::measure(|| {
        let cache = HydraCache::local().max_capacity(u64::MAX).build();
        put(&cache, "key", 1, options());
        assert_eq!(get(&cache, "key"), Some(1));
    });
    assert!(built.bytes_max < 100_000, "{} bytes", built.bytes_max);
}

#[test]
fn capacity_of_zero_stores_nothing_and_shares_loads() {
    let cache = HydraCache::local().max_capacity(0).build();
    put(&cache, "key", 1, tagged("tag"));
    assert_eq!(get(&cache, "key"), None);
    let door = Door::default();
    let mut leader = lead(&cache, "key", 2, tagged("tag"), &door);
    let mut waiter = join(&cache, "key");
    door.open();
    assert_eq!(leader.ends().unwrap(), 2);
    assert_eq!(waiter.ends().unwrap(), 2);
    assert_eq!(load(&cache, "key", 3), 3);
    assert_eq!(invalidate(&cache, "tag"), 0);
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn recently_read_entry_stays_and_a_peek_is_no_read() {
    let cache = HydraCache::local().max_capacity(3).build();
    fill(&cache, 3);
    get(&cache, "key 0");
    load(&cache, "key 1", 9);
    block_on(cache.peek::<u32>("key 2")).unwrap();
    block_on(cache.contains_key("key 2"));
    put(&cache, "new", 1, options());
    let found = ["key 0", "key 1", "key 2"].map(|key| get(&cache, key));
    assert_eq!(found, [Some(0), Some(1), None]);
}

#[test]
fn entry_of_exactly_max_entry_bytes_is_stored() {
    let cache = HydraCache::local().max_entry_bytes(100).build();
    for (len, stored) in [(0, true), (100, true), (101, false)] {
        let bytes = Bytes::from(vec![0; len]);
        block_on(cache.put_bytes("key", bytes, options())).unwrap();
        assert_eq!(block_on(cache.contains_key("key")), stored, "{len} bytes");
    }
}

#[test]
fn default_max_entry_bytes_is_16_mib() {
    let cache = HydraCache::local().build();
    for (len, stored) in [(16 << 20, true), ((16 << 20) + 1, false)] {
        let bytes = Bytes::from(vec![0; len]);
        block_on(cache.put_bytes("key", bytes, options())).unwrap();
        assert_eq!(block_on(cache.contains_key("key")), stored, "{len} bytes");
    }
}

#[test]
fn every_hasher_finds_stored_keys() {
    for hasher in [KeyHasher::Foldhash, KeyHasher::SipHash] {
        let cache = HydraCache::local().hasher(hasher).build();
        let keys: Vec<String> = (0..100).map(|len| "k".repeat(len)).collect();
        for (n, key) in (0..).zip(&keys) {
            put(&cache, key, n, tagged("tag"));
        }
        for (n, key) in (0..).zip(&keys) {
            assert_eq!(get(&cache, key), Some(n));
        }
        assert_eq!(invalidate(&cache, "tag"), 100);
    }
}

#[test]
fn unlimited_max_entry_bytes_keeps_the_shard_count() {
    let builder = HydraCache::local().max_capacity(1_000_000);
    let cache = builder.max_entry_bytes(usize::MAX).build();
    assert!(format!("{cache:?}").contains("shards: 64"), "{cache:?}");
}

#[test]
fn debug_shows_no_key_and_no_value() {
    let builder = HydraCache::local().max_capacity(7).default_ttl(SECOND);
    assert_eq!(
        format!("{builder:?}"),
        "CacheBuilder { max_capacity: 7, max_bytes: None, max_entry_bytes: 16777216, default_ttl: Some(1s), .. }"
    );
    let cache = builder.build();
    block_on(cache.put("secret key", "secret value", tagged("secret tag"))).unwrap();
    assert_eq!(
        format!("{cache:?}"),
        "HydraCache { max_capacity: 7, max_bytes: None, max_entry_bytes: 16777216, \
         default_ttl: Some(1s), shards: 1, .. }"
    );
}

/// Each method sets what its options name, in any order, and nothing else.
#[test]
fn default_options_keep_earlier_settings_in_every_order() {
    type Step = fn(CacheBuilder) -> CacheBuilder;
    let steps: [Step; 4] = [
        |builder| builder.default_ttl(SECOND * 10),
        |builder| builder.default_options(options().jitter(0.0).tag("one")),
        |builder| builder.default_options(options().stale_if_error(SECOND * 20)),
        |builder| builder.default_options(options().error_backoff(SECOND).tag("two")),
    ];
    for first in 0..24 {
        // The orders of four steps: factorial digits of `first`.
        let mut rest = vec![0, 1, 2, 3];
        let order = [rest.remove(first / 6), rest.remove(first % 6 / 2)];
        let order = [order[0], order[1], rest.remove(first % 2), rest[0]];
        let clock = ManualClock::new();
        let mut builder = HydraCache::local().clock(clock.clone());
        for step in order {
            builder = steps[step](builder);
        }
        let cache = builder.build();
        put(&cache, "key", 1, options());
        clock.advance(nearly(10));
        assert_eq!(get(&cache, "key"), Some(1), "{order:?}");
        clock.advance(NANO);
        assert_eq!(get(&cache, "key"), None, "{order:?}");
        assert_eq!(fail(&cache, "key").unwrap(), 1, "{order:?}");
        // The back-off: the second call does not load.
        clock.advance(nearly(1));
        assert_eq!(served(&cache, "key"), 1, "{order:?}");
        for tag in ["one", "two"] {
            put(&cache, "key", 1, options());
            assert_eq!(invalidate(&cache, tag), 1, "{order:?} {tag}");
        }
    }
}

#[test]
fn last_named_default_wins() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let builder = builder.default_options(lasting(10).stale_if_error(SECOND * 5));
    let builder = builder.default_ttl(SECOND * 20);
    let cache = builder
        .default_options(options().stale_if_error(SECOND * 7))
        .build();
    put(&cache, "key", 1, options());
    clock.advance(SECOND * 20);
    assert_eq!(get(&cache, "key"), None);
    clock.advance(nearly(7));
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    clock.advance(NANO);
    assert!(fail(&cache, "key").is_err());
}

/// The options of a typed cache fill in over the defaults of the builder, and hide none.
#[test]
fn typed_options_leave_builder_defaults_standing() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let builder = builder.default_ttl(SECOND * 10);
    let cache = builder
        .default_options(options().stale_if_error(SECOND * 5))
        .build();
    let typed = cache
        .typed::<u8, u32>("numbers")
        .with_options(options().jitter(0.0));
    let load = |_| async { Ok::<_, &str>(vec![1]) };
    block_on(typed.put(&1, 1, options())).unwrap();
    block_on(typed.get_or_load(&2, options(), ready(1_u32))).unwrap();
    block_on(typed.get_or_load_many([3], options(), load));
    clock.advance(nearly(10));
    for key in 1..4 {
        assert!(block_on(typed.get(&key)).unwrap().is_some(), "{key}");
    }
    clock.advance(NANO);
    for key in 1..4 {
        assert!(block_on(typed.get(&key)).unwrap().is_none(), "{key}");
    }
    put(&cache, "plain", 1, options());
    assert_eq!(get(&cache, "plain"), Some(1));
}
