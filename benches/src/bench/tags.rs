//! `invalidate_tag` of a million entries, in a cache with other entries too.
//!
//! The call is polled by hand to measure every poll: other tasks of the thread wait for the
//! length of a poll. The floor removes the same keys from its tables one by one, in the order
//! of the puts. After each call the bench checks the count, the removed and the kept entries.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use anyhow::Result;
use bytes::Bytes;
use hydracache::{CacheOptions, HydraCache};

use crate::draw;
use crate::fill;
use crate::peer::{Floor, Peer};
use crate::ready::ready;
use crate::requests::{Keys, Requests};
use crate::rounds::{interleave, time};
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;
use crate::value;

const OURS: usize = 0;
const FLOOR: usize = 1;

/// The polls of all calls.
#[derive(Default)]
struct Polls {
    /// Milliseconds of the first poll of each call.
    first: Vec<f64>,
    /// Milliseconds of every poll, the first ones included.
    every: Vec<f64>,
}

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let tagged: u32 = settings.size(1_000_000, 10_000);
    let others = tagged / 10;
    // Both kinds of ids are mixed, as in a service.
    let ids = draw::shuffled(tagged + others, 1);
    let (removed, kept): (Vec<u32>, Vec<u32>) = ids.iter().partition(|&&id| id < tagged);
    let all = Requests::new(Keys::Short, ids);
    let (removed, kept) = (
        Requests::new(Keys::Short, removed),
        Requests::new(Keys::Short, kept),
    );

    let mut polls = Polls::default();
    let rounds = settings.size(7, 2);
    let times = interleave(rounds, 2, |contestant, _| match contestant {
        OURS => ours(tagged, &all, &removed, &kept, &mut polls),
        _ => floor(&all, &removed, &kept),
    });

    let title = format!("invalidate_tag of {} entries", table::count(tagged.into()));
    let mut table = Table::new(title, &["", "whole call, ms", "over the floor"]);
    for (contestant, name) in [
        (OURS, "hydracache"),
        (FLOOR, "floor: the same keys, one by one"),
    ] {
        let whole = format!("{:.1}", times.median(contestant));
        table.row([
            name.into(),
            whole,
            table::ratio(times.ratio(contestant, FLOOR)),
        ]);
    }
    table.print();

    let mut table = Table::new(
        "polls: milliseconds",
        &["", "polls", "median", "p99", "longest"],
    );
    for (name, polls) in [
        ("first polls", &mut polls.first),
        ("every poll", &mut polls.every),
    ] {
        polls.sort_by(f64::total_cmp);
        let figures = [0.5, 0.99, 1.0].map(|part| format!("{:.3}", quantile(polls, part)));
        let number = table::count(polls.len() as u64);
        table.row([vec![name.into(), number], figures.to_vec()].concat());
    }
    table.print();

    let what = |which| format!("invalidate_tag: {which}");
    targets.at_most(
        1.0,
        quantile(&polls.first, 0.99),
        what("ms of the first poll, p99"),
    );
    targets.at_most(
        1.0,
        quantile(&polls.every, 0.99),
        what("ms of every poll, p99"),
    );
    targets.at_most(
        2.0,
        times.ratio(OURS, FLOOR),
        what("whole call over the floor"),
    );
    Ok(())
}

fn ours(
    tagged: u32,
    all: &Requests,
    removed: &Requests,
    kept: &Requests,
    polls: &mut Polls,
) -> f64 {
    let room = fill::roomy(u32::try_from(all.len()).expect("ids are u32"));
    let cache = HydraCache::local().max_capacity(room as u64).build();
    for (id, key) in all.iter() {
        let tag = if id < tagged { "users" } else { "others" };
        let options = CacheOptions::new().tag(tag);
        ready(cache.put_bytes(key, value::value(id), options)).expect("bytes can be put");
    }
    assert_eq!(cache.entry_count(), all.len() as u64);

    let before = polls.every.len();
    let call = time(|| {
        let mut call = pin!(cache.invalidate_tag("users"));
        loop {
            let mut context = Context::from_waker(Waker::noop());
            let (poll, elapsed) = time(|| call.as_mut().poll(&mut context));
            polls.every.push(millis(elapsed));
            if let Poll::Ready(count) = poll {
                break count;
            }
        }
    });
    polls.first.push(polls.every[before]);

    let (count, elapsed) = call;
    assert_eq!(
        count.expect("an invalidation never fails"),
        removed.len() as u64,
        "the count is wrong"
    );
    assert_eq!(cache.entry_count(), kept.len() as u64);
    let get = |key: &str| ready(cache.get_bytes(key)).expect("a read of bytes never fails");
    check(removed, kept, get);
    millis(elapsed)
}

fn floor(all: &Requests, removed: &Requests, kept: &Requests) -> f64 {
    let floor = Floor::new();
    for (id, key) in all.iter() {
        floor.insert(id, key, value::value(id));
    }
    let (count, elapsed) = time(|| removed.iter().filter(|(_, key)| floor.remove(key)).count());
    assert_eq!(count, removed.len());
    check(removed, kept, |key| floor.get(key));
    millis(elapsed)
}

/// Asserts that the removed keys are absent and the kept keys present.
fn check(removed: &Requests, kept: &Requests, get: impl Fn(&str) -> Option<Bytes>) {
    assert!(
        removed.iter().all(|(_, key)| get(key).is_none()),
        "an entry outlived its tag"
    );
    for (id, key) in kept.iter() {
        value::check(id, &get(key).expect("the entry has another tag"));
    }
}

fn millis(elapsed: std::time::Duration) -> f64 {
    elapsed.as_secs_f64() * 1e3
}

/// The quantile `part` of sorted figures.
fn quantile(figures: &[f64], part: f64) -> f64 {
    let last = figures.len() - 1;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index, from a few thousand figures"
    )]
    let at = (last as f64 * part).ceil() as usize;
    figures[at]
}
