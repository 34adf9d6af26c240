//! When the clock goes back or leaps a century, removed entries stay removed and entries still end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hydracache::{CacheOptions, Clock, HydraCache, ManualClock, TypedCache};

use crate::pool::*;
use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const CENTURY: Duration = Duration::from_secs(3_155_760_000);
const NANOSECOND: Duration = Duration::from_nanos(1);

fn just_before(time: Duration) -> Duration {
    time.saturating_sub(NANOSECOND)
}

/// A clock set by the test.
#[derive(Clone, Default)]
pub struct Leaping(Arc<AtomicU64>);

impl Leaping {
    pub fn set_to(&self, time: Duration) {
        let nanos = time.as_nanos().try_into().unwrap();
        self.0.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for Leaping {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

fn leaping_cache(capacity: u64) -> (HydraCache, Leaping) {
    let clock = Leaping::default();
    let builder = HydraCache::local().max_capacity(capacity);
    (builder.clock(clock.clone()).build(), clock)
}

fn with_windows() -> CacheOptions {
    let windows = lasting(50).stale_while_revalidate(SECOND * 50);
    windows.stale_if_error(HOUR).refresh_ahead(0.5)
}

fn fail(cache: &HydraCache, key: &str, options: CacheOptions) -> Result<u32, String> {
    let call = cache.get_or_load(key, options, async || Err::<u32, _>("down"));
    block_on(call).map_err(|error| error.to_string())
}

/// Earlier times for a clock to go back to.
const EARLIER: [Duration; 4] = [
    Duration::ZERO,
    NANOSECOND,
    Duration::from_secs(100),
    Duration::from_secs(119),
];

/// Otherwise a clock that goes back brings a refused entry back. An invalidated entry never comes
/// back, so `keep` is not asked.
#[test]
fn retain_asks_about_entries_that_only_the_clock_expired() {
    let (cache, clock) = leaping_cache(100);
    clock.set_to(SECOND * 10);
    put(&cache, "timed", 1, lasting(1));
    put(&cache, "stale", 1, lasting(1).stale_if_error(SECOND));
    put(&cache, "idle", 1, options().time_to_idle(SECOND));
    put(&cache, "kept", 1, lasting(1));
    let [ended, removed] = ["ended", "removed"].map(|tag| tagged(tag).stale_if_error(SECOND));
    put(&cache, "ended", 1, tagged("ended"));
    put(&cache, "ended, stale", 1, ended);
    put(&cache, "removed", 1, removed);
    block_on(cache.expire_tag("ended")).unwrap();
    invalidate(&cache, "removed");
    clock.set_to(SECOND * 100);
    let mut asked = Vec::new();
    let retained = cache.retain(|key| {
        asked.push(key.to_owned());
        key == "kept"
    });
    assert_eq!(block_on(retained).unwrap(), 0, "no expired entry counts");
    asked.sort_unstable();
    assert_eq!(asked, ["ended, stale", "idle", "kept", "stale", "timed"]);
    clock.set_to(SECOND * 10);
    for key in ["timed", "stale", "idle", "ended, stale"] {
        assert_eq!(get(&cache, key), None, "{key}");
        assert!(fail(&cache, key, options()).is_err(), "{key}");
    }
    assert_eq!(get(&cache, "kept"), Some(1));
}

#[test]
fn expired_entry_stays_expired_when_the_clock_goes_back() {
    for earlier in EARLIER {
        let (cache, clock) = leaping_cache(10_000);
        clock.set_to(SECOND * 100);
        put(&cache, "key", 1, with_windows());
        put(&cache, "swept", 1, with_windows().tag("swept"));
        for n in 0..1000 {
            put(
                &cache,
                &format!("unswept {n}"),
                1,
                with_windows().tag("unswept"),
            );
        }
        clock.set_to(SECOND * 120);
        assert!(block_on(cache.expire("key")).unwrap());
        assert_eq!(block_on(cache.expire_tag("swept")).unwrap(), 1);
        drop(Hand::start(cache.expire_tag("unswept")));
        clock.set_to(earlier);
        for key in ["key", "swept", "unswept 0", "unswept 999"] {
            assert_eq!(get(&cache, key), None, "{key} at {earlier:?}");
            assert_eq!(fail(&cache, key, options()), Ok(1), "{key} at {earlier:?}");
            let door = Door::default();
            let mut leader = lead(&cache, key, 2, options(), &door);
            // The revalidate window is over too: the second call waits.
            let mut waiter = join(&cache, key);
            door.open();
            assert_eq!(leader.ends().unwrap(), 2);
            assert_eq!(waiter.ends().unwrap(), 2);
        }
        clock.set_to(SECOND * 50 + HOUR);
        let held = cache.get_or_load("unswept 1", options(), ready(3_u32));
        assert_eq!(block_on(held).unwrap(), 3);
    }
}

#[test]
fn removed_entry_stays_removed_wherever_the_clock_goes() {
    let removals: [fn(&HydraCache); 4] = [
        |cache| assert!(block_on(cache.remove("key")).unwrap()),
        |cache| assert_eq!(invalidate(cache, "tag"), 1),
        |cache| drop(Hand::hold(cache.invalidate_tag("tag")).poll()),
        |cache| drop(Hand::hold(cache.flush()).poll()),
    ];
    for (number, remove) in removals.into_iter().enumerate() {
        for later in [SECOND, HOUR, CENTURY] {
            let (cache, clock) = leaping_cache(10_000);
            let door = Door::default();
            put(&cache, "key", 1, options().ttl(CENTURY * 3).tag("tag"));
            let mut leader = lead(&cache, "loading", 1, with_windows().tag("tag"), &door);
            clock.set_to(later);
            remove(&cache);
            for time in [Duration::ZERO, later, CENTURY * 2, NANOSECOND] {
                clock.set_to(time);
                assert_eq!(get(&cache, "key"), None, "removal {number}, at {time:?}");
            }
            // `remove` of "key" fences no load of "loading"; the other removals do.
            if number > 0 {
                door.open();
                assert_eq!(leader.ends().unwrap(), 1);
                assert_eq!(get(&cache, "loading"), None, "removal {number}");
            }
            put(&cache, "key", 2, tagged("tag"));
            assert_eq!(get(&cache, "key"), Some(2));
        }
    }
}

/// The sweep of ended entries does not wait for entries with a much later end.
#[test]
fn ended_entries_are_swept_after_the_clock_went_back() {
    for leap in [HOUR, CENTURY] {
        let (cache, clock) = leaping_cache(10_000);
        // Moves the expiry order on to the later time.
        put(&cache, "long", 1, options().ttl(leap + SECOND));
        clock.set_to(leap);
        put(&cache, "late", 1, lasting(1));
        clock.set_to(Duration::ZERO);
        put(
            &cache,
            "next",
            1,
            options().ttl(leap.saturating_sub(SECOND)),
        );
        for n in 0..500 {
            put(&cache, &n.to_string(), n, lasting(1));
        }
        clock.set_to(just_before(SECOND));
        put(&cache, "endless", 1, options());
        assert_eq!(cache.entry_count(), 504);
        clock.set_to(SECOND);
        for n in 0..10 {
            put(&cache, "endless", n, options());
        }
        assert_eq!(cache.entry_count(), 4, "after a leap of {leap:?}");
        clock.set_to(leap.saturating_sub(SECOND));
        put(&cache, "endless", 1, options());
        assert_eq!(cache.entry_count(), 3, "after a leap of {leap:?}");
        clock.set_to(leap + SECOND);
        put(&cache, "endless", 1, options());
        assert_eq!(cache.entry_count(), 1, "after a leap of {leap:?}");
    }
}

#[test]
fn ended_entries_leave_before_live_ones_after_a_step_back() {
    let (cache, clock) = leaping_cache(100);
    put(&cache, "long", 1, options().ttl(HOUR + SECOND));
    clock.set_to(HOUR);
    put(&cache, "late", 1, options());
    clock.set_to(Duration::ZERO);
    put(
        &cache,
        "next",
        1,
        options().ttl(HOUR.saturating_sub(SECOND)),
    );
    for n in 0..97 {
        put(&cache, &n.to_string(), n, lasting(1));
    }
    clock.set_to(SECOND);
    for n in 0..97 {
        put(&cache, &format!("live {n}"), n, options());
    }
    assert_eq!(cache.stats().evictions, 0);
    assert_eq!(cache.entry_count(), 100);
}

#[test]
fn clock_going_back_before_a_failure_ends_its_backoff() {
    for leap in [HOUR, CENTURY] {
        let (cache, clock) = leaping_cache(10_000);
        clock.set_to(leap);
        let with_backoff = || options().error_backoff(SECOND * 10);
        assert!(fail(&cache, "key", with_backoff()).is_err());
        clock.set_to(just_before(leap + SECOND * 10));
        assert!(fail(&cache, "key", with_backoff()).is_err());
        assert_eq!(cache.stats().loads, 1, "no load inside the back-off");
        clock.set_to(just_before(leap));
        assert_eq!(load(&cache, "key", 1), 1);
    }
    let (cache, clock) = leaping_cache(10_000);
    assert!(fail(&cache, "key", options().error_backoff(HOUR)).is_err());
    clock.set_to(CENTURY);
    assert_eq!(load(&cache, "key", 1), 1);
    // A back-off that ended, and after which a load ran, does not return.
    let (cache, clock) = leaping_cache(10_000);
    assert!(fail(&cache, "key", options().error_backoff(HOUR)).is_err());
    for past in [CENTURY, Duration::ZERO] {
        clock.set_to(past);
        assert!(fail(&cache, "key", options()).is_err());
    }
    assert_eq!(cache.stats().loads, 3);
}

#[test]
fn leap_during_a_load_does_not_change_the_ttl() {
    for (before, after) in [(CENTURY, HOUR), (HOUR, CENTURY), (SECOND, Duration::ZERO)] {
        let (cache, clock) = leaping_cache(10_000);
        let door = Door::default();
        clock.set_to(before);
        let mut leader = lead(&cache, "key", 1, lasting(10), &door);
        let mut waiter = join(&cache, "key");
        clock.set_to(after);
        door.open();
        assert_eq!(leader.ends().unwrap(), 1);
        assert_eq!(waiter.ends().unwrap(), 1);
        clock.set_to(just_before(after + SECOND * 10));
        assert_eq!(get(&cache, "key"), Some(1));
        clock.set_to(after + SECOND * 10);
        assert_eq!(get(&cache, "key"), None);
    }
}

/// For a bulk load and for a background load.
#[test]
fn leap_during_a_bulk_or_background_load_keeps_the_ttl() {
    for (before, after) in [(CENTURY, HOUR), (HOUR, CENTURY), (SECOND, Duration::ZERO)] {
        let (clock, timer, pool) = (Leaping::default(), ManualClock::new(), Pool::default());
        clock.set_to(before);
        let builder = HydraCache::local().clock(clock.clone()).timer(timer);
        let cache = builder.spawner(pool.clone()).build();
        let typed: TypedCache<u64, u64> = cache.typed("numbers");
        let door = Door::default();
        let mut many = Hand::start(typed.get_or_load_many([1, 2], lasting(10), async |keys| {
            door.pass().await;
            Ok::<Vec<u64>, Infallible>(keys)
        }));
        put(&cache, "key", 1, lasting(1).stale_while_revalidate(HOUR));
        clock.set_to(before + SECOND);
        assert_eq!(hand_over(&cache, "key", 2, lasting(10)).ends().unwrap(), 1);
        clock.set_to(after);
        door.open();
        assert!(many.ends().iter().all(Result::is_ok));
        pool.run();
        let found = || {
            (
                get(&cache, "key"),
                block_on(typed.get(&2)).unwrap().is_some(),
            )
        };
        clock.set_to(just_before(after + SECOND * 10));
        assert_eq!(found(), (Some(2), true));
        clock.set_to(after + SECOND * 10);
        assert_eq!(found(), (None, false));
    }
}

/// Timeouts depend on the timer alone, not on the clock.
#[test]
fn leap_does_not_change_a_running_timeout() {
    for leap in [Duration::ZERO, HOUR, CENTURY * 2] {
        let (clock, timer) = (Leaping::default(), ManualClock::new());
        let builder = HydraCache::local().clock(clock.clone());
        let cache = builder.timer(timer.clone()).build();
        clock.set_to(CENTURY);
        let within = || options().load_timeout(SECOND * 10);
        let hung = || std::future::pending::<Result<u32, Infallible>>();
        let mut leader = Hand::start(cache.get_or_load("key", within(), hung));
        let longer = within().load_timeout(SECOND * 20);
        let mut waiter = Hand::start(cache.get_or_load("key", longer, hung));
        clock.set_to(leap);
        timer.advance(just_before(SECOND * 10));
        leader.waits();
        timer.advance(NANOSECOND);
        assert!(leader.ends().unwrap_err().is_timeout());
        // The waiter loads, with what is left of its own time.
        waiter.waits();
        timer.advance(just_before(SECOND * 10));
        waiter.waits();
        timer.advance(NANOSECOND);
        assert!(waiter.ends().unwrap_err().is_timeout());
        assert_eq!(cache.stats().timeouts, 2);
    }
}

/// Each option at the extremes, at both ends of time: no panic, and an entry is readable until
/// the end of the time to live, and no longer.
#[test]
fn extreme_times_cause_no_panic_and_keep_the_ttl_exact() {
    let last = Duration::from_nanos(u64::MAX);
    let spans = [Duration::ZERO, NANOSECOND, HOUR, last, Duration::MAX];
    let times = [
        Duration::ZERO,
        NANOSECOND,
        last / 2,
        just_before(last),
        last,
    ];
    let set: [fn(CacheOptions, Duration) -> CacheOptions; 6] = [
        |options, _| options,
        CacheOptions::stale_while_revalidate,
        CacheOptions::stale_if_error,
        CacheOptions::time_to_idle,
        CacheOptions::error_backoff,
        |options, span| options.refresh_ahead(0.5).jitter(1.0).stale_if_error(span),
    ];
    for now in times {
        for ttl in spans {
            for (at, set) in set.into_iter().enumerate() {
                for span in spans {
                    let (cache, clock) = leaping_cache(10);
                    let call_options = || set(options().ttl(ttl), span);
                    clock.set_to(now);
                    put(&cache, "key", 1, call_options().tag("tag"));
                    let ends = now.checked_add(ttl).filter(|end| *end < last);
                    for then in times {
                        clock.set_to(then);
                        let seen = get(&cache, "key");
                        let is_over = ttl.is_zero() || ends.is_some_and(|end| end <= then);
                        // Idle entries and jittered entries may end earlier.
                        let may_end = matches!(at, 3 | 5);
                        assert!(
                            seen.is_some() != is_over || (may_end && seen.is_none()),
                            "{now:?} + {ttl:?}, {at}: {then:?}"
                        );
                        let _ = fail(&cache, "key", call_options());
                        put(&cache, &format!("{then:?}"), 2, call_options());
                    }
                    put(&cache, "key", 2, call_options().tag("tag"));
                    block_on(cache.expire("key")).unwrap();
                    for then in times {
                        clock.set_to(then);
                        assert_eq!(
                            get(&cache, "key"),
                            None,
                            "{now:?} + {ttl:?}, {at}: {then:?}"
                        );
                    }
                    invalidate(&cache, "tag");
                    put(&cache, "key", 3, options());
                    assert_eq!(get(&cache, "key"), Some(3));
                }
            }
        }
    }
}
