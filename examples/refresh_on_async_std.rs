//! Background loads on async-std: a stale headline is served at once while a task loads a new
//! one.
//!
//! `cargo run --example refresh_on_async_std`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::io;
use std::time::Duration;

use async_std::channel::{Receiver, Sender, bounded};
use async_std::task;
use hydracache::{CacheOptions, CacheResult, HydraCache, ManualClock};

/// A newsroom: reports each query, and answers as soon as a headline exists.
#[derive(Clone)]
struct Newsroom {
    queried: Sender<()>,
    headlines: Receiver<&'static str>,
}

impl Newsroom {
    async fn query(self) -> io::Result<String> {
        self.queried.send(()).await.map_err(io::Error::other)?;
        let headline = self.headlines.recv().await.map_err(io::Error::other)?;
        Ok(headline.into())
    }
}

async fn headline(cache: &HydraCache, newsroom: &Newsroom) -> CacheResult<String> {
    let options = CacheOptions::new()
        .ttl(Duration::from_secs(60))
        .stale_while_revalidate(Duration::from_secs(600));
    let newsroom = newsroom.clone();
    cache
        .get_or_refresh("today", options, || newsroom.query())
        .await
}

fn main() -> Result<(), Box<dyn Error>> {
    task::block_on(serve())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let (queried, on_query) = bounded(1);
    let (publish, headlines) = bounded(1);
    let newsroom = Newsroom { queried, headlines };
    // A manual clock, so that the example need not wait for a minute.
    let clock = ManualClock::new();
    let cache = HydraCache::local()
        .clock(clock.clone())
        .spawner(|load| drop(task::spawn(load)))
        .timer(task::sleep)
        .build();

    publish.send("Rain").await?;
    assert_eq!(headline(&cache, &newsroom).await?, "Rain");
    on_query.recv().await?;
    println!("no entry: the caller waits for the load");

    clock.advance(Duration::from_secs(90));
    assert_eq!(headline(&cache, &newsroom).await?, "Rain");
    println!("90 seconds later: the stale headline at once, and a load in the background");
    on_query.recv().await?;
    assert_eq!(headline(&cache, &newsroom).await?, "Rain");
    println!("the load is still running: the stale headline again");

    publish.send("Sun").await?;
    while cache.get::<String>("today").await?.as_deref() != Some("Sun") {
        task::yield_now().await;
    }
    assert_eq!(headline(&cache, &newsroom).await?, "Sun");
    println!("the load has ended: the new headline");

    let stats = cache.stats();
    println!("{stats:#?}");
    let counted = (stats.loads, stats.refreshes, stats.stale_serves);
    assert_eq!(counted, (2, 1, 2));
    Ok(())
}
