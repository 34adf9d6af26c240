//! The value of a cache in front of a real database, under a real access pattern.
//!
//! Runs twice, without a cache and with `get_or_load`. Each run has two parts.
//!
//! 1. Full speed: callers answer a stream of reads as fast as they can. The database is
//!    in this process and keeps its pages in memory, so a hit saves the few microseconds
//!    of such a read, and a miss costs the work of the cache on top.
//! 2. A slow database: requests arrive at a fixed rate, and a database read takes
//!    milliseconds, as over a network. For a third of the time the database is slower
//!    still. The cache is warm from the first part.
//!
//! Two in a hundred reads come right after a write, which updates the row and then
//! invalidates its tag. No answer that began after an invalidation may be older than
//! the write, and every answer is checked.
//!
//! `cargo run --release --example replay -- [--record FILE] [TRACE]`
#![allow(clippy::print_stdout, reason = "the tables are its purpose")]

mod arguments;
mod database;
mod full_speed;
mod link;
mod record;
mod report;
mod service;
mod slow_database;
mod stream;
mod times;
mod truth;
mod user;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use hydracache::{CacheStats, HydraCache};

use crate::arguments::{Arguments, USAGE};
use crate::database::Database;
use crate::full_speed::FullSpeed;
use crate::slow_database::SlowDatabase;
use crate::truth::Truth;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    if arguments == ["--help"] {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("error: {error:#}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match replay(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Both parts, with the cache or without.
struct Results {
    full_speed: FullSpeed,
    slow_database: SlowDatabase,
    truth: Truth,
}

fn replay(Arguments { stream, record }: Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let capacity = u64::from(stream.users / 10).max(100);
    let cache = HydraCache::local().max_capacity(capacity).build();
    report::head(&stream, capacity);

    // Both runs begin with the same rows in a new file, and the same writes follow.
    let database = Database::create(&folder.path().join("without.redb"), stream.users)?;
    let truth = Truth::new(stream.users);
    let without = Results {
        full_speed: full_speed::run(
            &stream,
            &database,
            None,
            &truth,
            "full speed, without cache",
        )?,
        slow_database: slow_database::run(
            &stream,
            &database,
            None,
            &truth,
            "slow database, without cache",
        )?,
        truth,
    };

    drop(database);
    let database = Database::create(&folder.path().join("with.redb"), stream.users)?;
    let truth = Truth::new(stream.users);
    let full_speed = full_speed::run(
        &stream,
        &database,
        Some(&cache),
        &truth,
        "full speed, with cache",
    )?;
    let (first, entries) = (cache.stats(), cache.entry_count());
    let slow_database = slow_database::run(
        &stream,
        &database,
        Some(&cache),
        &truth,
        "slow database, with cache",
    )?;
    let second = cache.stats() - first;
    let with = Results {
        full_speed,
        slow_database,
        truth,
    };

    report::slow_database([&without.slow_database, &with.slow_database], &second);
    report::full_speed([&without.full_speed, &with.full_speed], &first, entries);
    if let Some(file) = record {
        let series = [&without, &with].map(|results| &results.slow_database.points[..]);
        record::write(file, series).context("cannot write the recording")?;
    }
    let run = &with.full_speed;
    check_counters(&first, run.reads.count, run.database_reads)?;
    let run = &with.slow_database;
    check_counters(&second, run.requests, run.database_reads)?;
    for entries in [entries, cache.entry_count()] {
        ensure!(
            entries <= capacity,
            "{entries} entries, for {capacity} at most"
        );
    }
    check_answers(&without.truth, "without the cache")?;
    check_answers(&with.truth, "with the cache")
}

/// Checks the counters of a run without cancelled calls and without failed loads.
fn check_counters(stats: &CacheStats, reads: u64, database_reads: u64) -> Result<()> {
    ensure!(
        stats.hits + stats.misses == reads,
        "of {reads} reads, some were no hit and no miss, or both: {stats:?}"
    );
    ensure!(
        stats.loads + stats.single_flight_joins == stats.misses,
        "some misses did not load and did not join a load, or did both: {stats:?}"
    );
    ensure!(
        stats.loads == database_reads,
        "{database_reads} database reads, and another number of loads: {stats:?}"
    );
    Ok(())
}

fn check_answers(truth: &Truth, side: &str) -> Result<()> {
    let (answers, writes) = (
        report::count(truth.answers()),
        report::count(truth.writes()),
    );
    ensure!(
        truth.stale() == 0,
        "{} of the {answers} answers {side} were older than a write invalidated before \
         they began ({writes} writes)",
        report::count(truth.stale()),
    );
    println!(
        "verified: none of the {answers} answers {side} was older than a write \
         invalidated before it began ({writes} writes)"
    );
    Ok(())
}
