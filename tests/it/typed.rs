//! Typed caches share a value among all callers, and a handle adds default options.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};

use hydracache::{CacheOptions, HydraCache, ManualClock, RemovalCause, TypedCache};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::parts::*;
use crate::stale::*;
use crate::support::*;

#[test]
fn typed_entry_is_read_until_it_is_removed() {
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    assert_eq!(read(&typed, 7), None);
    store(&typed, 7, 1, options());
    assert_eq!(read(&typed, 7), Some(1));
    store(&typed, 7, 2, options());
    assert_eq!((read(&typed, 7), read(&typed, 8)), (Some(2), None));
    assert!(block_on(typed.remove(&7)).unwrap());
    assert!(!block_on(typed.remove(&7)).unwrap());
    assert_eq!(read(&typed, 7), None);
    assert_stats(cache.stats(), |stats| {
        stats.hits = 2;
        stats.misses = 3;
        stats.invalidations = 1;
    });
}

#[test]
fn every_call_returns_the_same_arc() {
    let cache = HydraCache::local().build();
    let (typed, door) = (numbers(&cache), Door::default());
    let mut leader = lead_one(&typed, &7, 1, options(), &door);
    let mut waiter = join_one(&typed, &7);
    let mut other_handle = numbers(&cache);
    let mut many =
        Hand::start(other_handle.get_or_load_many([7], options(), |_| never::<Vec<Number>>()));
    door.open();
    let first = leader.ends().unwrap();
    let mut others = vec![waiter.ends().unwrap()];
    others.extend(many.ends().remove(0));
    drop(many);
    other_handle = other_handle.with_options(lasting(5));
    others.extend(block_on(other_handle.get(&7)).unwrap());
    others.extend(block_on(typed.get_or_load(&7, options(), never)));
    others.extend(block_on(typed.get_many([7])).remove(0).unwrap());
    let call = typed.get_or_load_many([7], options(), |_| never::<Vec<Number>>());
    others.extend(block_on(call).remove(0));
    let loading = typed.with_loader(|_| never::<Number>());
    others.extend(block_on(loading.get(&7)));
    assert_eq!(others.len(), 7);
    assert!(others.iter().all(|other| Arc::ptr_eq(&first, other)));
}

#[test]
fn stored_value_is_encoded_once_and_never_decoded() {
    let cache = HydraCache::local().build();
    let typed = numbers(&cache);
    store(&typed, 1, 1, options());
    assert_eq!(written(), 1);
    assert_eq!(load_one(&typed, 2, 2), 2);
    assert_eq!(written(), 1);
    let loading = typed.with_loader(|_| async { Ok::<_, Infallible>(Number(3)) });
    block_on(loading.get(&3)).unwrap();
    block_on(loading.refresh(&3)).unwrap();
    assert_eq!(written(), 2);
    let load = |keys: Vec<u64>| async move {
        let given = keys.iter().map(|_| Number(4)).collect();
        Ok::<Vec<_>, Infallible>(given)
    };
    block_on(typed.get_or_load_many(1..=5, options(), load));
    assert_eq!(written(), 2);
    assert_eq!((read(&typed, 1), read(&typed, 5)), (Some(1), Some(4)));
    assert_eq!(written(), 0);
}

#[test]
fn unstored_value_is_shared_with_waiters_and_not_kept() {
    let (none, _) = clocked(0);
    let small = HydraCache::local().max_entry_bytes(0).build();
    let (short, _) = clocked(9);
    let rows = [(none, options(), 1), (small, options(), 1)];
    for (cache, options, rejections) in rows.into_iter().chain([(short, lasting(0), 0)]) {
        let (typed, door) = (numbers(&cache), Door::default());
        let mut leader = lead_one(&typed, &7, 1, options.clone(), &door);
        let mut waiter = join_one(&typed, &7);
        door.open();
        let first = leader.ends().unwrap();
        assert!(Arc::ptr_eq(&first, &waiter.ends().unwrap()));
        assert_eq!(read(&typed, 7), None);
        assert_eq!(cache.stats().rejections, rejections);
        store(&typed, 8, 1, options);
        assert_eq!(read(&typed, 8), None);
        assert_eq!(cache.stats().rejections, rejections * 2);
        drop((leader, waiter));
        assert_eq!(
            Arc::into_inner(first),
            Some(Number(1)),
            "the cache keeps no reference"
        );
    }
}

#[test]
fn put_that_stores_nothing_removes_the_stored_entry() {
    let cache = HydraCache::local().max_entry_bytes(1).build();
    let typed = numbers(&cache);
    for (value, options) in [(300, options()), (2, lasting(0))] {
        store(&typed, 7, 1, CacheOptions::new());
        store(&typed, 7, value, options);
        assert_eq!(read(&typed, 7), None);
    }
    assert_eq!(cache.stats().rejections, 1);
}

/// A typed value costs the encoded size, the `size_of` the type, 64 bytes, and a tag.
#[test]
fn max_bytes_charges_the_shared_value_and_its_encoding() {
    let key = "\u{ff}n\u{ff}".len() - 2 + 1;
    let tag = 28 + 96 + key - 1;
    let cost = key + 104 + tag + 64 + (1000 + 2) + size_of::<String>();
    for (bound, fits) in [(cost, true), (cost - 1, false)] {
        let cache = HydraCache::local().max_bytes(bound as u64).build();
        let typed = cache.typed::<u8, String>("n");
        block_on(typed.put(&7, "x".repeat(1000), options())).unwrap();
        assert_eq!(block_on(typed.get(&7)).unwrap().is_some(), fits, "{bound}");
    }
}

#[test]
fn ttl_of_call_overrides_handle_and_handle_overrides_builder() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_options(lasting(30)).build();
    let plain = numbers(&cache);
    let own = plain.with_options(lasting(20));
    store(&plain, 1, 1, options());
    store(&own, 2, 1, options());
    store(&own, 3, 1, lasting(10));
    block_on(own.get_or_load(&4, options(), ready(Number(1)))).unwrap();
    block_on(own.get_or_load(&5, lasting(10), ready(Number(1)))).unwrap();
    let load = |_| async { Ok::<_, Infallible>(vec![Number(1)]) };
    block_on(own.get_or_load_many([6], options(), load));
    block_on(own.get_or_load_many([7], lasting(10), load));
    let other = own.with_options(options());
    store(&other, 8, 1, options());
    let left = || (1..9).filter(|&key| read(&plain, key).is_some());
    clock.advance(SECOND * 10);
    assert_eq!(left().collect::<Vec<_>>(), [1, 2, 4, 6, 8]);
    clock.advance(SECOND * 10);
    assert_eq!(left().collect::<Vec<_>>(), [1, 8]);
    clock.advance(SECOND * 10);
    assert_eq!(left().count(), 0);
}

#[test]
fn tags_of_call_handle_and_builder_add_up() {
    let builder = HydraCache::local().default_options(tagged("builder"));
    let cache = builder.build();
    let typed = numbers(&cache).with_options(tagged("handle"));
    let load = |_| async { Ok::<_, Infallible>(vec![Number(1)]) };
    for tag in ["call", "handle", "builder"] {
        store(&typed, 1, 1, tagged("call"));
        block_on(typed.get_or_load(&2, tagged("call"), ready(Number(1)))).unwrap();
        block_on(typed.get_or_load_many([3], tagged("call"), load));
        assert_eq!(invalidate(&cache, tag), 3, "{tag}");
        assert_eq!(cache.entry_count(), 0);
    }
    let typed = typed.with_options(options());
    store(&typed, 1, 1, options());
    assert_eq!(invalidate(&cache, "handle"), 0);
    assert_eq!(clear(&typed), 1);
}

#[test]
fn expired_typed_entry_is_absent_for_every_call() {
    let (cache, clock) = clocked(99);
    let typed = numbers(&cache);
    (0..5).for_each(|key| store(&typed, key, 1, lasting(10)));
    clock.advance(nearly(10));
    assert_eq!(read(&typed, 0), Some(1));
    clock.advance(NANO);
    assert_eq!(read(&typed, 0), None);
    assert!(!block_on(typed.remove(&1)).unwrap());
    assert_eq!(load_one(&typed, 2, 2), 2);
    assert!(block_on(typed.get_many([3])).remove(0).unwrap().is_none());
    let load = async |keys: Vec<u64>| Ok::<_, Infallible>(keys.iter().map(|_| Number(2)).collect());
    let found: Vec<_> = block_on(typed.get_or_load_many([4], options(), load));
    assert_eq!(all(found), [2]);
    assert_eq!(cache.stats().expirations, 5);
}

#[test]
fn stale_value_is_served_in_both_windows() {
    let (cache, clock) = timed();
    let (typed, door) = (numbers(&cache), Door::default());
    store(&typed, 7, 1, revalidated(5).stale_if_error(SECOND * 20));
    let stored = block_on(typed.get(&7)).unwrap().unwrap();
    clock.advance(SECOND * 10);
    assert_eq!(read(&typed, 7), None, "`get` sees fresh entries only");
    let leader = lead_one(&typed, &7, 2, options(), &door);
    let served = Hand::hold(typed.get_or_load(&7, options(), never)).ends();
    assert!(Arc::ptr_eq(&stored, &served.unwrap()));
    drop(leader);
    clock.advance(SECOND * 5);
    let served = Hand::hold(typed.get_or_load(&7, options(), failing_loader)).ends();
    assert!(Arc::ptr_eq(&stored, &served.unwrap()));
    let mut leader = lead_one(&typed, &7, 2, options(), &door);
    let mut waiter = join_one(&typed, &7);
    door.open();
    assert_eq!(leader.ends().unwrap().0, 2);
    assert_eq!(waiter.ends().unwrap().0, 2);
    assert_eq!(read(&typed, 7), Some(2));
}

#[test]
fn refresh_ahead_loads_on_the_first_read_past_its_time() {
    let (cache, clock) = clocked(99);
    let typed = numbers(&cache);
    store(&typed, 7, 1, lasting(10).refresh_ahead(0.5));
    clock.advance(nearly(5));
    assert_eq!(load_one(&typed, 7, 2), 1);
    clock.advance(NANO);
    assert_eq!(load_one(&typed, 7, 2), 2);
    assert_eq!(cache.stats().refreshes, 1);
    assert_eq!(cache.stats().hits, 2);
}

#[test]
fn typed_hit_extends_the_time_to_idle() {
    let (cache, clock) = clocked(99);
    let typed = numbers(&cache);
    store(&typed, 7, 1, options().time_to_idle(SECOND * 10));
    for _ in 0..3 {
        clock.advance(SECOND * 9);
        assert_eq!(load_one(&typed, 7, 2), 1);
    }
    clock.advance(SECOND * 10);
    assert_eq!(load_one(&typed, 7, 2), 2);
}

#[test]
fn keys_and_retain_skip_typed_entries_but_flush_does_not() {
    let cache = HydraCache::local().build();
    let (typed, door) = (numbers(&cache), Door::default());
    store(&typed, 7, 1, options());
    put(&cache, "plain", 1, options());
    assert_eq!(cache.keys().collect::<Vec<_>>(), ["plain"]);
    let mut loading = lead_one(&typed, &8, 2, options(), &door);
    let retained = cache.retain(|key| {
        assert_eq!(key, "plain");
        false
    });
    assert_eq!(block_on(retained).unwrap(), 1);
    assert_eq!((read(&typed, 7), cache.entry_count()), (Some(1), 1));
    flush(&cache);
    door.open();
    assert_eq!(loading.ends().unwrap().0, 2);
    assert_eq!((read(&typed, 7), read(&typed, 8)), (None, None));
    assert_eq!(cache.stats().stale_load_discards, 1);
}

#[test]
fn listener_gets_name_key_and_encoded_value() {
    type Log = Mutex<Vec<(String, Vec<u8>, RemovalCause)>>;
    let log = Arc::<Log>::default();
    let sink = Arc::clone(&log);
    let builder = HydraCache::local().on_removal(move |key, bytes, cause| {
        let all = (key.to_owned(), bytes.to_vec(), cause);
        sink.lock().unwrap().push(all);
    });
    let people = builder.build().typed::<str, String>("people");
    for name in ["Ada", "Grace"] {
        block_on(people.put("k", name.into(), options())).unwrap();
    }
    assert_eq!(block_on(people.invalidate_all()).unwrap(), 1);
    let removed = |value: &[u8], cause| ("people:<01>k".to_owned(), value.to_vec(), cause);
    let expected = [
        removed(b"\x03Ada", RemovalCause::Replaced),
        removed(b"\x05Grace", RemovalCause::Invalidated),
    ];
    assert_eq!(*log.lock().unwrap(), expected);
}

static CACHE: OnceLock<HydraCache> = OnceLock::new();

/// Calls the cache when dropped. The cache has a single lock, so a drop under the lock would hang.
#[derive(Deserialize, Serialize)]
struct CallsInDrop(u8);

impl Drop for CallsInDrop {
    fn drop(&mut self) {
        let cache = CACHE.get().unwrap();
        put(cache, "dropped", 1, options());
        block_on(cache.remove("dropped")).unwrap();
        cache.stats();
    }
}

#[test]
fn typed_values_are_dropped_outside_the_lock() {
    without_hanging(|| {
        let clock = ManualClock::new();
        let builder = HydraCache::local().clock(clock.clone()).max_capacity(9);
        let cache = CACHE.get_or_init(|| builder.build());
        let typed: TypedCache<u32, CallsInDrop> = cache.typed("calling");
        let store = |key, options| block_on(typed.put(&key, CallsInDrop(1), options)).unwrap();
        store(1, options());
        store(1, options());
        block_on(typed.remove(&1)).unwrap();
        (0..20).for_each(|key| store(key, tagged("tag")));
        assert!(block_on(typed.invalidate_all()).unwrap() > 0);
        store(1, tagged("tag"));
        drop(Hand::hold(cache.invalidate_tag("tag")).poll());
        store(1, lasting(1));
        clock.advance(SECOND);
        assert!(block_on(typed.get(&1)).unwrap().is_none());
        store(1, lasting(0));
        store(1, options());
        block_on(cache.flush()).unwrap();
        let load = |_| async { Ok::<_, Infallible>(vec![CallsInDrop(1), CallsInDrop(1)]) };
        drop(block_on(typed.get_or_load_many([1, 2], lasting(1), load)));
        clock.advance(SECOND);
        drop(block_on(typed.get_or_load(
            &1,
            options(),
            ready(CallsInDrop(2)),
        )));
        block_on(cache.flush()).unwrap();
        assert_eq!(cache.entry_count(), 0);
    });
}

/// Encoding succeeds for 0, fails for 1, and panics for 2.
#[derive(Clone, Deserialize)]
struct MayFail(u8);

impl Serialize for MayFail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_u8(0),
            1 => Err(S::Error::custom("not encodable")),
            _ => panic!("may_fail"),
        }
    }
}

#[test]
fn unencodable_typed_value_changes_nothing() {
    let cache = HydraCache::local().build();
    let typed = cache.typed::<u8, MayFail>("may_fail");
    block_on(typed.put(&1, MayFail(0), options())).unwrap();
    let error = block_on(typed.put(&1, MayFail(1), options())).unwrap_err();
    assert!(error.is_encode() && error.to_string().contains("MayFail"));
    let call = || drop(block_on(typed.put(&1, MayFail(2), options())));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(block_on(typed.get(&1)).unwrap().map(|it| it.0), Some(0));

    for bad in [1, 2] {
        let door = &Door::default();
        let mut leader = Hand::start(typed.get_or_load(&2, options(), || async move {
            door.pass().await;
            Ok::<_, Infallible>(MayFail(bad))
        }));
        let mut waiter = Hand::start(typed.get_or_load(&2, options(), never));
        door.open();
        match catch_unwind(AssertUnwindSafe(|| leader.ends())) {
            Ok(ended) => assert!(ended.is_err_and(|error| error.is_encode())),
            Err(_) => assert_eq!(bad, 2),
        }
        let error = waiter.ends().map(drop).unwrap_err();
        assert_eq!((error.is_encode(), error.is_panic()), (bad == 1, bad == 2));
        block_on(typed.get_or_load(&2, options(), ready(MayFail(0)))).unwrap();
        block_on(typed.remove(&2)).unwrap();
    }
}
