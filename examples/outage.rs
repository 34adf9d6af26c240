//! Serves stale values while the database is down, and prints how each minute was answered.
//!
//! The clock is a `ManualClock`, so the example takes no real time.
//!
//! `cargo run --example outage`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::cell::Cell;
use std::time::Duration;

use hydracache::{
    CacheOptions, CacheResult, Clock, Fetched, HydraCache, Loaded, ManualClock, Source,
};

const SECOND: Duration = Duration::from_secs(1);
const PRODUCTS: [&str; 4] = ["coffee", "tea", "cocoa", "milk"];

/// Cached prices, and a database that is down for a while.
struct Shop {
    clock: ManualClock,
    cache: HydraCache,
    queries: Cell<u32>,
}

impl Shop {
    /// The database is down from minute 3 until minute 12.
    fn is_down(&self) -> bool {
        (3..12).contains(&(self.clock.now().as_secs() / 60))
    }

    fn query(&self) -> Result<u32, &'static str> {
        self.queries.set(self.queries.get() + 1);
        if self.is_down() {
            return Err("the database is down");
        }
        Ok(250)
    }

    /// A price is fresh for a minute, and may be served for five more minutes if a load
    /// fails. After a failed load, the next load of the product starts ten seconds later.
    async fn price(&self, product: &str) -> CacheResult<Fetched<u32>> {
        let options = CacheOptions::new()
            .ttl(60 * SECOND)
            .stale_if_error(300 * SECOND)
            .error_backoff(10 * SECOND);
        let load = async |_| self.query().map(Loaded::new);
        self.cache.fetch(product, options, load).await
    }
}

/// The number of answers of each kind.
#[derive(Debug, Default, PartialEq)]
struct Answers {
    hit: u32,
    stale: u32,
    loaded: u32,
    error: u32,
}

impl Answers {
    fn count(&mut self, answer: &CacheResult<Fetched<u32>>) {
        let counter = match answer {
            Ok(fetched) if fetched.source == Source::Hit => &mut self.hit,
            Ok(fetched) if fetched.source == Source::Stale => &mut self.stale,
            Ok(_) => &mut self.loaded,
            Err(_) => &mut self.error,
        };
        *counter += 1;
    }
}

#[tokio::main]
async fn main() {
    let clock = ManualClock::new();
    let shop = Shop {
        cache: HydraCache::local().clock(clock.clone()).build(),
        clock,
        queries: Cell::new(0),
    };
    let mut total = Answers::default();
    println!("minute  database   hit  stale  loaded  error");
    for minute in 0..16 {
        let mut answers = Answers::default();
        let state = if shop.is_down() { "down" } else { "up" };
        for _ in 0..60 {
            for product in PRODUCTS {
                let answer = shop.price(product).await;
                answers.count(&answer);
                total.count(&answer);
            }
            shop.clock.advance(SECOND);
        }
        let Answers {
            hit,
            stale,
            loaded,
            error,
        } = answers;
        println!("{minute:6}  {state:8} {hit:5} {stale:6} {loaded:7} {error:6}");
    }

    // Stale prices cover five of the nine minutes. Each product is queried 7 times while the
    // database is up, and every ten seconds while the database is down.
    let expected = Answers {
        hit: 7 * 236,
        stale: 5 * 240,
        loaded: 7 * 4,
        error: 4 * 240,
    };
    assert_eq!(total, expected);
    assert_eq!(shop.queries.get(), 4 * (7 + 9 * 6));
    let stats = shop.cache.stats();
    println!("{stats:#?}");
    assert_eq!((stats.loads, stats.load_failures), (4 * 61, 4 * 54));
    assert_eq!(stats.stale_serves, u64::from(total.stale));
}
