//! A key holds a single type. A read as another type is an error, never a wrong value.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;

use hydracache::{Bytes, CacheError, HydraCache};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::*;

fn store<V: Serialize>(value: V) -> HydraCache {
    let cache = HydraCache::local().build();
    block_on(cache.put("key", value, options())).unwrap();
    cache
}

/// Asserts: every typed call fails, and the entry is unchanged.
#[track_caller]
fn assert_wrong_type<Stored, Requested>(value: Stored)
where
    Stored: Serialize,
    Requested: Serialize + DeserializeOwned + Debug,
{
    let cache = store(value);
    let before = block_on(cache.get_bytes("key")).unwrap();
    let errors = [
        block_on(cache.get::<Requested>("key")).unwrap_err(),
        block_on(cache.peek::<Requested>("key")).unwrap_err(),
        block_on(cache.get_or_load("key", options(), never::<Requested>)).unwrap_err(),
        block_on(cache.try_get_or_insert_with("key", options(), never::<Requested>)).unwrap_err(),
        block_on(
            cache.get_or_insert_with::<Requested, _, _>("key", options(), || async {
                unreachable!()
            }),
        )
        .unwrap_err(),
    ];
    for error in errors {
        assert!(error.is_wrong_type() && !error.is_decode());
        let message = error.to_string();
        for name in [
            std::any::type_name::<Stored>(),
            std::any::type_name::<Requested>(),
        ] {
            assert!(message.contains(name), "{message}");
        }
    }
    assert_eq!(block_on(cache.get_bytes("key")).unwrap(), before);
    let stats = cache.stats();
    assert_eq!(
        (stats.loads, stats.misses, stats.decode_failures),
        (0, 0, 0)
    );
}

#[track_caller]
fn assert_reads<Stored, Requested>(value: Stored, expected: &Requested)
where
    Stored: Serialize,
    Requested: Serialize + DeserializeOwned + Debug + PartialEq,
{
    let cache = store(value);
    let found = block_on(cache.get::<Requested>("key")).unwrap();
    assert_eq!(found.as_ref(), Some(expected));
    let loaded = block_on(cache.get_or_load("key", options(), never::<Requested>)).unwrap();
    assert_eq!(&loaded, expected);
}

/// Postcard alone would decode each pair without an error.
#[test]
fn numbers_and_shapes_are_different_types() {
    assert_wrong_type::<i64, u64>(-1);
    assert_wrong_type::<u32, u64>(7);
    assert_wrong_type::<(u32, u32, u32), Option<(u64, u64)>>((1, 7, 9));
    assert_wrong_type::<(u64, u64), u64>((1, 2));
    assert_wrong_type::<String, Vec<u8>>("text".into());
    assert_wrong_type::<u8, bool>(1);
}

#[test]
fn pointer_types_inside_another_type_do_not_match() {
    assert_wrong_type::<Option<&str>, Option<String>>(Some("a"));
    assert_wrong_type::<Vec<&str>, Vec<String>>(vec!["a"]);
    assert_wrong_type::<Option<Box<u32>>, Option<u32>>(Some(Box::new(1)));
    assert_wrong_type::<&[u8; 3], Vec<u8>>(&[1, 2, 3]);
}

#[test]
fn structs_of_one_name_in_two_blocks_are_two_types() {
    fn one() -> impl Serialize + DeserializeOwned + Debug + 'static {
        #[derive(Debug, Serialize, serde::Deserialize)]
        struct User(u32);
        User(1)
    }
    let cache = store(one());
    {
        #[derive(Debug, Serialize, serde::Deserialize)]
        struct User(u32);
        {
            #[derive(Debug, Serialize, serde::Deserialize)]
            struct User(u32);
            block_on(cache.put("key", User(1), options())).unwrap();
        }
        let error = block_on(cache.get::<User>("key")).unwrap_err();
        assert!(error.is_wrong_type());
    }
}

#[test]
fn value_put_by_reference_is_read_as_owned() {
    let text = String::from("text");
    assert_reads::<&str, String>(&text, &text);
    assert_reads::<&String, String>(&text, &text);
    assert_reads::<Cow<'_, str>, String>(Cow::Borrowed(&text), &text);
    assert_reads::<Arc<str>, String>(text.as_str().into(), &text);
    assert_reads::<String, Box<str>>(text.clone(), &text.as_str().into());
    assert_reads::<&[u16], Vec<u16>>(&[1, 2], &vec![1, 2]);
    assert_reads::<Vec<u16>, Box<[u16]>>(vec![1, 2], &Box::from([1, 2]));
    assert_reads::<Vec<u16>, Rc<[u16]>>(vec![1, 2], &Rc::from([1, 2]));
    assert_reads::<&Arc<u32>, u32>(&Arc::new(7), &7);
    assert_reads::<u32, Arc<Box<u32>>>(7, &Arc::new(Box::new(7)));
    assert_reads::<&mut u32, u32>(&mut 7, &7);
    assert_reads::<&[u8; 3], [u8; 3]>(&[1, 2, 3], &[1, 2, 3]);
}

#[test]
fn borrowing_types_match_whatever_their_lifetime() {
    #[derive(Serialize, serde::Deserialize, Debug, PartialEq)]
    struct User<'a> {
        name: Cow<'a, str>,
    }
    let name = String::from("Ada");
    let cache = store(User {
        name: Cow::Borrowed(&name),
    });
    let user = block_on(cache.get::<User<'static>>("key"));
    assert_eq!(user.unwrap().unwrap().name, name);
}

#[test]
fn put_of_another_type_replaces_value_and_type() {
    let cache = store(7_u32);
    block_on(cache.put("key", "text", options())).unwrap();
    assert_eq!(
        block_on(cache.get::<String>("key")).unwrap().as_deref(),
        Some("text")
    );
    assert!(block_on(cache.get::<u32>("key")).is_err_and(|error| error.is_wrong_type()));
}

#[test]
fn put_bytes_entry_has_no_type_and_decodes_as_any_type() {
    let cache = HydraCache::local().build();
    let bytes = Bytes::from_static(b"\x01");
    block_on(cache.put_bytes("key", bytes.clone(), options())).unwrap();
    assert_eq!(block_on(cache.get::<u8>("key")).unwrap(), Some(1));
    assert_eq!(block_on(cache.get::<i64>("key")).unwrap(), Some(-1));
    assert_eq!(block_on(cache.get::<bool>("key")).unwrap(), Some(true));
    assert_eq!(block_on(cache.get_bytes("key")).unwrap(), Some(bytes));
    assert!(
        block_on(cache.get::<String>("key"))
            .unwrap_err()
            .is_decode()
    );
    // `put_bytes` over a typed entry removes the type.
    put(&cache, "key", 1, options());
    block_on(cache.put_bytes("key", Bytes::from_static(b"\x01"), options())).unwrap();
    assert_eq!(block_on(cache.get::<i64>("key")).unwrap(), Some(-1));
}

#[test]
fn running_load_has_a_type_too() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = lead(&cache, "key", 7, options(), &door);
    let other = cache
        .get_or_load::<String, CacheError, _, _>("key", options(), || async { unreachable!() });
    let error = block_on(other).unwrap_err();
    assert!(error.is_wrong_type());
    assert_eq!(
        error.to_string(),
        "key \"key\" is stored or being loaded as `u32` and was asked for as \
         `alloc::string::String`: ask for the type it has, or put a value of the other type first"
    );
    door.open();
    assert_eq!(leader.ends().unwrap(), 7);
    assert_eq!(get(&cache, "key"), Some(7));
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 2;
        stats.loads = 1;
    });
}

#[test]
fn load_is_joined_through_pointer_types() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(Arc::<str>::from("text"))
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<String>));
    door.open();
    assert_eq!(&*leader.ends().unwrap(), "text");
    assert_eq!(waiter.ends().unwrap(), "text");
}

#[test]
fn wrong_type_read_leaves_the_entry_readable() {
    let cache = store(7_u32);
    for _ in 0..3 {
        assert!(block_on(cache.get::<String>("key")).is_err());
        assert_eq!(get(&cache, "key"), Some(7));
    }
    assert_stats(cache.stats(), |stats| stats.hits = 6);
}
