//! Loads in the background that run when a test says so.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};

use hydracache::{BoxFuture, CacheOptions, CacheResult, HydraCache, ManualClock, Spawn};

use crate::support::*;

/// Keeps what is spawned until a test runs it.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<BoxFuture>>>);

impl Spawn for Pool {
    fn spawn(&self, future: BoxFuture) {
        self.0.lock().unwrap().push(future);
    }
}

impl Pool {
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Takes out what was spawned.
    pub fn take(&self) -> Vec<Hand<'static, ()>> {
        let spawned = std::mem::take(&mut *self.0.lock().unwrap());
        spawned.into_iter().map(Hand::hold).collect()
    }

    #[track_caller]
    pub fn only(&self) -> Hand<'static, ()> {
        assert_eq!(self.len(), 1);
        self.take().pop().unwrap()
    }

    /// Runs to the end what was spawned.
    #[track_caller]
    pub fn run(&self) {
        self.take().iter_mut().for_each(Hand::ends);
    }
}

/// A cache with a spawner, and room for so many loads in the background.
pub fn spawning(most: usize) -> (HydraCache, ManualClock, Pool) {
    let (clock, pool) = (ManualClock::new(), Pool::default());
    let builder = HydraCache::local().clock(clock.clone());
    let builder = builder.timer(clock.clone()).spawner(pool.clone());
    (builder.max_background_loads(most).build(), clock, pool)
}

/// Calls with a loader that is handed over, and gives a value at once.
pub fn hand_over<'a>(
    cache: &'a HydraCache,
    key: &'a str,
    value: u32,
    options: CacheOptions,
) -> Hand<'a, CacheResult<u32>> {
    Hand::hold(cache.get_or_refresh(key, options, ready(value)))
}

/// The same with a loader that never ends.
pub fn hand_over_hung<'a>(
    cache: &'a HydraCache,
    key: &'a str,
    options: CacheOptions,
) -> Hand<'a, CacheResult<u32>> {
    let hung = pending::<Result<u32, Infallible>>;
    Hand::hold(cache.get_or_refresh(key, options, hung))
}
