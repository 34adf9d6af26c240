//! Measures the time of a hit, the time of an insert, and the memory of an entry.
//!
//! `cargo run --release --example measure`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use futures_lite::future::block_on;
use hydracache::{Bytes, CacheOptions, CacheResult, HydraCache};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const ENTRIES: usize = 100_000;
const READS: usize = 2_000_000;
const PAYLOAD: usize = 64;
const ROUNDS: usize = 5;

fn main() -> anyhow::Result<()> {
    let keys: Vec<String> = (0..2 * ENTRIES).map(|id| format!("user:{id}")).collect();
    let (first, second) = keys.split_at(ENTRIES);
    let cache = HydraCache::local().max_capacity(ENTRIES as u64).build();

    let filling = allocation_counter::measure(|| drop(fill(&cache, first)));
    let per_entry = u64::try_from(filling.bytes_current)? / cache.entry_count();

    let mut rng = StdRng::seed_from_u64(7);
    let order: Vec<usize> = (0..READS).map(|_| rng.random_range(0..ENTRIES)).collect();
    let (mut hits, mut inserts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        hits.push(nanoseconds(READS, || {
            for &at in &order {
                black_box(block_on(cache.get_bytes(&first[at]))?);
            }
            Ok(())
        })?);
        inserts.push(nanoseconds(ENTRIES, || fill(&cache, second))?);
        fill(&cache, first)?;
    }
    hits.sort_unstable();
    inserts.sort_unstable();

    let future = cache.get_or_load("key", CacheOptions::new(), async || Ok::<_, Infallible>(0));
    println!("{ENTRIES} entries of {PAYLOAD} bytes; medians of {ROUNDS} rounds");
    println!(
        "get_bytes, hit, uniform keys     {:>6} ns",
        hits[ROUNDS / 2]
    );
    println!(
        "put_bytes, new key, full cache   {:>6} ns",
        inserts[ROUNDS / 2]
    );
    println!(
        "memory per entry, less payload   {:>6} bytes",
        per_entry - PAYLOAD as u64
    );
    println!(
        "size of a get_or_load future     {:>6} bytes",
        size_of_val(&future)
    );
    Ok(())
}

fn fill(cache: &HydraCache, keys: &[String]) -> CacheResult<()> {
    for key in keys {
        let value = Bytes::from(vec![7; PAYLOAD]);
        block_on(cache.put_bytes(key, value, CacheOptions::new()))?;
    }
    Ok(())
}

/// The mean time of one of `count` steps.
#[allow(clippy::disallowed_methods, reason = "the example measures real time")]
fn nanoseconds(count: usize, work: impl FnOnce() -> CacheResult<()>) -> CacheResult<u128> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_nanos() / count as u128)
}
