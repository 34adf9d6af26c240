//! The failing database of the soak test, and its record of expectations for each key.
//!
//! Loads are flaky, slow or hang, and fail for minutes every hour.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hydracache::{Clock, ManualClock, Timer};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::kinds::{GROUPS, KEYS, Kind, TICK, kind_of};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// A value with its version and time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub version: u64,
    /// The time at which the loader returned, or of the put.
    pub written: Duration,
}

/// The result of a load.
pub struct Read {
    pub row: Row,
    pub group: usize,
    /// The row equals the old value given to the loader.
    pub unchanged: bool,
    pub store: bool,
}

/// The row of a key, and the expectations for the cache.
pub struct KeyRecord {
    kind: &'static Kind,
    /// The version of the row in the database.
    pub version: u64,
    pub group: usize,
    /// A call that begins now may return no older version.
    pub floor: u64,
    /// A call that begins now may return no older version as fresh.
    pub fresh_floor: u64,
    /// The number of fences of the key.
    fences: u64,
    /// The running loaders.
    pub running: Vec<Running>,
    /// The time of the last failed load.
    pub failed: Option<Duration>,
    /// The end of the back-off: no load may begin before.
    backoff_until: Option<Duration>,
    /// The last "not modified" value, and the time of that answer.
    confirmed: Option<(Row, Duration)>,
    /// The time at which the cached value was stored.
    stored: Option<Duration>,
    /// How often the cache had to remove the value.
    pub losses: u64,
    pub starts: u64,
    /// The last loader hung.
    hung: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub struct Running {
    fences: u64,
    pub began: Duration,
    hangs: bool,
}

impl KeyRecord {
    /// The time at which a value was stored.
    pub fn stored_at(&self, row: &Row) -> Duration {
        match self.confirmed {
            Some((confirmed, at)) if confirmed == *row => at,
            _ => row.written,
        }
    }

    /// Whether the cache holds a value, fresh or inside a window.
    pub fn has(&self, now: Duration) -> bool {
        let time = self.kind.ttl + self.kind.window();
        self.stored.is_some_and(|stored| now < stored + time)
    }

    /// Fences the loads of the key, and removes the value or only ends its freshness.
    fn fence(&mut self, removes: bool) {
        self.version += 1;
        self.fences += 1;
        self.backoff_until = None;
        self.fresh_floor = self.version;
        if removes {
            self.floor = self.version;
        }
        if removes || self.kind.stale_if_error.is_zero() {
            self.lose_value();
        }
    }

    /// Records a failed load, and its back-off unless the load was fenced.
    fn fail(&mut self, load: &Running, now: Duration) {
        self.failed = Some(now);
        if load.fences == self.fences {
            self.backoff_until = Some(now + self.kind.error_backoff);
        }
    }

    /// Records a load that ran out of time. Only a background load begins a back-off, and the
    /// database does not know whether a call drove the load.
    fn time_out(&mut self, load: &Running, now: Duration) {
        let backoff = self.backoff_until;
        self.fail(load, now);
        self.backoff_until = backoff;
    }

    fn lose_value(&mut self) {
        self.stored = None;
        self.losses += 1;
    }
}

/// Counts of load results.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub values: u64,
    /// Values of loads that were fenced.
    pub fenced: u64,
    pub confirmed: u64,
    pub errors: u64,
    pub timeouts: u64,
    pub cancelled: u64,
    /// Loads of keys whose loader had hung before.
    pub after_hanging: u64,
}

pub struct State {
    rng: StdRng,
    pub records: Vec<KeyRecord>,
    pub counts: Counts,
    /// A call is being dropped, and perhaps a load with it.
    pub dropping_call: bool,
    /// From now on every load succeeds.
    pub recovered: bool,
}

pub struct Database {
    clock: ManualClock,
    state: Mutex<State>,
}

/// The result of a load; the number is the ticks until the result.
enum Outcome {
    Value(u32),
    Error(u32),
    Hang,
}

impl State {
    /// Draws the result of a load that begins now.
    fn outcome(&mut self, now: Duration) -> Outcome {
        let (hour, second) = (now.as_secs() / HOUR, now.as_secs() % HOUR);
        let outage = 10 * MINUTE..(11 + hour % 8) * MINUTE;
        let slow = self.rng.random_range(1..=25);
        match (self.rng.random_range(0..100), hour % 3) {
            _ if self.recovered => Outcome::Value(0),
            (_, 0) if outage.contains(&second) => Outcome::Error(0),
            (_, 1) if outage.contains(&second) => Outcome::Hang,
            (_, _) if outage.contains(&second) => Outcome::Error(slow),
            (0..75, _) => Outcome::Value(0),
            (75..92, _) => Outcome::Value(slow),
            (92..98, _) => Outcome::Error(slow / 3),
            _ => Outcome::Hang,
        }
    }

    /// Records a fence of some keys, before the call that makes it.
    pub fn fence(&mut self, removes: bool, keys: impl Fn(usize, &KeyRecord) -> bool) {
        for (key, record) in self.records.iter_mut().enumerate() {
            if keys(key, record) {
                record.fence(removes);
            }
        }
    }

    /// Writes a row that is put into the cache at once.
    pub fn put(&mut self, key: usize, now: Duration) -> Row {
        let record = &mut self.records[key];
        record.fence(true);
        record.stored = Some(now);
        Row {
            version: record.version,
            written: now,
        }
    }
}

impl Database {
    pub fn new(clock: ManualClock, seed: u64) -> Arc<Self> {
        let record = |key| KeyRecord {
            kind: kind_of(key),
            version: 1,
            group: key % GROUPS,
            floor: 0,
            fresh_floor: 0,
            fences: 0,
            running: Vec::new(),
            failed: None,
            backoff_until: None,
            confirmed: None,
            stored: None,
            losses: 0,
            starts: 0,
            hung: false,
        };
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            records: (0..KEYS).map(record).collect(),
            counts: Counts::default(),
            dropping_call: false,
            recovered: false,
        };
        Arc::new(Self {
            clock,
            state: Mutex::new(state),
        })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The loader: reads the row now, and returns later with the drawn result.
    pub async fn load(self: Arc<Self>, key: usize, old: Option<Row>) -> Result<Read, &'static str> {
        let (mut row, group, outcome, load) = self.begin(key);
        match outcome {
            Outcome::Value(ticks) => self.wait(ticks).await,
            Outcome::Error(ticks) => {
                self.wait(ticks).await;
                load.fail();
                return Err("the database is down");
            }
            Outcome::Hang => pending().await,
        }
        row.written = self.clock.now();
        let mut read = Read {
            row,
            group,
            unchanged: false,
            store: true,
        };
        if let Some(old) = old {
            // Now and then the loaded value is not to be stored.
            read.store = self.state().rng.random_range(0..50) > 0;
            read.unchanged = read.store && old.version == row.version;
            if read.unchanged {
                read.row = old;
            }
        }
        load.succeed(&read);
        Ok(read)
    }

    fn begin(self: &Arc<Self>, key: usize) -> (Row, usize, Outcome, Load) {
        let now = self.clock.now();
        let mut state = self.state();
        let outcome = state.outcome(now);
        let state = &mut *state;
        let record = &mut state.records[key];
        let running = Running {
            fences: record.fences,
            began: now,
            hangs: matches!(outcome, Outcome::Hang),
        };
        let alone = record.running.iter().all(|it| it.fences != record.fences);
        assert!(alone, "two unfenced loads of one key at a time");
        let in_backoff = record.backoff_until.is_some_and(|until| now < until);
        assert!(!in_backoff, "{key}: loaded during the back-off");
        record.running.push(running);
        record.starts += 1;
        state.counts.after_hanging += u64::from(std::mem::take(&mut record.hung));
        let row = Row {
            version: record.version,
            written: now,
        };
        let load = Load {
            database: Arc::clone(self),
            key,
            running,
            ended: false,
        };
        (row, record.group, outcome, load)
    }

    async fn wait(&self, ticks: u32) {
        if ticks > 0 {
            // The manual clock sleeps: no real time passes.
            let timer = Timer::sleep;
            timer(&self.clock, TICK * ticks).await;
        }
    }
}

/// A running loader.
struct Load {
    database: Arc<Database>,
    key: usize,
    running: Running,
    ended: bool,
}

impl Load {
    fn succeed(mut self, read: &Read) {
        self.ended = true;
        let now = self.database.clock.now();
        let mut state = self.database.state();
        let State {
            records, counts, ..
        } = &mut *state;
        let record = &mut records[self.key];
        counts.values += 1;
        if record.fences != self.running.fences {
            counts.fenced += 1;
        } else if read.store {
            record.stored = Some(now);
            if read.unchanged {
                counts.confirmed += 1;
                record.confirmed = Some((read.row, now));
            }
        } else {
            record.lose_value();
        }
    }

    fn fail(mut self) {
        self.ended = true;
        let now = self.database.clock.now();
        let mut state = self.database.state();
        state.counts.errors += 1;
        state.records[self.key].fail(&self.running, now);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let now = self.database.clock.now();
        let mut state = self.database.state();
        let State {
            records,
            counts,
            dropping_call,
            ..
        } = &mut *state;
        let record = &mut records[self.key];
        let index = record.running.iter().position(|it| *it == self.running);
        if let Some(index) = index {
            record.running.swap_remove(index);
        }
        if self.ended {
            return;
        }
        // The load was dropped before its end: with its call, or by a timeout.
        if *dropping_call {
            counts.cancelled += 1;
        } else {
            counts.timeouts += 1;
            record.time_out(&self.running, now);
            record.hung = self.running.hangs;
        }
    }
}
