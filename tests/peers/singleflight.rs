//! What the tests of Go's `singleflight` check.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::{CacheResult, HydraCache};

use crate::stale::*;
use crate::support::*;

/// How a load that has lost its seat ends.
type End = fn(Hand<'_, CacheResult<u32>>, &Door);

/// Go's `Forget` is our `remove`: however the forgotten load ends, it ends none but itself.
#[test]
fn who_comes_after_a_forgotten_load_ended_joins_the_one_that_took_its_place() {
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

/// A group is not a cache: what it gave is forgotten when the last caller has it.
#[test]
fn what_a_load_that_was_forgotten_gave_is_given_to_nobody_who_comes_later() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut first = lead(&cache, "key", 1, options(), &door);
    let mut early = join(&cache, "key");
    remove(&cache, "key");
    door.open();
    // It has landed, and one who waited for it has not yet taken its value.
    assert_eq!(first.ends().unwrap(), 1);
    let late = cache.get_or_load("key", options(), || async { Ok::<_, Infallible>(2_u32) });
    assert_eq!(Hand::hold(late).ends().unwrap(), 2);
    assert_eq!(early.ends().unwrap(), 1);
}
