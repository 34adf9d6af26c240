//! A tag's name with its hash.

use crate::key::{Hashing, SmallBytes};

/// A tag's name with its hash, so that an invalidation hashes a name once, and not once in
/// every shard.
#[derive(Debug)]
pub(crate) struct HashedTag {
    pub(crate) hash: u64,
    pub(crate) name: SmallBytes,
}

impl HashedTag {
    pub(crate) fn new(name: SmallBytes, hashing: &Hashing) -> Self {
        let hash = hashing.hash(name.as_bytes());
        Self { hash, name }
    }
}
