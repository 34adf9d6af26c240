//! Names of typed caches: keys of different names never collide, and the types of a name stay.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hydracache::{CacheError, CacheResult, HydraCache, TypedCache};
use serde::de::DeserializeOwned;
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};

use crate::parts::*;
use crate::support::*;

fn unusual_texts() -> Vec<String> {
    let mut names = vec![
        "", "\0", "\u{1}", "a", "a:b", "b", ":", "\u{ff}", "ÿ", "a\u{1}b",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect::<BTreeSet<_>>();
    for length in [21, 22, 23, 62, 63, 64, 65, 66, 200] {
        names.insert("n".repeat(length));
    }
    names.into_iter().collect()
}

/// With a name and a key joined by `:`, the keys would collide.
#[test]
fn keys_of_different_names_and_plain_keys_never_collide() {
    let cache = HydraCache::local().build();
    let a = cache.typed::<str, u8>("a");
    let ab = cache.typed::<str, u8>("a:b");
    block_on(a.put("b:c", 1, options())).unwrap();
    block_on(ab.put("c", 2, options())).unwrap();
    put(&cache, "a:b:c", 3, options());
    assert_eq!(block_on(a.get("b:c")).unwrap().as_deref(), Some(&1));
    assert_eq!(block_on(ab.get("c")).unwrap().as_deref(), Some(&2));
    assert_eq!(get(&cache, "a:b:c"), Some(3));
    assert_eq!(block_on(a.invalidate_all()).unwrap(), 1);
    assert_eq!(block_on(ab.get("c")).unwrap().as_deref(), Some(&2));
    assert_eq!(get(&cache, "a:b:c"), Some(3));
}

#[test]
fn names_and_keys_may_be_any_text() {
    let cache = HydraCache::local().max_capacity(1000).build();
    let (names, keys) = (unusual_texts(), unusual_texts());
    let handles: Vec<TypedCache<str, u32>> = names.iter().map(|name| cache.typed(name)).collect();
    let number = |name: usize, key: usize| u32::try_from(name * 100 + key).unwrap();
    for (at, typed) in handles.iter().enumerate() {
        for (number_of_key, key) in keys.iter().enumerate() {
            block_on(typed.put(key, number(at, number_of_key), options())).unwrap();
        }
    }
    for (at, key) in keys.iter().enumerate() {
        put(&cache, key, number(99, at), options());
    }
    for (at, typed) in handles.iter().enumerate() {
        for (number_of_key, key) in keys.iter().enumerate() {
            let found = block_on(typed.get(key)).unwrap();
            let expected = number(at, number_of_key);
            assert_eq!(found.as_deref(), Some(&expected), "{:?} {key:?}", names[at]);
        }
    }
    for (at, typed) in handles.iter().enumerate() {
        assert_eq!(block_on(typed.invalidate_all()).unwrap(), keys.len() as u64);
        let left = (handles.len() - at) * keys.len();
        assert_eq!(cache.entry_count(), left as u64);
    }
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(get(&cache, key), Some(number(99, at)));
    }
}

/// Stores a value under each key, and finds each by a newly opened handle.
#[track_caller]
fn assert_distinct<K: Serialize + Debug + 'static>(keys: impl IntoIterator<Item = K>) {
    let cache = HydraCache::local().build();
    let keys: Vec<K> = keys.into_iter().collect();
    let open = || cache.typed::<K, usize>("keys");
    for (number, key) in keys.iter().enumerate() {
        block_on(open().put(key, number, options())).unwrap();
    }
    for (number, key) in keys.iter().enumerate() {
        let found = block_on(open().get(key)).unwrap();
        assert_eq!(found.as_deref(), Some(&number), "{key:?}");
    }
    assert_eq!(
        block_on(open().invalidate_all()).unwrap(),
        keys.len() as u64
    );
}

#[derive(Debug, Deserialize, Serialize)]
enum Place {
    Unit,
    Number(u64),
    Text(String),
    At { row: u32, column: u32 },
}

#[test]
fn keys_of_any_serializable_type_stay_distinct() {
    assert_distinct([0, 1, 127, 128, 255, 256, u64::MAX]);
    assert_distinct([-1_i64, 0, 1, i64::MIN, i64::MAX]);
    assert_distinct([(0_u32, 256_u32), (256, 0), (0, 0)]);
    assert_distinct([("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", "")]);
    assert_distinct(['a', 'ÿ', '\0', '\u{10ffff}']);
    assert_distinct([None, Some(0_u8), Some(1)]);
    assert_distinct([vec![], vec![0_u8], vec![0, 0], vec![0; 100], vec![255; 100]]);
    assert_distinct([()]);
    assert_distinct([
        Place::Unit,
        Place::Number(0),
        Place::Number(1),
        Place::Text(String::new()),
        Place::Text("\0".into()),
        Place::Text("x".repeat(100)),
        Place::At { row: 0, column: 1 },
        Place::At { row: 1, column: 0 },
    ]);
    let cache = HydraCache::local().build();
    let slices = cache.typed::<[u8], u8>("slices");
    block_on(slices.put(&[1, 2], 7, options())).unwrap();
    let found = block_on(slices.get(&[1, 2])).unwrap();
    assert_eq!(found.as_deref(), Some(&7));
}

#[test]
fn key_is_found_through_every_pointer_type() {
    let cache = HydraCache::local().build();
    let owned = cache.typed::<String, u8>("names");
    block_on(owned.put(&"Ada".into(), 7, options())).unwrap();
    let boxed = cache.typed::<Box<str>, u8>("names");
    let borrowed = cache.typed::<&'static str, u8>("names");
    assert_eq!(block_on(borrowed.get(&"Ada")).unwrap(), Some(7.into()));
    assert!(block_on(boxed.remove(&"Ada".into())).unwrap());
    assert_eq!(block_on(owned.get(&"Ada".into())).unwrap(), None);
}

#[test]
fn handles_of_one_name_share_their_entries() {
    let cache = HydraCache::local().build();
    let first = numbers(&cache);
    store(&first, 7, 1, options());
    let others = [first.clone(), numbers(&cache.clone())];
    drop(first);
    for other in &others {
        assert_eq!(read(other, 7), Some(1));
    }
    assert_eq!(clear(&others[0]), 1);
    assert_eq!(read(&others[1], 7), None);
    let elsewhere = HydraCache::local().build();
    store(&others[0], 7, 1, options());
    assert_eq!(read(&numbers(&elsewhere), 7), None);
    let other_types = elsewhere.typed::<u8, u8>("numbers");
    assert!(
        block_on(other_types.get(&7)).is_err(),
        "the name keeps its types"
    );
}

/// Asserts: every call of a handle fails if the name was opened with other types.
#[track_caller]
fn assert_refused<K, V>(cache: &HydraCache, key: &K, value: impl Fn() -> V)
where
    K: Serialize + Clone + Send + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let typed = cache.typed::<K, V>("numbers");
    let never_many = |_: Vec<K>| never::<Vec<V>>();
    let loading = typed.with_loader(|_| never::<V>());
    let other_options = typed.clone().with_options(tagged("tag"));
    let call = typed.get_or_load_many([key, key], options(), never_many);
    let many = block_on(call).into_iter().map(|found| found.map(drop));
    let each = block_on(typed.get_many([key])).into_iter();
    let mut results: Vec<CacheResult<()>> = vec![
        block_on(typed.get(key)).map(drop),
        block_on(typed.put(key, value(), options())),
        block_on(typed.get_or_load(key, options(), never)).map(drop),
        block_on(typed.remove(key)).map(drop),
        block_on(typed.invalidate_all()).map(drop),
        block_on(loading.get(key)).map(drop),
        block_on(loading.refresh(key)).map(drop),
        block_on(loading.clone().typed().invalidate_all()).map(drop),
        block_on(other_options.put(key, value(), options())),
    ];
    results.extend(many);
    results.extend(each.map(|found| found.map(drop)));
    assert_eq!(results.len(), 12);
    let [key, value] = [std::any::type_name::<K>(), std::any::type_name::<V>()];
    for result in results {
        let error: CacheError = result.unwrap_err();
        let text = error.to_string();
        assert!(error.is_wrong_type(), "{text}");
        for expected in ["\"numbers\"", "u64", "parts::Number", key, value] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }
}

#[test]
fn name_with_other_types_is_refused_and_keeps_its_entries() {
    let cache = HydraCache::local().build();
    let (typed, door) = (numbers(&cache), Door::default());
    store(&typed, 7, 1, options());
    let mut loading = lead_one(&typed, &8, 2, options(), &door);
    let before = cache.stats();
    assert_refused::<u64, String>(&cache, &7, || "Ada".into());
    assert_refused::<u64, Box<u32>>(&cache, &7, || Box::new(7));
    assert_refused::<u32, Number>(&cache, &7, || Number(7));
    assert_refused::<String, u32>(&cache, &"7".into(), || 7);
    assert_stats(cache.stats() - before, |_| {});
    door.open();
    assert_eq!(loading.ends().unwrap().0, 2);
    assert_eq!((read(&typed, 7), read(&typed, 8)), (Some(1), Some(2)));
}

/// A typed cache hands out the stored `Arc`, so a `Box<str>` is not a `String` here.
#[test]
fn typed_value_is_not_read_as_another_pointer_type() {
    let cache = HydraCache::local().build();
    let owned = cache.typed::<u8, String>("names");
    block_on(owned.put(&7, "Ada".into(), options())).unwrap();
    // With a stored value, and without.
    for key in [7, 8] {
        let boxed = cache.typed::<u8, Box<str>>("names");
        let shared = cache.typed::<u8, Arc<String>>("names");
        assert!(block_on(boxed.get(&key)).unwrap_err().is_wrong_type());
        assert!(block_on(shared.get(&key)).unwrap_err().is_wrong_type());
    }
    // Plain keys and typed keys never meet, so a plain key may have any type.
    block_on(cache.put("7", 7_u8, options())).unwrap();
    assert_eq!(block_on(cache.get::<u8>("7")).unwrap(), Some(7));
}

#[test]
fn two_types_with_the_same_path_are_different_types() {
    let cache = HydraCache::local().build();
    {
        #[derive(Deserialize, Serialize)]
        struct User(u8);
        let typed = cache.typed::<u8, User>("users");
        block_on(typed.put(&7, User(1), options())).unwrap();
    }
    {
        #[derive(Deserialize, Serialize)]
        struct User(u8);
        let typed = cache.typed::<u8, User>("users");
        let error = block_on(typed.get(&7)).map(drop).unwrap_err();
        assert!(error.is_wrong_type());
    }
}

/// Encoding fails for 1 and panics for 2.
#[derive(Clone)]
struct MayFail(u8);

impl Serialize for MayFail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            1 => Err(S::Error::custom("not encodable")),
            2 => panic!("may_fail"),
            other => serializer.serialize_u8(other),
        }
    }
}

#[test]
fn unencodable_key_is_an_error_and_changes_nothing() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<MayFail, u8>("may_fail");
    let loading = typed.with_loader(|_| never::<u8>());
    let bad = &MayFail(1);
    let before = cache.stats();
    let call = typed.get_or_load_many([bad], options(), |_| never::<Vec<u8>>());
    let results = [
        block_on(typed.get(bad)).map(drop),
        block_on(typed.put(bad, 7, options())),
        block_on(typed.get_or_load(bad, options(), never)).map(drop),
        block_on(typed.remove(bad)).map(drop),
        block_on(loading.get(bad)).map(drop),
        block_on(loading.refresh(bad)).map(drop),
        block_on(typed.get_many([bad])).remove(0).map(drop),
        block_on(call).remove(0).map(drop),
    ];
    for result in results {
        let error = result.unwrap_err();
        let text = error.to_string();
        assert!(error.is_encode(), "{text}");
        assert!(
            text.contains("may_fail") && text.contains("MayFail"),
            "{text}"
        );
    }
    assert_stats(cache.stats() - before, |_| {});
    assert_eq!(cache.entry_count(), 0);
}

#[test]
fn unencodable_key_among_many_fails_alone() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<MayFail, u8>("may_fail");
    let load = |keys: Vec<MayFail>| async move {
        let values = keys.iter().map(|key| key.0 * 2).collect::<Vec<_>>();
        Ok::<_, &str>(values)
    };
    let keys = [MayFail(3), MayFail(1), MayFail(4)];
    let found = block_on(typed.get_or_load_many(&keys, options(), load));

    let found: Vec<Option<u8>> = found.into_iter().map(|it| it.ok().map(|it| *it)).collect();
    assert_eq!(found, [Some(6), None, Some(8)]);
}

#[test]
fn panic_in_encoding_a_key_leaves_no_slot_claimed() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<MayFail, u8>("may_fail");
    let calls: [&dyn Fn(); 3] = [
        &|| drop(block_on(typed.put(&MayFail(2), 7, options()))),
        &|| drop(block_on(typed.get_or_load(&MayFail(2), options(), never))),
        &|| {
            let keys = [MayFail(3), MayFail(2)];
            let call = typed.get_or_load_many(keys, options(), |_| never::<Vec<u8>>());
            drop(block_on(call));
        },
    ];
    for call in calls {
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    }
    let call = typed.get_or_load(&MayFail(3), options(), ready(7));
    assert_eq!(*Hand::hold(call).ends().unwrap(), 7);
}

/// Key types of the same encoded form may share a name: `str` and `String`, also behind pointers.
#[test]
fn str_and_string_keys_share_a_name() {
    let cache = HydraCache::local().build();
    let borrowed = cache.typed::<str, u8>("names");
    block_on(borrowed.put("Ada", 7, options())).unwrap();
    let owned = cache.typed::<String, u8>("names");
    assert_eq!(block_on(owned.get(&"Ada".into())).unwrap(), Some(7.into()));
}

#[test]
fn slice_and_vec_keys_share_a_name() {
    let cache = HydraCache::local().build();
    let borrowed = cache.typed::<[u8], u8>("names");
    block_on(borrowed.put(&[1], 7, options())).unwrap();
    let owned = cache.typed::<Vec<u8>, u8>("names");
    assert_eq!(block_on(owned.get(&vec![1])).unwrap(), Some(7.into()));
}

/// Replaces the serializer's error with another, as wrapper types do.
struct Wrapping(String);

impl Serialize for Wrapping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = serializer.serialize_str(&self.0);
        written.map_err(|error| S::Error::custom(format!("a wrapper: {error}")))
    }
}

#[test]
fn long_key_works_though_its_type_replaces_errors() {
    let typed = HydraCache::local().build().typed::<Wrapping, u8>("wrapped");
    for length in [10, 100] {
        let key = Wrapping("x".repeat(length));
        block_on(typed.put(&key, 7, options())).unwrap();
        assert_eq!(block_on(typed.get(&key)).unwrap(), Some(7.into()));
    }
}

/// Ignores errors of the serializer, as hand-written code may.
struct IgnoresErrors(Vec<String>);

impl Serialize for IgnoresErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for name in &self.0 {
            let _ = list.serialize_element(name);
        }
        list.end()
    }
}

#[test]
fn long_key_is_complete_though_its_type_ignores_errors() {
    let typed = HydraCache::local()
        .build()
        .typed::<IgnoresErrors, u8>("ignores_errors");
    let key = |letter: &str| IgnoresErrors(vec![letter.repeat(100)]);
    block_on(typed.put(&key("a"), 7, options())).unwrap();
    assert_eq!(block_on(typed.get(&key("b"))).unwrap(), None);
}
