//! Errors name the input, keep the cause, and leave the cache unchanged.

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydracache::{Bytes, CacheError, HydraCache};
use serde::{Deserialize, Serialize, Serializer};

use crate::pool::*;
use crate::stale::*;
use crate::support::*;

/// A value with an encoding that always fails.
#[derive(Debug, Deserialize)]
pub struct Unencodable;

impl Serialize for Unencodable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not encodable"))
    }
}

#[derive(Debug, PartialEq)]
struct Unavailable(u32);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "down for {} s", self.0)
    }
}

impl Error for Unavailable {}

fn load_error<E: Into<hydracache::BoxError>>(key: &str, error: E) -> CacheError {
    let cache = HydraCache::local().build();
    let call = cache.get_or_load::<u32, E, _, _>(key, options(), || async { Err(error) });
    block_on(call).unwrap_err()
}

#[test]
fn loader_error_is_the_source_of_the_cache_error() {
    let error = load_error("key", Unavailable(7));
    assert!(error.is_load());
    let source = error.source().unwrap();
    assert_eq!(source.downcast_ref::<Unavailable>(), Some(&Unavailable(7)));
    assert!(source.source().is_none());
    assert_eq!(error.to_string(), r#"the loader for key "key" failed"#);
    // A clone shares its source with the original.
    let clone = error.clone();
    assert!(std::ptr::addr_eq(
        std::ptr::from_ref(error.source().unwrap()),
        std::ptr::from_ref(clone.source().unwrap()),
    ));
}

#[test]
fn boxed_loader_error_is_not_boxed_again() {
    let error = load_error("key", Box::<dyn Error + Send + Sync>::from(Unavailable(7)));
    assert!(error.source().unwrap().is::<Unavailable>());
}

#[test]
fn inner_cache_error_is_the_source_of_the_outer_error() {
    let cache = HydraCache::local().build();
    let outer = cache.get_or_load::<u32, CacheError, _, _>("outer", options(), || async {
        let inner = cache.get_or_load("inner", options(), || async { Err(Unavailable(7)) });
        inner.await
    });
    let error = block_on(outer).unwrap_err();
    let inner = error
        .source()
        .unwrap()
        .downcast_ref::<CacheError>()
        .unwrap();
    assert!(inner.source().unwrap().is::<Unavailable>());
}

#[test]
fn text_and_anyhow_errors_keep_their_text() {
    let error = load_error("key", "plain text");
    assert_eq!(error.to_string(), r#"the loader for key "key" failed"#);
    assert_eq!(error.source().unwrap().to_string(), "plain text");
    let error = load_error("key", String::from("owned text"));
    assert_eq!(error.source().unwrap().to_string(), "owned text");
    let error = load_error("key", anyhow::anyhow!("root").context("outer"));
    assert_eq!(error.source().unwrap().to_string(), "outer");
    let root = error.source().unwrap().source().unwrap();
    assert_eq!(root.to_string(), "root");
}

#[test]
fn each_error_answers_to_exactly_one_predicate() {
    let predicates = |error: &CacheError| {
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
    let panicked = {
        let door = Door::default();
        let mut leader = Hand::start(cache.get_or_load("panics", options(), async || {
            door.pass().await;
            let panics: fn() -> u32 = || panic!("boom");
            Ok::<_, Unavailable>(panics())
        }));
        let mut waiter = join(&cache, "panics");
        door.open();
        assert!(catch_unwind(AssertUnwindSafe(|| leader.poll())).is_err());
        waiter.ends().unwrap_err()
    };
    let timed_out = {
        let within = options().load_timeout(SECOND);
        let mut leader =
            Hand::start(cache.get_or_load("hangs", within, pending::<Result<u32, Unavailable>>));
        clock.advance(SECOND);
        leader.ends().unwrap_err()
    };
    let dropped = {
        put(&cache, "key", 1, kept(50));
        clock.advance(SECOND * 10);
        let mut call = hand_over(&cache, "key", 2, options());
        call.waits();
        remove(&cache, "key");
        drop(pool.take());
        call.ends().unwrap_err()
    };
    let errors = [
        load_error("key", "text"),
        panicked,
        block_on(cache.get::<String>("number")).unwrap_err(),
        block_on(cache.put("key", Unencodable, options())).unwrap_err(),
        block_on(cache.get::<String>("bytes")).unwrap_err(),
        timed_out,
        dropped,
    ];
    // The eighth kind exists only in a build without a default timer: see `timeouts`.
    for (kind, error) in errors.iter().enumerate() {
        let mut only = [false; 8];
        only[kind] = true;
        assert_eq!(predicates(error), only, "{error}");
    }
}

/// Reporters print the whole chain: `{:#}` of anyhow, and most loggers.
#[test]
fn report_of_an_error_prints_each_cause_once() {
    let report = |error: CacheError| format!("{:#}", anyhow::Error::from(error));
    assert_eq!(
        report(load_error("key", Unavailable(7))),
        r#"the loader for key "key" failed: down for 7 s"#
    );
    assert_eq!(
        report(load_error("key", anyhow::anyhow!("root").context("outer"))),
        r#"the loader for key "key" failed: outer: root"#
    );
    // A load inside a load.
    assert_eq!(
        report(load_error("outer", load_error("inner", Unavailable(7)))),
        r#"the loader for key "outer" failed: the loader for key "inner" failed: down for 7 s"#
    );
    let cache = HydraCache::local().build();
    block_on(cache.put_bytes("key", Bytes::from_static(b"\x01\x02"), options())).unwrap();
    let read = block_on(cache.get::<u8>("key")).unwrap_err();
    assert!(report(read).ends_with("load over it: bytes left over after the value: 1"));
    let put = block_on(cache.put("key", Unencodable, options())).unwrap_err();
    assert!(report(put).ends_with("cannot be encoded: Serde Serialization Error"));
    let typed = cache.typed::<Unencodable, u8>("typed");
    let put = block_on(typed.put(&Unencodable, 1, options())).unwrap_err();
    assert_eq!(report(put).matches("Serde Serialization Error").count(), 1);
}

#[test]
fn messages_name_key_type_and_remedy() {
    let cache = HydraCache::local().build();
    let error = block_on(cache.put("key", Unencodable, options())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value for key \"key\" of type `it::errors::Unencodable` cannot be encoded"
    );
    assert_eq!(
        error.source().unwrap().to_string(),
        "Serde Serialization Error"
    );
    block_on(cache.put_bytes("key", Bytes::from_static(b"\x01\x02"), options())).unwrap();
    let error = block_on(cache.get::<u8>("key")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the entry of key \"key\" cannot be decoded as `u8`: \
         remove it, put it again, or load over it"
    );
    assert_eq!(
        error.source().unwrap().to_string(),
        "bytes left over after the value: 1"
    );
}

#[test]
fn keys_in_messages_are_cut_at_64_characters() {
    let message = load_error(&"ü".repeat(1 << 20), "text").to_string();
    let shown = "ü".repeat(64);
    assert_eq!(message, format!("the loader for key \"{shown}\"… failed"));
    let message = load_error(&"ü".repeat(64), "text").to_string();
    assert_eq!(message, format!("the loader for key \"{shown}\" failed"));
}

#[test]
fn unencodable_value_is_an_error_for_leader_and_waiter() {
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
