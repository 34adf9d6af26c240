//! A local async cache for services, on any runtime or none: what is read after
//! an invalidation returned was loaded or put after that invalidation began.
//!
//! ```
//! use futures_lite::future::block_on;
//! use hydracache::{CacheOptions, HydraCache};
//!
//! # fn main() -> Result<(), hydracache::CacheError> {
//! let cache = HydraCache::local().max_capacity(10_000).build();
//!
//! block_on(async {
//!     let options = CacheOptions::new().tag("users");
//!     let name = cache.get_or_load("user:7", options, || async {
//!         Ok::<_, std::io::Error>(String::from("Ada")) // ask the database
//!     });
//!     assert_eq!(name.await?, "Ada");
//!     cache.invalidate_tag("users").await?; // after the database has changed
//! #   Ok(())
//! })
//! # }
//! ```
//!
//! # Guarantees
//!
//! - **One load.** However many callers miss a key at once, one loader runs, and
//!   all get its value or its error. A leader that is dropped takes its load with
//!   it; a caller that waited starts one of its own. A panic reaches its own caller
//!   as a panic and the others as an error, and the key is usable at once.
//! - **Freshness.** [`remove`], [`invalidate_tag`] and [`flush`] reach entries and
//!   loads in progress alike, at their first poll. A load that was overtaken, by
//!   these or by a [`put`], gives its value to those who wait for it and is not
//!   stored.
//! - **Types.** A key holds one type. Reading it as another is an error that names
//!   both: never garbage, never a silent miss.
//! - **Windows.** After its time to live a value may be served while it is loaded anew, or
//!   if that fails, for as long as its options say and not an instant longer.
//! - **Counts.** What leaves is counted once, for the reason it left. See
//!   [`CacheStats`].
//! - **Independence.** No runtime, no thread: everything happens in the calls of the
//!   callers, unless they give the cache a [`Spawn`]. Time comes from a [`Clock`], and
//!   timeouts from a [`Timer`], that tests can hold still.
//! - **No foreign code under a lock** of the cache, save [`Clock::now`]: values, codecs,
//!   loaders, timers, spawners and wakers may call it.
//!
//! # Trade-offs
//!
//! - Values are stored encoded. A read decodes a value of its own; in return there is
//!   nothing to share, values need not be `Clone`, `Send` or `'static`, and [`get_bytes`]
//!   copies nothing. A [`TypedCache`] keeps the value as well, and hands out an `Arc`.
//! - A load runs inside the call that started it. It may borrow and need not be
//!   `Send`; it stops when that call is dropped, and it waits while that call is
//!   not polled. [`get_or_refresh`] takes a loader over, and can do better.
//! - Expired entries give their memory back when something is written, not at the
//!   tick of a timer.
//! - A cache for fewer than 16,384 entries is behind one lock, which readers share; a
//!   larger one is behind up to 64.
//! - What is stored is in memory of its own: bytes that others share are copied.
//! - Keys are text; those of a [`TypedCache`] are whatever serde can write.
//!
//! # When not to use it
//!
//! For values that are shared rather than read (connections, locks, handles), or
//! that must be evicted by an event, keep a map of `Arc`s. For a cache that several
//! processes share, use a server.
//!
//! # Features
//!
//! - `async-io`, on by default: `AsyncIoTimer`, which timeouts go by where the builder was
//!   given no other timer. Its first use starts the one thread of that crate. Without the
//!   feature ten dependencies fewer are built.
//!
//! - `testing`: the module `testing`, a simulation for tests of your own service.
//!
//! `bytes` and `serde` are public dependencies; a new major version of either is one of
//! this crate. The oldest Rust that builds it is 1.85.
//!
//! [`get_or_refresh`]: HydraCache::get_or_refresh
//! [`remove`]: HydraCache::remove
//! [`invalidate_tag`]: HydraCache::invalidate_tag
//! [`flush`]: HydraCache::flush
//! [`put`]: HydraCache::put
//! [`get_bytes`]: HydraCache::get_bytes

#![forbid(unsafe_code)]

mod cache;
mod engine;
mod error;
mod index;
mod key;
mod load;
mod options;
mod removal;
mod runtime;
mod shard;
mod stats;
mod store;
mod sync;
mod tags;
#[cfg(feature = "testing")]
pub mod testing;
mod typed;
mod value;

pub use bytes::Bytes;

pub use crate::cache::{CacheBuilder, HydraCache};
pub use crate::error::{BoxError, CacheError, CacheResult};
pub use crate::key::KeyHasher;
pub use crate::load::{Fetched, Loaded, LoadedMany, Old, Source};
pub use crate::options::CacheOptions;
pub use crate::removal::RemovalCause;
#[cfg(feature = "async-io")]
pub use crate::runtime::AsyncIoTimer;
pub use crate::runtime::{BoxFuture, Clock, ManualClock, Spawn, SystemClock, Timer};
pub use crate::stats::CacheStats;
pub use crate::typed::{LoadingCache, TypedCache};
pub use crate::value::{Codec, Postcard};

// The README and the pages of `docs/` are tested like every other example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/architecture.md")]
#[doc = include_str!("../docs/design.md")]
#[doc = include_str!("../docs/errors-and-types.md")]
#[doc = include_str!("../docs/eviction.md")]
#[doc = include_str!("../docs/expiry.md")]
#[doc = include_str!("../docs/freshness.md")]
#[doc = include_str!("../docs/guarantees.md")]
#[doc = include_str!("../docs/invalidate-after-commit.md")]
#[doc = include_str!("../docs/loading.md")]
#[doc = include_str!("../docs/peers-tests.md")]
#[doc = include_str!("../docs/performance.md")]
#[doc = include_str!("../docs/reliability.md")]
#[doc = include_str!("../docs/runtimes.md")]
#[doc = include_str!("../docs/single-flight.md")]
#[doc = include_str!("../docs/tags.md")]
#[doc = include_str!("../docs/testing.md")]
#[doc = include_str!("../docs/typed.md")]
struct Pages;
