//! A small service on smol's local executor: requests and loaders borrow, without `Arc` or
//! locks.
//!
//! `cargo run --example on_smol`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::cell::Cell;
use std::io;
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, HydraCache};
use smol::{LocalExecutor, Timer};

/// Cached departures, and a slow timetable with the platform.
struct Station {
    platform: Cell<u32>,
    queries: Cell<u32>,
    cache: HydraCache,
}

impl Station {
    /// A slow timetable query.
    async fn query(&self) -> io::Result<u32> {
        self.queries.set(self.queries.get() + 1);
        Timer::after(Duration::from_millis(20)).await;
        Ok(self.platform.get())
    }

    async fn departure(&self, town: &str) -> CacheResult<String> {
        let hour = Duration::from_secs(3600);
        let options = CacheOptions::new().ttl(hour).tag("timetable");
        let load = || async {
            let platform = self.query().await?;
            Ok::<_, io::Error>(format!("{town} from platform {platform}"))
        };
        self.cache.get_or_load(town, options, load).await
    }

    /// Changes the platform first and invalidates second. In the other order, a load between
    /// the two would store the old platform.
    async fn move_to(&self, platform: u32) -> CacheResult<u64> {
        self.platform.set(platform);
        self.cache.invalidate_tag("timetable").await
    }
}

fn main() -> CacheResult<()> {
    let station = Station {
        platform: Cell::new(4),
        queries: Cell::new(0),
        cache: HydraCache::local().max_capacity(10_000).build(),
    };
    let executor = LocalExecutor::new();
    let towns = ["Brno", "Vienna"].repeat(50).into_iter();
    let requests: Vec<_> = towns
        .map(|town| executor.spawn(station.departure(town)))
        .collect();

    smol::block_on(executor.run(async {
        for request in requests {
            assert!(request.await?.ends_with("platform 4"));
        }
        let queries = station.queries.get();
        println!("100 concurrent requests for 2 towns: {queries} queries");
        assert_eq!(queries, 2);

        println!("before: {}", station.departure("Vienna").await?);
        assert_eq!(station.move_to(1).await?, 2);
        println!("after:  {}", station.departure("Vienna").await?);
        assert_eq!(station.departure("Vienna").await?, "Vienna from platform 1");

        let stats = station.cache.stats();
        println!("{stats:#?}");
        assert_eq!((stats.loads, stats.invalidations), (3, 2));
        Ok(())
    }))
}
