//! The caches that are measured, behind one face.
//!
//! Each is built as its documentation says first, with the hasher and the number of
//! shards that it chooses itself. Keys are `Box<str>`, values `Bytes`. Every `get` hands
//! out a `Bytes` of its own, since a caller keeps it across awaits.

mod cached;
mod floor;
mod foyer;
mod hydra;
mod loops;
mod moka;
mod quick;

use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;

pub use floor::Floor;
pub use loops::Loops;

/// The time to live wherever there is one: long enough that nothing expires.
pub const TTL: Duration = Duration::from_hours(1);

/// One cache under measurement.
pub trait Peer: Send + Sync {
    /// Returns the value of a key.
    fn get(&self, key: &str) -> Option<Bytes>;

    /// Stores a value under the key of an id. The tags of tagged entries are
    /// those of the id.
    fn insert(&self, id: u32, key: &str, value: Bytes);

    /// How many entries are held.
    fn entries(&self) -> u64;

    /// Does the work that the cache has put off, if it puts work off.
    fn settle(&self) {}
}

/// Which cache, set up how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// Ours, with no options.
    Hydra,
    /// Ours, each entry with a time to live.
    HydraTtl,
    /// Ours, each entry with a time to live and two tags out of a thousand.
    HydraTags,
    /// The same with two tags out of one for every ten entries.
    HydraManyTags,
    /// `quick_cache`: an S3-FIFO-like clock with ghosts. No expiry.
    Quick,
    /// moka's future cache: W-TinyLFU.
    Moka,
    /// moka with a time to live for the whole cache.
    MokaTtl,
    /// foyer in memory, with S3-FIFO.
    Foyer,
    /// foyer in memory, with LRU, which is its default.
    FoyerLru,
    /// cached's sharded LRU.
    Cached,
    /// cached's sharded LRU with a time to live for the whole cache.
    CachedTtl,
    /// A table in sharded locks: no policy, no expiry, no bound.
    Floor,
}

impl Contender {
    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hydra => "hydracache",
            Self::HydraTtl => "hydracache, TTL",
            Self::HydraTags => "hydracache, TTL + 2 tags of 1,000",
            Self::HydraManyTags => "hydracache, TTL + 2 tags of n/10",
            Self::Quick => "quick_cache",
            Self::Moka => "moka",
            Self::MokaTtl => "moka, TTL",
            Self::Foyer => "foyer, S3-FIFO",
            Self::FoyerLru => "foyer, LRU",
            Self::Cached => "cached, LRU",
            Self::CachedTtl => "cached, LRU + TTL",
            Self::Floor => "floor: table and locks",
        }
    }

    /// Makes the cache, with room for so many entries.
    pub fn build(self, capacity: usize) -> Box<dyn Loops> {
        match self {
            Self::Hydra => Box::new(hydra::Hydra::plain(capacity)),
            Self::HydraTtl => Box::new(hydra::Hydra::with_ttl(capacity)),
            Self::HydraTags => Box::new(hydra::Hydra::with_tags(capacity, 1_000)),
            Self::HydraManyTags => Box::new(hydra::Hydra::with_many_tags(capacity, capacity / 10)),
            Self::Quick => Box::new(quick::Quick::new(capacity)),
            Self::Moka => Box::new(moka::Moka::new(capacity, None)),
            Self::MokaTtl => Box::new(moka::Moka::new(capacity, Some(TTL))),
            Self::Foyer => Box::new(foyer::Foyer::s3fifo(capacity)),
            Self::FoyerLru => Box::new(foyer::Foyer::lru(capacity)),
            Self::Cached => Box::new(cached::Cached::new(capacity)),
            Self::CachedTtl => Box::new(cached::CachedTtl::new(capacity)),
            Self::Floor => Box::new(Floor::new()),
        }
    }

    /// The name that the command line of a child process knows it by.
    pub fn argument(self) -> String {
        let value = self.to_possible_value().expect("no contender is skipped");
        value.get_name().into()
    }

    /// Whether it evicts at all.
    pub fn is_bounded(self) -> bool {
        self != Self::Floor
    }
}
