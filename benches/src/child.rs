//! Measurements that need a process of their own, and the parent's side of them.

use std::env;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use clap::{Subcommand, ValueEnum};

use crate::draw;
use crate::fill;
use crate::memory;
use crate::peer::Contender;
use crate::requests::{Keys, Requests};
use crate::rounds::count;
use crate::value;

/// How many operations are in a batch.
pub const BATCH: u32 = 20_000;

/// What a child is to do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Task {
    /// Fills a cache and prints how much the resident set grew, for an entry.
    #[command(hide = true)]
    Resident {
        /// Which cache.
        contender: Contender,
        /// How many entries.
        entries: u32,
    },
    /// Does a number of operations under callgrind, which counts them.
    #[command(hide = true)]
    Operate {
        /// Which cache.
        contender: Contender,
        /// Which operation.
        operation: Operation,
        /// How many entries the cache holds.
        entries: u32,
        /// How many batches of them, one or two.
        batches: u32,
    },
}

/// What `instructions` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// A get that finds its key.
    Hit,
    /// An insert that evicts.
    Insert,
}

impl Task {
    /// Does it, in the child.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Resident { contender, entries } => resident(contender, entries),
            Self::Operate {
                contender,
                operation,
                entries,
                batches,
            } => {
                operate(contender, operation, entries, batches);
                Ok(())
            }
        }
    }
}

fn resident(contender: Contender, entries: u32) -> Result<()> {
    let resident = || {
        let stats = memory_stats::memory_stats().context("this system does not tell")?;
        Ok::<_, anyhow::Error>(count(stats.physical_mem))
    };
    let before = resident()?;
    let cache = memory::filled(contender, entries);
    let grown = resident()? - before;
    drop(black_box(cache));
    println!("{:.1}", grown / f64::from(entries));
    Ok(())
}

fn operate(contender: Contender, operation: Operation, entries: u32, batches: u32) {
    // Two batches are prepared, however many are done, so that only the doing differs.
    match operation {
        Operation::Hit => {
            let cache = fill::full(contender, Keys::Short, entries);
            let ids = draw::uniform(entries, BATCH as usize, 1);
            let requests = Requests::new(Keys::Short, ids);
            for _ in 0..batches {
                let bytes = cache.read(&requests);
                assert_eq!(bytes, u64::from(BATCH) * value::LENGTH as u64);
            }
        }
        Operation::Insert => {
            let puts = 2 * entries;
            let cache = fill::overfull(contender, Keys::Short, entries, puts);
            let value = value::value(0);
            let prepared = [puts, puts + BATCH]
                .map(|first| Requests::new(Keys::Short, (first..first + BATCH).collect()));
            for requests in prepared.iter().take(batches as usize) {
                cache.insert_shared(requests, &value);
            }
            fill::check_bound(contender, cache.as_ref(), entries);
        }
    }
}

/// Runs a command, and returns what it wrote if it succeeded.
pub fn output(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {said}");
    }
    Ok(output)
}

/// Runs this program again, and returns the number that it prints.
pub fn number(arguments: &[&str]) -> Result<f64> {
    let mut command = Command::new(env::current_exe()?);
    read(&output(command.args(arguments))?)
}

/// The program that counts allocations.
///
/// Counting costs every allocation some nanoseconds, so the program that measures time
/// must not be the one that counts.
#[derive(Debug)]
pub struct Counter {
    program: PathBuf,
}

impl Counter {
    /// Has cargo build it: `cargo run` has built this program only.
    pub fn build() -> Result<Self> {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--bin", "counted"]);
        output(cargo.args(["--manifest-path", manifest]))?;
        let name = format!("counted{}", env::consts::EXE_SUFFIX);
        let program = env::current_exe()?.with_file_name(name);
        Ok(Self { program })
    }

    /// Runs it, and returns the number that it prints.
    pub fn number(&self, arguments: &[&str]) -> Result<f64> {
        read(&output(Command::new(&self.program).args(arguments))?)
    }
}

fn read(output: &Output) -> Result<f64> {
    let text = str::from_utf8(&output.stdout)?.trim();
    text.parse()
        .with_context(|| format!("{text:?} is no number"))
}
