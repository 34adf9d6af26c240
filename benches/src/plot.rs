//! Draws plots as SVG into `docs/img/` of the library.

mod recording;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use recording::recording;

const WIDTH: u32 = 860;
const FONT: &str = "sans-serif";

/// Blue, orange, green and so on: colours that colour-blind people can tell apart.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
    RGBColor(180, 160, 40),
];

/// A line: the name, and the points from left to right.
pub type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// Draws lines over a numeric axis.
pub fn lines(file: &str, title: &str, below: &str, lines: &[Line<'_>]) -> Result<()> {
    let all = || lines.iter().flat_map(|(_, points)| points);
    let (left, right) = (
        minimum(all().map(|point| point.0)),
        maximum(all().map(|point| point.0)),
    );
    let margin = 0.03 * (right - left);
    // Space above the lines for the legend.
    let top = 1.5 * maximum(all().map(|point| point.1));
    draw(file, 460, |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(left - margin..right + margin, 0.0..top)?;
        let mut mesh = chart.configure_mesh();
        let mesh = mesh.disable_x_mesh().max_light_lines(0).x_desc(below);
        mesh.y_label_formatter(&|value| format!("{value:.0}"))
            .draw()?;
        for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            let line = line.point_size(4);
            let legend = |(x, y)| Rectangle::new([(x, y - 4), (x + 14, y + 4)], colour.filled());
            chart.draw_series(line)?.label(*name).legend(legend);
        }
        let legend = &mut chart.configure_series_labels();
        let legend = legend.position(SeriesLabelPosition::UpperLeft);
        legend.border_style(BLACK).background_style(WHITE).draw()?;
        Ok(())
    })
}

/// Draws a bar for each name; bars of hydracache have another colour.
pub fn bars(file: &str, title: &str, bars: &[(&str, f64)]) -> Result<()> {
    let right = maximum(bars.iter().map(|bar| bar.1)) * 1.1;
    let rows = bars.len();
    let height = 80 + 20 * u32::try_from(rows)?;
    draw(file, height, |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 20))
            .margin(12)
            .x_label_area_size(30)
            .y_label_area_size(240)
            .build_cartesian_2d(0.0..right, (0..rows - 1).into_segmented())?;
        // The first bar is at the top, but the axis counts from the bottom.
        let name = |row: &SegmentValue<usize>| match row {
            SegmentValue::CenterOf(row) => bars[rows - 1 - row].0.to_owned(),
            _ => String::new(),
        };
        let mut mesh = chart.configure_mesh();
        let mesh = mesh.disable_y_mesh().x_max_light_lines(0);
        let mesh = mesh.y_labels(rows).y_label_formatter(&name);
        mesh.x_label_formatter(&|value| format!("{value:.0}"))
            .draw()?;
        let label_style = (FONT, 14)
            .into_text_style(area)
            .pos(Pos::new(HPos::Left, VPos::Center));
        for (at, &(name, value)) in bars.iter().enumerate() {
            let ours = name.starts_with("hydracache");
            let colour = COLOURS[if ours { 0 } else { 6 }];
            let row = rows - 1 - at;
            let (from, to) = (SegmentValue::Exact(row), SegmentValue::Exact(row + 1));
            let mut bar = Rectangle::new([(0.0, from), (value, to)], colour.filled());
            bar.set_margin(3, 3, 0, 0);
            chart.draw_series([bar])?;
            let end = (value, SegmentValue::CenterOf(row));
            chart.draw_series([Text::new(format!(" {value:.0}"), end, &label_style)])?;
        }
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw(file: &str, height: u32, content: impl FnOnce(&Area<'_>) -> Drawn<'static>) -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/img");
    fs::create_dir_all(&folder)?;
    let path = folder.join(file);
    let area = SVGBackend::new(&path, (WIDTH, height)).into_drawing_area();
    let drawn = area
        .fill(&WHITE)
        .and_then(|()| content(&area))
        .and_then(|()| area.present());
    drawn.map_err(|error| anyhow!("cannot draw {file}: {error}"))?;
    println!("drew docs/img/{file}");
    Ok(())
}

fn maximum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn minimum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, f64::min)
}
