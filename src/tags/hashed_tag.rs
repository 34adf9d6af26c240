//! The name of a tag, with the hash of the name.

use crate::key::{Hashing, SmallBytes};

/// The name of a tag and the hash of the name. An invalidation computes the hash once, for all
/// shards.
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
