//! Inserts of new keys into a full cache, so that each insert evicts an entry.
//!
//! The capacity is 100,000 entries, all in use. The values of the first column are new blocks
//! of 64 bytes, allocated before the clock starts; the time includes freeing an evicted value.
//! The values of the second column are clones of one shared value, which leaves only the work
//! of the cache.

use anyhow::Result;

use crate::fill;
use crate::peer::{Contender, Loops};
use crate::requests::{Keys, Requests};
use crate::rounds::{Times, interleave, nanos_each, time};
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;
use crate::value;

const CONTENDERS: [Contender; 8] = [
    Contender::Hydra,
    Contender::HydraTtl,
    Contender::HydraTags,
    Contender::Quick,
    Contender::Moka,
    Contender::Foyer,
    Contender::Cached,
    Contender::CachedTtl,
];
const OURS: usize = 0;
const OURS_TAGGED: usize = 2;
const QUICK: usize = 3;

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let capacity = settings.size(100_000, 2_000);
    let caches = CONTENDERS.map(|one| fill::overfull(one, Keys::Short, capacity, 2 * capacity));
    let mut next = 2 * capacity;

    let fresh = measure(settings, &caches, &mut next, |cache, requests| {
        let values = requests.ids().iter().map(|&id| value::value(id)).collect();
        time(|| cache.insert_all(requests, values)).1
    });
    let shared = value::value(0);
    let cloned = measure(settings, &caches, &mut next, |cache, requests| {
        time(|| cache.insert_shared(requests, &shared)).1
    });
    for (contender, cache) in CONTENDERS.iter().zip(&caches) {
        fill::check_bound(*contender, cache.as_ref(), capacity);
    }

    let title = "insert of a new key into a full cache: ns, and hydracache as a part of it";
    let columns = ["", "new value", "ratio", "shared value", "ratio"];
    let mut table = Table::new(title, &columns);
    for (contestant, contender) in CONTENDERS.iter().enumerate() {
        let mut cells = vec![contender.name().into()];
        for times in [&fresh, &cloned] {
            cells.push(table::nanos(times.median(contestant)));
            cells.push(table::ratio(times.ratio(OURS, contestant)));
        }
        table.row(cells);
    }
    table.print();
    for (times, values) in [(&fresh, "new values"), (&cloned, "shared values")] {
        let what = |which| format!("insert, {values}: {which} over quick_cache");
        targets.at_most(1.0, times.ratio(OURS, QUICK), what("plain"));
        targets.at_most(
            2.5,
            times.ratio(OURS_TAGGED, QUICK),
            what("with a TTL and 2 tags"),
        );
    }
    Ok(())
}

/// Gives every cache the same new keys in each round.
fn measure(
    settings: &Settings,
    caches: &[Box<dyn Loops>],
    next: &mut u32,
    insert: impl Fn(&dyn Loops, &Requests) -> std::time::Duration,
) -> Times {
    let each = settings.size(50_000, 2_000);
    let rounds = u32::try_from(settings.rounds()).expect("a few") + 1;
    let first = *next;
    *next += rounds * each;
    interleave(settings.rounds(), caches.len(), |contestant, round| {
        let start = first + u32::try_from(round).expect("a few") * each;
        let requests = Requests::new(Keys::Short, (start..start + each).collect());
        let elapsed = insert(caches[contestant].as_ref(), &requests);
        // The newest key must be present: a cache that drops every insert would be fast. A
        // policy may refuse a new entry, so only hydracache is checked.
        if CONTENDERS[contestant] == Contender::Hydra {
            let id = start + each - 1;
            let bytes = caches[contestant]
                .get(&Keys::Short.text(id))
                .expect("just put");
            assert_eq!(bytes.len(), value::LENGTH);
        }
        nanos_each(elapsed, requests.len())
    })
}
