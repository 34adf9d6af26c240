//! A thousand callers miss one key at the same time: one load serves all, however it ends.
//!
//! `cargo run --example stampede`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use hydracache::{CacheOptions, CacheResult, HydraCache};
use tokio::sync::watch;
use tokio::task::yield_now;

/// The number of loads, and of callers by the kind of their answer.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    loads: u64,
    values: u64,
    errors: u64,
    /// Waiters whose leader panicked.
    panic_errors: u64,
    panics: u64,
}

/// Starts a thousand callers of `key`, aborts the leader if told to, and then lets the loader
/// end with `answer`.
async fn stampede(
    cache: &HydraCache,
    key: &'static str,
    abort_leader: bool,
    answer: fn() -> io::Result<u32>,
) -> Counts {
    let before = cache.stats();
    let (open, gate) = watch::channel(false);
    let leader = Arc::new(AtomicUsize::new(0));
    let call = |caller| {
        let (cache, leader, gate) = (cache.clone(), Arc::clone(&leader), gate.clone());
        tokio::spawn(async move {
            let query = || async {
                leader.store(caller, SeqCst);
                let mut gate = gate;
                gate.wait_for(|open| *open).await.ok();
                answer()
            };
            cache.get_or_load(key, CacheOptions::new(), query).await
        })
    };
    let mut calls: Vec<_> = (0..1_000).map(call).collect();
    // A call that has counted its miss has joined the load.
    while (cache.stats() - before).misses < 1_000 {
        yield_now().await;
    }
    if abort_leader {
        let leader = calls.remove(leader.load(SeqCst));
        leader.abort();
        leader.await.expect_err("the leader was aborted");
    }
    open.send_replace(true);
    let mut counts = Counts::default();
    for call in calls {
        let counter = match call.await {
            Ok(Ok(_)) => &mut counts.values,
            Ok(Err(error)) if error.is_panic() => &mut counts.panic_errors,
            Ok(Err(_)) => &mut counts.errors,
            Err(_) => &mut counts.panics,
        };
        *counter += 1;
    }
    counts.loads = (cache.stats() - before).loads;
    counts
}

#[tokio::main]
async fn main() -> CacheResult<()> {
    let cache = HydraCache::local().build();
    let run = async |key, abort_leader, answer| {
        let counts = stampede(&cache, key, abort_leader, answer).await;
        let Counts {
            loads,
            values,
            errors,
            panic_errors,
            panics,
        } = counts;
        println!("{key:14} {loads:5} {values:7} {errors:7} {panic_errors:13} {panics:7}");
        [loads, values, errors, panic_errors, panics]
    };
    println!("1,000 callers  loads  values  errors  panic errors  panics");
    assert_eq!(run("value", false, || Ok(7)).await, [1, 1_000, 0, 0, 0]);
    let fail = || Err(io::ErrorKind::TimedOut.into());
    assert_eq!(run("error", false, fail).await, [1, 0, 1_000, 0, 0]);
    let value = || Ok(8);
    assert_eq!(run("leader aborted", true, value).await, [2, 999, 0, 0, 0]);
    println!("(the next loader panics: the message is on standard error)");
    let panic = || panic!("the loader panics on purpose");
    assert_eq!(run("panic", false, panic).await, [1, 0, 0, 999, 1]);
    let after = cache.get_or_insert_with("panic", CacheOptions::new(), async || 9);
    println!("after the panic, the key loads again: {}", after.await?);
    Ok(())
}
