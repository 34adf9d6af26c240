//! Loaders that are slow, hang, fail, panic, name tags of their own, and leave things as they
//! were.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::{pending, yield_now};
use hydracache::{Loaded, ManualClock, Old, Timer};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::truth::{Place, Truth};
use crate::value::{Value, value};

/// A panic that was asked for.
pub struct Asked;

/// What a loader does before its answer.
#[derive(Clone, Copy, Debug)]
enum Way {
    Straight,
    Yields(u32),
    Sleeps(Duration),
    Hangs,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Value,
    Unchanged,
    NotStored,
    Error,
    Panic,
}

/// A loader that is yet to run.
#[derive(Clone, Debug)]
pub struct Load {
    way: Way,
    end: End,
    /// The options name no tags: the loader does.
    pub names_tags: bool,
    place: Place,
    largest: usize,
    truth: Arc<Truth>,
    clock: ManualClock,
}

impl Load {
    /// One that hangs must have a timeout.
    pub fn draw(
        rng: &mut StdRng,
        place: Place,
        may_hang: bool,
        largest: usize,
        truth: &Arc<Truth>,
        clock: &ManualClock,
    ) -> Self {
        let way = match rng.random_range(0..100) {
            0..40 => Way::Straight,
            40..80 => Way::Yields(rng.random_range(1..6)),
            80..95 => Way::Sleeps(Duration::from_millis(rng.random_range(0..500))),
            _ if may_hang => Way::Hangs,
            _ => Way::Yields(50),
        };
        let end = match rng.random_range(0..100) {
            0..70 => End::Value,
            70..80 => End::Unchanged,
            80..85 => End::NotStored,
            85..95 => End::Error,
            _ => End::Panic,
        };
        Self {
            way,
            end,
            names_tags: rng.random_bool(0.2),
            place,
            largest,
            truth: Arc::clone(truth),
            clock: clock.clone(),
        }
    }

    pub fn group(&self) -> String {
        format!("group:{}", self.place.group())
    }

    /// The load of a plain value.
    pub async fn plain(self) -> io::Result<Value> {
        let began = self.truth.moment();
        match self.way {
            Way::Straight => {}
            Way::Yields(times) => {
                for _ in 0..times {
                    yield_now().await;
                }
            }
            Way::Sleeps(time) => self.clock.sleep(time).await,
            Way::Hangs => pending().await,
        }
        match self.end {
            End::Error => Err(io::Error::other("the database is away")),
            // Without a word of it on the terminal.
            End::Panic => std::panic::resume_unwind(Box::new(Asked)),
            End::Value | End::Unchanged | End::NotStored => Ok(value(began, self.largest)),
        }
    }

    /// The load of a value that comes with tags, or that is not stored, or that has stayed.
    pub async fn full(self, old: Option<Old<Value>>) -> io::Result<Loaded<Value>> {
        let (end, group) = (self.end, self.group());
        let value = self.plain().await?;
        let loaded = match (end, old) {
            (End::Unchanged, Some(old)) => old.unchanged(),
            (End::NotStored, _) => Loaded::new(value).no_store(),
            _ => Loaded::new(value),
        };
        Ok(loaded.tag(group))
    }
}
