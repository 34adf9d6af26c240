//! The whole table of states: every combination of windows, at every second.

use super::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(time: u64) -> Moment {
    Moment::of(seconds(time))
}

/// Returns the times of an entry stored at 100 seconds.
fn lifetime(ttl: Option<u64>, extra: &ExtraOptions) -> Lifetime {
    Lifetime::new(ttl.map(seconds), Some(extra), false, || at(100), || 0)
}

fn deadlines(ttl: Option<u64>, extra: &ExtraOptions) -> Deadlines {
    Deadlines::new(ttl.map(seconds), extra, at(100))
}

/// Returns the states of an entry, each with the second of its start after storing.
fn states(deadlines: &Deadlines) -> Vec<(u64, State)> {
    let mut states = Vec::new();
    for second in 0..200 {
        let state = deadlines.state(at(100 + second));
        if states.last().is_none_or(|&(_, last)| last != state) {
            states.push((second, state));
        }
    }
    states
}

#[test]
fn windows_in_every_combination_give_the_drawn_states() {
    use State::{Due, Expired, Fallback, Fresh, Stale};
    let parts = [None, Some(0.8)];
    let windows = [None, Some(5), Some(20)];
    for ahead in parts {
        for revalidate in windows {
            for on_error in windows {
                let deadlines = deadlines(
                    Some(10),
                    &ExtraOptions {
                        refresh_ahead: ahead,
                        stale_while_revalidate: revalidate.map(seconds),
                        stale_if_error: on_error.map(seconds),
                        ..ExtraOptions::default()
                    },
                );
                // The expected states, from the picture in `docs/freshness.md`.
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
                assert_eq!(states(&deadlines), expected);
                assert_eq!(deadlines.expires_at(), at(100 + end));
            }
        }
    }
}

#[test]
fn entry_without_windows_has_one_time() {
    let surely_fresh_until = |lifetime: &Lifetime| {
        (
            lifetime.surely_fresh_until(),
            lifetime.expires_at(),
            lifetime.fresh_until(),
        )
    };
    let extra = ExtraOptions {
        load_timeout: Some(seconds(1)),
        ..ExtraOptions::default()
    };
    // An option without influence on times needs no record.
    for lifetime in [
        lifetime(Some(10), &extra),
        Lifetime::new(Some(seconds(10)), None, false, || at(100), || 0),
    ] {
        assert!(matches!(lifetime, Lifetime::Plain(_)));
        assert_eq!(surely_fresh_until(&lifetime), (at(110), at(110), at(110)));
    }
    let never = Lifetime::new(None, None, false, || panic!("no time is needed"), || 0);
    assert_eq!(never.expires_at(), Moment::NEVER);
    // The age alone needs a record.
    let needs_age = Lifetime::new(Some(seconds(10)), None, true, || at(100), || 0);
    assert!(matches!(&needs_age, Lifetime::Timed(deadlines) if deadlines.stored == at(100)));
    assert_eq!(surely_fresh_until(&needs_age), (at(110), at(110), at(110)));
}

#[test]
fn surely_fresh_until_is_the_first_time() {
    let extra = ExtraOptions {
        refresh_ahead: Some(0.5),
        stale_if_error: Some(seconds(60)),
        ..ExtraOptions::default()
    };
    assert_eq!(lifetime(Some(10), &extra).surely_fresh_until(), at(105));
    assert_eq!(lifetime(None, &extra).surely_fresh_until(), Moment::NEVER);
}

#[test]
fn expire_keeps_the_error_window() {
    use State::{Expired, Fallback, Fresh};
    let extra = |on_error: Option<u64>| ExtraOptions {
        refresh_ahead: Some(0.8),
        stale_while_revalidate: Some(seconds(5)),
        stale_if_error: on_error.map(seconds),
        ..ExtraOptions::default()
    };
    for (on_error, left) in [(None, None), (Some(20), Some(30))] {
        let mut deadlines = deadlines(Some(10), &extra(on_error));
        let states =
            |deadlines: &Deadlines| [4, 5, 29, 30].map(|second| deadlines.state(at(100 + second)));
        assert_eq!(deadlines.state(at(104)), Fresh);
        // The prediction for a tagged entry must agree with the change.
        let foreseen = [5, 29, 30].map(|s| deadlines.state_if_expired(at(105), at(100 + s)));
        deadlines.expire(at(105));
        let expected = match left {
            None => [Expired, Expired, Expired],
            Some(_) => [Fallback, Fallback, Expired],
        };
        assert_eq!(states(&deadlines)[1..], expected);
        assert_eq!(foreseen, expected);
        let end = left.map_or(Moment::ZERO, |left| at(100 + left));
        assert_eq!(deadlines.expires_at(), end);
        // A clock that goes back revives nothing.
        assert!(deadlines.state(at(101)) >= Fallback);
    }
}

#[test]
fn expire_starts_the_error_window_of_an_endless_entry() {
    let extra = ExtraOptions {
        stale_if_error: Some(seconds(20)),
        ..ExtraOptions::default()
    };
    let mut deadlines = deadlines(None, &extra);
    assert_eq!(deadlines.expires_at(), Moment::NEVER);
    deadlines.expire(at(150));
    assert_eq!(deadlines.state(at(169)), State::Fallback);
    assert_eq!(deadlines.state(at(170)), State::Expired);
    // A second `expire` does not prolong the window.
    deadlines.expire(at(160));
    assert_eq!(deadlines.expires_at(), at(170));
}

#[test]
fn idle_entry_expires_in_spite_of_windows() {
    let extra = ExtraOptions {
        stale_if_error: Some(seconds(60)),
        time_to_idle: Some(seconds(32)),
        ..ExtraOptions::default()
    };
    let deadlines = deadlines(Some(10), &extra);
    assert_eq!(deadlines.state(at(131)), State::Fallback);
    assert_eq!(deadlines.state(at(132)), State::Expired);
    deadlines.note_read(|| at(120));
    assert_eq!(deadlines.expires_at(), at(152));
    // Less than 1/32 of the time to idle after the last recorded read: not recorded.
    deadlines.note_read(|| Moment::of(Duration::from_millis(120_999)));
    assert_eq!(deadlines.expires_at(), at(152));
    deadlines.note_read(|| at(121));
    assert_eq!(deadlines.expires_at(), at(153));
    // A clock that goes back shortens nothing.
    deadlines.note_read(|| at(50));
    assert_eq!(deadlines.expires_at(), at(153));
    // Windows and time to idle: the earlier end counts.
    deadlines.note_read(|| at(152));
    assert_eq!(deadlines.expires_at(), at(170));
}

#[test]
fn jitter_shortens_by_at_most_the_part() {
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
fn part_of_uses_the_decimal_number_in_the_source() {
    assert_eq!(part_of(seconds(10), 0.8), seconds(8));
    assert_eq!(part_of(seconds(3600), 0.1), seconds(360));
    assert_eq!(part_of(Duration::MAX, 1.0), Duration::from_nanos(u64::MAX));
    assert_eq!(part_of(seconds(10), 0.0), Duration::ZERO);
}

#[test]
fn overflowing_times_never_come() {
    let extra = ExtraOptions {
        stale_if_error: Some(Duration::MAX),
        refresh_ahead: Some(0.5),
        ..ExtraOptions::default()
    };
    let endless = deadlines(Some(10), &extra);
    assert_eq!(endless.state(Moment::NEVER), State::Fallback);
    // A time to live without an end: the part for `refresh_ahead` must not overflow either.
    let fresh = Deadlines::new(Some(Duration::MAX), &extra, at(100));
    assert_eq!(fresh.state(at(1 << 33)), State::Fresh);
}

/// A value stored with a time to live of zero has no fresh moment; without a window it has no
/// moment at all.
#[test]
fn zero_ttl_begins_in_the_window() {
    use State::{Expired, Fallback, Stale};
    let extra = |revalidate: Option<u64>, on_error: Option<u64>| ExtraOptions {
        refresh_ahead: Some(0.5),
        jitter: Some(1.0),
        stale_while_revalidate: revalidate.map(seconds),
        stale_if_error: on_error.map(seconds),
        ..ExtraOptions::default()
    };
    let cases = [
        (extra(Some(5), None), vec![(0, Stale), (5, Expired)]),
        (extra(None, Some(5)), vec![(0, Fallback), (5, Expired)]),
        (
            extra(Some(5), Some(20)),
            vec![(0, Stale), (5, Fallback), (20, Expired)],
        ),
        (extra(None, None), vec![(0, Expired)]),
        (extra(Some(0), Some(0)), vec![(0, Expired)]),
    ];
    for (extra, expected) in cases {
        let deadlines = deadlines(Some(0), &extra);
        assert_eq!(states(&deadlines), expected);
        assert_eq!(deadlines.has_window(), expected.len() > 1);
        let lifetime = lifetime(Some(0), &extra);
        assert_eq!(lifetime.surely_fresh_until(), Moment::ZERO);
        assert_eq!(lifetime.fresh_until(), Moment::ZERO);
        // Before the time of storing too.
        assert!(!deadlines.state(at(7)).is_fresh());
    }
}

/// Times kept by an update, over every combination of times of the entry.
#[test]
fn update_keeps_every_time_that_is_not_given() {
    let none = ExtraOptions::default();
    for ttl in [None, Some(50)] {
        for revalidate in [None, Some(5), Some(20)] {
            for on_error in [None, Some(5), Some(20)] {
                for ahead in [None, Some(0.8)] {
                    for idle in [None, Some(15)] {
                        let extra = ExtraOptions {
                            stale_while_revalidate: revalidate.map(seconds),
                            stale_if_error: on_error.map(seconds),
                            refresh_ahead: ahead,
                            time_to_idle: idle.map(seconds),
                            ..ExtraOptions::default()
                        };
                        let old = deadlines(ttl, &extra);
                        let end = old.fresh_until;
                        let update = |ttl: Option<u64>| {
                            let times = (end, Some(&old));
                            let ttl = ttl.map(seconds);
                            let updated =
                                Lifetime::updated(times, ttl, Some(&none), || at(110), || 0);
                            let Lifetime::Timed(updated) = updated else {
                                panic!("the record is lost");
                            };
                            updated
                        };
                        // Nothing given: the same times, the idle time and the age begin again.
                        let kept = update(None);
                        let times = |it: &Deadlines| {
                            let windows = (it.servable_until, it.on_error_until);
                            (it.refresh_at, it.fresh_until, windows, it.error_window)
                        };
                        assert_eq!(times(&kept), times(&old));
                        assert_eq!((kept.stored, kept.idle), (at(110), old.idle));
                        assert_eq!(kept.read.load(Ordering::Relaxed), at(110).nanos());
                        // A time to live given: the times of a new entry with the same options.
                        let again = update(Some(30));
                        let new = Deadlines::new(Some(seconds(30)), &extra, at(110));
                        assert_eq!(times(&again), times(&new));
                        // The options survive, however often they are kept.
                        assert_eq!(
                            format!("{:?}", kept.options()),
                            format!("{:?}", old.options())
                        );
                    }
                }
            }
        }
    }
    // Without a record, the end alone is kept.
    for end in [at(130), Moment::NEVER] {
        let plain = Lifetime::updated(
            (end, None),
            None,
            None,
            || panic!("no time is needed"),
            || 0,
        );
        assert!(matches!(plain, Lifetime::Plain(kept) if kept == end));
    }
}
