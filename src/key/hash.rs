//! How keys, tags and types are hashed.
//!
//! Foldhash by default: a few nanoseconds for a short key, and seeded here from
//! the system's randomness. What that is good for, and what `SipHash` is better for, is
//! said in `docs/design.md`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

/// How a cache hashes its keys.
///
/// # Examples
///
/// ```
/// use hydracache::{HydraCache, KeyHasher};
///
/// let cache = HydraCache::local().hasher(KeyHasher::SipHash).build();
/// # drop(cache);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyHasher {
    /// [foldhash](https://docs.rs/foldhash): the fastest, with seeds from the system's
    /// randomness. Whoever chooses keys without seeing the seeds cannot make them
    /// collide on purpose, unless by measuring how long look-ups take. The default.
    #[default]
    Foldhash,
    /// SipHash-1-3, that of the standard library: made to withstand an attacker who
    /// chooses keys and measures. Costs some 15 nanoseconds a call more.
    SipHash,
}

/// One cache's hash function. Clones hash alike.
#[derive(Clone, Debug)]
pub(crate) enum Hashing {
    Fold(SeedableRandomState),
    Sip(RandomState),
    /// Three hashes for all texts: the worst table there is.
    #[cfg(test)]
    Colliding,
}

impl Hashing {
    pub(crate) fn new(hasher: KeyHasher) -> Self {
        match hasher {
            KeyHasher::Foldhash => {
                static SHARED: LazyLock<SharedSeed> =
                    LazyLock::new(|| SharedSeed::from_u64(random()));
                Self::Fold(SeedableRandomState::with_seed(random(), &SHARED))
            }
            KeyHasher::SipHash => Self::Sip(RandomState::new()),
        }
    }

    #[inline]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        match self {
            Self::Fold(state) => finish(state.build_hasher(), bytes),
            Self::Sip(state) => finish(state.build_hasher(), bytes),
            #[cfg(test)]
            Self::Colliding => bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>() % 3,
        }
    }
}

#[inline]
fn finish(mut hasher: impl Hasher, bytes: &[u8]) -> u64 {
    hasher.write(bytes);
    hasher.finish()
}

/// What the standard library got from the system for its own tables.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
