//! The locks and the `Arc` of std or of loom, chosen here and nowhere else.
//!
//! Under `--cfg hydracache_loom`, a test runs the same code in every order of the threads. The
//! name is our own: a service may build the whole tree under `--cfg loom`, for tests of its own,
//! and then the cache must build with the locks of std.

// Without `loom`, the waiting would run on real atomics, and loom would not see these steps.
#[cfg(all(hydracache_loom, not(loom)))]
compile_error!("`--cfg hydracache_loom` needs `--cfg loom` too: `async-lock` has no other flag");

#[cfg(not(hydracache_loom))]
pub(crate) use std::sync::{Arc, Mutex, RwLock};

#[cfg(hydracache_loom)]
pub(crate) use loom::sync::{Arc, Mutex, RwLock};
