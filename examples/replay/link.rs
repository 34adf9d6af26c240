//! The way from the service to the database and back.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use anyhow::Result;
use futures_lite::future::yield_now;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use smol::Timer;
use smol::lock::{Mutex, Semaphore};

pub(crate) enum Link<'a> {
    Turns(&'a Turns),
    Pool(&'a Pool),
}

/// The database is in this process and answers at once. Up to three turns of other
/// callers come before each operation, and after it.
///
/// Without the turns no caller would ever join a load, and no write would overtake
/// one. The number of turns is random, so that both happen in every order.
pub(crate) struct Turns {
    random: RefCell<StdRng>,
}

/// The database is over a network: an operation takes a connection of a pool, and
/// waits for half of a round trip before, and after.
pub(crate) struct Pool {
    connections: Semaphore,
    /// Held by the first in the queue for a connection: nobody overtakes.
    queue: Mutex<()>,
    round_trip: Cell<Duration>,
}

impl Link<'_> {
    /// Runs an operation of the database.
    pub(crate) async fn run<T>(&self, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        match self {
            Self::Turns(turns) => turns.run(operation).await,
            Self::Pool(pool) => pool.run(operation).await,
        }
    }
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self {
            random: RefCell::new(StdRng::seed_from_u64(3)),
        }
    }

    async fn run<T>(&self, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        self.wait().await;
        let output = operation();
        self.wait().await;
        output
    }

    async fn wait(&self) {
        let turns = self.random.borrow_mut().random_range(0..=3);
        for _ in 0..turns {
            yield_now().await;
        }
    }
}

impl Pool {
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            connections: Semaphore::new(connections),
            queue: Mutex::new(()),
            round_trip: Cell::new(Duration::ZERO),
        }
    }

    /// Sets the round trip of the operations that begin from now on.
    pub(crate) fn set_round_trip(&self, round_trip: Duration) {
        self.round_trip.set(round_trip);
    }

    async fn run<T>(&self, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        let queue = self.queue.lock().await;
        let _connection = self.connections.acquire().await;
        drop(queue);
        let half = self.round_trip.get() / 2;
        Timer::after(half).await;
        let output = operation();
        Timer::after(half).await;
        output
    }
}
