//! How to test expiry without sleeping: give the cache a clock that the test holds.
//!
//! `cargo run --example fake_clock`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use futures_lite::future::block_on;
use hydracache::{CacheOptions, CacheResult, Clock, HydraCache, ManualClock};

const MINUTE: Duration = Duration::from_secs(60);

/// What is tested: an exchange rate that is asked for at most once in an hour.
///
/// It takes the cache that it is given, so it need not know of clocks.
struct Exchange {
    cache: HydraCache,
    asked: Cell<u32>,
}

impl Exchange {
    async fn rate(&self, currency: &str) -> CacheResult<u32> {
        let options = CacheOptions::new().ttl(60 * MINUTE);
        let ask = || async {
            self.asked.set(self.asked.get() + 1);
            Ok::<_, Infallible>(24 + self.asked.get())
        };
        self.cache.get_or_load(currency, options, ask).await
    }
}

fn main() -> CacheResult<()> {
    let clock = ManualClock::new();
    let exchange = Exchange {
        cache: HydraCache::local().clock(clock.clone()).build(),
        asked: Cell::new(0),
    };

    // Each row: how far the clock moves, and how often the bank was asked by then.
    let day = [(0, 1), (59, 1), (1, 2), (30, 2), (30, 3), (24 * 60, 4)];
    for (minutes, expected) in day {
        clock.advance(minutes * MINUTE);
        let rate = block_on(exchange.rate("EUR"))?;
        let (now, asked) = (clock.now().as_secs() / 60, exchange.asked.get());
        println!("minute {now:4}: rate {rate}, questions to the bank: {asked}");
        assert_eq!(asked, expected);
    }

    let stats = exchange.cache.stats();
    println!(
        "a day and more: {} hits, {} loads, {} expired, and no time has passed",
        stats.hits, stats.loads, stats.expirations
    );
    assert_eq!((stats.hits, stats.loads, stats.expirations), (2, 4, 3));
    Ok(())
}
