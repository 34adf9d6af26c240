//! Linearizability: what threads and executors saw of the cache is what they could have
//! seen of one that does one thing at a time.
//!
//! Lanes, each a thread or one of several futures on a thread, make random calls and record
//! when each began and returned, and what it saw. No value is stored twice, so each read
//! says which write or load it saw. `check` then looks for one order of all that happened,
//! in which every call happens between its beginning and its return, and which explains
//! every answer, over all keys and tags at once: values, absences, what `remove` said, what
//! `update` replaced, how many entries an invalidation counted.
//!
//! Loads are no single step. They are taken apart: the seat, between the call and the
//! beginning of its loader; the landing, between the loader's end and the answer. Who waited
//! for a load must have come while it had its seat, after the last invalidation before the
//! call, and cannot have returned before the landing. `model.rs` says what each step does.
//!
//! In a cache of one shard an invalidation of a tag and a flush are one step for all keys. In
//! one of several they come to one shard after another: one step a key. Of tags that a loader
//! chooses an invalidation is two steps, a mark and a visit.
//!
//! Not checked here: windows, timeouts, back-offs, eviction, loads in the background or for
//! many keys.
//!
//! As it stands there are more than a million calls. `LINEAR_ROUNDS=10` makes ten times as
//! many; `LINEAR_SEED=17` makes those of one seed again and again: the same calls, in an order
//! that is up to the threads.

#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    reason = "in a test an error that nobody asked for is a failure"
)]

#[path = "linear/check.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod check;
#[path = "linear/history.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod history;
#[path = "linear/known.rs"]
mod known;
#[path = "linear/model.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod model;
#[path = "linear/parts.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod parts;
#[path = "linear/rounds.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod rounds;
#[path = "it/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod support;
#[path = "linear/workload.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod workload;
#[path = "linear/world.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod world;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use history::History;
use world::Kind;

/// How many calls each test makes at least.
const CALLS: usize = 180_000;

const PLAIN: Kind = Kind {
    name: "plain",
    threads: 3,
    lanes: 1,
    calls: 8,
    loads: 0,
    own: false,
    time: false,
    garbled: false,
    capacity: 100,
};

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap())
}

/// Lets one test's threads run at a time: they race only if all run.
static RACE: Mutex<()> = Mutex::new(());

/// Where one test failed the others need not go on; if it hangs they could not.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Says so when its thread panics.
struct Alarm;

impl Drop for Alarm {
    fn drop(&mut self) {
        FAILED.fetch_or(std::thread::panicking(), Ordering::SeqCst);
    }
}

/// Runs and checks one seed after another, until there were enough calls.
fn explain(kind: Kind) {
    let most = CALLS * usize::try_from(number("LINEAR_ROUNDS").unwrap_or(1)).unwrap();
    let only = number("LINEAR_SEED");
    let seeds = (0..).map(|seed| only.unwrap_or(seed));
    let calls = Arc::new(AtomicUsize::new(0));
    let _alarm = Alarm;
    for seed in seeds {
        if calls.load(Ordering::SeqCst) >= most || FAILED.load(Ordering::SeqCst) {
            break;
        }
        let calls = Arc::clone(&calls);
        support::without_hanging(move || {
            let histories = {
                let _alone = RACE.lock().unwrap_or_else(PoisonError::into_inner);
                rounds::histories(kind, seed)
            };
            calls.fetch_add(histories.iter().map(History::len).sum(), Ordering::SeqCst);
            for (round, history) in histories.iter().enumerate() {
                if let Err(why) = check::check(history) {
                    let name = kind.name;
                    panic!(
                        "{name}, round {round}: {why}\n\
                         try again with LINEAR_SEED={seed} cargo test --test linear {name}"
                    );
                }
            }
        });
    }
    eprintln!("{}: {} calls", kind.name, calls.load(Ordering::SeqCst));
}

#[test]
fn plain() {
    explain(PLAIN);
}

#[test]
fn loads() {
    explain(Kind {
        name: "loads",
        loads: 9,
        ..PLAIN
    });
}

#[test]
fn own_tags() {
    explain(Kind {
        name: "own_tags",
        loads: 9,
        own: true,
        ..PLAIN
    });
}

#[test]
fn time() {
    explain(Kind {
        name: "time",
        loads: 6,
        time: true,
        ..PLAIN
    });
}

#[test]
fn garbled() {
    explain(Kind {
        name: "garbled",
        loads: 8,
        garbled: true,
        ..PLAIN
    });
}

#[test]
fn shards() {
    explain(Kind {
        name: "shards",
        loads: 9,
        own: true,
        capacity: 1 << 20,
        ..PLAIN
    });
}

#[test]
fn futures() {
    explain(Kind {
        name: "futures",
        threads: 2,
        lanes: 3,
        calls: 5,
        loads: 9,
        own: true,
        ..PLAIN
    });
}
