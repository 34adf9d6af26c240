//! Times that other caches round, overflow, or read twice.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::future::yield_now;
use hydracache::{Clock, HydraCache, Loaded};

use crate::stale::*;
use crate::support::*;

#[test]
fn ttl_below_a_second_is_neither_zero_nor_endless() {
    for ttl in [1, 999, 1_000, 999_999, 1_000_000, 999_999_999] {
        let (cache, clock) = clocked(10);
        let ttl = Duration::from_nanos(ttl);
        for given in [options(), options().stale_if_error(Duration::ZERO)] {
            put(&cache, "key", 1, given.ttl(ttl));
            assert_eq!(get(&cache, "key"), Some(1), "{ttl:?}");
            clock.advance(ttl.saturating_sub(NANO));
            assert_eq!(get(&cache, "key"), Some(1), "{ttl:?}");
            clock.advance(NANO);
            assert_eq!(get(&cache, "key"), None, "{ttl:?}");
        }
        // The whole of the time but the smallest part.
        put(&cache, "key", 2, options().ttl(ttl).jitter(1.0));
        assert_eq!(get(&cache, "key"), Some(2), "{ttl:?}");
    }
}

#[test]
fn ttl_of_32_bits_of_milliseconds_or_seconds_is_exact() {
    let bits = [31, 32, 33].map(|bits| Duration::from_millis(1 << bits));
    let more = [31, 32, 33].map(|bits| Duration::from_secs(1 << bits));
    for border in bits.into_iter().chain(more) {
        for ttl in [border.saturating_sub(NANO), border, border + NANO] {
            let (cache, clock) = clocked(10);
            put(&cache, "key", 1, options().ttl(ttl));
            put(&cache, "idle", 1, options().time_to_idle(ttl));
            clock.advance(ttl.saturating_sub(NANO));
            assert_eq!(get(&cache, "key"), Some(1), "{ttl:?}");
            clock.advance(NANO);
            assert_eq!(get(&cache, "key"), None, "{ttl:?}");
            assert_eq!(get(&cache, "idle"), None, "{ttl:?}");
        }
    }
}

/// Loads with a timeout, by a loader that is pending for three polls.
async fn load_slowly(cache: &HydraCache, timeout: Duration) -> u32 {
    let load = cache.get_or_load("key", options().load_timeout(timeout), || async {
        for _ in 0..3 {
            yield_now().await;
        }
        Ok::<_, Infallible>(1)
    });
    let value = load.await.unwrap();
    cache.remove("key").await.unwrap();
    value
}

/// 30 days, and the ends of the numbers that timers use.
const LONG: [Duration; 5] = [
    Duration::from_secs(30 * 24 * 3600),
    Duration::from_secs(u32::MAX as u64 + 1),
    Duration::from_millis(u64::MAX),
    Duration::from_secs(u64::MAX / 2),
    Duration::MAX,
];

#[test]
#[cfg(feature = "async-io")]
fn timeout_of_a_month_or_more_does_not_end_at_once() {
    let cache = HydraCache::local().build();
    for timeout in LONG {
        assert_eq!(block_on(load_slowly(&cache, timeout)), 1, "{timeout:?}");
    }
    assert_eq!(cache.stats().timeouts, 0);
}

#[test]
fn tokio_timeout_of_a_month_does_not_end_at_once() {
    let cache = HydraCache::local().timer(tokio::time::sleep).build();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    for timeout in LONG {
        let value = runtime.block_on(load_slowly(&cache, timeout));
        assert_eq!(value, 1, "{timeout:?}");
    }
    assert_eq!(cache.stats().timeouts, 0);
}

#[test]
fn windows_longer_than_the_uptime_work_at_time_zero() {
    // The clock is at zero: a subtraction of a window from now would underflow.
    let (cache, clock) = clocked(10);
    let days = Duration::from_secs(3 * 24 * 3600);
    let given = options().stale_while_revalidate(days).stale_if_error(days);
    put(&cache, "key", 1, given.clone().ttl(NANO).time_to_idle(days));
    put(&cache, "expired", 1, given.clone().error_backoff(days));
    assert!(expire(&cache, "expired"));
    assert_eq!(fail(&cache, "expired").unwrap(), 1);
    clock.advance(NANO);
    assert_eq!(fail(&cache, "key").unwrap(), 1);
    let loaded = fetched(&cache, "key", given, 2);
    assert_eq!((loaded.value, loaded.age), (2, Duration::ZERO));
}

/// Moves by a second at every look.
#[derive(Clone, Default)]
struct Stepping(Arc<AtomicU64>);

impl Clock for Stepping {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[test]
fn clock_that_moves_within_a_call_breaks_no_count() {
    let cache = HydraCache::local().max_capacity(8);
    let cache = cache.clock(Stepping::default()).build();
    let (mut random, mut counted) = (1_u64, 0);
    for _ in 0..20_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let pick = |among: u32| u32::try_from((random >> 33) % u64::from(among)).unwrap();
        let key = format!("key {}", pick(12));
        let mut given = lasting(pick(6)).tag("tag");
        if pick(2) == 0 {
            given = given.stale_if_error(SECOND * pick(7));
            given = given.stale_while_revalidate(SECOND * pick(5));
        }
        if pick(5) == 0 {
            given = given.time_to_idle(SECOND * pick(5)).refresh_ahead(0.5);
        }
        match pick(11) {
            0..=2 => put(&cache, &key, 1, given),
            3 => {
                counted += 1;
                get(&cache, &key);
            }
            4 => {
                counted += 1;
                let found = fetched(&cache, &key, given, Loaded::new(2).tag("other"));
                assert!(found.age <= SECOND * 20, "{:?}", found.age);
                assert!(found.time_left.is_none_or(|left| left <= SECOND * 20));
            }
            5 | 6 => {
                counted += 1;
                assert!(matches!(load(&cache, &key, 3), 1..=3));
            }
            7 => {
                counted += 1;
                drop(fail(&cache, &key));
            }
            8 => drop(remove(&cache, &key)),
            9 => drop(expire(&cache, &key)),
            _ => drop(expire_tag(&cache, "tag")),
        }
        assert!(cache.entry_count() <= 8);
    }
    let stats = cache.stats();
    assert_eq!(stats.hits + stats.misses, counted);
    assert!(stats.hits > 0 && stats.stale_serves > 0 && stats.expirations > 0);
}

#[test]
fn key_put_again_after_its_end_keeps_its_new_ttl() {
    let (cache, clock) = clocked(100);
    for round in 0..100 {
        put(&cache, "key", round, lasting(2));
        put(&cache, "idle", round, options().time_to_idle(SECOND * 2));
        clock.advance(nearly(2));
        assert_eq!(get(&cache, "key"), Some(round));
        clock.advance(NANO);
        // Some rounds find the old entry, others give it back, others overwrite it.
        match round % 3 {
            0 => assert_eq!(get(&cache, "key"), None),
            1 => put(&cache, "sweep", round, options()),
            _ => {}
        }
    }
    put(&cache, "key", 100, lasting(1_000));
    for second in 0..999 {
        clock.advance(SECOND);
        put(&cache, &format!("other {}", second % 50), 1, lasting(3));
        assert_eq!(get(&cache, "key"), Some(100), "{second}");
    }
}
