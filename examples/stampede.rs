//! A thousand callers miss a key at once, and their load ends in each way it can.
//!
//! `cargo run --example stampede`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::cell::Cell;
use std::io;
use std::panic::AssertUnwindSafe;

use async_executor::LocalExecutor;
use futures_lite::FutureExt;
use futures_lite::future::{block_on, yield_now};
use hydracache::{CacheOptions, CacheResult, HydraCache};

/// Lets a thousand callers ask for a key, drops the one that leads if told to, and
/// then lets the database answer. Counts the loads, and the callers that got a
/// value, an error, news of another's panic, and a panic.
async fn stampede(
    cache: &HydraCache,
    key: &str,
    drop_leader: bool,
    answer: fn() -> io::Result<u32>,
) -> [u64; 5] {
    let before = cache.stats();
    let (leader, answers) = (Cell::new(0), Cell::new(false));
    let call = async |caller| {
        let query = || async {
            leader.set(caller);
            while !answers.get() {
                yield_now().await;
            }
            answer()
        };
        cache.get_or_load(key, CacheOptions::new(), query).await
    };
    let executor = LocalExecutor::new();
    let mut calls: Vec<_> = (0..1_000).map(|n| executor.spawn(call(n))).collect();
    let story = async {
        while (cache.stats() - before).misses < 1_000 {
            yield_now().await;
        }
        if drop_leader {
            drop(calls.remove(leader.get()));
        }
        answers.set(true);
        let mut counts = [0; 5];
        for call in calls {
            counts[match AssertUnwindSafe(call).catch_unwind().await {
                Ok(Ok(_)) => 1,
                Ok(Err(error)) => 2 + usize::from(error.is_panic()),
                Err(_) => 4,
            }] += 1;
        }
        counts[0] = (cache.stats() - before).loads;
        counts
    };
    executor.run(story).await
}

fn main() -> CacheResult<()> {
    let cache = HydraCache::local().build();
    let run = |key, drop_leader, answer| {
        let counts = block_on(stampede(&cache, key, drop_leader, answer));
        let [loads, values, errors, told, panics] = counts;
        println!("{key:14} {loads:5} {values:7} {errors:7} {told:15} {panics:7}");
        counts
    };
    println!("1,000 callers  loads  values  errors  told of a panic  panics");
    assert_eq!(run("a value", false, || Ok(7)), [1, 1_000, 0, 0, 0]);
    let fail = || Err(io::ErrorKind::TimedOut.into());
    assert_eq!(run("an error", false, fail), [1, 0, 1_000, 0, 0]);
    assert_eq!(run("leader dropped", true, || Ok(8)), [2, 999, 0, 0, 0]);
    println!("(the next one panics: its message is on standard error)");
    let panic = || panic!("as it was told to");
    assert_eq!(run("a panic", false, panic), [1, 0, 0, 999, 1]);
    let after = cache.get_or_insert_with("a panic", CacheOptions::new(), async || 9);
    println!("and the key can be loaded at once: {}", block_on(after)?);
    Ok(())
}
