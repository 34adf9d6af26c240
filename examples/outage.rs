//! The database goes down and comes back, while requests go on: how each was served,
//! minute by minute. No time passes, since the clock is the example's.
//!
//! `cargo run --example outage`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::cell::Cell;
use std::time::Duration;

use futures_lite::future::block_on;
use hydracache::{
    CacheOptions, CacheResult, Clock, Fetched, HydraCache, Loaded, ManualClock, Source,
};

const SECOND: Duration = Duration::from_secs(1);
const PRODUCTS: [&str; 4] = ["coffee", "tea", "cocoa", "milk"];

/// Prices, in front of a database that is away for a while.
struct Shop {
    clock: ManualClock,
    cache: HydraCache,
    queries: Cell<u32>,
}

impl Shop {
    /// The database is down from the third minute on, and back in the twelfth.
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

    /// Fresh for a minute, and kept for five more in case of need. Who failed does not
    /// ask again for ten seconds.
    async fn price(&self, product: &str) -> CacheResult<Fetched<u32>> {
        let options = CacheOptions::new()
            .ttl(60 * SECOND)
            .stale_if_error(300 * SECOND)
            .error_backoff(10 * SECOND);
        let load = async |_| self.query().map(Loaded::new);
        self.cache.fetch(product, options, load).await
    }
}

/// How requests were served.
#[derive(Debug, Default, PartialEq)]
struct Served {
    hit: u32,
    stale: u32,
    loaded: u32,
    error: u32,
}

impl Served {
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

fn main() {
    let clock = ManualClock::new();
    let shop = Shop {
        cache: HydraCache::local().clock(clock.clone()).build(),
        clock,
        queries: Cell::new(0),
    };
    let mut all = Served::default();
    println!("minute  database   hit  stale  loaded  error");
    for minute in 0..16 {
        let mut served = Served::default();
        let state = if shop.is_down() { "down" } else { "up" };
        for _ in 0..60 {
            for product in PRODUCTS {
                let answer = block_on(shop.price(product));
                served.count(&answer);
                all.count(&answer);
            }
            shop.clock.advance(SECOND);
        }
        let Served {
            hit,
            stale,
            loaded,
            error,
        } = served;
        println!("{minute:6}  {state:8} {hit:5} {stale:6} {loaded:7} {error:6}");
    }

    // Five of the nine minutes were bridged. A price was asked for 7 times while the
    // database was up; while it was down, every ten seconds.
    let expected = Served {
        hit: 7 * 236,
        stale: 5 * 240,
        loaded: 7 * 4,
        error: 4 * 240,
    };
    assert_eq!(all, expected);
    assert_eq!(shop.queries.get(), 4 * (7 + 9 * 6));
    let stats = shop.cache.stats();
    println!("{stats:#?}");
    assert_eq!((stats.loads, stats.load_failures), (4 * 61, 4 * 54));
    assert_eq!(stats.stale_serves, u64::from(all.stale));
}
