//! Values are stored as the codec's bytes, and undecodable bytes never become a wrong value.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hydracache::{BoxError, Bytes, Codec, HydraCache, ManualClock, Postcard, Source};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::stale::*;
use crate::support::*;

/// Stores a byte more than a `u32` has, so the entry does not decode.
fn put_undecodable(cache: &HydraCache, key: &str) {
    block_on(cache.put_bytes(key, Bytes::from_static(b"\x07\x00"), options())).unwrap();
}

#[test]
fn stored_bytes_are_the_output_of_the_codec() {
    let cache = HydraCache::local().build();
    block_on(cache.put("key", ("Ada", 7_u8), options())).unwrap();
    let bytes = block_on(cache.get_bytes("key")).unwrap().unwrap();
    assert_eq!(bytes, Postcard.encode(&("Ada", 7_u8)).unwrap());
    assert_eq!(&bytes[..], b"\x03Ada\x07");
}

#[test]
fn read_that_cannot_decode_keeps_the_entry() {
    let cache = HydraCache::local().build();
    put_undecodable(&cache, "key");
    assert!(block_on(cache.get::<u32>("key")).unwrap_err().is_decode());
    assert!(block_on(cache.peek::<u32>("key")).unwrap_err().is_decode());
    assert!(block_on(cache.contains_key("key")));
    assert_eq!(
        block_on(cache.get::<(u8, u8)>("key")).unwrap(),
        Some((7, 0))
    );
    assert_stats(cache.stats(), |stats| {
        stats.hits = 2;
        stats.decode_failures = 1;
    });
}

#[test]
fn loading_call_that_cannot_decode_loads_and_replaces() {
    let cache = HydraCache::local().build();
    put_undecodable(&cache, "key");
    assert_eq!(load(&cache, "key", 8), 8);
    assert_eq!(get(&cache, "key"), Some(8));
    assert_stats(cache.stats(), |stats| {
        stats.hits = 1;
        stats.misses = 1;
        stats.loads = 1;
        stats.decode_failures = 1;
    });
}

#[test]
fn callers_that_cannot_decode_share_one_load() {
    let cache = HydraCache::local().build();
    put_undecodable(&cache, "key");
    let door = Door::default();
    let mut leader = lead(&cache, "key", 8, options(), &door);
    let mut waiter = join(&cache, "key");
    // During the load, the entry is unchanged.
    assert!(block_on(cache.get::<u32>("key")).unwrap_err().is_decode());
    assert_eq!(
        block_on(cache.get::<(u8, u8)>("key")).unwrap(),
        Some((7, 0))
    );
    door.open();
    assert_eq!(leader.ends().unwrap(), 8);
    assert_eq!(waiter.ends().unwrap(), 8);
    assert_stats(cache.stats(), |stats| {
        stats.hits = 2;
        stats.misses = 2;
        stats.loads = 1;
        stats.single_flight_joins = 1;
        stats.decode_failures = 3;
    });
}

#[test]
fn failed_load_keeps_the_undecodable_entry() {
    let cache = HydraCache::local().build();
    put_undecodable(&cache, "key");
    let call = cache.get_or_load::<u32, &str, _, _>("key", options(), || async { Err("down") });
    assert!(block_on(call).unwrap_err().is_load());
    assert_eq!(
        block_on(cache.get::<(u8, u8)>("key")).unwrap(),
        Some((7, 0))
    );
}

#[test]
fn waiter_finds_a_value_put_over_an_undecodable_entry() {
    let cache = HydraCache::local().build();
    put_undecodable(&cache, "key");
    let door = Door::default();
    // 1. A load starts, a call joins. 2. A put stores 9. 3. The leader is dropped.
    let leader = lead(&cache, "key", 8, options(), &door);
    let mut waiter = join(&cache, "key");
    put(&cache, "key", 9, options());
    drop(leader);
    assert_eq!(waiter.ends().unwrap(), 9);
}

#[test]
fn load_with_a_ttl_of_zero_removes_an_undecodable_entry() {
    let cache = HydraCache::local().build();
    put_undecodable(&cache, "key");
    let loaded = cache.get_or_load("key", lasting(0), ready(8_u32));
    assert_eq!(block_on(loaded).unwrap(), 8);
    assert!(!block_on(cache.contains_key("key")));
}

/// A codec unable to decode its own bytes.
struct OneWay;

impl Codec for OneWay {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        Postcard.encode(value)
    }

    fn decode<V: DeserializeOwned>(&self, _: &[u8]) -> Result<V, BoxError> {
        Err("one way".into())
    }

    fn checks_round_trip(&self) -> bool {
        false
    }
}

#[test]
fn codec_that_never_decodes_causes_errors_not_loops() {
    let cache = HydraCache::local().codec(OneWay).build();
    let door = Door::default();
    let loader = || async {
        door.pass().await;
        Ok::<_, Infallible>(7_u32)
    };
    let mut leader = Hand::start(cache.get_or_load("key", options(), loader));
    let mut waiter = Hand::start(cache.get_or_load("key", options(), ready(8_u32)));
    door.open();
    assert_eq!(leader.ends().unwrap(), 7);
    assert_eq!(waiter.ends().unwrap(), 8); // looks again, and loads
    assert_eq!(
        block_on(cache.get_or_load("key", options(), loader)).unwrap(),
        7
    );
    // The waiter failed to decode twice: the value of the load, and the entry.
    assert_stats(cache.stats(), |stats| {
        stats.misses = 3;
        stats.loads = 3;
        stats.decode_failures = 3;
    });
}

#[test]
fn codec_encodes_a_reference_like_its_value() {
    let text = String::from("text");
    let expected = Postcard.encode(&text).unwrap();
    assert_eq!(Postcard.encode(text.as_str()).unwrap(), expected);
    assert_eq!(Postcard.encode(&&text).unwrap(), expected);
    assert_eq!(Postcard.encode(&Box::new(text)).unwrap(), expected);
}

#[test]
fn postcard_rejects_extra_and_missing_bytes() {
    assert_eq!(Postcard.decode::<u8>(b"\x07").unwrap(), 7);
    let error = Postcard.decode::<u8>(b"\x07\x00\x00").unwrap_err();
    assert_eq!(error.to_string(), "bytes left over after the value: 2");
    assert!(Postcard.decode::<u8>(b"").is_err());
    assert!(Postcard.decode::<()>(b"").is_ok());
    // A length beyond the input is an error, not an allocation.
    assert!(
        Postcard
            .decode::<Vec<u64>>(b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
            .is_err()
    );
}

/// Encodes every value to zero bytes. A chosen decoding puts a value of another type.
#[derive(Clone, Default)]
struct Swapping(Arc<Mutex<Swap>>);

#[derive(Default)]
struct Swap {
    /// How many decodings come before the decoding with the put.
    before: u32,
    cache: Option<HydraCache<Swapping>>,
}

impl Swap {
    fn count(&mut self) -> Option<HydraCache<Swapping>> {
        let Some(before) = self.before.checked_sub(1) else {
            return self.cache.take();
        };
        self.before = before;
        None
    }
}

impl Codec for Swapping {
    fn encode<V: Serialize + ?Sized>(&self, _: &V) -> Result<Bytes, BoxError> {
        Ok(Bytes::new())
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        let cache = self.0.lock().unwrap().count();
        if let Some(cache) = cache {
            block_on(cache.put("key", (), options())).unwrap();
        }
        Postcard.decode(bytes)
    }
}

/// All empty values share an address: only the type distinguishes the two entries.
#[test]
fn entry_put_during_a_decode_is_not_replaced() {
    // A call decodes at the first look, and again at the second look.
    for before in [0, 1] {
        let codec = Swapping::default();
        let cache = HydraCache::local().codec(codec.clone()).build();
        block_on(cache.put_bytes("key", Bytes::new(), options())).unwrap();
        *codec.0.lock().unwrap() = Swap {
            before,
            cache: Some(cache.clone()),
        };
        let call = cache.get_or_load("key", options(), never::<u32>);
        assert!(block_on(call).unwrap_err().is_wrong_type());
        assert!(codec.0.lock().unwrap().cache.is_none(), "{before}");
        assert_eq!(block_on(cache.get::<()>("key")).unwrap(), Some(()));
    }
}

/// The stored bytes are reused.
#[test]
fn unchanged_value_is_not_encoded_again() {
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicUsize>);
    impl Codec for Counting {
        fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Postcard.encode(value)
        }
        fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
            Postcard.decode(bytes)
        }
    }
    let (codec, clock) = (Counting::default(), ManualClock::new());
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.codec(codec.clone()).build();
    block_on(cache.put("key", 7_u32, kept(50))).unwrap();
    let bytes = block_on(cache.get_bytes("key")).unwrap().unwrap();
    clock.advance(SECOND * 10);
    let fetched = block_on(cache.fetch("key", lasting(10), unchanged)).unwrap();
    assert_eq!((fetched.value, fetched.source), (7, Source::Loaded));
    assert_eq!(codec.0.load(Ordering::Relaxed), 1);
    let again = block_on(cache.get_bytes("key")).unwrap().unwrap();
    assert_eq!(again.as_ptr(), bytes.as_ptr());
}
