//! A value that would be read back as another value is an error for every caller, and not stored.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use hydracache::{BoxError, Bytes, CacheError, CacheResult, Codec, HydraCache, Postcard};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pool::*;
use crate::stale::*;
use crate::support::*;

/// Postcard reads `Pro` as `Enterprise`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
enum Plan {
    Free,
    #[allow(dead_code, reason = "shifts the numbers of the variants below")]
    #[serde(skip)]
    Internal,
    Pro,
    Enterprise,
}

/// Postcard writes the text, and cannot read the text.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Text(String),
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: CacheResult<T>) -> CacheError {
    let error = answer.unwrap_err();
    assert!(error.is_encode(), "{error}");
    error
}

#[test]
fn changed_value_is_an_error_for_leader_and_waiter() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(Plan::Pro)
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<Plan>));
    door.open();
    let error = refused(leader.ends());
    let text = error.to_string();
    let named = ["\"key\"", "::Plan`", "`skip`", "typed cache", "codec"];
    for part in named {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(refused(waiter.ends()).to_string(), text);
    assert!(!block_on(cache.contains_key("key")));
    assert_stats(cache.stats(), |stats| {
        stats.misses = 2;
        stats.loads = 1;
        stats.single_flight_joins = 1;
    });
    // The key is free, and a good value of the type is stored.
    let call = cache.get_or_load("key", options(), ready(Plan::Free));
    assert_eq!(block_on(call).unwrap(), Plan::Free);
    assert_eq!(block_on(cache.get("key")).unwrap(), Some(Plan::Free));
}

#[test]
fn unreadable_value_is_an_error_for_leader_and_waiter() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(Untagged::Text("a".into()))
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<Untagged>));
    door.open();
    let text = refused(leader.ends()).to_string();
    let named = ["\"key\"", "::Untagged`", "`untagged`", "typed cache"];
    for part in named {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(refused(waiter.ends()).to_string(), text);
    assert!(!block_on(cache.contains_key("key")));
    assert_eq!(cache.stats().decode_failures, 0);
}

#[test]
fn every_loading_verb_refuses_a_changed_value() {
    let (cache, options) = (HydraCache::local().build(), options());
    let load = || ready(Plan::Pro);
    refused(block_on(cache.get_or_load("key", options.clone(), load())));
    refused(block_on(cache.try_get_or_insert_with(
        "key",
        options.clone(),
        load(),
    )));
    let value = async || Plan::Pro;
    refused(block_on(cache.get_or_insert_with(
        "key",
        options.clone(),
        value,
    )));
    let full = async |_| Ok::<_, Infallible>(Plan::Pro.into());
    refused(block_on(cache.fetch("key", options.clone(), full)));
    refused(block_on(cache.refresh("key", options.clone(), load())));
    refused(block_on(cache.get_or_refresh("key", options, load())));
    assert_eq!(cache.entry_count(), 0);
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.load_failures), (6, 0));
}

#[test]
fn changed_value_leaves_the_stale_value_and_is_an_error() {
    let (cache, clock) = clocked(100);
    block_on(cache.put("key", Plan::Free, kept(50))).unwrap();
    clock.advance(SECOND * 10);
    refused(block_on(cache.get_or_load(
        "key",
        options(),
        ready(Plan::Pro),
    )));
    let call = cache.get_or_load("key", options(), failing_loader::<Plan>);
    assert_eq!(block_on(call).unwrap(), Plan::Free); // the stale value
}

#[test]
fn changed_value_of_a_background_load_is_not_stored() {
    let (cache, clock, pool) = spawning(64);
    block_on(cache.put("key", Plan::Free, kept(50))).unwrap();
    clock.advance(SECOND * 10);
    // In the error window callers wait for the load in the background.
    let load = || cache.get_or_refresh("key", options(), ready(Plan::Pro));
    let (mut own, mut waiter) = (Hand::start(load()), Hand::start(load()));
    pool.run();
    refused(own.ends());
    refused(waiter.ends());
    let call = cache.get_or_load("key", options(), failing_loader::<Plan>);
    assert_eq!(block_on(call).unwrap(), Plan::Free);
}

#[test]
fn update_refuses_a_changed_value_and_changes_nothing() {
    let cache = HydraCache::local().build();
    block_on(cache.put("key", Plan::Free, options())).unwrap();
    let call = cache.update("key", options(), |_: Option<Plan>| Some(Plan::Pro));
    refused(block_on(call));
    let call = cache.update("key", options(), |plan: Option<Plan>| plan);
    assert_eq!(block_on(call).unwrap(), Some(Plan::Free));
    let call = cache.update("other", options(), |_| Some(Untagged::Text("a".into())));
    refused(block_on(call));
    assert!(!block_on(cache.contains_key("other")));
}

/// A limit, documented at `put`: the value need not be readable, so nothing is read.
#[test]
fn put_stores_a_changed_value_unchecked() {
    let cache = HydraCache::local().build();
    block_on(cache.put("key", Plan::Pro, options())).unwrap();
    assert_eq!(block_on(cache.get("key")).unwrap(), Some(Plan::Enterprise));
    assert!(block_on(cache.put_if_absent("other", Plan::Pro, options())).unwrap());
    refused(cache.check_round_trip(&Plan::Pro));
}

/// The remedy: the bytes of a typed cache are never decoded.
#[test]
fn typed_cache_holds_values_that_the_codec_changes() {
    let cache = HydraCache::local().build();
    let plans = cache.typed::<u64, Plan>("plans");
    let loaded = block_on(plans.get_or_load(&1, options(), ready(Plan::Pro)));
    assert_eq!(*loaded.unwrap(), Plan::Pro);
    block_on(plans.put(&2, Plan::Pro, options())).unwrap();
    let load = async |keys: Vec<u64>| Ok::<_, Infallible>(vec![Plan::Enterprise; keys.len()]);
    let many = block_on(plans.get_or_load_many([1, 2, 3], options(), load));
    let many: Vec<Plan> = many.into_iter().map(|plan| *plan.unwrap()).collect();
    assert_eq!(many, [Plan::Pro, Plan::Pro, Plan::Enterprise]);
    let loading = plans.with_loader(|_| async { Ok::<_, Infallible>(Plan::Pro) });
    assert_eq!(*block_on(loading.get(&4)).unwrap(), Plan::Pro);
    assert_eq!(*block_on(loading.get(&4)).unwrap(), Plan::Pro);
}

/// Encrypts, so to say: each encoding begins with another number.
#[derive(Clone, Default)]
struct Nonce {
    written: Arc<AtomicU32>,
    read: Arc<AtomicU32>,
    opts_out: bool,
}

impl Codec for Nonce {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        let nonce = self.written.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        Ok([&nonce, &Postcard.encode(value)?[..]].concat().into())
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        self.read.fetch_add(1, Ordering::Relaxed);
        Postcard.decode(&bytes[4..])
    }

    fn checks_round_trip(&self) -> bool {
        !self.opts_out
    }
}

#[test]
fn codec_with_other_bytes_each_time_passes_and_is_checked() {
    let cache = HydraCache::local().codec(Nonce::default()).build();
    let call = cache.get_or_load("key", options(), ready(Plan::Free));
    assert_eq!(block_on(call).unwrap(), Plan::Free);
    refused(block_on(cache.get_or_load(
        "other",
        options(),
        ready(Plan::Pro),
    )));
}

#[test]
fn codec_that_opts_out_is_asked_to_decode_by_readers_only() {
    let codec = Nonce {
        opts_out: true,
        ..Nonce::default()
    };
    let cache = HydraCache::local().codec(codec.clone()).build();
    let call = cache.get_or_load("key", options(), ready(Plan::Pro));
    assert_eq!(block_on(call).unwrap(), Plan::Pro);
    let call = cache.update("key", options(), |_: Option<Plan>| Some(Plan::Pro));
    block_on(call).unwrap();
    assert_eq!(
        codec.read.load(Ordering::Relaxed),
        1,
        "the read of the update"
    );
    // The method for tests reads, and compares nothing.
    cache.check_round_trip(&Plan::Pro).unwrap();
    refused(cache.check_round_trip(&Untagged::Text("a".into())));
}

/// Calls the cache in `encode` and in `decode`.
#[derive(Clone, Default)]
struct Reentrant(Arc<Mutex<Option<HydraCache<Reentrant>>>>);

impl Reentrant {
    fn call_the_cache(&self) {
        let cache = self.0.lock().unwrap().take();
        if let Some(cache) = cache {
            block_on(cache.put("key", 1_u32, options())).unwrap();
            block_on(cache.invalidate_tag("tag")).unwrap();
            *self.0.lock().unwrap() = Some(cache);
        }
    }
}

impl Codec for Reentrant {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        self.call_the_cache();
        Postcard.encode(value)
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        self.call_the_cache();
        Postcard.decode(bytes)
    }
}

#[test]
fn check_runs_under_no_lock() {
    without_hanging(|| {
        let codec = Reentrant::default();
        let cache = HydraCache::local().codec(codec.clone()).build();
        *codec.0.lock().unwrap() = Some(cache.clone());
        let call = cache.get_or_load("key", options().tag("tag"), ready(7_u32));
        assert_eq!(block_on(call).unwrap(), 7);
        // The put of the codec, the newer one, fenced the load.
        assert_eq!(block_on(cache.get::<u32>("key")).unwrap(), Some(1));
        *codec.0.lock().unwrap() = None;
    });
}

/// Panics when decoded.
#[derive(Debug)]
struct Panics;

impl Serialize for Panics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("boom")
    }
}

#[test]
fn panic_of_the_check_is_a_panic_of_the_load() {
    let cache = HydraCache::local().build();
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(Panics)
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<Panics>));
    door.open();
    assert!(catch_unwind(AssertUnwindSafe(|| leader.ends())).is_err());
    drop(leader);
    assert!(waiter.ends().unwrap_err().is_panic());
    assert_eq!(cache.stats().load_failures, 1);
    assert_eq!(load(&cache, "key", 7), 7);
}

/// Refuses the first decoding.
#[derive(Default)]
struct FirstFails(AtomicU32);

impl Codec for FirstFails {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        Postcard.encode(value)
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => Err("not now".into()),
            _ => Postcard.decode(bytes),
        }
    }

    fn checks_round_trip(&self) -> bool {
        false
    }
}

/// The value was stored, and can be decoded at the second look: a hit without a load.
#[test]
fn waiter_that_cannot_decode_the_value_looks_again() {
    let cache = HydraCache::local().codec(FirstFails::default()).build();
    let door = Door::default();
    let mut leader = Hand::start(cache.get_or_load("key", options(), || async {
        door.pass().await;
        Ok::<_, Infallible>(7_u32)
    }));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), never::<u32>));
    door.open();
    assert_eq!(leader.ends().unwrap(), 7);
    assert_eq!(waiter.ends().unwrap(), 7);
    assert_stats(cache.stats(), |stats| {
        stats.misses = 2;
        stats.loads = 1;
        stats.decode_failures = 1;
    });
}

/// The caller has given its loader away, so there is nothing to look again with.
#[test]
fn caller_of_a_background_load_gets_the_decoding_error() {
    let (clock, pool) = (hydracache::ManualClock::new(), Pool::default());
    let builder = HydraCache::local()
        .clock(clock.clone())
        .timer(clock.clone());
    let builder = builder.spawner(pool.clone());
    let cache = builder.codec(FirstFails::default()).build();
    block_on(cache.put("key", 1_u32, kept(50))).unwrap();
    clock.advance(SECOND * 10);
    let mut own = Hand::start(cache.get_or_refresh("key", options(), ready(7_u32)));
    pool.run();
    assert!(own.ends().unwrap_err().is_decode());
    assert_eq!(block_on(cache.get::<u32>("key")).unwrap(), Some(7));
}
