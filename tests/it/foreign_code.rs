//! No code of the caller's runs under a lock: each kind of it calls the cache back
//! here, which has one shard and so one lock, and must not hang.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use hydracache::{BoxError, Bytes, CacheResult, Clock, Codec, HydraCache, ManualClock, Postcard};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::*;

/// Takes the cache's one lock, in several ways.
fn use_all<C: Codec>(cache: &HydraCache<C>) {
    let _ = block_on(cache.contains_key("key"));
    let _ = block_on(cache.get_bytes("key"));
    let _ = block_on(cache.put_bytes("beside", Bytes::from_static(b"\x01"), tagged("tag")));
    let _ = block_on(cache.remove("beside"));
    let _ = cache.stats();
    let _ = cache.entry_count();
}

static CACHE: OnceLock<HydraCache> = OnceLock::new();

/// The one cache that values, wakers and owners call back.
fn cache() -> &'static HydraCache {
    CACHE.get_or_init(|| HydraCache::local().max_capacity(4).build())
}

/// Calls the cache when it is written, read and dropped.
struct Caller;

impl Serialize for Caller {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use_all(cache());
        ().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Caller {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use_all(cache());
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        use_all(cache());
    }
}

/// Memory whose owner calls the cache when the last handle goes.
struct Owner(Arc<AtomicU32>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        b"\x01"
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        use_all(cache());
    }
}

/// Calls the cache when a waiter is woken.
struct CallingWaker;

impl Wake for CallingWaker {
    fn wake(self: Arc<Self>) {
        use_all(cache());
    }
}

#[test]
fn values_and_owners_and_wakers_may_call_the_cache() {
    without_hanging(|| {
        let cache = cache();
        values(cache);
        owners(cache);
        wakers(cache);
    });
}

fn values(cache: &HydraCache) {
    block_on(cache.put("key", Caller, tagged("tag"))).unwrap();
    block_on(cache.get::<Caller>("key")).unwrap().unwrap();
    block_on(cache.peek::<Caller>("key")).unwrap().unwrap();
    block_on(cache.remove("key")).unwrap();
    block_on(cache.get_or_load("key", options(), ready(Caller))).unwrap();
    block_on(cache.get_or_load("key", options(), never::<Caller>)).unwrap();
    block_on(cache.flush()).unwrap();
}

fn owners(cache: &HydraCache) {
    let dropped = Arc::new(AtomicU32::new(0));
    let mut put = 0;
    let mut own = |key: &str| {
        put += 1;
        let bytes = Bytes::from_owner(Owner(Arc::clone(&dropped)));
        block_on(cache.put_bytes(key, bytes, tagged("owned"))).unwrap();
    };
    own("key");
    own("key"); // Replaced.
    block_on(cache.remove("key")).unwrap();
    own("key");
    block_on(cache.invalidate_tag("owned")).unwrap();
    own("key");
    drop(Hand::hold(cache.invalidate_tag("owned")).poll());
    own("key");
    block_on(cache.flush()).unwrap();
    for n in 0..20 {
        own(&format!("evicted {n}"));
    }
    block_on(cache.put("key", 1_u8, lasting(0))).unwrap();
    block_on(cache.flush()).unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), put, "an owner is kept");
}

fn wakers(cache: &HydraCache) {
    type End = fn(Hand<'_, CacheResult<u32>>, &Door);
    let ends: [End; 2] = [
        |mut leader, door| {
            door.open();
            leader.ends().unwrap();
        },
        |leader, _| drop(leader),
    ];
    for (end, expected) in ends.into_iter().zip([7, 8]) {
        let door = Door::default();
        let leader = lead(cache, "key", 7, options(), &door);
        let mut waiter = Box::pin(cache.get_or_load("key", options(), ready(8_u32)));
        let waker = Waker::from(Arc::new(CallingWaker));
        let mut context = Context::from_waker(&waker);
        assert!(waiter.as_mut().poll(&mut context).is_pending());
        end(leader, &door);
        let Poll::Ready(answer) = waiter.as_mut().poll(&mut context) else {
            panic!("the waiter still waits");
        };
        assert_eq!(answer.unwrap(), expected);
        block_on(cache.remove("key")).unwrap();
    }
}

/// A codec that calls the cache it belongs to.
#[derive(Clone, Default)]
struct CallingCodec(Arc<Mutex<Option<HydraCache<CallingCodec>>>>);

impl CallingCodec {
    fn call(&self) {
        let cache = self.0.lock().unwrap().clone();
        cache.iter().for_each(use_all);
    }
}

impl Codec for CallingCodec {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        self.call();
        Postcard.encode(value)
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        self.call();
        Postcard.decode(bytes)
    }
}

#[test]
fn a_codec_may_call_the_cache() {
    without_hanging(|| {
        let codec = CallingCodec::default();
        let cache = HydraCache::local().codec(codec.clone()).build();
        // From here on the two hold each other.
        *codec.0.lock().unwrap() = Some(cache.clone());
        block_on(cache.put("key", 7_u32, options())).unwrap();
        assert_eq!(block_on(cache.get::<u32>("key")).unwrap(), Some(7));
        let loaded = cache.get_or_load("other", options(), ready(8_u32));
        assert_eq!(block_on(loaded).unwrap(), 8);
        drop(codec.0.lock().unwrap().take());
    });
}

#[test]
fn a_loader_may_use_every_verb_on_its_own_key_but_the_loading_ones() {
    without_hanging(|| {
        let cache = HydraCache::local().build();
        let loaded = cache.get_or_load("key", options(), || async {
            use_all(&cache);
            Ok::<_, Infallible>(7_u32)
        });
        assert_eq!(block_on(loaded).unwrap(), 7);
        assert_eq!(get(&cache, "key"), Some(7));
    });
}

/// Memory whose owner panics when the last handle goes.
struct Fragile;

impl AsRef<[u8]> for Fragile {
    fn as_ref(&self) -> &[u8] {
        b"\x01"
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("fragile");
    }
}

/// Nobody else's memory is kept: its owner goes with the put, before anything is
/// stored, and not when the entry leaves, which may be in anybody's call.
#[test]
fn an_owner_that_panics_panics_in_its_own_put() {
    let clock = ManualClock::new();
    let cache = HydraCache::local().clock(clock.clone()).build();
    put(&cache, "key", 6, options());
    let call = || block_on(cache.put_bytes("key", Bytes::from_owner(Fragile), lasting(1)));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(get(&cache, "key"), Some(6), "nothing was changed");
}

/// An error that panics when the last handle goes, once.
#[derive(Debug)]
struct Sour(Arc<AtomicU32>);

impl fmt::Display for Sour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sour")
    }
}

impl Error for Sour {}

impl Drop for Sour {
    fn drop(&mut self) {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        assert!(!first, "sour");
    }
}

/// A failure that was remembered is dropped in a call that loads again, or in one that stores.
#[test]
fn an_error_that_panics_when_it_is_dropped_leaves_its_key_to_others() {
    for loads in [true, false] {
        let (cache, clock) = clocked(10);
        let dropped = Arc::new(AtomicU32::new(0));
        let call_options = options().error_backoff(SECOND);
        let sour = async || Err::<u32, _>(Sour(Arc::clone(&dropped)));
        block_on(cache.get_or_load("key", call_options, sour)).unwrap_err();
        clock.advance(SECOND);
        let call = || {
            if loads {
                load(&cache, "key", 7);
            } else {
                put(&cache, "key", 7, options());
            }
        };
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert_eq!(get(&cache, "key"), Some(7), "it was stored before");
        block_on(cache.remove("key")).unwrap();
        assert_eq!(load(&cache, "key", 8), 8);
    }
}

/// So is one that another failure of its key takes the place of, and that is one failure.
#[test]
fn an_error_that_panics_when_another_takes_its_place_is_counted_once() {
    let (cache, clock) = clocked(10);
    let dropped = Arc::new(AtomicU32::new(0));
    let fail = || {
        let sour = async || Err::<u32, _>(Sour(Arc::clone(&dropped)));
        block_on(cache.get_or_load("key", options().error_backoff(SECOND), sour))
    };
    fail().unwrap_err();
    clock.advance(SECOND);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(fail()))).is_err());
    assert_eq!(cache.stats().load_failures, 2);
    clock.advance(SECOND);
    assert_eq!(load(&cache, "key", 8), 8);
}

/// A flush forgets failures too, and drops them when it holds no lock.
#[test]
fn a_failure_that_a_flush_forgets_may_call_the_cache() {
    #[derive(Debug)]
    struct Calling(HydraCache);
    impl fmt::Display for Calling {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("calling")
        }
    }
    impl Error for Calling {}
    impl Drop for Calling {
        fn drop(&mut self) {
            put(&self.0, "told", 1, options());
        }
    }
    without_hanging(|| {
        let (cache, _) = clocked(10);
        let call_options = options().error_backoff(SECOND);
        let calling = async || Err::<u32, _>(Calling(cache.clone()));
        block_on(cache.get_or_load("key", call_options, calling)).unwrap_err();
        block_on(cache.flush()).unwrap();
        assert_eq!(get(&cache, "told"), Some(1));
    });
}

/// A clock that panics does not get the value of a put dropped under the lock.
#[test]
fn a_clock_that_panics_drops_nothing_under_the_lock() {
    struct Broken;
    impl Clock for Broken {
        fn now(&self) -> Duration {
            panic!("the clock broke")
        }
    }
    struct Owner(HydraCache);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            b"\x01"
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            use_all(&self.0);
        }
    }
    without_hanging(|| {
        let cache = HydraCache::local().clock(Broken).build();
        let bytes = Bytes::from_owner(Owner(cache.clone()));
        let call = || block_on(cache.put_bytes("key", bytes, lasting(1)));
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    });
}
