//! Benches of `hydracache` against its peers: everything in one process, round by
//! round, every answer checked.
//!
//! `README.md` says how to run them and how to read them.

pub mod bench;
pub mod child;
pub mod draw;
pub mod fill;
pub mod memory;
pub mod opt;
pub mod peer;
pub mod plot;
pub mod readers;
pub mod ready;
pub mod recording;
pub mod requests;
pub mod rounds;
pub mod settings;
pub mod table;
pub mod targets;
pub mod traces;
pub mod user;
pub mod value;
