//! The measured caches, behind one trait.
//!
//! Each cache is built in the first way of its documentation, with the default hasher and
//! number of shards. Keys are `Box<str>`, values `Bytes`. Every `get` returns an owned
//! `Bytes`, since a caller keeps the value across awaits.

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

/// The time to live of all entries with a time to live: no entry expires during a run.
pub const TTL: Duration = Duration::from_hours(1);

/// A cache under measurement.
pub trait Peer: Send + Sync {
    /// Returns the value of a key.
    fn get(&self, key: &str) -> Option<Bytes>;

    /// Stores a value under the key of an id. A tagged entry gets the tags of the id.
    fn insert(&self, id: u32, key: &str, value: Bytes);

    /// The number of held entries.
    fn entries(&self) -> u64;

    /// Does pending maintenance, if the cache defers maintenance.
    fn settle(&self) {}
}

/// A cache and its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// hydracache, without options.
    Hydra,
    /// hydracache, each entry with a time to live.
    HydraTtl,
    /// hydracache, each entry with a time to live and two of 1,000 tags.
    HydraTags,
    /// hydracache, each entry with a time to live and two of many tags, one per ten entries.
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
    /// The name in tables.
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

    /// Builds the cache with this capacity.
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

    /// The name on the command line of a child process.
    pub fn argument(self) -> String {
        let value = self.to_possible_value().expect("no contender is skipped");
        value.get_name().into()
    }

    /// Whether the cache evicts.
    pub fn is_bounded(self) -> bool {
        self != Self::Floor
    }
}
