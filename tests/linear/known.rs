//! Histories by hand: what the check must accept, and what it must not.

use super::check::check;
use super::history::{Answer, Call, Event, GARBLED, History, KEYS, Load, Set, Value};

const A: usize = 0;
const B: usize = 1;
const X: Set = 1;
const Y: Set = 2;

fn value(id: u32, tags: Set) -> Value {
    let (ttl, garbled) = (0, false);
    Value {
        id,
        tags,
        ttl,
        garbled,
    }
}

fn lasting(id: u32, ttl: u8) -> Value {
    Value {
        ttl,
        ..value(id, 0)
    }
}

fn put(key: usize, value: Value) -> Call {
    let stored = true;
    Call::Put { key, value, stored }
}

fn get(key: usize, saw: impl Into<Option<u32>>) -> Call {
    let saw = saw.into();
    Call::Get { key, saw }
}

fn invalidate(tags: Set, count: u64) -> Call {
    let count = Some(count);
    Call::Invalidate { tags, count }
}

/// A load whose loader is called and ends at these times.
fn lead(value: Value, begun: u64, ended: u64) -> Load {
    Load {
        key: A,
        anew: false,
        value,
        own: 0,
        led: Some((begun, Some(ended))),
        answer: Answer::Value(value.id),
    }
}

/// A loading call that is given the value of another.
fn join(id: u32) -> Call {
    Call::Load(Load {
        led: None,
        answer: Answer::Value(id),
        ..lead(value(1000, 0), 0, 0)
    })
}

/// One lane for each list of beginnings, returns and calls.
fn history<const N: usize>(lanes: [Vec<(u64, u64, Call)>; N]) -> History {
    let event = |(from, to, call)| Event { from, to, call };
    History {
        before: [None; KEYS.len()],
        lanes: lanes
            .map(|lane| lane.into_iter().map(event).collect())
            .into(),
        apart: false,
    }
}

#[track_caller]
fn holds<const N: usize>(lanes: [Vec<(u64, u64, Call)>; N]) {
    check(&history(lanes)).unwrap();
}

#[track_caller]
fn fails<const N: usize>(lanes: [Vec<(u64, u64, Call)>; N]) {
    assert!(check(&history(lanes)).is_err(), "an order was found");
}

#[test]
fn a_read_sees_the_last_write_or_one_in_progress() {
    let (one, two) = (put(A, value(1, 0)), put(A, value(2, 0)));
    holds([vec![(0, 1, one), (2, 5, two)], vec![(3, 4, get(A, 1))]]);
    holds([vec![(0, 1, one), (2, 5, two)], vec![(3, 4, get(A, 2))]]);
    fails([vec![(0, 1, one), (2, 3, two)], vec![(4, 5, get(A, 1))]]);
    fails([vec![(0, 1, one)], vec![(2, 3, get(A, None))]]);
    fails([vec![(0, 1, get(A, 7))]]);
    // Two readers, one after the other, see two writers in one order.
    let writers = [vec![(0, 9, one)], vec![(1, 10, two)]];
    let [a, b] = writers.clone();
    holds([a, b, vec![(2, 3, get(A, 1)), (4, 5, get(A, 2))]]);
    let [a, b] = writers;
    let again = (6, 7, get(A, 1));
    fails([a, b, vec![(2, 3, get(A, 1)), (4, 5, get(A, 2)), again]]);
}

#[test]
fn an_update_replaces_what_it_read() {
    let by = |saw, id| Call::Update {
        key: A,
        saw,
        new: Some(value(id, 0)),
    };
    holds([vec![(0, 3, by(None, 1))], vec![(1, 2, by(Some(1), 2))]]);
    fails([vec![(0, 3, by(None, 1))], vec![(1, 2, by(None, 2))]]);
}

#[test]
fn an_invalidation_is_one_step_for_all_keys_of_a_shard() {
    let puts = vec![(0, 1, put(A, value(1, X))), (2, 3, put(B, value(2, X)))];
    let gone = |first, second| vec![(5, 6, first), (7, 8, second)];
    let (there, none) = (get(B, 2), get(A, None));
    let lanes = |reads, count| {
        let [puts, reads] = [puts.clone(), reads];
        [puts, vec![(4, 9, invalidate(X, count))], reads]
    };
    holds(lanes(gone(there, none), 2));
    fails(lanes(gone(none, there), 2));
    fails(lanes(gone(there, none), 1));
    let apart = |count| History {
        apart: true,
        ..history(lanes(gone(none, there), count))
    };
    check(&apart(2)).unwrap();
    assert!(check(&apart(1)).is_err());
}

#[test]
fn a_value_is_counted_by_one_of_its_tags() {
    let both = put(A, value(1, X | Y));
    let by = |x, y| {
        let x = vec![(2, 5, invalidate(X, x))];
        [vec![(0, 1, both)], x, vec![(3, 4, invalidate(Y, y))]]
    };
    holds(by(1, 0));
    holds(by(0, 1));
    fails(by(1, 1));
    fails(by(0, 0));
}

#[test]
fn a_load_that_was_overtaken_is_not_stored() {
    let load = |stored: Option<u32>, between: Call| {
        let led = Call::Load(lead(value(1, X), 1, 4));
        [
            vec![(0, 5, led), (6, 7, get(A, stored))],
            vec![(2, 3, between)],
        ]
    };
    let removed = Call::Remove { key: A, was: false };
    holds(load(None, removed));
    fails(load(Some(1), removed));
    fails(load(Some(1), Call::Flush));
    fails(load(Some(1), invalidate(X, 0)));
    holds(load(None, invalidate(X, 0)));
    // Of another tag, it discards nothing.
    holds(load(Some(1), invalidate(Y, 0)));
    fails(load(None, invalidate(Y, 0)));
    fails(load(Some(1), put(A, value(2, 0))));
    holds(load(Some(2), put(A, value(2, 0))));
}

#[test]
fn who_comes_after_an_invalidation_does_not_join_a_load_before_it() {
    let with = |own: Set, end: Call, from: u64| {
        let load = Load {
            own,
            ..lead(value(1, X), 1, 6)
        };
        let joiner = vec![(from, 9, join(1))];
        [vec![(0, 7, Call::Load(load))], vec![(3, 4, end)], joiner]
    };
    for own in [0, X] {
        holds(with(own, invalidate(X, 0), 2));
        fails(with(own, invalidate(X, 0), 5));
        holds(with(own, invalidate(Y, 0), 5));
        fails(with(own, Call::Flush, 5));
    }
}

#[test]
fn a_key_has_one_load_at_a_time() {
    let load = |id, from: u64| Call::Load(lead(value(id, 0), from, from + 3));
    fails([vec![(0, 5, load(1, 1))], vec![(2, 8, load(2, 3))]]);
    let removal = vec![(2, 3, Call::Remove { key: A, was: false })];
    holds([vec![(0, 6, load(1, 1))], removal, vec![(4, 9, load(2, 5))]]);
    // Nobody has the value of a load before it has landed.
    fails([vec![(0, 5, load(1, 1))], vec![(2, 3, join(1))]]);
}

#[test]
fn who_loads_replaces_what_is_garbled_and_nothing_else() {
    let garbled = |garbled| Value {
        garbled,
        ..value(1, 0)
    };
    let load = Call::Load(lead(value(2, 0), 5, 6));
    let lane = |it, saw| {
        let puts = [(0, 1, put(A, garbled(it))), (2, 3, get(A, saw))];
        [puts.into(), vec![(4, 7, load), (8, 9, get(A, 2))]]
    };
    holds(lane(true, GARBLED));
    fails(lane(true, 1));
    fails(lane(false, GARBLED));
    fails(lane(false, 1));
}

#[test]
fn a_value_is_gone_at_its_deadline() {
    let put = (0, 1, put(A, lasting(1, 2)));
    let second = |from| (from, from + 1, Call::Advance);
    let read = |from, saw: Option<u32>| (from, from + 1, get(A, saw));
    holds([vec![
        put,
        second(2),
        read(4, Some(1)),
        second(6),
        read(8, None),
    ]]);
    fails([vec![put, second(2), second(4), read(6, Some(1))]]);
    fails([vec![put, second(2), read(4, None)]]);
}
