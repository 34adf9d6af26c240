//! The cache in front of a real database, under a real access pattern.
//!
//! Fills a database with users and answers a stream of look-ups twice: from the
//! database alone, then through `get_or_load`. Two in a hundred look-ups come right
//! after a write, which updates the row and then invalidates its tag. No answer that
//! began after an invalidation may be older than its write, and every answer is
//! checked.
//!
//! The database is in this process and keeps its pages in memory, so a hit saves the
//! few microseconds of such a read, and a miss costs the work of the cache on top.
//! What a database over a network would be spared is the difference in loads.
//!
//! `cargo run --release --example replay [TRACE]`
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

mod database;
mod report;
mod run;
mod service;
mod stream;
mod user;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use hydracache::HydraCache;

use crate::database::Database;
use crate::run::Run;
use crate::service::Service;
use crate::stream::Stream;

const USAGE: &str = "\
usage: cargo run --release --example replay [TRACE]

TRACE is a file of little-endian u32 keys, one a look-up, such as one of
../shared/traces/*.u32. Without it, a Zipf stream is drawn from a fixed seed.";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if arguments == ["--help"] {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let stream = match choose(&arguments) {
        Ok(stream) => stream,
        Err(error) => {
            eprintln!("error: {error:#}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match replay(&stream) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn choose(arguments: &[OsString]) -> Result<Stream> {
    match arguments {
        [] => Stream::zipf(),
        [path] => Stream::trace(Path::new(path)),
        _ => bail!("{} arguments: give one trace, or none", arguments.len()),
    }
}

fn replay(stream: &Stream) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let database = Database::create(&folder.path().join("users.redb"))?;
    let capacity = u64::from(stream.users / 10).max(100);
    let cache = HydraCache::local().max_capacity(capacity).build();

    // Both phases begin with the same rows, and the same writes follow.
    database.fill(stream.users)?;
    let alone = run::run(stream, &Service::new(&database, None), "database alone")?;
    database.fill(stream.users)?;
    let service = Service::new(&database, Some(&cache));
    let cached = run::run(stream, &service, "through the cache")?;

    report::table(stream, capacity, [&alone, &cached], &cache);
    check_counters(&cache, capacity, cached.lookups)?;
    check_answers(&alone, stream.writes, "the database alone")?;
    check_answers(&cached, stream.writes, "the cache")
}

/// What holds of the counters when no call was dropped and none has failed.
fn check_counters(cache: &HydraCache, capacity: u64, lookups: u64) -> Result<()> {
    let stats = cache.stats();
    ensure!(
        stats.hits + stats.misses == lookups,
        "of {lookups} look-ups, some were no hit and no miss, or both: {stats:?}"
    );
    ensure!(
        stats.loads + stats.single_flight_joins == stats.misses,
        "some misses did not load and did not join a load, or did both: {stats:?}"
    );
    let held = cache.entry_count();
    ensure!(held <= capacity, "{held} entries, for {capacity} at most");
    Ok(())
}

fn check_answers(run: &Run, writes: u64, source: &str) -> Result<()> {
    let (lookups, writes) = (report::count(run.lookups), report::count(writes));
    ensure!(
        run.stale == 0,
        "{} of the {lookups} answers of {source} were older than a write invalidated \
         before they began ({writes} writes)",
        report::count(run.stale),
    );
    println!(
        "verified: none of the {lookups} answers of {source} was older than a write \
         invalidated before it began ({writes} writes)"
    );
    Ok(())
}
