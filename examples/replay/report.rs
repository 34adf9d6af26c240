//! The output: a bar while the replay works, and two tables at the end.

use std::time::Duration;

use hydracache::CacheStats;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::full_speed::{CALLERS, FullSpeed};
use crate::slow_database::{CONNECTIONS, RATE, ROUND_TRIPS, STAGE, SlowDatabase};
use crate::stream::Stream;
use crate::times::{Latency, Summary};

/// A bar on stderr; none if that is not a terminal.
pub(crate) fn bar(title: &'static str, length: u64) -> ProgressBar {
    let template = "{msg:32} {bar:30} {human_pos} of {human_len}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(length)
        .with_message(title)
        .with_style(style)
}

pub(crate) fn head(stream: &Stream, capacity: u64) {
    println!(
        "{}: {} reads of {} users, {} of them right after a write.",
        stream.title,
        count(stream.lookups.len() as u64),
        count(stream.users.into()),
        count(stream.writes),
    );
    println!("The cache holds up to {} entries.", count(capacity));
}

pub(crate) fn slow_database([without, with]: [&SlowDatabase; 2], stats: &CacheStats) {
    println!(
        "\nA SLOW DATABASE: {} requests a second, {CONNECTIONS} connections to the \
         database.\nThe latency of a request includes the wait for a connection.\n",
        count(RATE.into()),
    );
    columns();
    let reads = [without.database_reads, with.database_reads];
    sources("requests", [without.requests, with.requests], reads, stats);
    for (at, round_trip) in ROUND_TRIPS.iter().enumerate() {
        let name = ["first", "next", "last"][at];
        let (seconds, millis) = (STAGE.as_secs(), round_trip.as_millis());
        println!("{name} {seconds} s: a database read takes {millis} ms");
        latency([without.latencies[at], with.latencies[at]]);
    }
}

pub(crate) fn full_speed([without, with]: [&FullSpeed; 2], stats: &CacheStats, entries: u64) {
    println!("\nFULL SPEED: {CALLERS} callers on one thread, the database in this process.");
    println!("A latency includes the turns of the other callers.\n");
    columns();
    let counts = [without.reads.count, with.reads.count];
    let reads = [without.database_reads, with.database_reads];
    sources("reads", counts, reads, stats);
    times([(without, &without.reads), (with, &with.reads)]);
    row("writes", [without, with].map(|run| count(run.writes.count)));
    times([(without, &without.writes), (with, &with.writes)]);
    row(
        "loads fenced by a write",
        [none(), count(stats.stale_load_discards)],
    );
    row("entries at the end", [none(), count(entries)]);
    println!();
}

/// How many answers there were, and from where.
fn sources(title: &str, answers: [u64; 2], database_reads: [u64; 2], stats: &CacheStats) {
    let [all, rest] = [answers[1], database_reads[1]];
    let saved = all.saturating_sub(rest);
    row(title, answers.map(count));
    row("  found in the cache", [none(), count(stats.hits)]);
    row(
        "  joined another load",
        [none(), count(stats.single_flight_joins)],
    );
    row("  database reads", database_reads.map(count));
    row(
        "  database reads saved",
        [
            none(),
            format!("{} ({})", count(saved), percent(saved, all)),
        ],
    );
    let each = [(database_reads[0], answers[0]), (rest, all)];
    row(
        "  database reads per answer",
        each.map(|(part, whole)| format!("{:.2}", ratio(part, whole))),
    );
}

/// The latency of an operation, and the time inside all of them.
fn times(runs: [(&FullSpeed, &Summary); 2]) {
    latency(runs.map(|(_, summary)| summary.latency));
    let total = runs.map(|(run, summary)| {
        let share = summary.busy.as_secs_f64() / run.elapsed.as_secs_f64();
        format!("{} ({:.0} %)", time(summary.busy), 100.0 * share)
    });
    row("  time, share of the run", total);
}

fn latency(latencies: [Latency; 2]) {
    row("  p50", latencies.map(|latency| time(latency.p50)));
    row("  p99", latencies.map(|latency| time(latency.p99)));
}

fn columns() {
    row("", ["without cache".into(), "with cache".into()]);
}

fn row(title: &str, [without, with]: [String; 2]) {
    println!("{title:30}{without:>16}{with:>20}");
}

fn none() -> String {
    "-".into()
}

/// A number with commas: 5,000,000.
pub(crate) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * ratio(part, whole))
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1e-3 {
        format!("{:.1} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}
