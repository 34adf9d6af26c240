//! Shorthands for old values: loads that fail, loaders of the full form, a timer.

use std::convert::Infallible;
use std::future::{Ready, ready as at_once};
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, Fetched, HydraCache, Loaded, ManualClock, Old};

use crate::support::*;

pub const NANO: Duration = Duration::from_nanos(1);

/// A nanosecond less than so many seconds.
pub fn nearly(seconds: u32) -> Duration {
    (SECOND * seconds).saturating_sub(NANO)
}

/// A cache whose clock and timer are the test's.
pub fn timed() -> (HydraCache, ManualClock) {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    (builder.timer(clock.clone()).build(), clock)
}

/// Options of ten seconds, and so many more while the value is loaded anew.
pub fn revalidated(seconds: u32) -> CacheOptions {
    lasting(10).stale_while_revalidate(SECOND * seconds)
}

/// Options of ten seconds, and so many more for when a load fails.
pub fn kept(seconds: u32) -> CacheOptions {
    lasting(10).stale_if_error(SECOND * seconds)
}

/// A loader that fails at once.
pub fn away<V>() -> Ready<Result<V, &'static str>> {
    at_once(Err("away"))
}

/// Loads by a loader that fails at once.
#[track_caller]
pub fn fail(cache: &HydraCache, key: &str) -> CacheResult<u32> {
    Hand::hold(cache.get_or_load(key, options(), away)).ends()
}

/// A load of `key` that has taken its seat, waits at the door and then fails.
#[track_caller]
pub fn lead_away<'a>(
    cache: &'a HydraCache,
    key: &'a str,
    options: CacheOptions,
    door: &'a Door,
) -> Hand<'a, CacheResult<u32>> {
    let before = cache.stats().loads;
    let hand = Hand::start(cache.get_or_load(key, options, move || async move {
        door.pass().await;
        Err("away")
    }));
    assert_eq!(cache.stats().loads, before + 1, "the call did not lead");
    hand
}

/// What a call gets at once, of a key that need not be loaded.
#[track_caller]
pub fn served(cache: &HydraCache, key: &str) -> u32 {
    let call = cache.get_or_load(key, options(), never);
    Hand::hold(call).ends().unwrap()
}

/// A full loader that must not be called.
pub fn nobody(_: Option<Old<u32>>) -> Ready<Result<Loaded<u32>, Infallible>> {
    panic!("a loader was called that nobody needs")
}

/// A full loader that gives something at once.
pub fn giving<L: Into<Loaded<u32>>>(
    loaded: L,
) -> impl FnOnce(Option<Old<u32>>) -> Ready<Result<Loaded<u32>, Infallible>> {
    |_| at_once(Ok(loaded.into()))
}

/// A full loader that finds its value unchanged.
pub fn same(old: Option<Old<u32>>) -> Ready<Result<Loaded<u32>, Infallible>> {
    at_once(Ok(old.expect("there is an old value").unchanged()))
}

/// What `fetch` finds of a key that need not be loaded.
#[track_caller]
pub fn found(cache: &HydraCache, key: &str) -> Fetched<u32> {
    let call = cache.fetch(key, options(), nobody);
    Hand::hold(call).ends().unwrap()
}

/// What `fetch` gives with a loader that waits for nobody.
#[track_caller]
pub fn fetched<L: Into<Loaded<u32>>>(
    cache: &HydraCache,
    key: &str,
    options: CacheOptions,
    loaded: L,
) -> Fetched<u32> {
    let call = cache.fetch(key, options, giving(loaded));
    Hand::hold(call).ends().unwrap()
}

/// Ends the freshness of a tag.
pub fn expire_tag(cache: &HydraCache, tag: &str) -> u64 {
    block_on(cache.expire_tag(tag)).unwrap()
}

/// Ends the freshness of a key.
pub fn expire(cache: &HydraCache, key: &str) -> bool {
    block_on(cache.expire(key)).unwrap()
}

pub fn remove(cache: &HydraCache, key: &str) -> bool {
    block_on(cache.remove(key)).unwrap()
}

pub fn flush(cache: &HydraCache) {
    block_on(cache.flush()).unwrap();
}
