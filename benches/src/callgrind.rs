//! Instructions and locked operations of a child process, counted by callgrind.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

use crate::child::{self, BATCH};

/// The counts of a process, or of one operation.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Executed instructions.
    pub instructions: f64,
    /// Locked operations: atomic instructions that lock the bus.
    pub locked: f64,
}

/// Returns `true` if valgrind is installed; otherwise says that a bench is skipped, and returns
/// `false`.
pub fn is_installed(bench: &str) -> bool {
    let found = Command::new("valgrind").arg("--version").output().is_ok();
    if !found {
        println!("{bench}: valgrind is missing (apt-get install valgrind): skipped");
    }
    found
}

/// The counts of one operation: the difference between a child that runs one batch of the
/// operation and a child that runs two batches. `task` is the child's task without the number
/// of batches, which comes last.
pub fn of_operation(task: &[&str]) -> Result<Counts> {
    let one = of_child(task, "1")?;
    let two = of_child(task, "2")?;
    let each = |more: f64, less: f64| (more - less) / f64::from(BATCH);
    Ok(Counts {
        instructions: each(two.instructions, one.instructions),
        locked: each(two.locked, one.locked),
    })
}

fn of_child(task: &[&str], batches: &str) -> Result<Counts> {
    let mut command = Command::new("valgrind");
    command
        .args([
            "--tool=callgrind",
            "--collect-bus=yes",
            "--callgrind-out-file=/dev/null",
        ])
        .arg(env::current_exe()?)
        .args(task)
        .arg(batches);
    let output = child::output(&mut command)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    // `==17== Collected : 123456 789`, in the order of the line `Events    : Ir Ge`.
    let line = stderr
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, numbers) = line.with_context(|| format!("valgrind has counted nothing: {stderr}"))?;
    let mut numbers = numbers.split_whitespace().map(str::parse);
    let mut next = || numbers.next().context("valgrind has counted too little");
    let (instructions, locked) = (next()??, next()??);
    Ok(Counts {
        instructions,
        locked,
    })
}
