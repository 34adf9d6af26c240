//! Random verbs, keys, options and loaders.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hydracache::CacheOptions;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::World;
use crate::floors::{KEYS, KeyId};
use crate::loads::Load;

/// The names of the verbs, for reports. A verb is an index of this table.
pub const VERBS: [&str; 31] = [
    "get",
    "peek",
    "contains_key",
    "get_or_load",
    "fetch",
    "refresh",
    "get_or_refresh",
    "remove",
    "expire",
    "expire_tag",
    "invalidate_tag",
    "invalidate_tags",
    "invalidate_tag of a single-use tag",
    "flush",
    "retain",
    "keys",
    "put_bytes",
    "get_bytes",
    "remove bytes",
    "put",
    "put_if_absent",
    "update",
    "get a number",
    "get another type",
    "typed get_or_load",
    "typed get_or_load_many",
    "typed get_many",
    "typed remove",
    "put a value",
    "put_if_absent a value",
    "update a value",
];

/// The relative frequency of each verb.
const WEIGHTS: [u32; 31] = [
    900, 200, 100, 1400, 900, 300, 500, 100, 60, 6, 15, 5, 100, 1, 1, 1, 900, 700, 150, 400, 150,
    250, 300, 50, 900, 300, 150, 40, 60, 60, 60,
];

/// The sum of the weights.
const TOTAL_WEIGHT: u32 = {
    let (mut sum, mut at) = (0, 0);
    while at < WEIGHTS.len() {
        sum += WEIGHTS[at];
        at += 1;
    }
    sum
};

pub fn verb(rng: &mut StdRng) -> usize {
    let mut left = rng.random_range(0..TOTAL_WEIGHT);
    for (verb, &weight) in WEIGHTS.iter().enumerate() {
        if left < weight {
            return verb;
        }
        left -= weight;
    }
    0
}

/// A random key number: the first 16 and 256 are drawn more often.
pub fn key_number(rng: &mut StdRng) -> usize {
    let most = [16, 256, KEYS, KEYS][rng.random_range(0..4)];
    rng.random_range(0..most)
}

/// Random options, with up to 2,000 tags that no other call uses.
pub fn options(world: &World, rng: &mut StdRng) -> CacheOptions {
    let mut options = CacheOptions::new();
    let millis = |rng: &mut StdRng| Duration::from_millis(rng.random_range(1..5_000));
    if rng.random_bool(0.6) {
        options = options.ttl(millis(rng));
        if rng.random_bool(0.3) {
            options = options.stale_while_revalidate(millis(rng));
        }
        if rng.random_bool(0.3) {
            options = options.stale_if_error(millis(rng));
        }
        if rng.random_bool(0.2) {
            options = options.refresh_ahead(0.5);
        }
        if rng.random_bool(0.2) {
            options = options.jitter(0.3);
        }
    }
    if rng.random_bool(0.1) {
        options = options.time_to_idle(millis(rng));
    }
    if rng.random_bool(0.3) {
        options = options.error_backoff(millis(rng));
    }
    if rng.random_bool(0.1) {
        options = options.soft_timeout(Duration::from_millis(rng.random_range(1..200)));
    }
    let tags = match rng.random_range(0..1000) {
        0..500 => 0,
        500..999 => rng.random_range(1..6),
        _ => 2_000,
    };
    let first = world.tags.fetch_add(tags, Ordering::Relaxed);
    options.tags((first..first + tags).map(|tag| format!("once:{tag}")))
}

/// Random options and a random loader for a load of `key`.
pub fn load(world: &World, rng: &mut StdRng, key: KeyId) -> (CacheOptions, Load) {
    let mut options = options(world, rng);
    let may_hang = rng.random_bool(0.3);
    if may_hang {
        options = options.load_timeout(Duration::from_millis(rng.random_range(1..1_000)));
    }
    let load = Load::draw(
        rng,
        key,
        may_hang,
        world.largest,
        &world.floors,
        &world.clock,
    );
    (options, load)
}
