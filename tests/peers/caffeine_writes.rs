//! Behaviours from the tests of Caffeine's `asMap` and expiry.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use hydracache::RemovalCause::Replaced;
use hydracache::{CacheOptions, HydraCache, ManualClock};
use serde::{Deserialize, Serialize, Serializer};

use crate::stale::*;
use crate::support::*;

#[test]
fn put_if_absent_on_a_present_key_keeps_its_ttl_and_tags() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, lasting(10).tag("first"));
    clock.advance(SECOND * 5);
    let second = || lasting(99).tag("second");
    assert!(!block_on(cache.put_if_absent("key", 2_u32, second())).unwrap());
    assert!(!block_on(cache.put_if_absent("key", 2_u32, lasting(0))).unwrap());
    assert_eq!(invalidate(&cache, "second"), 0);
    clock.advance(nearly(5));
    assert_eq!(get(&cache, "key"), Some(1));
    clock.advance(NANO);
    assert_eq!(get(&cache, "key"), None);
    put(&cache, "key", 1, tagged("first"));
    block_on(cache.put_if_absent("key", 2_u32, second())).unwrap();
    assert_eq!(invalidate(&cache, "first"), 1);
}

/// Decodes from no bytes; encoding always fails.
#[derive(Debug, Deserialize)]
struct Unencodable;

impl Serialize for Unencodable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not encodable"))
    }
}

type FailingWrite = fn(&HydraCache);

/// Writes that return an error or panic.
const FAILING_WRITES: [FailingWrite; 4] = [
    |cache| {
        let call = || block_on(cache.update("key", tagged("new"), |_: Option<()>| panic!("boom")));
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    },
    |cache| {
        let call = cache.update("key", tagged("new"), |_| Some(Unencodable));
        assert!(block_on(call).unwrap_err().is_encode());
    },
    |cache| {
        let call = cache.put("key", Unencodable, tagged("new"));
        assert!(block_on(call).unwrap_err().is_encode());
    },
    |cache| {
        let call = cache.put_if_absent("key", Unencodable, tagged("new"));
        assert!(block_on(call).unwrap_err().is_encode());
    },
];

#[test]
fn failed_write_leaves_the_entry_and_its_deadline() {
    for options in [lasting(32), options().time_to_idle(SECOND * 32)] {
        for write in FAILING_WRITES {
            let (cache, clock) = clocked(100);
            let unit = hydracache::Bytes::new();
            block_on(cache.put_bytes("key", unit, options.clone().tag("tag"))).unwrap();
            clock.advance(SECOND * 16);
            write(&cache);
            assert_stats(cache.stats(), |_| {});
            assert_eq!(invalidate(&cache, "new"), 0);
            clock.advance(nearly(16));
            assert!(block_on(cache.contains_key("key")));
            clock.advance(NANO);
            assert!(!block_on(cache.contains_key("key")));
            assert_eq!(invalidate(&cache, "tag"), 0);
            assert_eq!(cache.stats().expirations, 1);
        }
    }
}

#[test]
fn failed_write_does_not_fence_a_running_load() {
    for write in FAILING_WRITES {
        let (cache, _) = clocked(100);
        let door = Door::default();
        let mut leader = lead(&cache, "key", 1, options(), &door);
        let mut waiter = join(&cache, "key");
        write(&cache);
        door.open();
        assert_eq!((leader.ends().unwrap(), waiter.ends().unwrap()), (1, 1));
        assert_eq!(get(&cache, "key"), Some(1));
        assert_eq!(cache.stats().stale_load_discards, 0);
    }
}

#[test]
fn refresh_with_an_encode_error_leaves_the_entry() {
    for options in [lasting(10), kept(5)] {
        let (cache, clock) = clocked(100);
        let unit = hydracache::Bytes::new();
        block_on(cache.put_bytes("key", unit, options.tag("tag"))).unwrap();
        clock.advance(SECOND * 5);
        let refresh = cache.refresh("key", tagged("new"), ready(Unencodable));
        assert!(block_on(refresh).unwrap_err().is_encode());
        assert_eq!(invalidate(&cache, "new"), 0);
        clock.advance(nearly(5));
        assert!(block_on(cache.contains_key("key")));
        clock.advance(NANO);
        assert!(!block_on(cache.contains_key("key")));
        assert_eq!(cache.stats().load_failures, 0);
    }
}

/// The time spent in the closure does not shorten the time to live of the new value.
#[test]
fn ttl_of_an_update_starts_when_the_value_is_stored() {
    for options in [lasting(10), options().time_to_idle(SECOND * 10)] {
        let (cache, clock) = clocked(100);
        let call = cache.update("key", options, |old: Option<u32>| {
            assert_eq!(old, None);
            clock.advance(SECOND * 300);
            Some(1)
        });
        assert_eq!(block_on(call).unwrap(), Some(1));
        clock.advance(nearly(10));
        assert_eq!(block_on(cache.peek("key")).unwrap(), Some(1_u32));
        clock.advance(NANO);
        assert_eq!(get(&cache, "key"), None);
    }
}

/// The cache never compares values: an equal value is stored with the options of its own call.
#[test]
fn write_of_an_equal_value_replaces_ttl_and_tags() {
    // Not `update`: an update keeps the tags of the entry.
    let writes: [fn(&HydraCache, CacheOptions); 3] = [
        |cache, options| put(cache, "key", 1, options),
        |cache, options| _ = block_on(cache.refresh("key", options, ready(1_u32))).unwrap(),
        |cache, options| {
            let bytes = block_on(cache.get_bytes("key")).unwrap().unwrap();
            block_on(cache.put_bytes("key", bytes, options)).unwrap();
        },
    ];
    for write in writes {
        let (clock, log) = (ManualClock::new(), Arc::new(Mutex::new(Vec::new())));
        let heard = Arc::clone(&log);
        let builder = HydraCache::local().clock(clock.clone());
        let listener = move |key: &str, _: &_, cause| {
            heard.lock().unwrap().push((key.to_owned(), cause));
        };
        let cache = builder.on_removal(listener).build();
        put(&cache, "key", 1, lasting(10).tag("first"));
        clock.advance(SECOND * 5);
        write(&cache, lasting(10).tag("second"));
        assert_eq!(*log.lock().unwrap(), [("key".to_owned(), Replaced)]);
        assert_eq!(invalidate(&cache, "first"), 0);
        clock.advance(nearly(10));
        assert_eq!(get(&cache, "key"), Some(1));
        assert_eq!(invalidate(&cache, "second"), 1);
    }
}

/// A larger value evicts another entry to hold `max_bytes`; a smaller value frees the
/// difference.
#[test]
fn update_charges_the_size_of_the_new_value() {
    let cost = |len: u64| 1 + len + 1 + 104;
    let cache = HydraCache::local().max_bytes(2 * cost(9)).build();
    let resize = |key, len: usize| {
        let of_len = |_: Option<String>| Some("x".repeat(len));
        block_on(cache.update(key, options(), of_len)).unwrap();
    };
    resize("a", 9);
    resize("b", 9);
    assert_eq!(cache.stats().evictions, 0);
    resize("b", 10);
    assert_eq!((cache.entry_count(), cache.stats().evictions), (1, 1));
    let b = block_on(cache.get::<String>("b")).unwrap();
    assert_eq!(b.map(|value| value.len()), Some(10));
    resize("b", 9);
    resize("a", 9);
    assert_eq!((cache.entry_count(), cache.stats().evictions), (2, 1));
    // A value above the bound is returned, not stored, and evicts nothing.
    resize("a", 125);
    let left = ["a", "b"].map(|key| block_on(cache.contains_key(key)));
    assert_eq!(left, [false, true]);
    assert_eq!(cache.stats().rejections, 1);
}

/// Caffeine fails at the second call of a setter; here the second call replaces the setting.
#[test]
fn last_call_of_a_repeated_setter_wins() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().max_capacity(1).max_capacity(3);
    let builder = builder.clock(ManualClock::new()).clock(clock.clone());
    let cache = builder.default_ttl(SECOND).default_ttl(SECOND * 5).build();
    put(&cache, "default", 1, options());
    put(&cache, "own", 1, lasting(2).ttl(SECOND * 3));
    put(&cache, "other", 1, lasting(9).ttl(SECOND));
    assert_eq!(cache.entry_count(), 3);
    let left = |key| get(&cache, key).is_some();
    for expected in [
        [true, true, false],
        [true, true, false],
        [true, false, false],
        [true, false, false],
        [false, false, false],
    ] {
        clock.advance(SECOND);
        assert_eq!(["default", "own", "other"].map(left), expected);
    }
}
