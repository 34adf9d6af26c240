//! Measurements in a child process, and the functions that start the child.

use std::env;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use clap::{Subcommand, ValueEnum};

use crate::calls::Call;
use crate::draw;
use crate::fill;
use crate::memory;
use crate::peer::Contender;
use crate::requests::{Keys, Requests};
use crate::rounds::count;
use crate::value;

/// Operations in a batch.
pub const BATCH: u32 = 20_000;

/// The task of a child process.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Task {
    /// Fills a cache and prints the growth of the resident set per entry.
    #[command(hide = true)]
    Resident {
        /// The cache.
        contender: Contender,
        /// The number of entries.
        entries: u32,
    },
    /// Runs batches of an operation under callgrind, which counts instructions.
    #[command(hide = true)]
    Operate {
        /// The cache.
        contender: Contender,
        /// The operation.
        operation: Operation,
        /// The number of entries in the cache.
        entries: u32,
        /// The number of batches: one or two.
        batches: u32,
    },
    /// Runs batches of a call of hydracache under callgrind.
    #[command(hide = true)]
    Call {
        /// The call.
        call: Call,
        /// The number of entries in the cache.
        entries: u32,
        /// The number of batches: one or two.
        batches: u32,
    },
}

/// The operation that `instructions` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// A get that finds its key.
    Hit,
    /// An insert that evicts.
    Insert,
}

impl Task {
    /// Runs the task, in the child process.
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
            Self::Call {
                call,
                entries,
                batches,
            } => {
                call.run(entries, batches);
                Ok(())
            }
        }
    }
}

fn resident(contender: Contender, entries: u32) -> Result<()> {
    let resident = || {
        let stats = memory_stats::memory_stats().context("this system reports no resident set")?;
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
    // Always prepares two batches, so that runs differ only in the executed batches.
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

/// Runs a command and returns its output, or an error if the command fails.
pub fn output(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {stderr}");
    }
    Ok(output)
}

/// Runs this program as a child and returns the printed number.
pub fn number(arguments: &[&str]) -> Result<f64> {
    let mut command = Command::new(env::current_exe()?);
    read(&output(command.args(arguments))?)
}

/// The program that counts allocations.
///
/// Counting costs some nanoseconds per allocation, so the program that measures time must not
/// count.
#[derive(Debug)]
pub struct Counter {
    program: PathBuf,
}

impl Counter {
    /// Builds the program `counted` with cargo: `cargo run` has built only this program.
    pub fn build() -> Result<Self> {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--release", "--bin", "counted"]);
        output(cargo.args(["--manifest-path", manifest]))?;
        let name = format!("counted{}", env::consts::EXE_SUFFIX);
        let program = env::current_exe()?.with_file_name(name);
        Ok(Self { program })
    }

    /// Runs the program and returns the printed number.
    pub fn number(&self, arguments: &[&str]) -> Result<f64> {
        read(&output(Command::new(&self.program).args(arguments))?)
    }
}

fn read(output: &Output) -> Result<f64> {
    let text = str::from_utf8(&output.stdout)?.trim();
    text.parse()
        .with_context(|| format!("{text:?} is not a number"))
}
