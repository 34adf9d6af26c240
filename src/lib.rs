//! A local async cache for services, on any runtime or none. The main rule: a value read after an
//! invalidation returned was loaded or put after that invalidation began.
//!
//! ```
//! use hydracache::{CacheError, CacheOptions, HydraCache};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), CacheError> {
//!     let cache = HydraCache::local().max_capacity(10_000).build();
//!     let options = CacheOptions::new().tag("users");
//!     let load = || async { Ok::<_, std::io::Error>(String::from("Ada")) }; // ask the database
//!
//!     assert_eq!(cache.get_or_load("user:7", options, load).await?, "Ada");
//!     assert_eq!(cache.get::<String>("user:7").await?.as_deref(), Some("Ada")); // a hit
//!
//!     assert_eq!(cache.invalidate_tag("users").await?, 1); // after a change in the database
//!     assert_eq!(cache.get::<String>("user:7").await?, None);
//!     Ok(())
//! }
//! ```
//!
//! Every executor works: tokio, smol, async-std, or a plain `block_on`.
//!
//! # Guarantees
//!
//! - **Single load.** If many callers miss a key at once, a single loader runs, and all callers get
//!   the same value or the same error. If the leader (the call with this loader) is dropped, the
//!   load ends, and a waiter starts another load. A panic in the loader unwinds through the leader;
//!   the waiters get an error, and the key is usable at once.
//! - **Freshness.** The first poll of [`remove`], [`invalidate_tag`] or [`flush`] affects entries
//!   and running loads alike. A load fenced by such a call, or by a [`put`], returns the value to
//!   the leader and to the current waiters, and stores nothing.
//! - **Types.** A key holds a single type. A read as another type is an error with both names:
//!   never a silent miss. Loading verbs and `update` refuse a value that would be read back as
//!   another value; [`put`] cannot read, and [`Postcard`] lists the affected types.
//! - **Windows.** After the time to live, a stale value may be served during a load, or if the load
//!   fails: exactly as long as the options of the entry allow.
//! - **Exact statistics.** Each evicted, expired or invalidated entry is counted once, under the
//!   reason for the removal. See [`CacheStats`].
//! - **Independence.** The cache needs no runtime and starts no thread (the default timer does, at
//!   the first timeout): all work runs inside the calls of the callers, unless the builder gets a
//!   [`Spawn`]. Time comes from a [`Clock`] and timeouts from a [`Timer`]; tests control both.
//! - **No foreign code under a lock** of the cache, except [`Clock::now`]: values, codecs, loaders,
//!   timers, spawners and wakers may call the cache.
//!
//! # Trade-offs
//!
//! - Values are stored encoded, and each read decodes a new value. In return, values need not be
//!   `Clone`, `Send` or `'static`, and [`get_bytes`] copies nothing. A [`TypedCache`] stores the
//!   decoded value too, and hands out an `Arc`.
//! - A load runs inside the call of the leader. So the loader may borrow and need not be `Send`;
//!   the load stops if the call is dropped, and pauses while the call is not polled.
//!   [`get_or_refresh`] takes ownership of the loader, and can load in the background.
//! - Expired entries give memory back during later writes, not at the tick of a timer.
//! - A cache for fewer than 16,384 entries has a single lock, shared by readers. A larger cache has
//!   up to 64 locks.
//! - A stored value has memory of its own: bytes shared with others are copied.
//! - Keys are text. The keys of a [`TypedCache`] are any type that serde can serialize.
//!
//! # When not to use it
//!
//! - Values to be shared, not read (connections, locks, handles), or to be evicted by an event: use
//!   a map of `Arc`s.
//! - A cache shared by several processes: use a server.
//!
//! # Features
//!
//! - `async-io`, on by default: `AsyncIoTimer`, the timer for timeouts if the builder gets no other
//!   timer. The first use starts the single thread of the crate async-io. Without this feature, ten
//!   fewer dependencies are built. On wasm and under `--cfg loom` the feature adds nothing.
//! - `testing`: the module `testing`, a simulation for tests of a service.
//!
//! `bytes` and `serde` are public dependencies: a new major version of either means a new major
//! version of this crate.
//!
//! # MSRV
//!
//! The oldest supported Rust version is 1.85: the library builds with it (checked by hand, not yet in
//! CI). The tests and examples need 1.90.
//!
//! # Targets
//!
//! Every target of std with 64-bit atomics. On wasm there is no default timer, and on
//! `wasm32-unknown-unknown` no default clock: see [`SystemClock`]. The page `docs/runtimes.md` lists
//! the checked targets.
//!
//! [`get_or_refresh`]: HydraCache::get_or_refresh
//! [`remove`]: HydraCache::remove
//! [`invalidate_tag`]: HydraCache::invalidate_tag
//! [`flush`]: HydraCache::flush
//! [`put`]: HydraCache::put
//! [`get_bytes`]: HydraCache::get_bytes

#![forbid(unsafe_code)]

// Times and counters are 64 bits wide, and every thread writes them.
#[cfg(not(target_has_atomic = "64"))]
compile_error!(
    "hydracache needs atomic integers of 64 bits, and this target has none \
     (32-bit PowerPC and MIPS, ARMv5, ..): see \"Targets\" in docs/runtimes.md"
);

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

// The whole public API. The modules are private, so every item has a single path.
pub use bytes::Bytes;

pub use crate::cache::{CacheBuilder, HydraCache, WeakHydraCache};
pub use crate::error::{BoxError, CacheError, CacheResult};
pub use crate::key::KeyHasher;
pub use crate::load::{Fetched, Loaded, LoadedMany, Old, Source};
pub use crate::options::CacheOptions;
pub use crate::removal::RemovalCause;
#[cfg(all(feature = "async-io", not(any(loom, target_family = "wasm"))))]
pub use crate::runtime::AsyncIoTimer;
pub use crate::runtime::{BoxFuture, Clock, ManualClock, Spawn, SystemClock, Timer};
pub use crate::stats::CacheStats;
pub use crate::typed::{LoadingCache, TypedCache};
pub use crate::value::{Codec, Postcard};

// The README and the pages of `docs/` are doctests, so that no example in prose can rot. The
// struct exists under `cargo test --doc` only, and carries the pages as its documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/architecture.md")]
#[doc = include_str!("../docs/coming-from-moka.md")]
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
#[doc = include_str!("../docs/reports.md")]
#[doc = include_str!("../docs/runtimes.md")]
#[doc = include_str!("../docs/single-flight.md")]
#[doc = include_str!("../docs/tags.md")]
#[doc = include_str!("../docs/testing.md")]
#[doc = include_str!("../docs/typed.md")]
struct Pages;
