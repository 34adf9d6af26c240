//! A small service on async-std: 100 concurrent requests, a slow database, one query each.
//!
//! `cargo run --example on_async_std`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use async_std::task;
use hydracache::{CacheOptions, CacheResult, HydraCache};

/// Cached greetings in several languages, and a database with the visits of a user.
struct Greeter {
    visits: AtomicU32,
    queries: AtomicU32,
    cache: HydraCache,
}

impl Greeter {
    /// A slow database query.
    async fn query(&self) -> io::Result<u32> {
        self.queries.fetch_add(1, SeqCst);
        task::sleep(Duration::from_millis(20)).await;
        Ok(self.visits.load(SeqCst))
    }

    async fn greet(&self, hello: &str) -> CacheResult<String> {
        let hour = Duration::from_secs(3600);
        let options = CacheOptions::new().ttl(hour).tag("user:ada");
        let load = || async {
            let visits = self.query().await?;
            Ok::<_, io::Error>(format!("{hello} Ada, visit {visits}"))
        };
        self.cache.get_or_load(hello, options, load).await
    }

    /// Changes the count first and invalidates second. In the other order, a load between
    /// the two would store the old count.
    async fn visit(&self) -> CacheResult<u64> {
        self.visits.fetch_add(1, SeqCst);
        self.cache.invalidate_tag("user:ada").await
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    task::block_on(serve())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let greeter = Arc::new(Greeter {
        visits: AtomicU32::new(1),
        queries: AtomicU32::new(0),
        cache: HydraCache::local().max_capacity(10_000).build(),
    });

    let requests = ["Hello", "Bonjour"].repeat(50).into_iter().map(|hello| {
        let greeter = Arc::clone(&greeter);
        task::spawn(async move { greeter.greet(hello).await })
    });
    for greeting in requests.collect::<Vec<_>>() {
        assert!(greeting.await?.ends_with("visit 1"));
    }
    let queries = greeter.queries.load(SeqCst);
    println!("100 concurrent requests in 2 languages: {queries} queries");
    assert_eq!(queries, 2);

    println!("before: {}", greeter.greet("Bonjour").await?);
    assert_eq!(greeter.visit().await?, 2);
    println!("after:  {}", greeter.greet("Bonjour").await?);
    assert_eq!(greeter.greet("Bonjour").await?, "Bonjour Ada, visit 2");

    let stats = greeter.cache.stats();
    println!("{stats:#?}");
    assert_eq!((stats.loads, stats.invalidations), (3, 2));
    Ok(())
}
