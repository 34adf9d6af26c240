//! Keys of every kind are found in typed caches, although the stored form of a key differs from
//! the form used to find the key.

use std::fmt::Debug;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use hydracache::{CacheStats, HydraCache, ManualClock, TypedCache};
use serde::{Serialize, Serializer};

use crate::support::*;

/// Asserts: `get`, `get_or_load` and `remove` find keys while the table grows and shrinks.
fn assert_keys_are_found<K: Serialize + Debug + 'static>(key: impl Fn(u64) -> K) {
    const MANY: u64 = 3_000;
    let cache = HydraCache::local().build();
    let typed: TypedCache<K, u64> = cache.typed("number_keys_are_found");
    let other: TypedCache<K, u64> = cache.typed("other number_keys_are_found");
    for number in 0..MANY {
        block_on(typed.put(&key(number), number, options().tag("all"))).unwrap();
        block_on(other.put(&key(number), number + 1, options())).unwrap();
    }
    for number in (0..MANY).filter(|number| number % 10 != 0) {
        assert!(block_on(typed.remove(&key(number))).unwrap());
    }
    for number in 0..MANY {
        let (key, is_stored) = (key(number), number % 10 == 0);
        let found = block_on(typed.get(&key)).unwrap();
        assert_eq!(found.as_deref(), is_stored.then_some(&number), "{key:?}");
        if is_stored {
            let found = block_on(typed.get_or_load(&key, options(), never));
            assert_eq!(*found.unwrap(), number, "{key:?}");
        }
        let found = block_on(other.get(&key)).unwrap();
        assert_eq!(found.as_deref(), Some(&(number + 1)), "{key:?}");
    }
    block_on(cache.invalidate_tag("all")).unwrap();
    assert_eq!(block_on(typed.get(&key(0))).unwrap(), None);
    assert_eq!(cache.entry_count(), MANY);
}

#[test]
fn number_keys_are_found() {
    assert_keys_are_found(|number| number << (number % 2 * 50) | number);
    assert_keys_are_found(|number| u32::try_from(number).unwrap());
    assert_keys_are_found(|number| i64::try_from(number).unwrap() - 1_500);
    assert_keys_are_found(|number| u128::from(number) << 60);
}

#[test]
fn text_keys_are_found() {
    assert_keys_are_found(|number| number.to_string());
    assert_keys_are_found(|number| {
        "x".repeat(usize::try_from(number % 20).unwrap() * 10) + &number.to_string()
    });
}

#[test]
fn newtype_tuple_and_struct_keys_are_found() {
    #[derive(Debug, Serialize)]
    struct Id(u64);
    #[derive(Debug, Serialize)]
    struct UserKey {
        tenant: u8,
        name: String,
    }
    assert_keys_are_found(Id);
    assert_keys_are_found(|number| (number, "text"));
    assert_keys_are_found(|number| UserKey {
        tenant: 7,
        name: number.to_string(),
    });
    assert_keys_are_found(|number| (number % 2 == 0, Some(number)));
}

/// The kind of the first key of a name does not fix the kind of later keys.
#[test]
fn untagged_enum_keys_of_text_or_fields_are_found() {
    #[derive(Debug, Serialize)]
    #[serde(untagged)]
    enum Key {
        Text(String),
        Parts(u64, String),
    }
    assert_keys_are_found(|number| match number % 3 {
        0 => Key::Parts(number, "text".into()),
        _ => Key::Text(number.to_string()),
    });
}

/// A key with its text behind a lock. `serialize` takes the lock.
#[derive(Clone)]
struct Symbol(Arc<Mutex<String>>);

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.try_lock();
        let text = text.map_err(|_| serde::ser::Error::custom("the text is locked"))?;
        serializer.serialize_str(&text)
    }
}

/// Records at the drop whether the lock of the key is free.
struct Value(Symbol, Arc<Mutex<Vec<bool>>>);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("a shared value is never decoded"))
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0.0.try_lock().is_ok());
    }
}

/// A lock taken while a key is encoded is free when listeners and drops run.
#[test]
fn key_guard_is_released_before_listener_and_drop_run() {
    let symbol = Symbol(Arc::new(Mutex::new("text".into())));
    let was_free = Arc::new(Mutex::new(Vec::new()));
    let clock = ManualClock::new();
    let (key, log) = (symbol.clone(), Arc::clone(&was_free));
    let cache = HydraCache::local()
        .clock(clock.clone())
        .on_removal(move |_, _, _| log.lock().unwrap().push(key.0.try_lock().is_ok()))
        .build();
    let typed: TypedCache<Symbol, Value> = cache.typed("symbols");
    for bulk in [false, true] {
        let value = Value(symbol.clone(), Arc::clone(&was_free));
        block_on(typed.put(&symbol, value, lasting(1))).unwrap();
        assert!(block_on(typed.get(&symbol)).unwrap().is_some());
        clock.advance(SECOND);
        let found = if bulk {
            block_on(typed.get_many([&symbol])).remove(0)
        } else {
            block_on(typed.get(&symbol))
        };
        assert!(found.unwrap().is_none());
        assert_eq!(*was_free.lock().unwrap(), [true, true]);
        was_free.lock().unwrap().clear();
    }
    assert_eq!((cache.stats().hits, cache.stats().misses), (2, 2));
}

/// Writes bytes, then fails or panics.
struct Late(fn());

impl Serialize for Late {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(7)?;
        self.0();
        Err(serde::ser::Error::custom("late"))
    }
}

#[test]
fn key_failing_late_in_serialize_moves_no_counter() {
    let (cache, _) = clocked(100);
    let typed: TypedCache<Late, u8> = cache.typed("late");
    for key in [Late(|| ()), Late(|| panic!("late"))] {
        let get = AssertUnwindSafe(|| block_on(typed.get(&key)));
        assert!(catch_unwind(get).map_or(true, |found| found.unwrap_err().is_encode()));
        let load = typed.get_or_load(&key, options(), never);
        let load = catch_unwind(AssertUnwindSafe(|| block_on(load)));
        assert!(load.map_or(true, |found| found.unwrap_err().is_encode()));
    }
    assert_eq!(cache.stats(), CacheStats::default());
}
