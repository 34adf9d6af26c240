//! The whole table: every set of windows, at every moment that matters.

use super::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(time: u64) -> Moment {
    Moment::of(seconds(time))
}

/// Stored at 100 seconds.
fn life(ttl: Option<u64>, extra: &ExtraOptions) -> Lifetime {
    Lifetime::new(ttl.map(seconds), Some(extra), false, || at(100), || 0)
}

fn times(ttl: Option<u64>, extra: &ExtraOptions) -> Deadlines {
    Deadlines::new(ttl.map(seconds), extra, at(100))
}

/// The states of an entry, and when each begins, in seconds after it was stored.
fn course(times: &Deadlines) -> Vec<(u64, State)> {
    let mut course = Vec::new();
    for second in 0..200 {
        let state = times.state(at(100 + second));
        if course.last().is_none_or(|&(_, last)| last != state) {
            course.push((second, state));
        }
    }
    course
}

#[test]
fn every_set_of_windows_has_its_course() {
    use State::{Due, Expired, Fallback, Fresh, Stale};
    let parts = [None, Some(0.8)];
    let windows = [None, Some(5), Some(20)];
    for ahead in parts {
        for revalidate in windows {
            for on_error in windows {
                let times = times(
                    Some(10),
                    &ExtraOptions {
                        refresh_ahead: ahead,
                        stale_while_revalidate: revalidate.map(seconds),
                        stale_if_error: on_error.map(seconds),
                        ..ExtraOptions::default()
                    },
                );
                let mut expected = vec![(0, Fresh)];
                if ahead.is_some() {
                    expected.push((8, Due));
                }
                let stale_end = 10 + revalidate.unwrap_or(0);
                let error_end = 10 + on_error.unwrap_or(0);
                if stale_end > 10 {
                    expected.push((10, Stale));
                }
                if error_end > stale_end {
                    expected.push((stale_end, Fallback));
                }
                let end = stale_end.max(error_end);
                expected.push((end, Expired));
                assert_eq!(course(&times), expected);
                assert_eq!(times.expires_at(), at(100 + end));
                assert_eq!(times.has_window(), end > 10);
            }
        }
    }
}

#[test]
fn a_plain_entry_has_one_time() {
    let surely_fresh_until = |life: &Lifetime| {
        (
            life.surely_fresh_until(),
            life.expires_at(),
            life.fresh_until(),
        )
    };
    let extra = ExtraOptions {
        load_timeout: Some(seconds(1)),
        ..ExtraOptions::default()
    };
    for life in [
        life(Some(10), &extra),
        Lifetime::new(Some(seconds(10)), None, false, || at(100), || 0),
    ] {
        assert!(matches!(life, Lifetime::Plain(_)));
        assert_eq!(surely_fresh_until(&life), (at(110), at(110), at(110)));
    }
    let never = Lifetime::new(None, None, false, || panic!("nobody asks"), || 0);
    assert_eq!(never.expires_at(), Moment::NEVER);
    let needs_age = Lifetime::new(Some(seconds(10)), None, true, || at(100), || 0);
    assert!(matches!(&needs_age, Lifetime::Timed(times) if times.stored == at(100)));
    assert_eq!(surely_fresh_until(&needs_age), (at(110), at(110), at(110)));
}

#[test]
fn nobody_need_look_closer_before_the_first_time() {
    let extra = ExtraOptions {
        refresh_ahead: Some(0.5),
        stale_if_error: Some(seconds(60)),
        ..ExtraOptions::default()
    };
    assert_eq!(life(Some(10), &extra).surely_fresh_until(), at(105));
    assert_eq!(life(None, &extra).surely_fresh_until(), Moment::NEVER);
}

#[test]
fn expiry_leaves_the_window_of_errors() {
    use State::{Expired, Fallback, Fresh};
    let extra = |on_error: Option<u64>| ExtraOptions {
        refresh_ahead: Some(0.8),
        stale_while_revalidate: Some(seconds(5)),
        stale_if_error: on_error.map(seconds),
        ..ExtraOptions::default()
    };
    for (on_error, left) in [(None, None), (Some(20), Some(30))] {
        let mut times = times(Some(10), &extra(on_error));
        let states = |times: &Deadlines| [4, 5, 29, 30].map(|second| times.state(at(100 + second)));
        assert_eq!(times.state(at(104)), Fresh);
        let foreseen = [5, 29, 30].map(|s| times.state_if_expired(at(105), at(100 + s)));
        times.expire(at(105));
        let expected = match left {
            None => [Expired, Expired, Expired],
            Some(_) => [Fallback, Fallback, Expired],
        };
        assert_eq!(states(&times)[1..], expected);
        assert_eq!(foreseen, expected);
        let end = left.map_or(Moment::ZERO, |left| at(100 + left));
        assert_eq!(times.expires_at(), end);
        // A clock that goes back revives nothing.
        assert!(times.state(at(101)) >= Fallback);
    }
}

#[test]
fn of_an_entry_without_end_the_window_begins_with_its_expiry() {
    let extra = ExtraOptions {
        stale_if_error: Some(seconds(20)),
        ..ExtraOptions::default()
    };
    let mut times = times(None, &extra);
    assert_eq!(times.expires_at(), Moment::NEVER);
    times.expire(at(150));
    assert_eq!(times.state(at(169)), State::Fallback);
    assert_eq!(times.state(at(170)), State::Expired);
    times.expire(at(160));
    assert_eq!(times.expires_at(), at(170));
}

#[test]
fn an_idle_entry_is_gone_whatever_its_windows_say() {
    let extra = ExtraOptions {
        stale_if_error: Some(seconds(60)),
        time_to_idle: Some(seconds(32)),
        ..ExtraOptions::default()
    };
    let times = times(Some(10), &extra);
    assert_eq!(times.state(at(131)), State::Fallback);
    assert_eq!(times.state(at(132)), State::Expired);
    times.note_read(|| at(120));
    assert_eq!(times.expires_at(), at(152));
    // Less than a thirty-second of the time after the last.
    times.note_read(|| Moment::of(Duration::from_millis(120_999)));
    assert_eq!(times.expires_at(), at(152));
    times.note_read(|| at(121));
    assert_eq!(times.expires_at(), at(153));
    // A clock that goes back takes nothing away.
    times.note_read(|| at(50));
    assert_eq!(times.expires_at(), at(153));
    times.note_read(|| at(152));
    assert_eq!(times.expires_at(), at(170));
}

#[test]
fn jitter_shortens_by_up_to_its_part() {
    let ttl = |part, random| shortened(seconds(10), part, random);
    assert_eq!(ttl(0.2, 0), seconds(10));
    assert_eq!(ttl(0.2, u64::MAX / 2 + 1), seconds(9));
    let least = ttl(0.2, u64::MAX);
    assert!(least > seconds(8) && least < Duration::from_millis(8001));
    assert_eq!(ttl(0.0, u64::MAX), seconds(10));
    assert_eq!(shortened(Duration::MAX, 0.0, 7), Duration::MAX);
    assert!(shortened(Duration::MAX, 1.0, u64::MAX) > seconds(1 << 40));
}

#[test]
fn parts_are_those_that_were_written() {
    assert_eq!(part_of(seconds(10), 0.8), seconds(8));
    assert_eq!(part_of(seconds(3600), 0.1), seconds(360));
    assert_eq!(part_of(Duration::MAX, 1.0), Duration::from_nanos(u64::MAX));
    assert_eq!(part_of(seconds(10), 0.0), Duration::ZERO);
}

#[test]
fn times_that_overflow_never_come() {
    let extra = ExtraOptions {
        stale_if_error: Some(Duration::MAX),
        refresh_ahead: Some(0.5),
        ..ExtraOptions::default()
    };
    let endless = times(Some(10), &extra);
    assert_eq!(endless.state(Moment::NEVER), State::Fallback);
    let fresh = Deadlines::new(Some(Duration::MAX), &extra, at(100));
    assert_eq!(fresh.state(at(1 << 33)), State::Fresh);
}
