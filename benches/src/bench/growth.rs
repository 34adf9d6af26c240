//! Hits in small and large caches: 1,000 to five million entries, uniform, fenced.
//!
//! A larger table causes more CPU cache misses, for the floor too. The ratio to the floor
//! shows the additional cache lines that a cache touches.

use anyhow::Result;

use crate::draw;
use crate::fill;
use crate::peer::Contender;
use crate::plot;
use crate::requests::{Keys, Requests};
use crate::rounds::{Times, interleave, nanos_each, time};
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;
use crate::value;

const CONTENDERS: [Contender; 4] = [
    Contender::Hydra,
    Contender::Quick,
    Contender::Moka,
    Contender::Floor,
];
const OURS: usize = 0;
const FLOOR: usize = 3;

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let full: &[u32] = &[1_000, 10_000, 100_000, 1_000_000, 5_000_000];
    let sizes = settings.size(full, &full[..2]);
    let by_size: Vec<Times> = sizes
        .iter()
        .map(|&entries| measure(settings, entries))
        .collect();

    let title = "growth of a hit, uniform, fenced: ns, and as a multiple of the floor";
    let names = sizes.iter().map(|&entries| table::count(entries.into()));
    let columns: Vec<String> = [String::from("entries")].into_iter().chain(names).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(title, &columns);
    for (contestant, contender) in CONTENDERS.iter().enumerate() {
        let cell = |times: &Times| {
            let (nanos, ratio) = (times.median(contestant), times.ratio(contestant, FLOOR));
            format!("{} ({})", table::nanos(nanos), table::ratio(ratio))
        };
        let cells = by_size.iter().map(cell);
        table.row([contender.name().to_owned()].into_iter().chain(cells));
    }
    table.print();

    let over_floor = |times: &Times| times.ratio(OURS, FLOOR);
    let (first, last) = (&by_size[0], &by_size[sizes.len() - 1]);
    let what = "growth: our multiple of the floor, largest over smallest";
    targets.at_most(1.2, over_floor(last) / over_floor(first), what);
    if settings.plots {
        let line = |(contestant, contender): (usize, &Contender)| {
            let points = sizes.iter().zip(&by_size).map(|(&entries, times)| {
                // A logarithmic axis: otherwise all points but one are at the left edge.
                (f64::from(entries).log10(), times.median(contestant))
            });
            (contender.name(), points.collect())
        };
        let lines: Vec<plot::Line<'_>> = CONTENDERS.iter().enumerate().map(line).collect();
        let title = "A hit by the size of the cache, uniform, fenced: ns";
        plot::lines("growth.svg", title, "entries: 10 to the power of", &lines)?;
    }
    Ok(())
}

fn measure(settings: &Settings, entries: u32) -> Times {
    let length = settings.size(100_000, 4_000);
    let caches = CONTENDERS.map(|contender| fill::full(contender, Keys::Short, entries));
    let streams =
        [1, 2, 3, 4].map(|seed| Requests::new(Keys::Short, draw::uniform(entries, length, seed)));
    interleave(settings.rounds(), caches.len(), |contestant, round| {
        let stream = &streams[round % streams.len()];
        let (bytes, elapsed) = time(|| caches[contestant].read_fenced(stream));
        assert_eq!(
            bytes,
            (stream.len() * value::LENGTH) as u64,
            "a key was not found"
        );
        nanos_each(elapsed, stream.len())
    })
}
