//! Calls that name many tags: a put, a load whose loader names the tags, an invalidation.
//!
//! A second thread looks for another key of the same shard all the while. The longest look tells
//! how long a call holds the lock. The median of some rounds is printed, because the machine may
//! stop a thread at any time: run this bench on a machine with nothing else to do.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use hydracache::{CacheOptions, HydraCache, Loaded};

use crate::ready::ready;
use crate::rounds::{median, time};
use crate::settings::Settings;
use crate::table::{self, Table};
use crate::targets::Targets;

/// Few entries, so one shard: every look meets the lock of every call.
const CAPACITY: u64 = 10_000;

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    let rounds = settings.size(9, 2);
    entries(settings, rounds, targets);
    reads(settings, rounds, targets);
    invalidations(settings, rounds, targets);
    Ok(())
}

/// A put and a load, of one entry with two or with many tags.
fn entries(settings: &Settings, rounds: usize, targets: &mut Targets) {
    let many: u32 = settings.size(100_000, 1_000);
    let columns = ["", "tags", "whole call, µs", "longest lock, µs"];
    let mut table = Table::new("one entry with tags of its own", &columns);
    for number in [2, many] {
        let names: Vec<String> = (0..number).map(|n| format!("tag:{n}")).collect();
        let options = CacheOptions::new().tags(&names);
        let put = |cache: &HydraCache| {
            let options = options.clone();
            time(|| ready(cache.put_bytes("key", Bytes::from_static(b"v"), options)))
        };
        let load = |cache: &HydraCache| {
            let loaded = Loaded::new(7_u8).tags(&names);
            let run = |_| async { Ok::<_, Infallible>(loaded) };
            time(|| ready(cache.fetch("key", CacheOptions::new(), run)).map(drop))
        };
        for (name, is_put) in [("put_bytes", true), ("fetch, by the loader", false)] {
            let measured = (0..rounds).map(|_| {
                let cache = HydraCache::local().max_capacity(CAPACITY).build();
                let call = || if is_put { put(&cache) } else { load(&cache) };
                let ((result, elapsed), longest) = while_looking(&cache, call);
                result.expect("the call stores the entry");
                assert_eq!(
                    ready(cache.invalidate_tag("tag:1")).expect("never fails"),
                    1
                );
                (micros(elapsed), micros(longest))
            });
            let (whole, longest) = summary(measured);
            let count = table::count(number.into());
            table.row([name.into(), count, figure(whole), figure(longest)]);
            let what = format!("names: µs of the longest lock, {name} with {number} tags");
            targets.at_most(100_000.0, longest, what);
        }
    }
    table.print();
}

/// A read of an entry with many tags while some dead tag has members left.
fn reads(settings: &Settings, rounds: usize, targets: &mut Targets) {
    let mut table = Table::new("a hit, before the sweep of another tag", &["tags", "ns"]);
    for number in [2_u32, 10_000] {
        let loops: u32 = settings.size(1_000, 10);
        let measured = (0..rounds).map(|_| {
            let cache = HydraCache::local().max_capacity(CAPACITY).build();
            let names = (0..number).map(|n| format!("tag:{n}"));
            let options = CacheOptions::new().tags(names);
            ready(cache.put_bytes("key", Bytes::from_static(b"v"), options)).expect("is stored");
            // More entries than a poll sweeps, and the call is dropped after the first poll.
            for n in 0..1_000 {
                let options = CacheOptions::new().tag("dead");
                let key = format!("dead:{n}");
                ready(cache.put_bytes(&key, Bytes::new(), options)).expect("is stored");
            }
            let call = std::pin::pin!(cache.invalidate_tag("dead"));
            assert!(poll_once(call).is_none());
            let hit = || ready(cache.get_bytes("key")).expect("never fails");
            let ((), elapsed) = time(|| {
                for _ in 0..loops {
                    assert!(black_box(hit()).is_some());
                }
            });
            elapsed.as_secs_f64() * 1e9 / f64::from(loops)
        });
        let nanos = median(measured);
        table.row([table::count(number.into()), figure(nanos)]);
        targets.at_most(2_000.0, nanos, format!("names: ns of a hit, {number} tags"));
    }
    table.print();
}

/// `invalidate_tags` of many names, bound or not.
fn invalidations(settings: &Settings, rounds: usize, targets: &mut Targets) {
    let many: u32 = settings.size(1_000_000, 10_000);
    let names: Vec<String> = (0..many).map(|n| format!("tag:{n}")).collect();
    let title = format!(
        "invalidate_tags of {} names, one shard",
        table::count(many.into())
    );
    let columns = ["", "first poll, ms", "whole call, ms", "longest lock, ms"];
    let mut table = Table::new(title, &columns);
    for (name, per_entry) in [
        ("no entry has a tag", 0),
        ("a tag for each entry", 1),
        ("1,000 tags for each entry", 1_000),
    ] {
        let mut firsts = Vec::new();
        let measured = (0..rounds).map(|_| {
            // By bytes without a bound, so that all are in one shard.
            let cache = HydraCache::local()
                .max_bytes(1 << 40)
                .max_entry_bytes(usize::MAX)
                .build();
            for chunk in names.chunks(per_entry.max(1)).filter(|_| per_entry > 0) {
                let options = CacheOptions::new().tags(chunk);
                ready(cache.put_bytes(&chunk[0], Bytes::new(), options)).expect("is stored");
            }
            let entries = cache.entry_count();
            let ((count, elapsed), longest) = while_looking(&cache, || {
                time(|| {
                    let mut call = std::pin::pin!(cache.invalidate_tags(&names));
                    let (first, elapsed) = time(|| poll_once(call.as_mut()));
                    firsts.push(micros(elapsed) / 1e3);
                    first.unwrap_or_else(|| futures_lite::future::block_on(call))
                })
            });
            assert_eq!(count.expect("never fails"), entries);
            (micros(elapsed) / 1e3, micros(longest) / 1e3)
        });
        let (whole, longest) = summary(measured);
        let first = median(firsts.into_iter());
        table.row([name.into(), figure(first), figure(whole), figure(longest)]);
        let what = format!("names: ms of the longest lock, invalidate_tags, {name}");
        targets.at_most(5.0, longest, what);
    }
    table.print();
}

/// Runs a call while another thread looks for a key. Returns the longest look.
fn while_looking<R>(cache: &HydraCache, call: impl FnOnce() -> R) -> (R, Duration) {
    let (started, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !ended.load(Ordering::Relaxed) {
                let (found, elapsed) = time(|| ready(cache.contains_key("another")));
                assert!(!found);
                longest = longest.max(elapsed);
                started.store(true, Ordering::Relaxed);
            }
            longest
        });
        while !started.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        let result = call();
        ended.store(true, Ordering::Relaxed);
        (result, looks.join().expect("a look does not panic"))
    })
}

/// Polls a future once.
fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    futures_lite::future::block_on(futures_lite::future::poll_once(future))
}

/// The medians of the calls, and of the longest locks.
fn summary(measured: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (whole, longest): (Vec<f64>, Vec<f64>) = measured.unzip();
    (median(whole.into_iter()), median(longest.into_iter()))
}

fn micros(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e6
}

fn figure(figure: f64) -> String {
    format!("{figure:.1}")
}
