//! A clock that counts the time while the machine sleeps.
//!
//! On Linux, `SystemClock` stands still during a suspend: after a night of sleep, an entry with a
//! time to live of an hour is still fresh. `CLOCK_BOOTTIME` counts the sleep too, and has full
//! resolution; a read costs more than a read of the coarse clock behind `SystemClock`.
//!
//! `cargo run --example boot_clock`

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::time::Duration;

use hydracache::{CacheError, CacheOptions, Clock, HydraCache};

/// The time since the start of the machine, with the time asleep.
#[derive(Clone, Copy, Debug, Default)]
struct BootClock;

impl Clock for BootClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};

        let time = clock_gettime(ClockId::Boottime);
        // The clock starts at zero and never goes back, so neither part is negative.
        let (seconds, nanos) = (time.tv_sec.try_into(), time.tv_nsec.try_into());
        Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
    }

    // On Windows `Instant`, and so `SystemClock`, counts the sleep. On macOS, ask `CLOCK_MONOTONIC`.
    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Duration {
        hydracache::SystemClock::new().now()
    }
}

#[tokio::main]
async fn main() -> Result<(), CacheError> {
    let clock = BootClock;
    let cache = HydraCache::local().clock(clock).build();

    let hour = CacheOptions::new().ttl(Duration::from_secs(3600));
    cache.put("rate", 1.1_f64, hour).await?;
    assert_eq!(cache.get::<f64>("rate").await?, Some(1.1));

    let short = CacheOptions::new().ttl(Duration::from_millis(20));
    let stored = clock.now();
    cache.put("quote", 99.5_f64, short).await?;
    while cache.contains_key("quote").await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lived = clock.now().saturating_sub(stored);
    assert!(lived >= Duration::from_millis(20)); // no tick of the kernel, as with `SystemClock`
    println!("an entry with 20 ms to live was absent after {lived:?} on the boot clock");

    #[cfg(target_os = "linux")]
    {
        // The difference of the two clocks is the time asleep since the start of the machine.
        let asleep = clock
            .now()
            .saturating_sub(hydracache::SystemClock::new().now());
        println!(
            "this machine has slept for about {} s since its start",
            asleep.as_secs()
        );
    }
    Ok(())
}
