//! Counts the allocations of a cache, for the benches `memory` and `load`, and prints one
//! number.
//!
//! A program of its own, because the counting allocator slows every allocation.

use std::convert::Infallible;

use allocation_counter::measure;
use clap::Parser;
use futures_lite::future::block_on;
use hydracache::{CacheOptions, HydraCache};
use hydracache_benches::memory;
use hydracache_benches::peer::{Contender, TTL};

#[derive(Debug, Parser)]
enum Task {
    /// Live bytes over the payload, per entry that was put and read once.
    Filled {
        /// The cache.
        contender: Contender,
        /// The number of entries.
        entries: u32,
    },
    /// The same per entry after ten times as many puts as the capacity.
    Churned {
        /// The cache.
        contender: Contender,
        /// The number of puts.
        puts: u32,
    },
    /// The allocations of one `get_or_load` that is a hit, with a time to live and
    /// two tags.
    Load,
}

fn main() {
    let number = match Task::parse() {
        Task::Filled { contender, entries } => over_payload(|| memory::filled(contender, entries)),
        Task::Churned { contender, puts } => over_payload(|| memory::churned(contender, puts)),
        Task::Load => allocations_of_a_load(),
    };
    println!("{number:.1}");
}

/// Live bytes of a cache per entry, less the key and the value.
fn over_payload<T: std::ops::Deref<Target: hydracache_benches::peer::Peer>>(
    make: impl FnOnce() -> T,
) -> f64 {
    use hydracache_benches::peer::Peer;

    let mut cache = None;
    let info = measure(|| cache = Some(make()));
    let entries = cache.as_ref().map_or(0, |cache| cache.entries());
    let bytes = u64::try_from(info.bytes_current).expect("a full cache is not empty");
    // Both are far below 2^52, where every whole number is a float.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = bytes as f64 / entries as f64;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let payload = memory::PAYLOAD as f64;
    each - payload
}

fn allocations_of_a_load() -> f64 {
    let cache = HydraCache::local().build();
    block_on(cache.put("user:7", 7_u64, CacheOptions::new())).expect("a number can be put");
    let calls = 1_000;
    let info = measure(|| {
        for _ in 0..calls {
            let options = CacheOptions::new().ttl(TTL).tag("users").tag("tenant:1");
            let load = || async { Ok::<u64, Infallible>(0) };
            let seven = block_on(cache.get_or_load("user:7", options, load));
            assert_eq!(seven.expect("a number can be read"), 7);
        }
    });
    let count = u32::try_from(info.count_total).expect("a few thousand at most");
    f64::from(count) / f64::from(calls)
}
