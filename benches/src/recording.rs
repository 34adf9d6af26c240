//! A recording of `examples/replay`: the time series of its slow database.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The run with the cache, or the run without.
#[derive(Debug)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// From left to right.
    pub points: Vec<Point>,
}

/// A span of time, with everything that happened in it. Times are in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The begin of the span, since the start.
    pub begin: f64,
    /// The end of the span.
    pub end: f64,
    /// The time of a database read, in whole milliseconds.
    pub round_trip: u32,
    /// The median latency of the requests.
    pub p50: f64,
    /// The 99th percentile of the latencies.
    pub p99: f64,
    /// Database reads a second.
    pub database_reads: f64,
}

/// Reads a recording: a header, then a line for each point.
pub fn read(path: &Path) -> Result<Vec<Series>> {
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let mut all: Vec<Series> = Vec::new();
    for (at, line) in text.lines().enumerate().skip(1) {
        add(&mut all, line).with_context(|| format!("line {} of {name}", at + 1))?;
    }
    if all.is_empty() {
        bail!("{name} has no points");
    }
    Ok(all)
}

fn add(all: &mut Vec<Series>, line: &str) -> Result<()> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, end, round_trip, _requests, p50, p99, reads] = fields[..] else {
        bail!("{} fields, not 7", fields.len());
    };
    if all.last().is_none_or(|series| series.name != name) {
        all.push(Series {
            name: name.to_owned(),
            points: Vec::new(),
        });
    }
    let points = &mut all.last_mut().expect("just pushed").points;
    let begin = points.last().map_or(0.0, |point| point.end);
    let end = end.parse::<f64>()? / 1e3;
    points.push(Point {
        begin,
        end,
        round_trip: round_trip.parse()?,
        p50: p50.parse::<f64>()? / 1e6,
        p99: p99.parse::<f64>()? / 1e6,
        database_reads: reads.parse::<f64>()? / (end - begin),
    });
    Ok(())
}
