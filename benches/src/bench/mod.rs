//! The benches, one per file.

pub mod calls;
pub mod flight;
pub mod growth;
pub mod hit;
pub mod insert;
pub mod instructions;
pub mod load;
pub mod memory;
pub mod mix;
pub mod names;
pub mod ratio;
pub mod tags;
pub mod typed;

use anyhow::Result;
use clap::ValueEnum;

use crate::settings::Settings;
use crate::targets::Targets;

/// A bench, by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// A `get_bytes` hit: tight and fenced, two kinds of keys.
    Hit,
    /// A `get::<User>` hit.
    Typed,
    /// A `get_or_load` hit, and its allocations.
    Load,
    /// An insert of a new key into a full cache.
    Insert,
    /// Two threads with nine reads to one write; two threads on one key.
    Mix,
    /// Bytes over the payload, per entry.
    Memory,
    /// Many callers of few keys, few callers of many keys.
    Flight,
    /// `invalidate_tag` of a million entries: the longest poll and the whole call.
    Tags,
    /// Calls that name 100,000 or a million tags: the whole call and the longest lock.
    Names,
    /// The share of the best possible hit ratio, on traces and drawn streams.
    Ratio,
    /// A hit in caches of a thousand to five million entries.
    Growth,
    /// Instructions and locked operations of a hit and of an insert.
    Instructions,
    /// The loading calls of hydracache: instructions, and the bytes of a future.
    Calls,
}

impl Bench {
    /// Runs the bench.
    pub fn run(self, settings: &Settings, targets: &mut Targets) -> Result<()> {
        match self {
            Self::Hit => hit::run(settings, targets),
            Self::Typed => typed::run(settings, targets),
            Self::Load => load::run(settings, targets),
            Self::Insert => insert::run(settings, targets),
            Self::Mix => mix::run(settings, targets),
            Self::Memory => memory::run(settings, targets),
            Self::Flight => flight::run(settings, targets),
            Self::Tags => tags::run(settings, targets),
            Self::Names => names::run(settings, targets),
            Self::Ratio => ratio::run(settings, targets),
            Self::Growth => growth::run(settings, targets),
            Self::Instructions => instructions::run(settings, targets),
            Self::Calls => calls::run(settings, targets),
        }
    }
}
