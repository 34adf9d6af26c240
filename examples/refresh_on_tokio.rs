//! Background loads on tokio: a stale forecast is served at once while a task loads a new one.
//!
//! `cargo run --example refresh_on_tokio`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, HydraCache, ManualClock};
use tokio::sync::Notify;
use tokio::sync::watch::{Receiver, channel};
use tokio::task::yield_now;

/// A weather station: notifies at each query, and answers as soon as a forecast exists.
#[derive(Clone)]
struct Station {
    queried: Arc<Notify>,
    forecast: Receiver<Option<&'static str>>,
}

impl Station {
    async fn query(mut self) -> io::Result<String> {
        self.queried.notify_one();
        let forecast = self.forecast.wait_for(Option::is_some).await;
        let forecast = forecast.map_err(io::Error::other)?;
        Ok(forecast.unwrap_or_default().into())
    }
}

async fn forecast(cache: &HydraCache, station: &Station) -> CacheResult<String> {
    let options = CacheOptions::new()
        .ttl(Duration::from_secs(60))
        .stale_while_revalidate(Duration::from_secs(600));
    let station = station.clone();
    cache
        .get_or_refresh("Brno", options, || station.query())
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (publish, forecasts) = channel(Some("rain"));
    let station = Station {
        queried: Arc::default(),
        forecast: forecasts,
    };
    // A manual clock, so that the example need not wait for a minute.
    let clock = ManualClock::new();
    let cache = HydraCache::local()
        .clock(clock.clone())
        .spawner(|load| drop(tokio::spawn(load)))
        .timer(tokio::time::sleep)
        .build();

    assert_eq!(forecast(&cache, &station).await?, "rain");
    station.queried.notified().await;
    println!("no entry: the caller waits for the load");

    publish.send(None)?;
    clock.advance(Duration::from_secs(90));
    assert_eq!(forecast(&cache, &station).await?, "rain");
    println!("90 seconds later: the stale forecast at once, and a load in the background");
    station.queried.notified().await;
    assert_eq!(forecast(&cache, &station).await?, "rain");
    println!("the load is still running: the stale forecast again");

    publish.send(Some("sun"))?;
    while cache.get::<String>("Brno").await?.as_deref() != Some("sun") {
        yield_now().await;
    }
    assert_eq!(forecast(&cache, &station).await?, "sun");
    println!("the load has ended: the new forecast");

    let stats = cache.stats();
    println!("{stats:#?}");
    let counted = (stats.loads, stats.refreshes, stats.stale_serves);
    assert_eq!(counted, (2, 1, 2));
    Ok(())
}
