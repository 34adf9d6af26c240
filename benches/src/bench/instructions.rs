//! Instructions and locked operations of a hit and of an evicting insert.
//!
//! callgrind counts, so neither other work of the machine nor its clock matters. One child
//! process runs one batch of operations, another runs two; the difference excludes the start
//! and the filling. Instructions are not time: most of a hit is waiting for memory.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::child::{self, BATCH, Operation};
use crate::peer::Contender;
use crate::settings::Settings;
use crate::table::Table;
use crate::targets::Targets;

const CONTENDERS: [Contender; 8] = [
    Contender::Hydra,
    Contender::HydraTtl,
    Contender::HydraTags,
    Contender::Quick,
    Contender::Moka,
    Contender::Foyer,
    Contender::Cached,
    Contender::Floor,
];

/// Counts by callgrind.
struct Counts {
    instructions: f64,
    locked: f64,
}

/// Runs the bench.
pub fn run(settings: &Settings, _targets: &mut Targets) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: valgrind is missing (apt-get install valgrind): skipped");
        return Ok(());
    }
    // Above 16,384 hydracache is sharded, as with 100,000 entries.
    let entries = settings.size(20_000, 1_000);
    let columns = ["", "hit", "locked", "evicting insert", "locked"];
    let mut table = Table::new("instructions and locked operations of a call", &columns);
    for contender in CONTENDERS {
        let mut cells = vec![contender.name().into()];
        for operation in [Operation::Hit, Operation::Insert] {
            if operation == Operation::Insert && !contender.is_bounded() {
                cells.extend(["-".into(), "-".into()]);
                continue;
            }
            let [one, two] = [1, 2].map(|batches| count(contender, operation, entries, batches));
            let (one, two) = (one?, two?);
            let each = |more: f64, less: f64| (more - less) / f64::from(BATCH);
            cells.push(format!("{:.0}", each(two.instructions, one.instructions)));
            cells.push(format!("{:.1}", each(two.locked, one.locked)));
        }
        table.row(cells);
    }
    table.print();
    Ok(())
}

fn count(contender: Contender, operation: Operation, entries: u32, batches: u32) -> Result<Counts> {
    let operation = operation.to_possible_value().expect("none is skipped");
    let mut command = Command::new("valgrind");
    command
        .args([
            "--tool=callgrind",
            "--collect-bus=yes",
            "--callgrind-out-file=/dev/null",
        ])
        .arg(env::current_exe()?)
        .args(["operate", &contender.argument(), operation.get_name()])
        .args([entries.to_string(), batches.to_string()]);
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
