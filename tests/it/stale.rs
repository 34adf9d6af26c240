//! Shorthands for stale values: failing loads, loaders of `fetch`, a manual timer.

use std::convert::Infallible;
use std::future::{Ready, ready as at_once};
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, Fetched, HydraCache, Loaded, ManualClock, Old};

use crate::support::*;

pub const NANO: Duration = Duration::from_nanos(1);

/// A nanosecond less than the given seconds.
pub fn nearly(seconds: u32) -> Duration {
    (SECOND * seconds).saturating_sub(NANO)
}

/// A cache with a manual clock as clock and timer.
pub fn timed() -> (HydraCache, ManualClock) {
    let clock = ManualClock::new();
    let builder = HydraCache::local().clock(clock.clone());
    (builder.timer(clock.clone()).build(), clock)
}

/// A time to live of ten seconds, then a while-revalidate window of `seconds`.
pub fn revalidated(seconds: u32) -> CacheOptions {
    lasting(10).stale_while_revalidate(SECOND * seconds)
}

/// A time to live of ten seconds, then an if-error window of `seconds`.
pub fn kept(seconds: u32) -> CacheOptions {
    lasting(10).stale_if_error(SECOND * seconds)
}

/// Fails at once.
pub fn failing_loader<V>() -> Ready<Result<V, &'static str>> {
    at_once(Err("down"))
}

/// Calls `get_or_load` with an immediately failing loader.
#[track_caller]
pub fn fail(cache: &HydraCache, key: &str) -> CacheResult<u32> {
    Hand::hold(cache.get_or_load(key, options(), failing_loader)).ends()
}

/// Starts a load of `key`: the call claims the slot, the loader waits at the door and fails.
#[track_caller]
pub fn lead_failing<'a>(
    cache: &'a HydraCache,
    key: &'a str,
    options: CacheOptions,
    door: &'a Door,
) -> Hand<'a, CacheResult<u32>> {
    let before = cache.stats().loads;
    let hand = Hand::start(cache.get_or_load(key, options, move || async move {
        door.pass().await;
        Err("down")
    }));
    assert_eq!(cache.stats().loads, before + 1, "the call must lead");
    hand
}

/// The value served by `get_or_load` at once, without a load.
#[track_caller]
pub fn served(cache: &HydraCache, key: &str) -> u32 {
    let call = cache.get_or_load(key, options(), never);
    Hand::hold(call).ends().unwrap()
}

/// A loader of `fetch` for calls without a load. Panics when run.
pub fn never_fetch(_: Option<Old<u32>>) -> Ready<Result<Loaded<u32>, Infallible>> {
    panic!("the loader must not run")
}

/// A loader of `fetch`: returns `loaded` at once.
pub fn ready_fetch<L: Into<Loaded<u32>>>(
    loaded: L,
) -> impl FnOnce(Option<Old<u32>>) -> Ready<Result<Loaded<u32>, Infallible>> {
    |_| at_once(Ok(loaded.into()))
}

/// A loader of `fetch`: reports the stored value as unchanged.
pub fn unchanged(old: Option<Old<u32>>) -> Ready<Result<Loaded<u32>, Infallible>> {
    at_once(Ok(old
        .expect("the loader gets the stored value")
        .unchanged()))
}

/// The result of `fetch` for a stored key, without a load.
#[track_caller]
pub fn stored(cache: &HydraCache, key: &str) -> Fetched<u32> {
    let call = cache.fetch(key, options(), never_fetch);
    Hand::hold(call).ends().unwrap()
}

/// The result of `fetch` with a loader returning `loaded` at once.
#[track_caller]
pub fn fetched<L: Into<Loaded<u32>>>(
    cache: &HydraCache,
    key: &str,
    options: CacheOptions,
    loaded: L,
) -> Fetched<u32> {
    let call = cache.fetch(key, options, ready_fetch(loaded));
    Hand::hold(call).ends().unwrap()
}

/// Ends the freshness of all entries with the tag.
pub fn expire_tag(cache: &HydraCache, tag: &str) -> u64 {
    block_on(cache.expire_tag(tag)).unwrap()
}

/// Ends the freshness of the entry of the key.
pub fn expire(cache: &HydraCache, key: &str) -> bool {
    block_on(cache.expire(key)).unwrap()
}

pub fn remove(cache: &HydraCache, key: &str) -> bool {
    block_on(cache.remove(key)).unwrap()
}

pub fn flush(cache: &HydraCache) {
    block_on(cache.flush()).unwrap();
}
