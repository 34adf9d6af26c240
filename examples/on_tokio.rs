//! A small service on tokio: 100 concurrent requests, a slow database, one query per page.
//!
//! `cargo run --example on_tokio`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, HydraCache};
use tokio::task::JoinSet;

/// Cached pages with the price of product 7, and a database with the price.
struct Shop {
    price: AtomicU32,
    queries: AtomicU32,
    cache: HydraCache,
}

impl Shop {
    /// A slow database query.
    async fn query(&self) -> io::Result<u32> {
        self.queries.fetch_add(1, SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(self.price.load(SeqCst))
    }

    async fn page(&self, name: &str) -> CacheResult<String> {
        let hour = Duration::from_secs(3600);
        let options = CacheOptions::new().ttl(hour).tag("product:7");
        let load = || async {
            let price = self.query().await?;
            Ok::<_, io::Error>(format!("{name}: only {price} crowns"))
        };
        self.cache.get_or_load(name, options, load).await
    }

    /// Changes the price first and invalidates second. In the other order, a load between
    /// the two would store the old price.
    async fn reprice(&self, price: u32) -> CacheResult<u64> {
        self.price.store(price, SeqCst);
        self.cache.invalidate_tag("product:7").await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let shop = Arc::new(Shop {
        price: AtomicU32::new(250),
        queries: AtomicU32::new(0),
        cache: HydraCache::local().max_capacity(10_000).build(),
    });

    let mut requests = JoinSet::new();
    for n in 0..100 {
        let shop = Arc::clone(&shop);
        let name = if n % 2 == 0 { "home" } else { "offers" };
        requests.spawn(async move { shop.page(name).await });
    }
    while let Some(page) = requests.join_next().await {
        assert!(page??.ends_with("250 crowns"));
    }
    let queries = shop.queries.load(SeqCst);
    println!("100 concurrent requests for 2 pages: {queries} queries");
    assert_eq!(queries, 2);

    println!("before: {}", shop.page("home").await?);
    assert_eq!(shop.reprice(199).await?, 2);
    println!("after:  {}", shop.page("home").await?);
    assert_eq!(shop.page("home").await?, "home: only 199 crowns");

    let stats = shop.cache.stats();
    println!("{stats:#?}");
    assert_eq!((stats.loads, stats.invalidations), (3, 2));
    Ok(())
}
