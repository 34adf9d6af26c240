//! What a person sees: a bar while it works, and a table at the end.

use std::time::Duration;

use hydracache::HydraCache;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::run::{CALLERS, Run};
use crate::stream::Stream;

/// A bar on stderr; none if that is not a terminal.
pub(crate) fn bar(title: &'static str, length: u64) -> ProgressBar {
    let template = "{msg:18} {bar:40} {human_pos} of {human_len}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(length)
        .with_message(title)
        .with_style(style)
}

pub(crate) fn table(
    stream: &Stream,
    capacity: u64,
    [alone, cached]: [&Run; 2],
    cache: &HydraCache,
) {
    println!(
        "{}: {} look-ups of {} users by {CALLERS} callers, {} writes",
        stream.title,
        count(cached.lookups),
        count(stream.users.into()),
        count(stream.writes),
    );
    println!("the cache holds {} entries at most\n", count(capacity));

    let stats = cache.stats();
    let none = || String::from("-");
    let hit_ratio = format!("{:.1} %", 100.0 * stats.hit_ratio());
    let rows = [
        ("", "database alone".into(), "through the cache".into()),
        ("look-ups a second", rate(alone), rate(cached)),
        ("hit ratio", none(), hit_ratio),
        ("loads", count(alone.lookups), count(stats.loads)),
        ("joins", none(), count(stats.single_flight_joins)),
        ("discards", none(), count(stats.stale_load_discards)),
        ("p50", micros(alone.p50), micros(cached.p50)),
        ("p99", micros(alone.p99), micros(cached.p99)),
        ("entries held", none(), count(cache.entry_count())),
    ];
    for (title, alone, cached) in rows {
        println!("{title:20}{alone:>14}{cached:>20}");
    }
    println!();
}

/// A number as people write it: 5,000,000.
pub(crate) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Look-ups a second. The writes are in the time, the same in both phases.
fn rate(run: &Run) -> String {
    let micros = u64::try_from(run.elapsed.as_micros()).unwrap_or(u64::MAX);
    count(run.lookups * 1_000_000 / micros.max(1))
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
