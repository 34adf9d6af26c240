//! Background loads on smol: a stale price is served at once while a task loads a new one.
//!
//! `cargo run --example refresh_on_smol`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::io;
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, HydraCache, ManualClock};
use smol::channel::{Receiver, Sender, bounded};
use smol::future::yield_now;

/// A market: reports each query, and answers as soon as a price exists.
#[derive(Clone)]
struct Market {
    queried: Sender<()>,
    price: Receiver<u32>,
}

impl Market {
    async fn query(self) -> io::Result<u32> {
        self.queried.send(()).await.map_err(io::Error::other)?;
        self.price.recv().await.map_err(io::Error::other)
    }
}

async fn price(cache: &HydraCache, market: &Market) -> CacheResult<u32> {
    let options = CacheOptions::new()
        .ttl(Duration::from_secs(60))
        .stale_while_revalidate(Duration::from_secs(600));
    let market = market.clone();
    cache
        .get_or_refresh("coffee", options, || market.query())
        .await
}

async fn serve() -> CacheResult<()> {
    let (queried, on_query) = bounded(1);
    let (publish, prices) = bounded(1);
    let market = Market {
        queried,
        price: prices,
    };
    // A manual clock, so that the example need not wait for a minute.
    let clock = ManualClock::new();
    let cache = HydraCache::local()
        .clock(clock.clone())
        .spawner(|load| smol::spawn(load).detach())
        .timer(smol::Timer::after)
        .build();

    publish.try_send(250).ok();
    assert_eq!(price(&cache, &market).await?, 250);
    on_query.try_recv().ok();
    println!("no entry: the caller waits for the load");

    clock.advance(Duration::from_secs(90));
    assert_eq!(price(&cache, &market).await?, 250);
    println!("90 seconds later: the stale price at once, and a load in the background");
    assert!(on_query.recv().await.is_ok());
    assert_eq!(price(&cache, &market).await?, 250);
    println!("the load is still running: the stale price again");

    publish.try_send(199).ok();
    while cache.get::<u32>("coffee").await? != Some(199) {
        yield_now().await;
    }
    assert_eq!(price(&cache, &market).await?, 199);
    println!("the load has ended: the new price");

    let stats = cache.stats();
    println!("{stats:#?}");
    let counted = (stats.loads, stats.refreshes, stats.stale_serves);
    assert_eq!(counted, (2, 1, 2));
    Ok(())
}

fn main() -> CacheResult<()> {
    smol::block_on(serve())
}
