//! Keys of every kind in typed caches: how they are looked for is not how they are kept.

use std::fmt::Debug;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use hydracache::{CacheStats, HydraCache, ManualClock, TypedCache};
use serde::{Serialize, Serializer};

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

/// Its text is in a table that others read too.
#[derive(Clone)]
struct Symbol(Arc<Mutex<String>>);

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.try_lock();
        let text = text.map_err(|_| serde::ser::Error::custom("it is being read"))?;
        serializer.serialize_str(&text)
    }
}

/// Notes whether its key could be read when it was dropped.
struct Value(Symbol, Arc<Mutex<Vec<bool>>>);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("it is never decoded"))
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0.0.try_lock().is_ok());
    }
}

/// What a key holds while it is encoded is not held when listeners and values run.
#[test]
fn a_guard_of_a_key_is_let_go_before_what_is_gone_leaves() {
    let symbol = Symbol(Arc::new(Mutex::new("text".into())));
    let free = Arc::new(Mutex::new(Vec::new()));
    let (clock, told) = (ManualClock::new(), (symbol.clone(), Arc::clone(&free)));
    let cache = HydraCache::local()
        .clock(clock.clone())
        .on_removal(move |_, _, _| told.1.lock().unwrap().push(told.0.0.try_lock().is_ok()))
        .build();
    let part: TypedCache<Symbol, Value> = cache.typed("symbols");
    for many in [false, true] {
        let value = Value(symbol.clone(), Arc::clone(&free));
        block_on(part.put(&symbol, value, lasting(1))).unwrap();
        assert!(block_on(part.get(&symbol)).unwrap().is_some());
        clock.advance(SECOND);
        let found = if many {
            block_on(part.get_many([&symbol])).remove(0)
        } else {
            block_on(part.get(&symbol))
        };
        assert!(found.unwrap().is_none());
        assert_eq!(*free.lock().unwrap(), [true, true]);
        free.lock().unwrap().clear();
    }
    assert_eq!((cache.stats().hits, cache.stats().misses), (2, 2));
}

/// It is given, and then fails or panics.
struct Late(fn());

impl Serialize for Late {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(7)?;
        self.0();
        Err(serde::ser::Error::custom("late"))
    }
}

#[test]
fn a_key_that_fails_when_it_was_given_counts_nothing() {
    let (cache, _) = clocked(100);
    let part: TypedCache<Late, u8> = cache.typed("late");
    for key in [Late(|| ()), Late(|| panic!("late"))] {
        let get = AssertUnwindSafe(|| block_on(part.get(&key)));
        assert!(catch_unwind(get).map_or(true, |found| found.unwrap_err().is_encode()));
        let load = part.get_or_load(&key, options(), never);
        let load = catch_unwind(AssertUnwindSafe(|| block_on(load)));
        assert!(load.map_or(true, |found| found.unwrap_err().is_encode()));
    }
    assert_eq!(cache.stats(), CacheStats::default());
}
