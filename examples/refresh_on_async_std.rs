//! Loads in the background on async-std: an old headline is served at once, while the new
//! one is asked for.
//!
//! `cargo run --example refresh_on_async_std`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::io;
use std::time::Duration;

use async_std::channel::{Receiver, Sender, bounded};
use async_std::task;
use hydracache::{CacheOptions, CacheResult, HydraCache, ManualClock};

/// The newsroom: it says when it is asked, and answers when there is a headline.
#[derive(Clone)]
struct Newsroom {
    asked: Sender<()>,
    headlines: Receiver<&'static str>,
}

impl Newsroom {
    async fn query(self) -> io::Result<String> {
        self.asked.send(()).await.map_err(io::Error::other)?;
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
    let (asked, questions) = bounded(1);
    let (desk, headlines) = bounded(1);
    let newsroom = Newsroom { asked, headlines };
    // The clock is the example's, so that nobody has to wait for a minute to go by.
    let clock = ManualClock::new();
    let cache = HydraCache::local()
        .clock(clock.clone())
        .spawner(|load| drop(task::spawn(load)))
        .timer(task::sleep)
        .build();

    desk.send("Rain").await?;
    assert_eq!(headline(&cache, &newsroom).await?, "Rain");
    questions.recv().await?;
    println!("nothing was there: the caller has waited");

    clock.advance(Duration::from_secs(90));
    assert_eq!(headline(&cache, &newsroom).await?, "Rain");
    println!("90 seconds later: the old headline, at once");
    questions.recv().await?;
    assert_eq!(headline(&cache, &newsroom).await?, "Rain");
    println!("the newsroom is asked, and has not answered: the old headline");

    desk.send("Sun").await?;
    while cache.get::<String>("today").await?.as_deref() != Some("Sun") {
        task::yield_now().await;
    }
    assert_eq!(headline(&cache, &newsroom).await?, "Sun");
    println!("it has answered: the new headline");

    let stats = cache.stats();
    println!("{stats:#?}");
    let counted = (stats.loads, stats.refreshes, stats.stale_serves);
    assert_eq!(counted, (2, 1, 2));
    Ok(())
}
