//! Memory in use, and the sizes of the cache's tables, while no call runs.

use hydracache::{Bytes, CacheOptions, HydraCache};

use crate::{ALLOCATOR, World, say};
use futures_lite::future::block_on;

/// Bytes allocated after each round past the warm-up.
#[derive(Debug)]
pub struct Memory {
    bound: u64,
    full: Vec<usize>,
    emptied: Vec<usize>,
}

/// Rounds until every structure has reached its full size.
const WARM_UP: u64 = 2;

const FILLER: usize = 32 << 10;

impl Memory {
    pub fn new(bound: u64) -> Self {
        Self {
            bound,
            full: Vec::new(),
            emptied: Vec::new(),
        }
    }

    /// Fills the cache and measures; every third round empties the cache and measures again.
    pub fn round(&mut self, world: &World, round: u64) {
        inspect(&world.cache);
        let fillers = usize::try_from(self.bound).unwrap_or(usize::MAX) / FILLER * 3 / 2;
        for number in 0..fillers {
            let filler = Bytes::from(vec![0; FILLER]);
            let key = format!("filler {number}");
            block_on(world.cache.put_bytes(&key, filler, CacheOptions::new())).unwrap();
        }
        let full = ALLOCATOR.allocated();
        let mut emptied = None;
        if round % 3 == 2 {
            empty(&world.cache);
            emptied = Some(ALLOCATOR.allocated());
        }
        say(&format!(
            "round {round}: {full} bytes full, {emptied:?} emptied"
        ));
        if round >= WARM_UP {
            self.full.push(full);
            self.emptied.extend(emptied);
        }
    }

    /// Asserts that the memory of a full cache varies by at most `most` percent.
    pub fn report(&self, most: usize) {
        let (full, emptied) = (spread(&self.full), spread(&self.emptied));
        say(&format!(
            "memory full: within {full} percent; emptied: within {emptied} percent"
        ));
        assert!(full <= most, "the memory of a full cache: {:?}", self.full);
        assert!(
            emptied <= 5,
            "the memory of an empty cache: {:?}",
            self.emptied
        );
    }
}

/// The percentage by which the largest size exceeds the smallest, rounded up.
fn spread(sizes: &[usize]) -> usize {
    let (Some(least), Some(most)) = (sizes.iter().min(), sizes.iter().max()) else {
        return 0;
    };
    ((most - least) * 100).div_ceil(*least)
}

/// Flushes, writes until every removed entry is swept, and removes the rest.
fn empty(cache: &HydraCache) {
    block_on(cache.flush()).unwrap();
    for number in 0..20_000_u32 {
        let key = format!("sweep {}", number % 64);
        block_on(cache.put(&key, number, CacheOptions::new())).unwrap();
    }
    block_on(cache.retain(|_| false)).unwrap();
    assert_eq!(cache.entry_count(), 0);
    let left = tables(cache);
    assert_eq!(
        left[..3],
        [0, 0, 0],
        "entries, tags, loads of an empty cache"
    );
}

#[cfg(fuzzing)]
fn inspect(cache: &HydraCache) {
    cache.validate();
    let [_, _, loads, failures] = cache.tables();
    assert_eq!(loads, 0, "finished loads hold slots");
    assert!(failures <= 1024 * 64, "{failures} back-offs are held");
}

#[cfg(fuzzing)]
fn tables(cache: &HydraCache) -> [usize; 4] {
    cache.tables()
}

#[cfg(fuzzing)]
pub fn share_a_shard(cache: &HydraCache, one: &str, other: &str) -> bool {
    cache.share_a_shard(one, other)
}

/// Only a build with `--cfg fuzzing` exposes the internals.
#[cfg(not(fuzzing))]
fn inspect(_: &HydraCache) {}

#[cfg(not(fuzzing))]
fn tables(_: &HydraCache) -> [usize; 4] {
    [0; 4]
}

#[cfg(not(fuzzing))]
pub fn share_a_shard(_: &HydraCache, _: &str, _: &str) -> bool {
    true
}
