//! Loaders that are slow, hang, fail, panic, choose their own tags, or return the old value
//! unchanged.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::{pending, yield_now};
use hydracache::{Loaded, ManualClock, Old, Timer};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::floors::{Floors, KeyId};
use crate::value::{Value, value};

/// The payload of a panic that a loader raises on purpose.
pub struct InjectedPanic;

/// The wait of a loader before its answer.
#[derive(Clone, Copy, Debug)]
enum Delay {
    None,
    Yields(u32),
    Sleeps(Duration),
    Hangs,
}

#[derive(Clone, Copy, Debug)]
/// The answer of a loader.
enum Outcome {
    Value,
    Unchanged,
    NotStored,
    Error,
    Panic,
}

/// A loader before its run.
#[derive(Clone, Debug)]
pub struct Load {
    delay: Delay,
    outcome: Outcome,
    /// The loader chooses the tags, not the options.
    pub names_tags: bool,
    key: KeyId,
    largest: usize,
    floors: Arc<Floors>,
    clock: ManualClock,
}

impl Load {
    /// Draws a loader. A loader hangs only if `may_hang`: then the call needs a timeout.
    pub fn draw(
        rng: &mut StdRng,
        key: KeyId,
        may_hang: bool,
        largest: usize,
        floors: &Arc<Floors>,
        clock: &ManualClock,
    ) -> Self {
        let delay = match rng.random_range(0..100) {
            0..40 => Delay::None,
            40..80 => Delay::Yields(rng.random_range(1..6)),
            80..95 => Delay::Sleeps(Duration::from_millis(rng.random_range(0..500))),
            _ if may_hang => Delay::Hangs,
            _ => Delay::Yields(50),
        };
        let outcome = match rng.random_range(0..100) {
            0..70 => Outcome::Value,
            70..80 => Outcome::Unchanged,
            80..85 => Outcome::NotStored,
            85..95 => Outcome::Error,
            _ => Outcome::Panic,
        };
        Self {
            delay,
            outcome,
            names_tags: rng.random_bool(0.2),
            key,
            largest,
            floors: Arc::clone(floors),
            clock: clock.clone(),
        }
    }

    pub fn group(&self) -> String {
        format!("group:{}", self.key.group())
    }

    /// Runs the loader of a plain value.
    pub async fn plain(self) -> io::Result<Value> {
        let began = self.floors.moment();
        match self.delay {
            Delay::None => {}
            Delay::Yields(times) => {
                for _ in 0..times {
                    yield_now().await;
                }
            }
            Delay::Sleeps(time) => self.clock.sleep(time).await,
            Delay::Hangs => pending().await,
        }
        match self.outcome {
            Outcome::Error => Err(io::Error::other("the database is away")),
            // `resume_unwind` does not call the panic hook, which would end the program.
            Outcome::Panic => std::panic::resume_unwind(Box::new(InjectedPanic)),
            Outcome::Value | Outcome::Unchanged | Outcome::NotStored => {
                Ok(value(began, self.largest))
            }
        }
    }

    /// Runs the loader of a `fetch`: adds the tag, and may return `no_store` or "unchanged".
    pub async fn for_fetch(self, old: Option<Old<Value>>) -> io::Result<Loaded<Value>> {
        let (outcome, group) = (self.outcome, self.group());
        let value = self.plain().await?;
        let loaded = match (outcome, old) {
            (Outcome::Unchanged, Some(old)) => old.unchanged(),
            (Outcome::NotStored, _) => Loaded::new(value).no_store(),
            _ => Loaded::new(value),
        };
        Ok(loaded.tag(group))
    }
}
