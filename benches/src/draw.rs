//! Random ids from seeded distributions.

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, Zipf};

/// A generator with the same numbers in every run.
pub fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Every id below `count` once, in random order.
pub fn shuffled(count: u32, seed: u64) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..count).collect();
    ids.shuffle(&mut random(seed));
    ids
}

/// Draws `length` ids below `count`, all equally likely.
pub fn uniform(count: u32, length: usize, seed: u64) -> Vec<u32> {
    let mut random = random(seed);
    (0..length).map(|_| random.random_range(0..count)).collect()
}

/// Draws `length` ids below `count` by Zipf's law.
///
/// The popular ids are spread over the whole range: as 0, 1, 2 and so on they would be
/// adjacent in memory, since the caches are filled in that order.
pub fn zipf(count: u32, exponent: f64, length: usize, seed: u64) -> Vec<u32> {
    // A fixed seed: every stream over these ids has the same popular ids.
    let by_rank = shuffled(count, 0x5eed);
    let zipf = Zipf::new(f64::from(count), exponent).expect("valid parameters");
    let mut random = random(seed);
    let draw = |_| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 1 to count"
        )]
        let rank = zipf.sample(&mut random) as usize - 1;
        by_rank[rank]
    };
    (0..length).map(draw).collect()
}
