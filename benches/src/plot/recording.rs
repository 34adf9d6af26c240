//! Draws a recording of `examples/replay`: latencies above, database reads below.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, COLOURS, Drawn, FONT, draw, maximum};
use crate::recording::{Point, Series};

/// Orange without the cache, blue with the cache.
const WITHOUT_AND_WITH: [RGBColor; 2] = [COLOURS[4], COLOURS[0]];
/// The background while the database is slow.
const BAND: RGBColor = RGBColor(238, 238, 232);

/// Draws the series into `docs/img/`, one panel above the other.
pub fn recording(file: &str, all: &[Series]) -> Result<()> {
    draw(file, 560, |area| {
        let (above, below) = area.split_vertically(330);
        latencies(&above, all)?;
        database_reads(&below, all)
    })
}

fn latencies(area: &Area<'_>, all: &[Series]) -> Drawn<'static> {
    let (bottom, top) = (0.8e-6, 100.0);
    let mut chart = ChartBuilder::on(area)
        .caption("Latency of a request (thick: p50, thin: p99)", (FONT, 20))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(24)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end(all), (bottom..top).log_scale())?;
    for (stage, slow) in stages(all) {
        if slow {
            let corners = [(stage.begin, bottom), (stage.end, top)];
            chart.draw_series([Rectangle::new(corners, BAND.filled())])?;
        }
        let text = format!("a database read takes {} ms", stage.round_trip);
        let place = (stage.begin + 0.05, top / 1.5);
        chart.draw_series([Text::new(text, place, (FONT, 15))])?;
    }
    let mut mesh = chart.configure_mesh();
    let mesh = mesh.disable_x_mesh().y_max_light_lines(0).y_labels(9);
    let mesh = mesh.x_labels(7).label_style((FONT, 15));
    mesh.x_label_formatter(&|seconds| format!("{seconds:.0} s"))
        .y_label_formatter(&|seconds| time(*seconds))
        .draw()?;
    for (series, colour) in all.iter().zip(WITHOUT_AND_WITH) {
        let points = || series.points.iter();
        let p99 = points().map(|point| (middle(point), point.p99));
        chart.draw_series(LineSeries::new(p99, colour.stroke_width(1)))?;
        let p50 = points().map(|point| (middle(point), point.p50));
        chart.draw_series(LineSeries::new(p50, colour.stroke_width(4)))?;
        // Above the thick line, and above the thin line if the two are far apart.
        let slow = stages(all).find(|(_, slow)| *slow).map(|(stage, _)| stage);
        let Some(slow) = slow else { continue };
        let inside = || points().filter(|point| slow.begin <= point.begin && point.end <= slow.end);
        let p50 = maximum(inside().map(|point| point.p50));
        let p99 = maximum(inside().map(|point| point.p99));
        let name = &series.name;
        let labels = if p99 > 10.0 * p50 {
            vec![(format!("{name}, p50"), p50), (format!("{name}, p99"), p99)]
        } else {
            vec![(name.clone(), p99)]
        };
        let style = (FONT, 17).into_text_style(area).color(&colour);
        let style = style.pos(Pos::new(HPos::Center, VPos::Bottom));
        for (text, latency) in labels {
            let place = (f64::midpoint(slow.begin, slow.end), 1.6 * latency);
            chart.draw_series([Text::new(text, place, &style)])?;
        }
    }
    Ok(())
}

fn database_reads(area: &Area<'_>, all: &[Series]) -> Drawn<'static> {
    let points = all.iter().flat_map(|series| &series.points);
    let top = 1.1 * maximum(points.map(|point| point.database_reads));
    let mut chart = ChartBuilder::on(area)
        .caption("Database reads a second", (FONT, 20))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(24)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end(all), 0.0..top)?;
    for (stage, _) in stages(all).filter(|(_, slow)| *slow) {
        let corners = [(stage.begin, 0.0), (stage.end, top)];
        chart.draw_series([Rectangle::new(corners, BAND.filled())])?;
    }
    let mut mesh = chart.configure_mesh();
    let mesh = mesh.disable_x_mesh().y_max_light_lines(0).y_labels(6);
    let mesh = mesh.x_labels(7).label_style((FONT, 15));
    mesh.x_label_formatter(&|seconds| format!("{seconds:.0} s"))
        .y_label_formatter(&|reads| format!("{reads:.0}"))
        .draw()?;
    for (series, colour) in all.iter().zip(WITHOUT_AND_WITH) {
        let points = series.points.iter();
        let points = points.map(|point| (middle(point), point.database_reads));
        chart.draw_series(LineSeries::new(points, colour.stroke_width(4)))?;
        let Some(first) = series.points.first() else {
            continue;
        };
        let style = (FONT, 17).into_text_style(area).color(&colour);
        let style = style.pos(Pos::new(HPos::Left, VPos::Bottom));
        let place = (middle(first), first.database_reads + 0.05 * top);
        chart.draw_series([Text::new(series.name.clone(), place, &style)])?;
    }
    Ok(())
}

/// The spans with equal times of a database read. A span is slow if the time is longer
/// than in the first span.
fn stages(all: &[Series]) -> impl Iterator<Item = (Point, bool)> {
    let mut stages: Vec<Point> = Vec::new();
    for &point in all.first().into_iter().flat_map(|series| &series.points) {
        match stages.last_mut() {
            Some(last) if last.round_trip == point.round_trip => last.end = point.end,
            _ => stages.push(point),
        }
    }
    let normal = stages.first().map_or(0, |stage| stage.round_trip);
    stages
        .into_iter()
        .map(move |stage| (stage, stage.round_trip > normal))
}

/// The end of the last span, in seconds.
fn end(all: &[Series]) -> f64 {
    let points = all.iter().flat_map(|series| &series.points);
    maximum(points.map(|point| point.end))
}

fn middle(point: &Point) -> f64 {
    f64::midpoint(point.begin, point.end)
}

fn time(seconds: f64) -> String {
    if seconds < 0.9e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 0.9 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.0} s")
    }
}
