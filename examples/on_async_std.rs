//! A small service on async-std: many requests at once, a slow store, one load.
//!
//! `cargo run --example on_async_std`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use async_std::task;
use hydracache::{CacheOptions, CacheResult, HydraCache};

/// Greetings in several languages, for a user whom a slow store knows.
struct Greeter {
    visits: AtomicU32,
    queries: AtomicU32,
    cache: HydraCache,
}

impl Greeter {
    /// The store: right, but slow.
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

    /// Invalidates once the store has changed: were it the other way round, a load
    /// between the two would keep the old count.
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
    println!("100 requests at once in 2 languages: {queries} queries");
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
