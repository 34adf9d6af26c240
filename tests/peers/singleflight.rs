//! Behaviours from the tests of Go's `singleflight`.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::{CacheResult, HydraCache};

use crate::stale::*;
use crate::support::*;

/// How a fenced load ends.
type End = fn(Hand<'_, CacheResult<u32>>, &Door);

/// Go's `Forget` is `remove` here. However the fenced load ends, the newer load goes on:
///
/// 1. The first leader claims the slot; `remove` fences its load.
/// 2. A second leader claims the slot again.
/// 3. The first load ends with a value, an error or a panic, or is dropped.
/// 4. A third caller joins the second load.
#[test]
fn caller_after_a_fenced_load_ended_joins_the_newer_load() {
    let ends: [End; 4] = [
        |mut first, door| {
            door.open();
            assert_eq!(first.ends().unwrap(), 1);
        },
        |mut first, door| {
            door.open();
            assert!(first.ends().unwrap_err().is_load());
        },
        |mut first, door| {
            door.open();
            assert!(catch_unwind(AssertUnwindSafe(|| drop(first.poll()))).is_err());
        },
        |first, _| drop(first),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let cache = HydraCache::local().build();
        let (door, other) = (Door::default(), Door::default());
        let first = Hand::start(cache.get_or_load("key", options(), || async {
            door.pass().await;
            match number {
                1 => Err("away"),
                2 => panic!("boom"),
                _ => Ok(1_u32),
            }
        }));
        assert!(!remove(&cache, "key"));
        let mut second = lead(&cache, "key", 2, options(), &other);
        end(first, &door);
        let mut third = join(&cache, "key");
        other.open();
        assert_eq!((second.ends().unwrap(), third.ends().unwrap()), (2, 2));
        assert_eq!(get(&cache, "key"), Some(2));
        assert_eq!(cache.stats().loads, 2);
    }
}

/// A Go group stores nothing: the value is forgotten when the last caller has received it.
#[test]
fn fenced_value_is_not_served_to_later_callers() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut first = lead(&cache, "key", 1, options(), &door);
    let mut early = join(&cache, "key");
    remove(&cache, "key");
    door.open();
    // The load has ended, and its waiter `early` has not yet taken the value.
    assert_eq!(first.ends().unwrap(), 1);
    let late = cache.get_or_load("key", options(), || async { Ok::<_, Infallible>(2_u32) });
    assert_eq!(Hand::hold(late).ends().unwrap(), 2);
    assert_eq!(early.ends().unwrap(), 1);
}
