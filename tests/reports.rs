//! Public bug reports of other caches and of similar libraries, tried on this cache.
//!
//! `docs/reports.md` lists every report, the test here, and the result. The module `page` checks
//! that page.

#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    reason = "in a test an unexpected error is a failure"
)]

#[path = "reports/bounds.rs"]
mod bounds;
#[path = "reports/keys.rs"]
mod keys;
#[path = "reports/listing.rs"]
mod listing;
#[path = "reports/loads.rs"]
mod loads;
#[path = "reports/many.rs"]
mod many;
#[path = "reports/page.rs"]
mod page;
#[path = "it/parts.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod parts;
#[path = "it/pool.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod pool;
#[path = "it/stale.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod stale;
#[path = "it/support.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of `it`")]
mod support;
#[path = "reports/tasks.rs"]
mod tasks;
#[path = "reports/threads.rs"]
mod threads;
#[path = "reports/times.rs"]
mod times;
#[path = "reports/values.rs"]
mod values;
