//! Keys of every kind in typed caches: how they are looked for is not how they are kept.

use std::fmt::Debug;

use hydracache::{HydraCache, TypedCache};
use serde::Serialize;

use crate::support::*;

/// Tables grow, shrink and move, and keys are found by all verbs.
fn check<K: Serialize + Debug + 'static>(key: impl Fn(u64) -> K) {
    const MANY: u64 = 3_000;
    let cache = HydraCache::local().build();
    let part: TypedCache<K, u64> = cache.typed("numbers");
    let other: TypedCache<K, u64> = cache.typed("other numbers");
    for number in 0..MANY {
        block_on(part.put(&key(number), number, options().tag("all"))).unwrap();
        block_on(other.put(&key(number), number + 1, options())).unwrap();
    }
    for number in (0..MANY).filter(|number| number % 10 != 0) {
        assert!(block_on(part.remove(&key(number))).unwrap());
    }
    for number in 0..MANY {
        let (key, there) = (key(number), number % 10 == 0);
        let found = block_on(part.get(&key)).unwrap();
        assert_eq!(found.as_deref(), there.then_some(&number), "{key:?}");
        if there {
            let found = block_on(part.get_or_load(&key, options(), never));
            assert_eq!(*found.unwrap(), number, "{key:?}");
        }
        let found = block_on(other.get(&key)).unwrap();
        assert_eq!(found.as_deref(), Some(&(number + 1)), "{key:?}");
    }
    block_on(cache.invalidate_tag("all")).unwrap();
    assert_eq!(block_on(part.get(&key(0))).unwrap(), None);
    assert_eq!(cache.entry_count(), MANY);
}

#[test]
fn numbers() {
    check(|number| number << (number % 2 * 50) | number);
    check(|number| u32::try_from(number).unwrap());
    check(|number| i64::try_from(number).unwrap() - 1_500);
    check(|number| u128::from(number) << 60);
}

#[test]
fn texts() {
    check(|number| number.to_string());
    check(|number| "x".repeat(usize::try_from(number % 20).unwrap() * 10) + &number.to_string());
}

#[test]
fn new_types_and_what_has_parts() {
    #[derive(Debug, Serialize)]
    struct Id(u64);
    #[derive(Debug, Serialize)]
    struct Of {
        tenant: u8,
        name: String,
    }
    check(Id);
    check(|number| (number, "text"));
    check(|number| Of {
        tenant: 7,
        name: number.to_string(),
    });
    check(|number| (number % 2 == 0, Some(number)));
}

/// The first kind that a name meets says nothing of the next.
#[test]
fn keys_of_one_type_may_be_a_text_or_have_parts() {
    #[derive(Debug, Serialize)]
    #[serde(untagged)]
    enum Key {
        Text(String),
        Parts(u64, String),
    }
    check(|number| match number % 3 {
        0 => Key::Parts(number, "text".into()),
        _ => Key::Text(number.to_string()),
    });
}
