//! `check` accepts hand-written valid histories and rejects invalid ones.

use super::check::check;
use super::history::{Answer, Call, Event, History, KEYS, Load, Set, UNDECODABLE, Value};

const A: usize = 0;
const B: usize = 1;
const X: Set = 1;
const Y: Set = 2;

fn value(id: u32, tags: Set) -> Value {
    let (ttl, undecodable) = (0, false);
    Value {
        id,
        tags,
        ttl,
        undecodable,
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

/// A load whose loader is called and ends at these moments.
fn lead(value: Value, begun: u64, ended: u64) -> Load {
    Load {
        key: A,
        refresh: false,
        value,
        chosen: 0,
        led: Some((begun, Some(ended))),
        parent: None,
        answer: Answer::Value(value.id),
    }
}

/// A loading call that returns the value of another load.
fn join(id: u32) -> Call {
    Call::Load(Load {
        led: None,
        answer: Answer::Value(id),
        ..lead(value(1000, 0), 0, 0)
    })
}

/// A history with one caller for each list of beginnings, returns and calls.
fn history<const N: usize>(callers: [Vec<(u64, u64, Call)>; N]) -> History {
    let event = |(from, to, call)| Event { from, to, call };
    History {
        before: [None; KEYS.len()],
        callers: callers
            .map(|caller| caller.into_iter().map(event).collect())
            .into(),
        sharded: false,
    }
}

#[track_caller]
fn accepts<const N: usize>(callers: [Vec<(u64, u64, Call)>; N]) {
    check(&history(callers)).unwrap();
}

#[track_caller]
fn rejects<const N: usize>(callers: [Vec<(u64, u64, Call)>; N]) {
    assert!(
        check(&history(callers)).is_err(),
        "an order explains an invalid history"
    );
}

#[test]
fn check_accepts_reads_of_the_last_or_a_concurrent_write() {
    let (one, two) = (put(A, value(1, 0)), put(A, value(2, 0)));
    accepts([vec![(0, 1, one), (2, 5, two)], vec![(3, 4, get(A, 1))]]);
    accepts([vec![(0, 1, one), (2, 5, two)], vec![(3, 4, get(A, 2))]]);
    rejects([vec![(0, 1, one), (2, 3, two)], vec![(4, 5, get(A, 1))]]);
    rejects([vec![(0, 1, one)], vec![(2, 3, get(A, None))]]);
    rejects([vec![(0, 1, get(A, 7))]]);
    // Two concurrent writes have one order for all later reads.
    let writers = [vec![(0, 9, one)], vec![(1, 10, two)]];
    let [a, b] = writers.clone();
    accepts([a, b, vec![(2, 3, get(A, 1)), (4, 5, get(A, 2))]]);
    let [a, b] = writers;
    let again = (6, 7, get(A, 1));
    rejects([a, b, vec![(2, 3, get(A, 1)), (4, 5, get(A, 2)), again]]);
}

#[test]
fn check_orders_updates_by_the_value_they_read() {
    let by = |saw, id| Call::Update {
        key: A,
        saw,
        new: Some(value(id, 0)),
    };
    accepts([vec![(0, 3, by(None, 1))], vec![(1, 2, by(Some(1), 2))]]);
    rejects([vec![(0, 3, by(None, 1))], vec![(1, 2, by(None, 2))]]);
}

#[test]
fn check_takes_an_invalidation_as_one_step_per_shard() {
    let puts = vec![(0, 1, put(A, value(1, X))), (2, 3, put(B, value(2, X)))];
    let two_reads = |first, second| vec![(5, 6, first), (7, 8, second)];
    let (present, absent) = (get(B, 2), get(A, None));
    let callers = |reads, count| {
        let [puts, reads] = [puts.clone(), reads];
        [puts, vec![(4, 9, invalidate(X, count))], reads]
    };
    accepts(callers(two_reads(present, absent), 2));
    rejects(callers(two_reads(absent, present), 2));
    rejects(callers(two_reads(present, absent), 1));
    let sharded = |count| History {
        sharded: true,
        ..history(callers(two_reads(absent, present), count))
    };
    check(&sharded(2)).unwrap();
    assert!(check(&sharded(1)).is_err());
}

#[test]
fn check_counts_an_entry_in_one_invalidation_only() {
    let both = put(A, value(1, X | Y));
    let by = |x, y| {
        let x = vec![(2, 5, invalidate(X, x))];
        [vec![(0, 1, both)], x, vec![(3, 4, invalidate(Y, y))]]
    };
    accepts(by(1, 0));
    accepts(by(0, 1));
    rejects(by(1, 1));
    rejects(by(0, 0));
}

#[test]
fn check_rejects_a_stored_value_of_a_fenced_load() {
    let load = |stored: Option<u32>, between: Call| {
        let led = Call::Load(lead(value(1, X), 1, 4));
        [
            vec![(0, 5, led), (6, 7, get(A, stored))],
            vec![(2, 3, between)],
        ]
    };
    let removed = Call::Remove {
        key: A,
        present: false,
    };
    accepts(load(None, removed));
    rejects(load(Some(1), removed));
    rejects(load(Some(1), Call::Flush));
    rejects(load(Some(1), invalidate(X, 0)));
    accepts(load(None, invalidate(X, 0)));
    // An invalidation of another tag discards nothing.
    accepts(load(Some(1), invalidate(Y, 0)));
    rejects(load(None, invalidate(Y, 0)));
    rejects(load(Some(1), put(A, value(2, 0))));
    accepts(load(Some(2), put(A, value(2, 0))));
}

#[test]
fn check_rejects_a_join_of_a_load_fenced_before_the_call() {
    let with = |chosen: Set, end: Call, from: u64| {
        let load = Load {
            chosen,
            ..lead(value(1, X), 1, 6)
        };
        let joiner = vec![(from, 9, join(1))];
        [vec![(0, 7, Call::Load(load))], vec![(3, 4, end)], joiner]
    };
    for chosen in [0, X] {
        accepts(with(chosen, invalidate(X, 0), 2));
        rejects(with(chosen, invalidate(X, 0), 5));
        accepts(with(chosen, invalidate(Y, 0), 5));
        rejects(with(chosen, Call::Flush, 5));
    }
}

#[test]
fn check_rejects_two_loads_of_a_key_at_once() {
    let load = |id, from: u64| Call::Load(lead(value(id, 0), from, from + 3));
    rejects([vec![(0, 5, load(1, 1))], vec![(2, 8, load(2, 3))]]);
    let removal = vec![(
        2,
        3,
        Call::Remove {
            key: A,
            present: false,
        },
    )];
    accepts([vec![(0, 6, load(1, 1))], removal, vec![(4, 9, load(2, 5))]]);
    // No caller gets the value of a load before its completion.
    rejects([vec![(0, 5, load(1, 1))], vec![(2, 3, join(1))]]);
}

#[test]
fn check_accepts_a_load_only_over_an_undecodable_value() {
    let undecodable = |undecodable| Value {
        undecodable,
        ..value(1, 0)
    };
    let load = Call::Load(lead(value(2, 0), 5, 6));
    let caller = |it, saw| {
        let puts = [(0, 1, put(A, undecodable(it))), (2, 3, get(A, saw))];
        [puts.into(), vec![(4, 7, load), (8, 9, get(A, 2))]]
    };
    accepts(caller(true, UNDECODABLE));
    rejects(caller(true, 1));
    rejects(caller(false, UNDECODABLE));
    rejects(caller(false, 1));
}

#[test]
fn check_expires_a_value_exactly_at_its_deadline() {
    let put = (0, 1, put(A, lasting(1, 2)));
    let second = |from| (from, from + 1, Call::Advance);
    let read = |from, saw: Option<u32>| (from, from + 1, get(A, saw));
    accepts([vec![
        put,
        second(2),
        read(4, Some(1)),
        second(6),
        read(8, None),
    ]]);
    rejects([vec![put, second(2), second(4), read(6, Some(1))]]);
    rejects([vec![put, second(2), read(4, None)]]);
}
