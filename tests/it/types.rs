//! A key holds one type. Reading it as another is an error, never garbage.

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

/// Asserts that every typed verb refuses, and that the entry stays as it is.
#[track_caller]
fn refuses<Stored, Asked>(value: Stored)
where
    Stored: Serialize,
    Asked: Serialize + DeserializeOwned + Debug,
{
    let cache = store(value);
    let before = block_on(cache.get_bytes("key")).unwrap();
    let errors = [
        block_on(cache.get::<Asked>("key")).unwrap_err(),
        block_on(cache.peek::<Asked>("key")).unwrap_err(),
        block_on(cache.get_or_load("key", options(), never::<Asked>)).unwrap_err(),
        block_on(cache.try_get_or_insert_with("key", options(), never::<Asked>)).unwrap_err(),
        block_on(
            cache.get_or_insert_with::<Asked, _, _>("key", options(), || async { unreachable!() }),
        )
        .unwrap_err(),
    ];
    for error in errors {
        assert!(error.is_wrong_type() && !error.is_decode());
        let message = error.to_string();
        for name in [
            std::any::type_name::<Stored>(),
            std::any::type_name::<Asked>(),
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
fn reads<Stored, Asked>(value: Stored, expected: &Asked)
where
    Stored: Serialize,
    Asked: Serialize + DeserializeOwned + Debug + PartialEq,
{
    let cache = store(value);
    let found = block_on(cache.get::<Asked>("key")).unwrap();
    assert_eq!(found.as_ref(), Some(expected));
    let loaded = block_on(cache.get_or_load("key", options(), never::<Asked>)).unwrap();
    assert_eq!(&loaded, expected);
}

/// postcard would read each of these without a word.
#[test]
fn numbers_and_shapes_are_told_apart() {
    refuses::<i64, u64>(-1);
    refuses::<u32, u64>(7);
    refuses::<(u32, u32, u32), Option<(u64, u64)>>((1, 7, 9));
    refuses::<(u64, u64), u64>((1, 2));
    refuses::<String, Vec<u8>>("text".into());
    refuses::<u8, bool>(1);
}

#[test]
fn inside_another_type_there_is_no_grace() {
    refuses::<Option<&str>, Option<String>>(Some("a"));
    refuses::<Vec<&str>, Vec<String>>(vec!["a"]);
    refuses::<Option<Box<u32>>, Option<u32>>(Some(Box::new(1)));
    refuses::<&[u8; 3], Vec<u8>>(&[1, 2, 3]);
}

#[test]
fn two_structs_of_one_name_are_two_types() {
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
fn what_is_put_by_reference_is_read_as_owned() {
    let text = String::from("text");
    reads::<&str, String>(&text, &text);
    reads::<&String, String>(&text, &text);
    reads::<Cow<'_, str>, String>(Cow::Borrowed(&text), &text);
    reads::<Arc<str>, String>(text.as_str().into(), &text);
    reads::<String, Box<str>>(text.clone(), &text.as_str().into());
    reads::<&[u16], Vec<u16>>(&[1, 2], &vec![1, 2]);
    reads::<Vec<u16>, Box<[u16]>>(vec![1, 2], &Box::from([1, 2]));
    reads::<Vec<u16>, Rc<[u16]>>(vec![1, 2], &Rc::from([1, 2]));
    reads::<&Arc<u32>, u32>(&Arc::new(7), &7);
    reads::<u32, Arc<Box<u32>>>(7, &Arc::new(Box::new(7)));
    reads::<&mut u32, u32>(&mut 7, &7);
    reads::<&[u8; 3], [u8; 3]>(&[1, 2, 3], &[1, 2, 3]);
}

#[test]
fn types_that_borrow_are_known_whatever_their_lifetime() {
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
fn a_put_of_another_type_replaces_value_and_type() {
    let cache = store(7_u32);
    block_on(cache.put("key", "text", options())).unwrap();
    assert_eq!(
        block_on(cache.get::<String>("key")).unwrap().as_deref(),
        Some("text")
    );
    assert!(block_on(cache.get::<u32>("key")).is_err_and(|error| error.is_wrong_type()));
}

#[test]
fn bytes_have_no_type_and_decode_as_whatever_is_asked() {
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
    // Bytes over a typed entry take its type away.
    put(&cache, "key", 1, options());
    block_on(cache.put_bytes("key", Bytes::from_static(b"\x01"), options())).unwrap();
    assert_eq!(block_on(cache.get::<i64>("key")).unwrap(), Some(-1));
}

#[test]
fn a_load_in_progress_has_a_type_too() {
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
fn a_load_is_joined_through_pointers() {
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
fn after_a_wrong_type_the_right_one_is_still_there() {
    let cache = store(7_u32);
    for _ in 0..3 {
        assert!(block_on(cache.get::<String>("key")).is_err());
        assert_eq!(get(&cache, "key"), Some(7));
    }
    assert_stats(cache.stats(), |stats| stats.hits = 6);
}
