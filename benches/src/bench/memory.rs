//! Bytes over the payload, per entry with a 16-byte key and a 64-byte value.
//!
//! Every value is a `Vec` of its own and is read once. The capacity is a tenth and a thousand
//! above the number of entries, so no entry is evicted. Live bytes are the bytes requested
//! from the allocator; the resident set is the memory from the system, rounding included.
//! Tables grow by doubling, so one size alone says little: see the mean.

use anyhow::Result;

use crate::child::{self, Counter};
use crate::peer::Contender;
use crate::plot;
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;

const CONTENDERS: [Contender; 11] = [
    OURS,
    Contender::HydraTtl,
    Contender::HydraTags,
    Contender::HydraManyTags,
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

/// The contenders in the plot: more lines would be hard to tell apart.
const DRAWN: [Contender; 7] = [
    OURS,
    Contender::HydraTags,
    QUICK,
    Contender::Moka,
    Contender::Foyer,
    Contender::Cached,
    Contender::Floor,
];

/// The memory of one contender.
struct Cost {
    contender: Contender,
    /// By size: live bytes over the payload.
    live: Vec<f64>,
    mean: f64,
    /// Live bytes over the payload after churn; `None` for the floor, which never evicts.
    churned: Option<f64>,
    /// The growth of the resident set over the payload, for the second size.
    resident: f64,
}

/// The bytes of a key and a value.
const PAYLOAD: f64 = 80.0;

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let sizes: [u32; 4] = settings.size(
        [600_000, 1_000_000, 1_060_000, 1_500_000],
        [6_000, 10_000, 10_600, 15_000],
    );
    let counter = Counter::build()?;
    let mut costs = Vec::new();
    for contender in CONTENDERS {
        costs.push(cost(&counter, contender, sizes)?);
    }
    print(sizes, &costs);
    judge(&costs, targets);
    if settings.plots {
        let points = |cost: &Cost| {
            let sizes = sizes.iter().map(|&size| f64::from(size) / 1e6);
            sizes.zip(cost.live.iter().copied()).collect::<Vec<_>>()
        };
        let drawn = costs.iter().filter(|cost| DRAWN.contains(&cost.contender));
        let lines: Vec<_> = drawn
            .map(|cost| (cost.contender.name(), points(cost)))
            .collect();
        let title = "Memory over payload: bytes for an entry";
        plot::lines("memory.svg", title, "million entries", &lines)?;
    }
    Ok(())
}

fn cost(counter: &Counter, contender: Contender, sizes: [u32; 4]) -> Result<Cost> {
    let name = contender.argument();
    let mut live = Vec::new();
    for size in sizes {
        live.push(counter.number(&["filled", &name, &size.to_string()])?);
    }
    let mean = live.iter().sum::<f64>() / 4.0;
    let second = sizes[1].to_string();
    let churned = contender
        .is_bounded()
        .then(|| counter.number(&["churned", &name, &second]));
    let churned = churned.transpose()?;
    let resident = child::number(&["resident", &name, &second])? - PAYLOAD;
    Ok(Cost {
        contender,
        live,
        mean,
        churned,
        resident,
    })
}

fn print(sizes: [u32; 4], costs: &[Cost]) {
    let sizes = sizes.map(|size| table::count(size.into()));
    let [a, b, c, d] = sizes.each_ref().map(String::as_str);
    let resident = format!("resident at {b}");
    let title = "memory: bytes over the payload, for an entry";
    let mut table = Table::new(
        title,
        &["entries", a, b, c, d, "mean", "after churn", &resident],
    );
    for cost in costs {
        let figures = cost.live.iter().chain([&cost.mean]);
        let mut cells = vec![cost.contender.name().to_owned()];
        cells.extend(figures.map(|bytes| format!("{bytes:.0}")));
        cells.push(
            cost.churned
                .map_or("-".into(), |bytes| format!("{bytes:.0}")),
        );
        cells.push(format!("{:.0}", cost.resident));
        table.row(cells);
    }
    table.print();
}

fn judge(costs: &[Cost], targets: &mut Targets) {
    let of = |contender| {
        let mut costs = costs.iter();
        costs
            .find(|cost| cost.contender == contender)
            .expect("the contender takes part")
    };
    let (ours, quick) = (of(OURS), of(QUICK));
    let (ttl, tags) = (of(Contender::HydraTtl), of(Contender::HydraTags));
    targets.at_most(0.75, ours.mean / quick.mean, "memory: over quick_cache");
    targets.at_most(8.0, ttl.mean - ours.mean, "memory: bytes of a TTL");
    targets.at_most(
        50.0,
        tags.mean - ttl.mean,
        "memory: bytes of 2 tags of 1,000",
    );
    if let (Some(ours), Some(quick)) = (ours.churned, quick.churned) {
        targets.at_most(1.0, ours / quick, "memory after churn: over quick_cache");
    }
}
