//! Writes the time series of the slow database to a file: the data of `docs/img/replay.svg`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::Result;

use crate::slow_database::Point;

/// Writes a header, and a line for each point of each series.
pub(crate) fn write(file: File, [without, with]: [&[Point]; 2]) -> Result<()> {
    let mut file = BufWriter::new(file);
    writeln!(
        file,
        "series\tend_ms\tround_trip_ms\trequests\tp50_us\tp99_us\tdatabase_reads"
    )?;
    for (name, points) in [("without cache", without), ("with cache", with)] {
        for point in points {
            writeln!(
                file,
                "{name}\t{}\t{}\t{}\t{:.1}\t{:.1}\t{}",
                point.end.as_millis(),
                point.round_trip.as_millis(),
                point.requests,
                micros(point.latency.p50),
                micros(point.latency.p99),
                point.database_reads,
            )?;
        }
    }
    Ok(file.flush()?)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
