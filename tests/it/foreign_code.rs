//! No caller code runs under a lock. Each kind of caller code calls the cache back here. The
//! cache has a single shard and lock, so a call under the lock would hang.

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

/// Calls the cache in several ways. Each call takes the lock.
fn use_all<C: Codec>(cache: &HydraCache<C>) {
    let _ = block_on(cache.contains_key("key"));
    let _ = block_on(cache.get_bytes("key"));
    let _ = block_on(cache.put_bytes("beside", Bytes::from_static(b"\x01"), tagged("tag")));
    let _ = block_on(cache.remove("beside"));
    let _ = cache.stats();
    let _ = cache.entry_count();
}

static CACHE: OnceLock<HydraCache> = OnceLock::new();

/// The cache called back by values, wakers and owners.
fn cache() -> &'static HydraCache {
    CACHE.get_or_init(|| HydraCache::local().max_capacity(4).build())
}

/// Calls the cache when encoded, decoded and dropped.
struct CallsCache;

impl Serialize for CallsCache {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use_all(cache());
        ().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CallsCache {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use_all(cache());
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

impl Drop for CallsCache {
    fn drop(&mut self) {
        use_all(cache());
    }
}

/// The owner of stored bytes. Calls the cache when dropped.
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
fn values_owners_and_wakers_may_call_the_cache() {
    without_hanging(|| {
        let cache = cache();
        values(cache);
        owners(cache);
        wakers(cache);
    });
}

fn values(cache: &HydraCache) {
    block_on(cache.put("key", CallsCache, tagged("tag"))).unwrap();
    block_on(cache.get::<CallsCache>("key")).unwrap().unwrap();
    block_on(cache.peek::<CallsCache>("key")).unwrap().unwrap();
    block_on(cache.remove("key")).unwrap();
    block_on(cache.get_or_load("key", options(), ready(CallsCache))).unwrap();
    block_on(cache.get_or_load("key", options(), never::<CallsCache>)).unwrap();
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
    assert_eq!(
        dropped.load(Ordering::SeqCst),
        put,
        "every owner is dropped"
    );
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
        let Poll::Ready(result) = waiter.as_mut().poll(&mut context) else {
            panic!("the waiter must be ready");
        };
        assert_eq!(result.unwrap(), expected);
        block_on(cache.remove("key")).unwrap();
    }
}

/// A codec calling its own cache.
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
fn codec_may_call_the_cache() {
    without_hanging(|| {
        let codec = CallingCodec::default();
        let cache = HydraCache::local().codec(codec.clone()).build();
        // Cache and codec now hold each other, until the `take` below.
        *codec.0.lock().unwrap() = Some(cache.clone());
        block_on(cache.put("key", 7_u32, options())).unwrap();
        assert_eq!(block_on(cache.get::<u32>("key")).unwrap(), Some(7));
        let loaded = cache.get_or_load("other", options(), ready(8_u32));
        assert_eq!(block_on(loaded).unwrap(), 8);
        drop(codec.0.lock().unwrap().take());
    });
}

#[test]
fn loader_may_call_non_loading_methods_on_its_own_key() {
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

/// The owner of bytes. Panics when dropped.
struct PanicsInDrop;

impl AsRef<[u8]> for PanicsInDrop {
    fn as_ref(&self) -> &[u8] {
        b"\x01"
    }
}

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in the drop");
    }
}

/// The put copies the bytes and drops the owner, before the store. A later removal of the entry,
/// perhaps in another caller's call, drops no foreign owner.
#[test]
fn owner_that_panics_in_drop_panics_in_its_own_put() {
    let clock = ManualClock::new();
    let cache = HydraCache::local().clock(clock.clone()).build();
    put(&cache, "key", 6, options());
    let call = || block_on(cache.put_bytes("key", Bytes::from_owner(PanicsInDrop), lasting(1)));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(get(&cache, "key"), Some(6), "the put changes nothing");
}

/// An error with a panic at the first drop.
#[derive(Debug)]
struct PanicsOnce(Arc<AtomicU32>);

impl fmt::Display for PanicsOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("panics once")
    }
}

impl Error for PanicsOnce {}

impl Drop for PanicsOnce {
    fn drop(&mut self) {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        assert!(!first, "the first drop");
    }
}

/// The remembered failure is dropped by the next load, or by the next put.
#[test]
fn error_panicking_in_drop_leaves_its_key_usable() {
    for loads in [true, false] {
        let (cache, clock) = clocked(10);
        let dropped = Arc::new(AtomicU32::new(0));
        let call_options = options().error_backoff(SECOND);
        let failing = async || Err::<u32, _>(PanicsOnce(Arc::clone(&dropped)));
        block_on(cache.get_or_load("key", call_options, failing)).unwrap_err();
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
        assert_eq!(
            get(&cache, "key"),
            Some(7),
            "the value is stored before the drop"
        );
        block_on(cache.remove("key")).unwrap();
        assert_eq!(load(&cache, "key", 8), 8);
    }
}

/// A newer failure of the key drops the older failure. The panic of the drop is no third failure.
#[test]
fn error_panicking_when_replaced_counts_one_failure() {
    let (cache, clock) = clocked(10);
    let dropped = Arc::new(AtomicU32::new(0));
    let fail = || {
        let failing = async || Err::<u32, _>(PanicsOnce(Arc::clone(&dropped)));
        block_on(cache.get_or_load("key", options().error_backoff(SECOND), failing))
    };
    fail().unwrap_err();
    clock.advance(SECOND);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(fail()))).is_err());
    assert_eq!(cache.stats().load_failures, 2);
    clock.advance(SECOND);
    assert_eq!(load(&cache, "key", 8), 8);
}

/// A flush drops remembered failures outside the lock.
#[test]
fn failure_dropped_by_a_flush_may_call_the_cache() {
    #[derive(Debug)]
    struct CallsInDrop(HydraCache);
    impl fmt::Display for CallsInDrop {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("calling")
        }
    }
    impl Error for CallsInDrop {}
    impl Drop for CallsInDrop {
        fn drop(&mut self) {
            put(&self.0, "called", 1, options());
        }
    }
    without_hanging(|| {
        let (cache, _) = clocked(10);
        let call_options = options().error_backoff(SECOND);
        let calling = async || Err::<u32, _>(CallsInDrop(cache.clone()));
        block_on(cache.get_or_load("key", call_options, calling)).unwrap_err();
        block_on(cache.flush()).unwrap();
        assert_eq!(get(&cache, "called"), Some(1));
    });
}

/// A panic of the clock does not drop the value of a put under the lock.
#[test]
fn panicking_clock_drops_no_value_under_the_lock() {
    struct PanickingClock;
    impl Clock for PanickingClock {
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
        let cache = HydraCache::local().clock(PanickingClock).build();
        let bytes = Bytes::from_owner(Owner(cache.clone()));
        let call = || block_on(cache.put_bytes("key", bytes, lasting(1)));
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    });
}
