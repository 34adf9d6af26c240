//! Loads in the background on smol: an old price is served at once, while the new one
//! is asked for.
//!
//! `cargo run --example refresh_on_smol`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::io;
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, HydraCache, ManualClock};
use smol::channel::{Receiver, Sender, bounded};
use smol::future::yield_now;

/// The market: it says when it is asked, and answers when it is told what.
#[derive(Clone)]
struct Market {
    asked: Sender<()>,
    price: Receiver<u32>,
}

impl Market {
    async fn query(self) -> io::Result<u32> {
        self.asked.send(()).await.map_err(io::Error::other)?;
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
    let (asked, questions) = bounded(1);
    let (answers, price_of) = bounded(1);
    let market = Market {
        asked,
        price: price_of,
    };
    // The clock is the example's, so that nobody has to wait for a minute to go by.
    let clock = ManualClock::new();
    let cache = HydraCache::local()
        .clock(clock.clone())
        .spawner(|load| smol::spawn(load).detach())
        .timer(smol::Timer::after)
        .build();

    answers.try_send(250).ok();
    assert_eq!(price(&cache, &market).await?, 250);
    questions.try_recv().ok();
    println!("nothing was there: the caller has waited");

    clock.advance(Duration::from_secs(90));
    assert_eq!(price(&cache, &market).await?, 250);
    println!("90 seconds later: the old price, at once");
    assert!(questions.recv().await.is_ok());
    assert_eq!(price(&cache, &market).await?, 250);
    println!("the market is asked, and has not answered: the old price");

    answers.try_send(199).ok();
    while cache.get::<u32>("coffee").await? != Some(199) {
        yield_now().await;
    }
    assert_eq!(price(&cache, &market).await?, 199);
    println!("it has answered: the new price");

    let stats = cache.stats();
    println!("{stats:#?}");
    let counted = (stats.loads, stats.refreshes, stats.stale_serves);
    assert_eq!(counted, (2, 1, 2));
    Ok(())
}

fn main() -> CacheResult<()> {
    smol::block_on(serve())
}
