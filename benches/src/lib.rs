//! Benches of `hydracache` against its peers: one process, alternating rounds, every answer
//! checked.
//!
//! `README.md` explains how to run the benches and read the figures.

pub mod bench;
pub mod callgrind;
pub mod calls;
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
