//! Clocks that go back, or leap a century: what was ended stays ended, and what is to end does.

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

/// A clock that shows what it is told to.
#[derive(Clone, Default)]
struct Leaping(Arc<AtomicU64>);

impl Leaping {
    fn show(&self, time: Duration) {
        let nanos = time.as_nanos().try_into().unwrap();
        self.0.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for Leaping {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

fn leaping(capacity: u64) -> (HydraCache, Leaping) {
    let clock = Leaping::default();
    let builder = HydraCache::local().max_capacity(capacity);
    (builder.clock(clock.clone()).build(), clock)
}

fn kept() -> CacheOptions {
    let windows = lasting(50).stale_while_revalidate(SECOND * 50);
    windows.stale_if_error(HOUR).refresh_ahead(0.5)
}

fn fail(cache: &HydraCache, key: &str, options: CacheOptions) -> Result<u32, String> {
    let call = cache.get_or_load(key, options, async || Err::<u32, _>("down"));
    block_on(call).map_err(|error| error.to_string())
}

/// The times that a clock may come back to.
const EARLIER: [Duration; 4] = [
    Duration::ZERO,
    NANOSECOND,
    Duration::from_secs(100),
    Duration::from_secs(119),
];

#[test]
fn what_was_expired_is_not_fresh_again_though_the_clock_goes_back() {
    for earlier in EARLIER {
        let (cache, clock) = leaping(10_000);
        clock.show(SECOND * 100);
        put(&cache, "key", 1, kept());
        put(&cache, "swept", 1, kept().tag("swept"));
        for n in 0..1000 {
            put(&cache, &format!("unswept {n}"), 1, kept().tag("unswept"));
        }
        clock.show(SECOND * 120);
        assert!(block_on(cache.expire("key")).unwrap());
        assert_eq!(block_on(cache.expire_tag("swept")).unwrap(), 1);
        drop(Hand::start(cache.expire_tag("unswept")));
        clock.show(earlier);
        for key in ["key", "swept", "unswept 0", "unswept 999"] {
            assert_eq!(get(&cache, key), None, "{key} at {earlier:?}");
            assert_eq!(fail(&cache, key, options()), Ok(1), "{key} at {earlier:?}");
            let door = Door::default();
            let mut leader = lead(&cache, key, 2, options(), &door);
            // Its window of revalidation is over too: nobody is served meanwhile.
            let mut waiter = join(&cache, key);
            door.open();
            assert_eq!(leader.ends().unwrap(), 2);
            assert_eq!(waiter.ends().unwrap(), 2);
        }
        clock.show(SECOND * 50 + HOUR);
        let held = cache.get_or_load("unswept 1", options(), ready(3_u32));
        assert_eq!(block_on(held).unwrap(), 3);
    }
}

#[test]
fn what_was_removed_is_away_wherever_the_clock_goes() {
    let acts: [fn(&HydraCache); 4] = [
        |cache| assert!(block_on(cache.remove("key")).unwrap()),
        |cache| assert_eq!(invalidate(cache, "tag"), 1),
        |cache| drop(Hand::hold(cache.invalidate_tag("tag")).poll()),
        |cache| drop(Hand::hold(cache.flush()).poll()),
    ];
    for (act, end) in acts.into_iter().enumerate() {
        for later in [SECOND, HOUR, CENTURY] {
            let (cache, clock) = leaping(10_000);
            let door = Door::default();
            put(&cache, "key", 1, options().ttl(CENTURY * 3).tag("tag"));
            let mut leader = lead(&cache, "loading", 1, kept().tag("tag"), &door);
            clock.show(later);
            end(&cache);
            for time in [Duration::ZERO, later, CENTURY * 2, NANOSECOND] {
                clock.show(time);
                assert_eq!(get(&cache, "key"), None, "act {act}, at {time:?}");
            }
            if act > 0 {
                door.open();
                assert_eq!(leader.ends().unwrap(), 1);
                assert_eq!(get(&cache, "loading"), None, "act {act}");
            }
            put(&cache, "key", 2, tagged("tag"));
            assert_eq!(get(&cache, "key"), Some(2));
        }
    }
}

/// Memory comes back too: nobody waits for what is to end much later.
#[test]
fn what_ends_is_reclaimed_though_the_clock_came_back() {
    for leap in [HOUR, CENTURY] {
        let (cache, clock) = leaping(10_000);
        // So that the order of expiry stands at the later time.
        put(&cache, "long", 1, options().ttl(leap + SECOND));
        clock.show(leap);
        put(&cache, "late", 1, lasting(1));
        clock.show(Duration::ZERO);
        put(
            &cache,
            "next",
            1,
            options().ttl(leap.saturating_sub(SECOND)),
        );
        for n in 0..500 {
            put(&cache, &n.to_string(), n, lasting(1));
        }
        clock.show(just_before(SECOND));
        put(&cache, "endless", 1, options());
        assert_eq!(cache.entry_count(), 504);
        clock.show(SECOND);
        for n in 0..10 {
            put(&cache, "endless", n, options());
        }
        assert_eq!(cache.entry_count(), 4, "after a leap of {leap:?}");
        clock.show(leap.saturating_sub(SECOND));
        put(&cache, "endless", 1, options());
        assert_eq!(cache.entry_count(), 3, "after a leap of {leap:?}");
        clock.show(leap + SECOND);
        put(&cache, "endless", 1, options());
        assert_eq!(cache.entry_count(), 1, "after a leap of {leap:?}");
    }
}

#[test]
fn what_ended_makes_room_before_what_lives_though_the_clock_came_back() {
    let (cache, clock) = leaping(100);
    put(&cache, "long", 1, options().ttl(HOUR + SECOND));
    clock.show(HOUR);
    put(&cache, "late", 1, options());
    clock.show(Duration::ZERO);
    put(
        &cache,
        "next",
        1,
        options().ttl(HOUR.saturating_sub(SECOND)),
    );
    for n in 0..97 {
        put(&cache, &n.to_string(), n, lasting(1));
    }
    clock.show(SECOND);
    for n in 0..97 {
        put(&cache, &format!("live {n}"), n, options());
    }
    assert_eq!(cache.stats().evictions, 0);
    assert_eq!(cache.entry_count(), 100);
}

#[test]
fn a_clock_that_goes_back_before_a_failure_ends_its_backoff() {
    for leap in [HOUR, CENTURY] {
        let (cache, clock) = leaping(10_000);
        clock.show(leap);
        let backing_off = || options().error_backoff(SECOND * 10);
        assert!(fail(&cache, "key", backing_off()).is_err());
        clock.show(just_before(leap + SECOND * 10));
        assert!(fail(&cache, "key", backing_off()).is_err());
        assert_eq!(cache.stats().loads, 1, "a load inside the back-off");
        clock.show(just_before(leap));
        assert_eq!(load(&cache, "key", 1), 1);
    }
    let (cache, clock) = leaping(10_000);
    assert!(fail(&cache, "key", options().error_backoff(HOUR)).is_err());
    clock.show(CENTURY);
    assert_eq!(load(&cache, "key", 1), 1);
    // One that was over and loaded past does not come back.
    let (cache, clock) = leaping(10_000);
    assert!(fail(&cache, "key", options().error_backoff(HOUR)).is_err());
    for past in [CENTURY, Duration::ZERO] {
        clock.show(past);
        assert!(fail(&cache, "key", options()).is_err());
    }
    assert_eq!(cache.stats().loads, 3);
}

#[test]
fn a_leap_while_it_is_loaded_is_no_part_of_a_values_time() {
    for (before, after) in [(CENTURY, HOUR), (HOUR, CENTURY), (SECOND, Duration::ZERO)] {
        let (cache, clock) = leaping(10_000);
        let door = Door::default();
        clock.show(before);
        let mut leader = lead(&cache, "key", 1, lasting(10), &door);
        let mut waiter = join(&cache, "key");
        clock.show(after);
        door.open();
        assert_eq!(leader.ends().unwrap(), 1);
        assert_eq!(waiter.ends().unwrap(), 1);
        clock.show(just_before(after + SECOND * 10));
        assert_eq!(get(&cache, "key"), Some(1));
        clock.show(after + SECOND * 10);
        assert_eq!(get(&cache, "key"), None);
    }
}

/// Of each of many keys, and of one that is loaded in the background.
#[test]
fn nor_of_many_values_or_one_that_nobody_waits_for() {
    for (before, after) in [(CENTURY, HOUR), (HOUR, CENTURY), (SECOND, Duration::ZERO)] {
        let (clock, timer, pool) = (Leaping::default(), ManualClock::new(), Pool::default());
        clock.show(before);
        let builder = HydraCache::local().clock(clock.clone()).timer(timer);
        let cache = builder.spawner(pool.clone()).build();
        let part: TypedCache<u64, u64> = cache.typed("numbers");
        let door = Door::default();
        let mut many = Hand::start(part.get_or_load_many([1, 2], lasting(10), async |keys| {
            door.pass().await;
            Ok::<Vec<u64>, Infallible>(keys)
        }));
        put(&cache, "key", 1, lasting(1).stale_while_revalidate(HOUR));
        clock.show(before + SECOND);
        assert_eq!(hand_over(&cache, "key", 2, lasting(10)).ends().unwrap(), 1);
        clock.show(after);
        door.open();
        assert!(many.ends().iter().all(Result::is_ok));
        pool.run();
        let found = || {
            (
                get(&cache, "key"),
                block_on(part.get(&2)).unwrap().is_some(),
            )
        };
        clock.show(just_before(after + SECOND * 10));
        assert_eq!(found(), (Some(2), true));
        clock.show(after + SECOND * 10);
        assert_eq!(found(), (None, false));
    }
}

/// Who waits does so by the timer, which has no part in what the clock does.
#[test]
fn a_leap_neither_shortens_a_timeout_that_runs_nor_prolongs_it() {
    for leap in [Duration::ZERO, HOUR, CENTURY * 2] {
        let (clock, timer) = (Leaping::default(), ManualClock::new());
        let builder = HydraCache::local().clock(clock.clone());
        let cache = builder.timer(timer.clone()).build();
        clock.show(CENTURY);
        let within = || options().load_timeout(SECOND * 10);
        let hung = || std::future::pending::<Result<u32, Infallible>>();
        let mut leader = Hand::start(cache.get_or_load("key", within(), hung));
        let patient = within().load_timeout(SECOND * 20);
        let mut waiter = Hand::start(cache.get_or_load("key", patient, hung));
        clock.show(leap);
        timer.advance(just_before(SECOND * 10));
        leader.waits();
        timer.advance(NANOSECOND);
        assert!(leader.ends().unwrap_err().is_timeout());
        // The waiter has its answer: the failure of the load.
        assert!(waiter.ends().unwrap_err().is_timeout());
        assert_eq!(cache.stats().timeouts, 1);
    }
}

/// Each option at its ends, at both ends of time: nothing panics, and what has a time to live
/// is read until then and no longer.
#[test]
fn both_ends_of_time() {
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
                    let (cache, clock) = leaping(10);
                    let call_options = || set(options().ttl(ttl), span);
                    clock.show(now);
                    put(&cache, "key", 1, call_options().tag("tag"));
                    let ends = now.checked_add(ttl).filter(|end| *end < last);
                    for then in times {
                        clock.show(then);
                        let seen = get(&cache, "key");
                        let is_over = ttl.is_zero() || ends.is_some_and(|end| end <= then);
                        // Idle ones may end earlier, and those whose time is jittered.
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
                        clock.show(then);
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
