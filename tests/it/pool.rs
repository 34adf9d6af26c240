//! A spawner under the control of the test: background loads run on demand.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};

use hydracache::{BoxFuture, CacheOptions, CacheResult, HydraCache, ManualClock, Spawn};

use crate::support::*;

/// Holds spawned futures for the test to run.
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

    /// Takes all spawned futures.
    pub fn spawned(&self) -> Vec<BoxFuture> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Takes all spawned futures, to be polled by hand.
    pub fn take(&self) -> Vec<Hand<'static, ()>> {
        self.spawned().into_iter().map(Hand::hold).collect()
    }

    #[track_caller]
    pub fn only(&self) -> Hand<'static, ()> {
        assert_eq!(self.len(), 1, "one future must be spawned");
        self.take().pop().unwrap()
    }

    /// Polls each spawned future once. Each must end.
    #[track_caller]
    pub fn run(&self) {
        self.take().iter_mut().for_each(Hand::ends);
    }
}

/// A cache with a `Pool` as the spawner, and a bound of `most` background loads.
pub fn spawning(most: usize) -> (HydraCache, ManualClock, Pool) {
    let (clock, pool) = (ManualClock::new(), Pool::default());
    let builder = HydraCache::local().clock(clock.clone());
    let builder = builder.timer(clock.clone()).spawner(pool.clone());
    (builder.max_background_loads(most).build(), clock, pool)
}

/// Calls `get_or_refresh` with a ready loader.
pub fn hand_over<'a>(
    cache: &'a HydraCache,
    key: &'a str,
    value: u32,
    options: CacheOptions,
) -> Hand<'a, CacheResult<u32>> {
    Hand::hold(cache.get_or_refresh(key, options, ready(value)))
}

/// Calls `get_or_refresh` with an endless loader.
pub fn hand_over_hung<'a>(
    cache: &'a HydraCache,
    key: &'a str,
    options: CacheOptions,
) -> Hand<'a, CacheResult<u32>> {
    let hung = pending::<Result<u32, Infallible>>;
    Hand::hold(cache.get_or_refresh(key, options, hung))
}
