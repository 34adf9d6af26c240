//! The locks and the shared pointer, of std or of loom: chosen here and nowhere else.
//!
//! Under `--cfg loom` every order of the threads of a test is tried, over the very
//! code that runs otherwise.

#[cfg(not(loom))]
pub(crate) use std::sync::{Arc, Mutex, RwLock};

#[cfg(loom)]
pub(crate) use loom::sync::{Arc, Mutex, RwLock};
