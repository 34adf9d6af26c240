//! The hash function for keys and tags.
//!
//! The default is foldhash: a few nanoseconds for a short key, with seeds from the system's
//! randomness. `docs/design.md` compares foldhash and `SipHash`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

/// The hash function of a cache, for [`CacheBuilder::hasher`](crate::CacheBuilder::hasher).
///
/// Every cache has seeds of its own, so hashes differ between caches and between runs.
///
/// # Examples
///
/// ```
/// use futures_lite::future::block_on;
/// use hydracache::{CacheOptions, HydraCache, KeyHasher};
///
/// # fn main() -> Result<(), hydracache::CacheError> {
/// assert_eq!(KeyHasher::default(), KeyHasher::Foldhash);
///
/// let cache = HydraCache::local().hasher(KeyHasher::SipHash).build();
/// block_on(cache.put("chosen by a client", 7_u8, CacheOptions::new()))?;
/// assert_eq!(block_on(cache.get::<u8>("chosen by a client"))?, Some(7));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyHasher {
    /// [foldhash](https://docs.rs/foldhash), the default and the fastest, with seeds from the
    /// system's randomness. An attacker who chooses keys and does not know the seeds cannot
    /// create collisions, except by measuring the time of look-ups.
    #[default]
    Foldhash,
    /// SipHash-1-3 of the standard library, designed to resist an attacker who chooses keys and
    /// measures times. Each call takes some 15 nanoseconds more.
    SipHash,
}

/// The seeded hash function of a cache. Clones return the same hashes.
#[derive(Clone, Debug)]
pub(crate) enum Hashing {
    Fold(SeedableRandomState),
    Sip(RandomState),
    /// Three different hashes for all keys, to test tables full of collisions.
    #[cfg(test)]
    Colliding,
}

impl Hashing {
    pub(crate) fn new(hasher: KeyHasher) -> Self {
        match hasher {
            KeyHasher::Foldhash => {
                // The large part of the seed is shared by all caches of the process; the seed
                // of each cache is random too.
                static SHARED: LazyLock<SharedSeed> =
                    LazyLock::new(|| SharedSeed::from_u64(random()));
                Self::Fold(SeedableRandomState::with_seed(random(), &SHARED))
            }
            KeyHasher::SipHash => Self::Sip(RandomState::new()),
        }
    }

    /// Returns the hash of the bytes, without a length or a separator.
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
    // `write` and not `Hash for [u8]`, which would hash the length as well: there is a single
    // field, so nothing needs to be separated.
    hasher.write(bytes);
    hasher.finish()
}

/// Returns 64 random bits, from the keys of the standard library's hash tables.
fn random() -> u64 {
    // Loom repeats a scenario in every order, so a key must stay in its shard.
    if cfg!(hydracache_loom) {
        return 0;
    }
    RandomState::new().build_hasher().finish()
}
