//! Runs benches: `cargo run --release --manifest-path benches/Cargo.toml -- [NAME]...`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use hydracache_benches::bench::Bench;
use hydracache_benches::child::Task;
use hydracache_benches::plot;
use hydracache_benches::recording;
use hydracache_benches::settings::Settings;
use hydracache_benches::targets::Targets;

/// Benches of hydracache against its peers. Without a name, all of them run.
#[derive(Debug, Parser)]
#[command(bin_name = "benches", args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The benches to run.
    names: Vec<Bench>,
    /// A run of a few seconds that only checks that everything works: the figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Draw plots into docs/img/.
    #[arg(long)]
    plots: bool,
    /// A folder of recorded traces for `ratio`: NAME.u32, little-endian u32 ids.
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the benches.
    List,
    /// Draws docs/img/replay.svg from a recording of `examples/replay --record FILE`.
    Draw {
        /// The recording.
        file: PathBuf,
    },
    #[command(flatten)]
    Child(Task),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::List) => {
            list();
            Ok(())
        }
        Some(Command::Draw { file }) => plot::recording("replay.svg", &recording::read(&file)?),
        Some(Command::Child(task)) => task.run(),
        None => run(arguments),
    }
}

fn list() {
    for bench in Bench::value_variants() {
        let value = bench.to_possible_value().expect("no bench is skipped");
        let help = value.get_help().map(ToString::to_string);
        println!("{:14}{}", value.get_name(), help.unwrap_or_default());
    }
}

fn run(arguments: Arguments) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("figures of a debug build mean nothing: add --release");
    }
    let Arguments {
        mut names,
        quick,
        plots,
        traces,
        ..
    } = arguments;
    if names.is_empty() {
        names = Bench::value_variants().to_vec();
    }
    let settings = Settings {
        quick,
        plots,
        traces,
    };
    let mut targets = Targets::default();
    if quick {
        println!("a quick run: every answer is checked, but the figures mean nothing");
    }
    for bench in names {
        bench
            .run(&settings, &mut targets)
            .with_context(|| format!("{bench:?} failed"))?;
    }
    targets.print();
    Ok(())
}
