//! A local async cache for services, on any runtime or none.
#![forbid(unsafe_code)]

mod builder;
mod cache;
mod chain;
mod clock;
mod codec;
mod engine;
mod error;
mod flight;
mod invalidate;
mod load;
mod options;
mod shard;
mod stats;
mod store;
mod tags;
mod text;
mod types;

pub use bytes::Bytes;

pub use crate::builder::CacheBuilder;
pub use crate::cache::HydraCache;
pub use crate::clock::{Clock, ManualClock, SystemClock};
pub use crate::codec::{Codec, Postcard};
pub use crate::error::{BoxError, CacheError, CacheResult};
pub use crate::options::CacheOptions;
pub use crate::stats::CacheStats;
