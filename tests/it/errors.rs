//! Errors name the input, keep their cause, and leave things as they were.

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::{Bytes, CacheError, HydraCache};
use serde::{Deserialize, Serialize, Serializer};

use crate::pool::*;
use crate::stale::*;
use crate::support::*;

/// A value that has no encoded form.
#[derive(Debug, Deserialize)]
pub struct Unencodable;

impl Serialize for Unencodable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no form"))
    }
}

#[derive(Debug, PartialEq)]
struct Away(u32);

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "away for {} s", self.0)
    }
}

impl Error for Away {}

fn failing<E: Into<hydracache::BoxError>>(key: &str, error: E) -> CacheError {
    let cache = HydraCache::local().build();
    let call = cache.get_or_load::<u32, E, _, _>(key, options(), || async { Err(error) });
    block_on(call).unwrap_err()
}

#[test]
fn a_loaders_own_error_is_the_source() {
    let error = failing("key", Away(7));
    assert!(error.is_load());
    let source = error.source().unwrap();
    assert_eq!(source.downcast_ref::<Away>(), Some(&Away(7)));
    assert!(source.source().is_none());
    assert_eq!(
        error.to_string(),
        r#"the loader for key "key" failed: away for 7 s"#
    );
    // A clone is the same error.
    let clone = error.clone();
    assert!(std::ptr::addr_eq(
        std::ptr::from_ref(error.source().unwrap()),
        std::ptr::from_ref(clone.source().unwrap()),
    ));
}

#[test]
fn a_boxed_error_is_not_boxed_again() {
    let error = failing("key", Box::<dyn Error + Send + Sync>::from(Away(7)));
    assert!(error.source().unwrap().is::<Away>());
}

#[test]
fn a_cache_error_from_an_inner_load_is_the_source_of_the_outer() {
    let cache = HydraCache::local().build();
    let outer = cache.get_or_load::<u32, CacheError, _, _>("outer", options(), || async {
        let inner = cache.get_or_load("inner", options(), || async { Err(Away(7)) });
        inner.await
    });
    let error = block_on(outer).unwrap_err();
    let inner = error
        .source()
        .unwrap()
        .downcast_ref::<CacheError>()
        .unwrap();
    assert!(inner.source().unwrap().is::<Away>());
}

#[test]
fn of_text_and_of_anyhow_the_text_is_kept() {
    let error = failing("key", "plain text");
    assert_eq!(
        error.to_string(),
        r#"the loader for key "key" failed: plain text"#
    );
    assert_eq!(error.source().unwrap().to_string(), "plain text");
    let error = failing("key", String::from("owned text"));
    assert_eq!(error.source().unwrap().to_string(), "owned text");
    let error = failing("key", anyhow::anyhow!("root").context("outer"));
    assert_eq!(error.source().unwrap().to_string(), "outer");
    let root = error.source().unwrap().source().unwrap();
    assert_eq!(root.to_string(), "root");
}

#[test]
fn each_error_is_of_one_kind() {
    let kinds = |error: &CacheError| {
        [
            error.is_load(),
            error.is_panic(),
            error.is_wrong_type(),
            error.is_encode(),
            error.is_decode(),
            error.is_timeout(),
            error.is_dropped(),
            error.is_no_timer(),
        ]
    };
    let (cache, clock, pool) = spawning(1);
    put(&cache, "number", 1, options());
    block_on(cache.put_bytes("bytes", Bytes::from_static(b"\xff"), options())).unwrap();
    let of_a_panic = {
        let door = Door::default();
        let mut leader = Hand::start(cache.get_or_load("panics", options(), async || {
            door.pass().await;
            let panics: fn() -> u32 = || panic!("boom");
            Ok::<_, Away>(panics())
        }));
        let mut waiter = join(&cache, "panics");
        door.open();
        assert!(catch_unwind(AssertUnwindSafe(|| leader.poll())).is_err());
        waiter.ends().unwrap_err()
    };
    let of_a_timeout = {
        let within = options().load_timeout(SECOND);
        let mut leader =
            Hand::start(cache.get_or_load("hangs", within, pending::<Result<u32, Away>>));
        clock.advance(SECOND);
        leader.ends().unwrap_err()
    };
    let of_what_was_dropped = {
        put(&cache, "key", 1, kept(50));
        clock.advance(SECOND * 10);
        let mut call = hand_over(&cache, "key", 2, options());
        call.waits();
        remove(&cache, "key");
        drop(pool.take());
        call.ends().unwrap_err()
    };
    let errors = [
        failing("key", "text"),
        of_a_panic,
        block_on(cache.get::<String>("number")).unwrap_err(),
        block_on(cache.put("key", Unencodable, options())).unwrap_err(),
        block_on(cache.get::<String>("bytes")).unwrap_err(),
        of_a_timeout,
        of_what_was_dropped,
    ];
    // What is of the eighth there is only in a build without a timer: see `timeouts`.
    for (kind, error) in errors.iter().enumerate() {
        let mut only = [false; 8];
        only[kind] = true;
        assert_eq!(kinds(error), only, "{error}");
    }
}

#[test]
fn messages_are_whole() {
    let cache = HydraCache::local().build();
    let error = block_on(cache.put("key", Unencodable, options())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value for key \"key\" of type `it::errors::Unencodable` cannot be encoded: \
         Serde Serialization Error"
    );
    block_on(cache.put_bytes("key", Bytes::from_static(b"\x01\x02"), options())).unwrap();
    let error = block_on(cache.get::<u8>("key")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the entry of key \"key\" cannot be decoded as `u8`: \
         bytes left over after the value: 1; \
         remove it, put it again, or load over it"
    );
    assert_eq!(
        error.source().unwrap().to_string(),
        "bytes left over after the value: 1"
    );
}

#[test]
fn keys_in_messages_are_cut_at_64_characters() {
    let message = failing(&"ü".repeat(1 << 20), "text").to_string();
    let shown = "ü".repeat(64);
    assert_eq!(
        message,
        format!("the loader for key \"{shown}\"… failed: text")
    );
    let message = failing(&"ü".repeat(64), "text").to_string();
    assert_eq!(
        message,
        format!("the loader for key \"{shown}\" failed: text")
    );
}

#[test]
fn an_unencodable_value_is_an_error_for_everybody() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, std::convert::Infallible>(Unencodable)
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<Unencodable>));
    door.open();
    assert!(leader.ends().unwrap_err().is_encode());
    assert!(waiter.ends().unwrap_err().is_encode());
    assert_eq!(load(&cache, "key", 7), 7);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 3;
        stats.loads = 2;
        stats.single_flight_joins = 1;
    });
}
