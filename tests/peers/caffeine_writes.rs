//! What the tests of Caffeine's `asMap` and of its expiry check.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use hydracache::RemovalCause::Replaced;
use hydracache::{CacheOptions, HydraCache, ManualClock};
use serde::{Deserialize, Serialize, Serializer};

use crate::stale::*;
use crate::support::*;

#[test]
fn a_put_if_absent_that_finds_a_value_leaves_its_time_and_its_tags() {
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

/// Reads as a number, and cannot be written.
#[derive(Debug, Deserialize)]
struct Formless;

impl Serialize for Formless {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no form"))
    }
}

type Failing = fn(&HydraCache);

/// Writes that end in an error or a panic.
const FAILING: [Failing; 4] = [
    |cache| {
        let call = || block_on(cache.update("key", tagged("new"), |_: Option<()>| panic!("boom")));
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    },
    |cache| {
        let call = cache.update("key", tagged("new"), |_| Some(Formless));
        assert!(block_on(call).unwrap_err().is_encode());
    },
    |cache| {
        let call = cache.put("key", Formless, tagged("new"));
        assert!(block_on(call).unwrap_err().is_encode());
    },
    |cache| {
        let call = cache.put_if_absent("key", Formless, tagged("new"));
        assert!(block_on(call).unwrap_err().is_encode());
    },
];

#[test]
fn a_write_that_fails_prolongs_nothing_and_removes_nothing() {
    for options in [lasting(32), options().time_to_idle(SECOND * 32)] {
        for write in FAILING {
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
fn a_write_that_fails_overtakes_no_load() {
    for write in FAILING {
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
fn a_refresh_whose_value_cannot_be_encoded_leaves_what_was_there() {
    for options in [lasting(10), kept(5)] {
        let (cache, clock) = clocked(100);
        let unit = hydracache::Bytes::new();
        block_on(cache.put_bytes("key", unit, options.tag("tag"))).unwrap();
        clock.advance(SECOND * 5);
        let refresh = cache.refresh("key", tagged("new"), ready(Formless));
        assert!(block_on(refresh).unwrap_err().is_encode());
        assert_eq!(invalidate(&cache, "new"), 0);
        clock.advance(nearly(5));
        assert!(block_on(cache.contains_key("key")));
        clock.advance(NANO);
        assert!(!block_on(cache.contains_key("key")));
        assert_eq!(cache.stats().load_failures, 0);
    }
}

/// Whatever time a closure takes, what it makes has all of its own.
#[test]
fn the_time_of_an_update_counts_from_its_store() {
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

/// Nobody compares values: an equal one is a new one, with the options of its own call.
#[test]
fn an_equal_value_put_again_is_a_write_like_any() {
    let writes: [fn(&HydraCache, CacheOptions); 4] = [
        |cache, options| put(cache, "key", 1, options),
        |cache, options| {
            let same = block_on(cache.update("key", options, |old: Option<u32>| old));
            assert_eq!(same.unwrap(), Some(1));
        },
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

/// A value larger than its predecessor takes room from others, and gives it back when it is
/// made smaller.
#[test]
fn an_update_is_charged_for_what_it_makes_of_a_value() {
    let cost = |len: u64| 1 + len + 1 + 104;
    let cache = HydraCache::local().max_bytes(2 * cost(9)).build();
    let grow = |key, len: usize| {
        let made = |_: Option<String>| Some("x".repeat(len));
        block_on(cache.update(key, options(), made)).unwrap();
    };
    grow("a", 9);
    grow("b", 9);
    assert_eq!(cache.stats().evictions, 0);
    grow("b", 10);
    assert_eq!((cache.entry_count(), cache.stats().evictions), (1, 1));
    let b = block_on(cache.get::<String>("b")).unwrap();
    assert_eq!(b.map(|value| value.len()), Some(10));
    grow("b", 9);
    grow("a", 9);
    assert_eq!((cache.entry_count(), cache.stats().evictions), (2, 1));
    // Too large by itself: it is made, not stored, and evicts nothing.
    grow("a", 125);
    let left = ["a", "b"].map(|key| block_on(cache.contains_key(key)));
    assert_eq!(left, [false, true]);
    assert_eq!(cache.stats().rejections, 1);
}

/// Theirs is an error at the second; ours, a setting that was changed.
#[test]
fn of_two_settings_the_last_counts() {
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
