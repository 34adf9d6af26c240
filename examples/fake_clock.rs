//! Tests expiry without sleeping: the cache runs on a clock that the test advances.
//!
//! `cargo run --example fake_clock`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, Clock, HydraCache, ManualClock};

const MINUTE: Duration = Duration::from_secs(60);

/// The code under test: exchange rates, queried from a bank at most once an hour.
///
/// The cache is a parameter, so the code does not know the clock.
struct Exchange {
    cache: HydraCache,
    queries: Cell<u32>,
}

impl Exchange {
    async fn rate(&self, currency: &str) -> CacheResult<u32> {
        let options = CacheOptions::new().ttl(60 * MINUTE);
        let query = || async {
            self.queries.set(self.queries.get() + 1);
            Ok::<_, Infallible>(24 + self.queries.get())
        };
        self.cache.get_or_load(currency, options, query).await
    }
}

#[tokio::main]
async fn main() -> CacheResult<()> {
    let clock = ManualClock::new();
    let exchange = Exchange {
        cache: HydraCache::local().clock(clock.clone()).build(),
        queries: Cell::new(0),
    };

    // Each row: the minutes to advance, and the expected number of queries so far.
    let steps = [(0, 1), (59, 1), (1, 2), (30, 2), (30, 3), (24 * 60, 4)];
    for (minutes, expected) in steps {
        clock.advance(minutes * MINUTE);
        let rate = exchange.rate("EUR").await?;
        let (now, queries) = (clock.now().as_secs() / 60, exchange.queries.get());
        println!("minute {now:4}: rate {rate}, {queries} queries so far");
        assert_eq!(queries, expected);
    }

    let stats = exchange.cache.stats();
    println!(
        "{} hits, {} loads, {} expired entries; no real time has passed",
        stats.hits, stats.loads, stats.expirations
    );
    assert_eq!((stats.hits, stats.loads, stats.expirations), (2, 4, 3));
    Ok(())
}
