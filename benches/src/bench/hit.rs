//! `get_bytes` hits.
//!
//! 100,000 entries of 64 bytes in a cache with a capacity of 111,000, so no entry is evicted.
//! Each stream is measured twice: in a tight loop, and with a fence after each answer, which
//! is closer to a real request.

use anyhow::Result;

use crate::draw;
use crate::fill;
use crate::peer::{Contender, Loops};
use crate::plot;
use crate::requests::{Keys, Requests};
use crate::rounds::{Times, interleave, nanos_each, time};
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;
use crate::value;

const CONTENDERS: [Contender; 10] = [
    OURS,
    Contender::HydraTtl,
    Contender::HydraTags,
    QUICK,
    Contender::Moka,
    Contender::MokaTtl,
    Contender::Foyer,
    Contender::Cached,
    Contender::CachedTtl,
    Contender::Floor,
];
const OURS: Contender = Contender::Hydra;
const QUICK: Contender = Contender::Quick;

/// Streams take turns, so that no round repeats the requests of the round before.
const STREAMS: usize = 4;

/// A way to read.
struct Mode {
    name: &'static str,
    read: fn(&dyn Loops, &Requests) -> u64,
}

const MODES: [Mode; 2] = [
    Mode {
        name: "tight",
        read: |cache, requests| cache.read(requests),
    },
    Mode {
        name: "fenced",
        read: |cache, requests| cache.read_fenced(requests),
    },
];

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let entries = settings.size(100_000, 2_000);
    let length = settings.size(200_000, 4_000);
    for keys in [Keys::Short, Keys::Long] {
        let caches = CONTENDERS.map(|contender| fill::full(contender, keys, entries));
        for law in ["Zipf 0.99", "uniform"] {
            let streams: Vec<Requests> = (0..STREAMS as u64)
                .map(|seed| {
                    let ids = match law {
                        "uniform" => draw::uniform(entries, length, seed),
                        _ => draw::zipf(entries, 0.99, length, seed),
                    };
                    Requests::new(keys, ids)
                })
                .collect();
            for cache in &caches {
                fill::check_all(cache.as_ref(), &streams[0]);
            }
            let times = MODES
                .each_ref()
                .map(|mode| measure(settings, &caches, &streams, mode));
            let title = format!("{}, {law}", keys.name());
            print(&title, &times);
            judge(&title, keys, &times, targets);
            if settings.plots && law != "uniform" {
                draw(keys, &times)?;
            }
        }
    }
    Ok(())
}

fn measure(
    settings: &Settings,
    caches: &[Box<dyn Loops>],
    streams: &[Requests],
    mode: &Mode,
) -> Times {
    interleave(settings.rounds(), caches.len(), |contestant, round| {
        let stream = &streams[round % streams.len()];
        let (bytes, elapsed) = time(|| (mode.read)(caches[contestant].as_ref(), stream));
        assert_eq!(
            bytes,
            (stream.len() * value::LENGTH) as u64,
            "a key was not found"
        );
        nanos_each(elapsed, stream.len())
    })
}

fn print(title: &str, times: &[Times; 2]) {
    let title = format!("hit, {title}: ns, and hydracache as a part of it");
    let mut table = Table::new(title, &["", "tight", "ratio", "fenced", "ratio"]);
    for (contestant, contender) in CONTENDERS.iter().enumerate() {
        let mut cells = vec![contender.name().into()];
        for times in times {
            cells.push(table::nanos(times.median(contestant)));
            cells.push(table::ratio(times.ratio(at(OURS), contestant)));
        }
        table.row(cells);
    }
    table.print();
}

fn judge(title: &str, keys: Keys, times: &[Times; 2], targets: &mut Targets) {
    let limit = if keys == Keys::Short { 0.75 } else { 0.95 };
    for (mode, times) in MODES.iter().zip(times) {
        let what = |over: &str| format!("hit, {title}, {}: {over}", mode.name);
        let ours = at(OURS);
        targets.at_most(
            limit,
            times.ratio(ours, at(QUICK)),
            what("over quick_cache"),
        );
        let ttl = times.ratio(at(Contender::HydraTtl), ours);
        targets.at_most(1.15, ttl, what("with a TTL over without"));
        let tags = times.ratio(at(Contender::HydraTags), ours);
        targets.at_most(1.20, tags, what("with a TTL and 2 tags over without"));
    }
}

fn draw(keys: Keys, times: &[Times; 2]) -> Result<()> {
    let file = if keys == Keys::Short {
        "hit.svg"
    } else {
        "hit-48.svg"
    };
    let title = format!("A hit, {}, Zipf 0.99, fenced: ns", keys.name());
    let bars = CONTENDERS.iter().enumerate();
    let bars = bars.map(|(contestant, contender)| (contender.name(), times[1].median(contestant)));
    plot::bars(file, &title, &bars.collect::<Vec<_>>())
}

fn at(contender: Contender) -> usize {
    let mut contenders = CONTENDERS.iter();
    contenders
        .position(|&one| one == contender)
        .expect("the contender takes part")
}
