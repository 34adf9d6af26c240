//! Two concurrent threads: a mix of reads and writes, and reads of one hot key.
//!
//! The mix draws from a million keys by Zipf's law, with a capacity of 100,000. Nine requests
//! of ten read and insert a missing key; the tenth inserts. For the hot key, both threads only
//! read one key.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::draw;
use crate::fill;
use crate::peer::Contender;
use crate::requests::{Keys, Requests};
use crate::rounds::{Times, count, interleave, time};
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;
use crate::value;

const CONTENDERS: [Contender; 6] = [
    Contender::Hydra,
    Contender::Quick,
    Contender::Moka,
    Contender::Foyer,
    Contender::Cached,
    Contender::Floor,
];
const OURS: usize = 0;
const QUICK: usize = 1;
const THREADS: u64 = 2;

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let mix = mixed(settings);
    let hot = hot(settings);
    let title = "mix: million operations a second with 2 threads, and hydracache by it";
    let columns = ["", "90/10 mix", "ratio", "one hot key", "ratio"];
    let mut table = Table::new(title, &columns);
    for (contestant, contender) in CONTENDERS.iter().enumerate() {
        let mut cells = vec![contender.name().into()];
        for times in [&mix, &hot] {
            cells.push(format!("{:.1}", times.median(contestant)));
            cells.push(table::ratio(times.ratio(OURS, contestant)));
        }
        table.row(cells);
    }
    table.print();
    targets.at_least(
        1.0,
        mix.ratio(OURS, QUICK),
        "90/10 mix, 2 threads: by quick_cache",
    );
    targets.at_least(
        1.0,
        hot.ratio(OURS, QUICK),
        "one hot key, 2 threads: by quick_cache",
    );
    Ok(())
}

fn mixed(settings: &Settings) -> Times {
    let keys = settings.size(1_000_000, 20_000);
    let capacity = settings.size(100_000, 2_000);
    let length = settings.size(400_000, 10_000);
    let stream = |seed| Requests::new(Keys::Short, draw::zipf(keys, 0.99, length, seed));
    // Two streams per thread, so that no round repeats the requests of the round before.
    let streams: Vec<Requests> = (0..2 * THREADS).map(stream).collect();
    let caches = CONTENDERS.map(|contender| {
        let cache = contender.build(capacity as usize);
        // Warm up until the policies have settled: no measured round may fill the cache.
        for stream in &streams {
            cache.mix(stream);
        }
        fill::check_bound(contender, cache.as_ref(), capacity);
        cache
    });
    let times = interleave(settings.rounds(), caches.len(), |contestant, round| {
        let cache = caches[contestant].as_ref();
        let half = round % 2 * streams.len() / 2;
        let streams = &streams[half..half + streams.len() / 2];
        let elapsed = together(|thread| {
            let hits = cache.mix(&streams[thread]);
            assert!(hits > 0, "no request was a hit");
        });
        millions_a_second(elapsed, streams.iter().map(Requests::len).sum())
    });
    for (contender, cache) in CONTENDERS.iter().zip(&caches) {
        fill::check_bound(*contender, cache.as_ref(), capacity);
    }
    times
}

fn hot(settings: &Settings) -> Times {
    let length = settings.size(500_000, 10_000);
    let requests = Requests::new(Keys::Short, vec![7; length]);
    let caches = CONTENDERS.map(|contender| {
        let cache = contender.build(1_000);
        cache.insert(7, &Keys::Short.text(7), value::value(7));
        fill::check_all(cache.as_ref(), &requests);
        cache
    });
    interleave(settings.rounds(), caches.len(), |contestant, _| {
        let elapsed = together(|_| {
            let bytes = caches[contestant].read(&requests);
            assert_eq!(
                bytes,
                (length * value::LENGTH) as u64,
                "the key was not found"
            );
        });
        millions_a_second(elapsed, 2 * length)
    })
}

/// Runs a closure on two threads, and returns the time of the slower thread.
fn together(run: impl Fn(usize) + Sync) -> Duration {
    let start = Barrier::new(2);
    let one = |thread| {
        start.wait();
        time(|| run(thread)).1
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| one(1));
        let mine = one(0);
        mine.max(other.join().expect("the other thread did not panic"))
    })
}

fn millions_a_second(elapsed: Duration, operations: usize) -> f64 {
    count(operations) / elapsed.as_secs_f64() / 1e6
}
