//! The loading calls of hydracache: instructions, locked operations, and the bytes of a future.
//!
//! Counts of one build against another: instructions are not time, but they show a change that
//! noise would hide. The size of a call's future matters because the caller's future contains
//! it.

use std::convert::Infallible;

use anyhow::Result;
use clap::ValueEnum;
use futures_lite::future::yield_now;
use hydracache::{CacheOptions, HydraCache, Loaded};

use crate::callgrind;
use crate::calls::Call;
use crate::settings::Settings;
use crate::table::Table;
use crate::targets::Targets;
use crate::user::User;

/// Runs the bench.
pub fn run(settings: &Settings, targets: &mut Targets) -> Result<()> {
    futures(targets);
    if !callgrind::is_installed("calls") {
        return Ok(());
    }
    let entries: u32 = settings.size(20_000, 1_000);
    let mut table = Table::new("one call of hydracache", &["", "instructions", "locked"]);
    for call in Call::value_variants() {
        let name = call.to_possible_value().expect("no call is skipped");
        let entries = entries.to_string();
        let counts = callgrind::of_operation(&["call", name.get_name(), &entries])?;
        let figures = [
            format!("{:.0}", counts.instructions),
            format!("{:.1}", counts.locked),
        ];
        table.row([call.title().to_owned()].into_iter().chain(figures));
    }
    table.print();
    Ok(())
}

/// The sizes of the futures, with loaders that borrow nothing. No future is polled.
fn futures(targets: &mut Targets) {
    let cache = HydraCache::local().build();
    let users = cache.typed::<u32, User>("users");
    let loading = users.with_loader(|id| async move { Ok::<_, Infallible>(User::new(id)) });
    let options = CacheOptions::new;
    let number = || async { Ok::<u64, Infallible>(7) };
    let user = || async { Ok::<User, Infallible>(User::new(7)) };
    // The array is alive over the await, so that the loader's future has 1,000 bytes and some.
    let large = || async {
        let array = [0_u8; 1000];
        yield_now().await;
        Ok::<u64, Infallible>(u64::from(array[7]))
    };
    let full = |_| async { Ok::<_, Infallible>(Loaded::new(7_u64)) };
    let plain = size_of_val(&cache.get_or_load("key", options(), number));
    let handed_over = size_of_val(&cache.get_or_refresh("key", options(), number));
    let large_call = size_of_val(&cache.get_or_load("key", options(), large));
    let rows = [
        ("get_or_load", plain),
        ("get_or_load, a loader of 1,000 bytes", large_call),
        ("fetch", size_of_val(&cache.fetch("key", options(), full))),
        (
            "refresh",
            size_of_val(&cache.refresh("key", options(), number)),
        ),
        ("get_or_refresh", handed_over),
        (
            "typed get_or_load",
            size_of_val(&users.get_or_load(&7, options(), user)),
        ),
        ("loading get", size_of_val(&loading.get(&7))),
        ("loading refresh", size_of_val(&loading.refresh(&7))),
        ("get", size_of_val(&cache.get::<u64>("key"))),
        ("put", size_of_val(&cache.put("key", 7_u64, options()))),
        ("invalidate_tag", size_of_val(&cache.invalidate_tag("tag"))),
    ];
    let mut table = Table::new("the future of a call", &["", "bytes"]);
    for (call, bytes) in rows {
        table.row([call.to_owned(), bytes.to_string()]);
    }
    table.print();
    let loader = size_of_val(&large());
    #[expect(clippy::cast_precision_loss, reason = "sizes of a few thousand bytes")]
    let [plain, handed_over, large_call, loader] =
        [plain, handed_over, large_call, loader].map(|bytes| bytes as f64);
    targets.at_most(408.0, plain, "get_or_load, a small loader: bytes");
    targets.at_most(408.0, handed_over, "get_or_refresh, a small loader: bytes");
    targets.at_most(
        1.5,
        large_call / loader,
        "get_or_load: future over its loader's, 1,000 bytes",
    );
}
