//! The locks and the `Arc` of std or of loom, chosen here and nowhere else.
//!
//! Under `--cfg loom`, a test runs the same code in every order of the threads.

#[cfg(not(loom))]
pub(crate) use std::sync::{Arc, Mutex, RwLock};

#[cfg(loom)]
pub(crate) use loom::sync::{Arc, Mutex, RwLock};
