//! `fetch` reports source, age and time left, and lets the loader choose ttl, tags and storing.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use hydracache::{
    BoxError, Bytes, CacheOptions, CacheResult, Codec, Fetched, HydraCache, Loaded, ManualClock,
    Old, Postcard, Source,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::stale::*;
use crate::support::*;

/// Value, source, age in seconds, and time left in seconds.
fn view(fetched: &Fetched<u32>) -> (u32, Source, u64, Option<u64>) {
    let left = fetched.time_left.map(|left| left.as_secs());
    (fetched.value, fetched.source, fetched.age.as_secs(), left)
}

/// Starts a fetch: the call claims the slot, and the loader waits at the door.
fn fetch_behind<'a, L: Into<Loaded<u32>> + 'a>(
    cache: &'a HydraCache,
    options: CacheOptions,
    door: &'a Door,
    loaded: impl FnOnce(Option<Old<u32>>) -> L + 'a,
) -> Hand<'a, CacheResult<Fetched<u32>>> {
    let before = cache.stats().loads;
    let hand = Hand::start(cache.fetch("key", options, move |old| async move {
        door.pass().await;
        Ok::<_, Infallible>(loaded(old).into())
    }));
    assert_eq!(cache.stats().loads, before + 1, "the call must lead");
    hand
}

#[test]
fn loaded_value_has_age_zero_and_its_full_ttl_left() {
    let (cache, clock) = clocked(100);
    clock.advance(SECOND * 100);
    let loaded = fetched(&cache, "key", lasting(10), 7);
    assert_eq!(view(&loaded), (7, Source::Loaded, 0, Some(10)));
    let loaded = fetched(&cache, "endless", options(), 7);
    assert_eq!(view(&loaded), (7, Source::Loaded, 0, None));
}

#[test]
fn hit_reports_its_age_and_time_left() {
    let (cache, clock) = clocked(100);
    clock.advance(SECOND * 100);
    fetched(&cache, "key", lasting(10), 7);
    fetched(&cache, "endless", options(), 8);
    clock.advance(SECOND * 4);
    assert_eq!(view(&stored(&cache, "key")), (7, Source::Hit, 4, Some(6)));
    assert_eq!(view(&stored(&cache, "endless")), (8, Source::Hit, 4, None));
}

#[test]
fn entry_without_recorded_times_reports_age_zero() {
    let (cache, clock) = clocked(100);
    put(&cache, "plain", 7, lasting(10));
    put(&cache, "kept", 7, kept(10));
    clock.advance(SECOND * 4);
    assert_eq!(view(&stored(&cache, "plain")), (7, Source::Hit, 0, Some(6)));
    assert_eq!(view(&stored(&cache, "kept")), (7, Source::Hit, 4, Some(6)));
}

#[test]
fn stale_value_is_reported_as_stale_with_its_age() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, revalidated(5));
    clock.advance(SECOND * 12);
    let door = Door::default();
    let mut leader = fetch_behind(&cache, options(), &door, |_| 2);
    assert_eq!(
        view(&stored(&cache, "key")),
        (1, Source::Stale, 12, Some(0))
    );
    door.open();
    leader.ends().unwrap();

    put(&cache, "key", 1, kept(5));
    clock.advance(SECOND * 12);
    let failed = cache.fetch("key", options(), |_: Option<Old<u32>>| failing_loader());
    let failed = block_on(failed).unwrap();
    assert_eq!(view(&failed), (1, Source::Stale, 12, Some(0)));
}

#[test]
fn waiter_is_reported_as_joined() {
    let (cache, clock) = clocked(100);
    let door = Door::default();
    let mut leader = fetch_behind(&cache, lasting(10), &door, |_| 7);
    let mut waiter = Hand::start(cache.fetch("key", options(), never_fetch));
    let mut plain = join(&cache, "key");
    clock.advance(SECOND * 3);
    door.open();
    assert_eq!(
        view(&leader.ends().unwrap()),
        (7, Source::Loaded, 0, Some(10))
    );
    let joined = waiter.ends().unwrap();
    assert_eq!(view(&joined), (7, Source::Joined, 0, Some(10)));
    assert_eq!(plain.ends().unwrap(), 7);
}

#[test]
fn fetch_joins_a_load_of_get_or_load() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let mut leader = lead(&cache, "key", 7, lasting(10), &door);
    let mut waiter = Hand::start(cache.fetch("key", options(), never_fetch));
    door.open();
    leader.ends().unwrap();
    let joined = waiter.ends().unwrap();
    assert_eq!(view(&joined), (7, Source::Joined, 0, Some(10)));
}

#[test]
fn unstored_value_has_no_time_left() {
    let (cache, _) = clocked(100);
    let door = Door::default();
    let mut leader = fetch_behind(&cache, lasting(10), &door, |_| 7);
    let mut waiter = Hand::start(cache.fetch("key", options(), never_fetch));
    assert!(!remove(&cache, "key"));
    door.open();
    assert_eq!(
        view(&leader.ends().unwrap()),
        (7, Source::Loaded, 0, Some(0))
    );
    assert_eq!(
        view(&waiter.ends().unwrap()),
        (7, Source::Joined, 0, Some(0))
    );
    let zero = fetched(&cache, "key", lasting(0), 8);
    assert_eq!(view(&zero), (8, Source::Loaded, 0, Some(0)));
}

#[test]
fn loader_ttl_overrides_the_ttl_of_call_and_builder() {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    let cache = builder.default_ttl(SECOND * 30).build();
    let left = |key, options, loaded| fetched(&cache, key, options, loaded).time_left;
    assert_eq!(left("a", options(), Loaded::new(1)), Some(SECOND * 30));
    assert_eq!(left("b", lasting(20), Loaded::new(1)), Some(SECOND * 20));
    let own = Loaded::new(1).ttl(SECOND * 10);
    assert_eq!(left("c", lasting(20), own), Some(SECOND * 10));
    let longer = Loaded::new(1).ttl(Duration::MAX);
    assert_eq!(left("d", lasting(20), longer), None);
    clock.advance(SECOND * 10);
    assert_eq!(get(&cache, "b"), Some(1));
    assert_eq!(get(&cache, "c"), None);
}

#[test]
fn windows_of_the_call_start_after_the_loader_ttl() {
    let (cache, clock) = clocked(100);
    let own = Loaded::new(1).ttl(SECOND * 3);
    fetched(&cache, "key", kept(5), own);
    clock.advance(nearly(8));
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    clock.advance(NANO);
    assert!(fail(&cache, "key").is_err());
}

#[test]
fn loader_tags_are_added_to_tags_of_call_and_builder() {
    for tag in ["call", "one", "two", "three", "builder"] {
        let builder = HydraCache::local().default_options(tagged("builder"));
        let cache = builder.build();
        let own = Loaded::new(1).tag("one").tags(["two", "three"]).tag("call");
        fetched(&cache, "key", tagged("call"), own);
        assert_eq!(invalidate(&cache, tag), 1, "{tag}");
        assert_eq!(get(&cache, "key"), None);
    }
}

#[test]
fn no_store_returns_the_value_and_removes_the_entry() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(100));
    clock.advance(SECOND * 10);
    let door = Door::default();
    let mut leader = fetch_behind(&cache, lasting(10), &door, |_| Loaded::new(2).no_store());
    let mut waiter = join(&cache, "key");
    door.open();
    assert_eq!(leader.ends().unwrap().value, 2);
    assert_eq!(waiter.ends().unwrap(), 2);
    assert_eq!(get(&cache, "key"), None);
    assert!(fail(&cache, "key").is_err(), "the stale value is removed");
    assert_eq!(cache.stats().rejections, 0);
    assert_eq!(cache.stats().stale_load_discards, 0);
}

#[test]
fn loaded_none_is_cached_for_its_own_ttl() {
    let (cache, clock) = clocked(100);
    let calls = Cell::new(0);
    let fetch_none = || {
        let load = |_| {
            calls.set(calls.get() + 1);
            let none = Loaded::new(None::<u32>).ttl(SECOND);
            std::future::ready(Ok::<_, Infallible>(none))
        };
        block_on(cache.fetch("key", lasting(60), load))
            .unwrap()
            .value
    };
    assert_eq!((fetch_none(), fetch_none()), (None, None));
    assert_eq!(calls.get(), 1);
    clock.advance(SECOND);
    assert_eq!(fetch_none(), None);
    assert_eq!(calls.get(), 2);
}

/// The stored value and the age in seconds, as passed to the loader of `fetch`.
fn seen_by_loader(cache: &HydraCache) -> Option<(u32, u64)> {
    let seen_by_loader = Cell::new(None);
    let call = cache.fetch("key", options(), |old: Option<Old<u32>>| {
        seen_by_loader.set(old.map(|old| (*old.value(), old.age().as_secs())));
        failing_loader()
    });
    let _ = Hand::hold(call).ends();
    seen_by_loader.get()
}

#[test]
fn loader_gets_the_stored_value_and_its_age() {
    let ahead = lasting(20).refresh_ahead(0.5);
    for kept in [kept(10), revalidated(10), ahead] {
        let (cache, clock) = clocked(100);
        assert_eq!(seen_by_loader(&cache), None);
        put(&cache, "key", 1, kept);
        clock.advance(SECOND * 12);
        assert_eq!(seen_by_loader(&cache), Some((1, 12)));
        clock.advance(SECOND * 8);
        assert_eq!(seen_by_loader(&cache), None, "no expired value");
    }
}

#[test]
fn loader_gets_no_removed_value() {
    let removals: [fn(&HydraCache); 3] = [
        |cache| assert!(!remove(cache, "key")),
        |cache| assert_eq!(invalidate(cache, "tag"), 0),
        flush,
    ];
    for removal in removals {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept(10).tag("tag"));
        clock.advance(SECOND * 12);
        removal(&cache);
        assert_eq!(seen_by_loader(&cache), None);
    }
}

#[test]
fn unchanged_value_keeps_its_tags_and_gets_the_call_ttl() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(100).tags(["a", "b"]));
    clock.advance(SECOND * 12);
    let call = cache.fetch("key", kept(100), unchanged);
    let confirmed = block_on(call).unwrap();
    assert_eq!(view(&confirmed), (1, Source::Loaded, 0, Some(10)));
    clock.advance(SECOND * 4);
    assert_eq!(view(&stored(&cache, "key")), (1, Source::Hit, 4, Some(6)));
    assert_eq!(invalidate(&cache, "b"), 1);
    assert_eq!(get(&cache, "key"), None);
}

#[test]
fn unchanged_value_may_add_tags_and_set_its_ttl() {
    for tag in ["old", "new", "call"] {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept(100).tag("old"));
        clock.advance(SECOND * 12);
        let call = cache.fetch("key", tagged("call"), |old: Option<Old<u32>>| {
            let kept = old.unwrap().unchanged();
            std::future::ready(Ok::<_, Infallible>(kept.tag("new").ttl(SECOND * 3)))
        });
        assert_eq!(block_on(call).unwrap().time_left, Some(SECOND * 3));
        assert_eq!(invalidate(&cache, tag), 1, "{tag}");
    }
}

/// `FusionCache`#638: "not modified" revived a removed value.
#[test]
fn unchanged_value_does_not_revive_a_removed_entry() {
    let removals: [fn(&HydraCache); 6] = [
        |cache| assert!(!remove(cache, "key")),
        |cache| assert_eq!(invalidate(cache, "tag"), 0),
        |cache| assert_eq!(expire_tag(cache, "tag"), 0),
        |cache| assert!(!expire(cache, "key")),
        |cache| put(cache, "key", 9, lasting(0)),
        flush,
    ];
    for removal in removals {
        let (cache, clock) = clocked(100);
        put(&cache, "key", 1, kept(100).tag("tag"));
        clock.advance(SECOND * 12);
        let door = Door::default();
        let mut leader = fetch_behind(&cache, lasting(10), &door, |old| old.unwrap().unchanged());
        let mut waiter = join(&cache, "key");
        removal(&cache);
        door.open();
        assert_eq!(leader.ends().unwrap().value, 1);
        assert_eq!(waiter.ends().unwrap(), 1);
        assert_eq!(get(&cache, "key"), None);
        assert_eq!(cache.stats().stale_load_discards, 1);
    }
}

#[test]
fn unchanged_value_does_not_overwrite_a_newer_put() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, kept(100));
    clock.advance(SECOND * 12);
    let door = Door::default();
    let mut leader = fetch_behind(&cache, lasting(10), &door, |old| old.unwrap().unchanged());
    put(&cache, "key", 2, options());
    door.open();
    assert_eq!(leader.ends().unwrap().value, 1);
    assert_eq!(get(&cache, "key"), Some(2));
}

#[test]
fn failed_fetch_serves_the_stale_value_or_returns_the_error() {
    let (cache, clock) = clocked(100);
    let failing = || cache.fetch("key", options(), |_: Option<Old<u32>>| failing_loader());
    assert!(block_on(failing()).unwrap_err().is_load());
    put(&cache, "key", 1, kept(5));
    clock.advance(nearly(15));
    assert_eq!(block_on(failing()).unwrap().source, Source::Stale);
    clock.advance(NANO);
    assert!(block_on(failing()).unwrap_err().is_load());
}

#[test]
fn failed_refresh_ahead_is_reported_as_a_hit() {
    let (cache, clock) = clocked(100);
    put(&cache, "key", 1, lasting(20).refresh_ahead(0.5));
    clock.advance(SECOND * 12);
    let failing = cache.fetch("key", options(), |_: Option<Old<u32>>| failing_loader());
    let served = block_on(failing).unwrap();
    assert_eq!(view(&served), (1, Source::Hit, 12, Some(8)));
}

#[test]
fn undecodable_value_counts_once_per_call() {
    let (cache, clock) = clocked(10);
    let garbage = Bytes::from_static(&[0xff; 20]);
    block_on(cache.put_bytes("key", garbage, kept(90))).unwrap();
    clock.advance(SECOND * 10);
    let call = cache.fetch("key", options(), |_| failing_loader::<Loaded<u32>>());
    assert!(block_on(call).is_err_and(|error| error.is_load()));
    assert_eq!(cache.stats().decode_failures, 1);
}

/// The encoded form of another cache is not reused.
#[test]
fn unchanged_value_of_another_cache_is_encoded_again() {
    let (cache, clock) = timed();
    put(&cache, "key", 7, kept(50));
    clock.advance(SECOND * 10);
    let taken = Cell::new(None);
    let call = cache.fetch("key", options(), async |old: Option<Old<u32>>| {
        taken.set(old.map(Old::unchanged));
        Ok::<_, Infallible>(Loaded::new(8))
    });
    assert_eq!(block_on(call).unwrap().value, 8);
    let foreign = taken.take().unwrap();

    let json = HydraCache::local().codec(Reversed).build();
    let call = json.fetch("key", options(), async |_| Ok::<_, Infallible>(foreign));
    assert_eq!(block_on(call).unwrap().value, 7);
    assert_eq!(block_on(json.get::<u32>("key")).unwrap(), Some(7));
}

/// Writes the bytes of `Postcard` in reverse order.
struct Reversed;

impl Codec for Reversed {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Bytes, BoxError> {
        let mut bytes = Postcard.encode(value)?.to_vec();
        bytes.push(0);
        bytes.reverse();
        Ok(bytes.into())
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V, BoxError> {
        let (end, bytes) = bytes.split_first().ok_or("no bytes")?;
        if *end != 0 {
            return Err("not written by this codec".into());
        }
        Postcard.decode(&bytes.iter().rev().copied().collect::<Vec<_>>())
    }
}
