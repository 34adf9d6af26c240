//! The hit ratio, as a share of the best possible hit ratio.
//!
//! Each stream is replayed with a capacity of 1, 5, 10 and 25 percent of its distinct keys; a
//! missing key is inserted. The share is relative to the hits of Belady's MIN, which knows the
//! future. Two tiny caches show the effect of shards and small samples on a policy.
//!
//! No cache is forced to run its maintenance. Until its housekeeping runs, moka holds some
//! entries above its bound, which favours moka in small caches; with its pending tasks run
//! after each insert, moka would have fewer hits than for real users.

use std::collections::BTreeMap;

use anyhow::Result;
use lru::LruCache;

use crate::opt;
use crate::peer::Contender;
use crate::plot;
use crate::rounds::count;
use crate::settings::Settings;
use crate::table::Table;
use crate::targets::Targets;
use crate::traces::{self, Trace};
use crate::value;

const CACHES: [Contender; 4] = [
    Contender::Hydra,
    Contender::Quick,
    Contender::Moka,
    Contender::Foyer,
];
const COLUMNS: [&str; 5] = ["hydracache", "quick_cache", "moka", "foyer, S3-FIFO", "LRU"];
const OURS: usize = 0;
const LRU: usize = 4;
const PERCENTS: [usize; 4] = [1, 5, 10, 25];
const TINY: [usize; 2] = [64, 100];

/// A stream at one capacity.
struct Point {
    trace: String,
    family: String,
    room: String,
    /// The hit ratio of the best possible cache, in percent.
    best_possible: f64,
    /// By column: hits as a share of the hits of the best possible cache, in percent.
    shares: [f64; 5],
}

impl Point {
    /// The distance of hydracache below the best of the others.
    fn behind_best(&self) -> f64 {
        let others = &self.shares[OURS + 1..];
        others.iter().copied().fold(0.0, f64::max) - self.shares[OURS]
    }

    fn behind_lru(&self) -> f64 {
        self.shares[LRU] - self.shares[OURS]
    }
}

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let mut points = Vec::new();
    match &settings.traces {
        None => println!("{}", traces::HOW_TO),
        Some(folder) => {
            let recorded = replay(settings, &traces::recorded(folder)?, &mut points);
            print(
                "hit ratio of recorded traces: percent of the best possible",
                &recorded,
            );
            judge_recorded(&recorded, targets);
            points.extend(recorded);
        }
    }
    let ids = settings.size(50_000, 2_000);
    let length = settings.size(1_000_000, 20_000);
    let mut tiny_drawn = Vec::new();
    let drawn = replay(settings, &traces::drawn(ids, length), &mut tiny_drawn);
    print(
        "hit ratio of drawn streams: percent of the best possible",
        &drawn,
    );
    let judged: Vec<&Point> = drawn
        .iter()
        .filter(|point| point.family != "loop")
        .collect();
    let share = mean(judged.iter().map(|point| point.shares[OURS]));
    targets.at_least(
        86.0,
        share,
        "hit ratio, Zipf, scans, hot spots: percent of OPT",
    );
    points.extend(tiny_drawn);
    points.extend(drawn);
    families(settings, &points)
}

/// Replays traces at every capacity. The points of the tiny caches go to `tiny`.
fn replay(settings: &Settings, traces: &[Trace], tiny: &mut Vec<Point>) -> Vec<Point> {
    let mut points = Vec::new();
    for trace in traces {
        for percent in PERCENTS {
            let capacity = (trace.distinct as usize * percent / 100).max(1);
            points.push(point(trace, format!("{percent} %"), capacity));
        }
        for capacity in TINY {
            if !settings.quick {
                tiny.push(point(trace, capacity.to_string(), capacity));
            }
        }
    }
    points
}

fn point(trace: &Trace, room: String, capacity: usize) -> Point {
    let optimal = opt::hits(&trace.ids, trace.distinct, capacity);
    let keys: Vec<Box<str>> = (0..trace.distinct)
        .map(|id| format!("{id}").into())
        .collect();
    let value = value::value(0);
    let percent = |hits: u64, of: u64| match of {
        0 => 100.0,
        of => 100.0 * whole(hits) / whole(of),
    };
    let mut shares = [0.0; 5];
    for (share, contender) in shares.iter_mut().zip(CACHES) {
        let cache = contender.build(capacity);
        *share = percent(cache.read_through(&trace.ids, &keys, &value), optimal);
        // Peers round up to a multiple of their shards.
        let slack = if contender == Contender::Hydra { 0 } else { 16 };
        let bound = capacity as u64 + slack;
        assert!(
            cache.entries() <= bound,
            "{} exceeds {capacity}",
            contender.name()
        );
    }
    shares[LRU] = percent(lru_hits(&trace.ids, capacity), optimal);
    let (name, family) = (trace.name.clone(), trace.family.clone());
    let best_possible = percent(optimal, trace.ids.len() as u64);
    Point {
        trace: name,
        family,
        room,
        best_possible,
        shares,
    }
}

fn lru_hits(ids: &[u32], capacity: usize) -> u64 {
    let mut cache = LruCache::new(capacity.try_into().expect("a capacity of at least one"));
    let mut hits = 0;
    for &id in ids {
        hits += u64::from(cache.put(id, ()).is_some());
    }
    hits
}

fn print(title: &str, points: &[Point]) {
    let mut columns = vec!["", "room", "OPT: hits"];
    columns.extend(COLUMNS);
    columns.push("best peer");
    let mut table = Table::new(title, &columns);
    for point in points {
        let mut cells = vec![point.trace.clone(), point.room.clone()];
        cells.push(format!("{:.1} %", point.best_possible));
        cells.extend(point.shares.map(|share| format!("{share:.1}")));
        cells.push(best_peer(point).into());
        table.row(cells);
    }
    let mut cells = vec!["mean".into(), String::new(), String::new()];
    cells.extend((0..5).map(|column| format!("{:.1}", mean_share(points, column))));
    let best = points
        .iter()
        .map(|point| point.shares[OURS] + point.behind_best());
    cells.push(format!("{:.1}", mean(best)));
    table.row(cells);
    table.print();
}

fn families(settings: &Settings, points: &[Point]) -> Result<()> {
    // Tiny caches are a family of their own: in the mean of a trace they would not show.
    let mut families: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    for point in points {
        let tiny = !point.room.ends_with('%');
        families
            .entry(if tiny {
                "64 and 100 entries"
            } else {
                &point.family
            })
            .or_default()
            .push(point);
    }
    let mut columns = vec!["", "points"];
    columns.extend(COLUMNS);
    let mut table = Table::new(
        "hit ratio by family: percent of the best possible",
        &columns,
    );
    let mut bars = Vec::new();
    for (family, points) in &families {
        let means = [0, 1, 2, 3, 4].map(|column| mean(points.iter().map(|one| one.shares[column])));
        let mut cells = vec![(*family).to_owned(), points.len().to_string()];
        cells.extend(means.map(|share| format!("{share:.1}")));
        table.row(cells);
        bars.extend(
            COLUMNS
                .iter()
                .zip(means)
                .map(|(name, share)| (format!("{name}: {family}"), share)),
        );
    }
    table.print();
    if settings.plots {
        let bars: Vec<(&str, f64)> = bars
            .iter()
            .map(|(name, share)| (name.as_str(), *share))
            .collect();
        plot::bars(
            "ratio.svg",
            "Hit ratio by family: percent of the best possible",
            &bars,
        )?;
    }
    Ok(())
}

fn judge_recorded(points: &[Point], targets: &mut Targets) {
    let share = mean_share(points, OURS);
    targets.at_least(86.5, share, "hit ratio, recorded traces: percent of OPT");
    let under = |limit: f64, behind: fn(&Point) -> f64| {
        count(points.iter().filter(|point| behind(point) > limit).count())
    };
    let best = under(5.0, Point::behind_best);
    targets.at_most(
        1.0,
        best,
        "hit ratio: points more than 5 under the best peer",
    );
    let lru = under(3.0, Point::behind_lru);
    targets.at_most(2.0, lru, "hit ratio: points more than 3 under LRU");
}

fn best_peer(point: &Point) -> &'static str {
    let others = (OURS + 1)..COLUMNS.len();
    let best = others.max_by(|&one, &other| point.shares[one].total_cmp(&point.shares[other]));
    COLUMNS[best.expect("there are peers")]
}

fn mean_share(points: &[Point], column: usize) -> f64 {
    mean(points.iter().map(|point| point.shares[column]))
}

fn mean(figures: impl ExactSizeIterator<Item = f64>) -> f64 {
    let number = count(figures.len());
    figures.sum::<f64>() / number
}

fn whole(number: u64) -> f64 {
    count(usize::try_from(number).expect("fewer than requests"))
}
