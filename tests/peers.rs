//! Behaviours checked by the test suites of other caches, tested on this cache.
//!
//! `docs/peers-tests.md` lists every behaviour, suite by suite: tested before, tested here, or
//! not applicable. The module `page` checks that page.

#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

#[path = "peers/caffeine.rs"]
mod caffeine;
#[path = "peers/caffeine_writes.rs"]
mod caffeine_writes;
#[path = "peers/moka.rs"]
mod moka;
#[path = "peers/page.rs"]
mod page;
#[path = "it/parts.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod parts;
#[path = "it/pool.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod pool;
#[path = "peers/quick_cache.rs"]
mod quick_cache;
#[path = "peers/singleflight.rs"]
mod singleflight;
#[path = "it/stale.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod stale;
#[path = "it/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod support;
#[path = "peers/threads.rs"]
mod threads;
