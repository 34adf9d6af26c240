//! Loads in the background on tokio: an old forecast is served at once, while a new one
//! is asked for.
//!
//! `cargo run --example refresh_on_tokio`

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hydracache::{CacheOptions, CacheResult, HydraCache, ManualClock};
use tokio::sync::Notify;
use tokio::sync::watch::{Receiver, channel};
use tokio::task::yield_now;

/// The weather station: it says when it is asked, and answers once it has a forecast.
#[derive(Clone)]
struct Station {
    asked: Arc<Notify>,
    forecast: Receiver<Option<&'static str>>,
}

impl Station {
    async fn query(mut self) -> io::Result<String> {
        self.asked.notify_one();
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
    let (sky, forecasts) = channel(Some("rain"));
    let station = Station {
        asked: Arc::default(),
        forecast: forecasts,
    };
    // The clock is the example's, so that nobody has to wait for a minute to go by.
    let clock = ManualClock::new();
    let cache = HydraCache::local()
        .clock(clock.clone())
        .spawner(|load| drop(tokio::spawn(load)))
        .timer(tokio::time::sleep)
        .build();

    assert_eq!(forecast(&cache, &station).await?, "rain");
    station.asked.notified().await;
    println!("nothing was there: the caller has waited");

    sky.send(None)?;
    clock.advance(Duration::from_secs(90));
    assert_eq!(forecast(&cache, &station).await?, "rain");
    println!("90 seconds later: the old forecast, at once");
    station.asked.notified().await;
    assert_eq!(forecast(&cache, &station).await?, "rain");
    println!("the station is asked, and has not answered: the old forecast");

    sky.send(Some("sun"))?;
    while cache.get::<String>("Brno").await?.as_deref() != Some("sun") {
        yield_now().await;
    }
    assert_eq!(forecast(&cache, &station).await?, "sun");
    println!("it has answered: the new forecast");

    let stats = cache.stats();
    println!("{stats:#?}");
    let counted = (stats.loads, stats.refreshes, stats.stale_serves);
    assert_eq!(counted, (2, 1, 2));
    Ok(())
}
