//! Concurrent calls are linearizable: one sequential order explains every recorded answer.
//!
//! Callers, each a thread or one of several futures on a thread, make random calls and record
//! when each call began and returned, and the answer. No value is stored twice, so each read
//! identifies the write or load of the value. `check` then searches for one order of all
//! steps in which every call takes effect between its beginning and its return, and which
//! explains every answer, over all keys and tags at once: values, absences, the answers of
//! `remove`, the values replaced by `update`, the counts of invalidations.
//!
//! A load is not a single step. Its steps are the claim of the slot, between the call and the
//! beginning of the loader, and the completion, between the end of the loader and the answer.
//! A waiter must have joined while the load held the slot, after the last invalidation before
//! the call, and cannot return before the completion. `model.rs` defines each step.
//!
//! An invalidation of tags and a flush are three steps: the begin, the visit, the end. In a cache of
//! one shard the visit is one step for all keys, with several shards one step per key. A load that
//! begins between begin and end is not stored. Some loaders read another key through the cache:
//! `read_through.rs` checks that no such value outlives the value it was made from.
//!
//! Not checked here: windows, timeouts, back-offs, eviction, background loads and loads of
//! many keys.
//!
//! By default the tests make more than a million calls. `LINEAR_ROUNDS=10` makes ten times as
//! many; `LINEAR_SEED=17` repeats the calls of one seed, whose order depends on the threads.

#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

#[path = "linear/check.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod check;
#[path = "linear/hand_written.rs"]
mod hand_written;
#[path = "linear/history.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod history;
#[path = "linear/model.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod model;
#[path = "linear/read_through.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod read_through;
#[path = "linear/rounds.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod rounds;
#[path = "linear/steps.rs"]
#[allow(unreachable_pub, reason = "a module of one test")]
mod steps;
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
use world::Setup;

/// The least number of calls of each test.
const CALLS: usize = 180_000;

const PLAIN: Setup = Setup {
    name: "plain_calls_are_linearizable",
    threads: 3,
    callers: 1,
    calls: 8,
    loads: 0,
    loader_tags: false,
    time: false,
    undecodable: false,
    capacity: 100,
};

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap())
}

/// Only one test runs its threads at a time: they race only if no other work delays them.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Set when a test has failed. The other tests then stop; if a scenario hangs they must.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Sets `FAILED` when its thread panics.
struct FailureFlag;

impl Drop for FailureFlag {
    fn drop(&mut self) {
        FAILED.fetch_or(std::thread::panicking(), Ordering::SeqCst);
    }
}

/// Runs and checks one seed after another, up to the required number of calls.
fn check_seeds(setup: Setup) {
    let most = CALLS * usize::try_from(number("LINEAR_ROUNDS").unwrap_or(1)).unwrap();
    let only = number("LINEAR_SEED");
    let seeds = (0..).map(|seed| only.unwrap_or(seed));
    let calls = Arc::new(AtomicUsize::new(0));
    let _flag = FailureFlag;
    for seed in seeds {
        if calls.load(Ordering::SeqCst) >= most || FAILED.load(Ordering::SeqCst) {
            break;
        }
        let calls = Arc::clone(&calls);
        support::without_hanging(move || {
            let histories = {
                let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
                rounds::histories(setup, seed)
            };
            calls.fetch_add(histories.iter().map(History::len).sum(), Ordering::SeqCst);
            for (round, history) in histories.iter().enumerate() {
                if let Err(why) = check::check(history) {
                    let name = setup.name;
                    panic!(
                        "{name}, round {round}: {why}\n\
                         try again with LINEAR_SEED={seed} cargo test --test linear {name}"
                    );
                }
            }
        });
    }
    eprintln!("{}: {} calls", setup.name, calls.load(Ordering::SeqCst));
}

#[test]
fn plain_calls_are_linearizable() {
    check_seeds(PLAIN);
}

#[test]
fn loads_are_linearizable() {
    check_seeds(Setup {
        name: "loads_are_linearizable",
        loads: 9,
        ..PLAIN
    });
}

#[test]
fn loader_tags_are_linearizable() {
    check_seeds(Setup {
        name: "loader_tags_are_linearizable",
        loads: 9,
        loader_tags: true,
        ..PLAIN
    });
}

#[test]
fn ttl_expiry_is_linearizable() {
    check_seeds(Setup {
        name: "ttl_expiry_is_linearizable",
        loads: 6,
        time: true,
        ..PLAIN
    });
}

#[test]
fn undecodable_values_are_linearizable() {
    check_seeds(Setup {
        name: "undecodable_values_are_linearizable",
        loads: 8,
        undecodable: true,
        ..PLAIN
    });
}

#[test]
fn calls_across_shards_are_linearizable() {
    check_seeds(Setup {
        name: "calls_across_shards_are_linearizable",
        loads: 9,
        loader_tags: true,
        capacity: 1 << 20,
        ..PLAIN
    });
}

#[test]
fn futures_on_two_threads_are_linearizable() {
    check_seeds(Setup {
        name: "futures_on_two_threads_are_linearizable",
        threads: 2,
        callers: 3,
        calls: 5,
        loads: 9,
        loader_tags: true,
        ..PLAIN
    });
}
