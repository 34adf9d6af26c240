//! The database of the soak test: flaky, slow, sometimes hanging, and away for minutes
//! every hour. It also writes down what the checks go by.

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

/// A value, which says of itself what the checks ask.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub version: u64,
    /// When the loader gave it, or when it was put.
    pub written: Duration,
}

/// What a load gives.
pub struct Read {
    pub row: Row,
    pub group: usize,
    /// The row is the one that the load was given.
    pub unchanged: bool,
    pub store: bool,
}

/// What is known of a key.
pub struct Line {
    kind: &'static Kind,
    /// Of the row in the database.
    pub version: u64,
    pub group: usize,
    /// No answer of a call that begins now may be older.
    pub floor: u64,
    /// None may be older that is said to be fresh.
    pub fresh_floor: u64,
    /// How often a load of the key was fenced.
    fences: u64,
    /// The loaders that run.
    pub running: Vec<Running>,
    /// When a load last failed.
    pub failed: Option<Duration>,
    /// No load may begin before that.
    rests_until: Option<Duration>,
    /// A value that was not modified, and when that was said.
    confirmed: Option<(Row, Duration)>,
    /// When the value was stored that the cache has.
    stored: Option<Duration>,
    /// How often the cache had to let go of its value.
    pub breaks: u64,
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

impl Line {
    /// When a value was stored.
    pub fn stored_at(&self, row: &Row) -> Duration {
        match self.confirmed {
            Some((confirmed, at)) if confirmed == *row => at,
            _ => row.written,
        }
    }

    /// Whether the cache has a value that it may serve in need.
    pub fn has(&self, now: Duration) -> bool {
        let time = self.kind.ttl + self.kind.window();
        self.stored.is_some_and(|stored| now < stored + time)
    }

    /// Something fences the loads of the key. `ends` what is stored, or its freshness only.
    fn fence(&mut self, ends: bool) {
        self.version += 1;
        self.fences += 1;
        self.rests_until = None;
        self.fresh_floor = self.version;
        if ends {
            self.floor = self.version;
        }
        if ends || self.kind.stale_if_error.is_zero() {
            self.let_go();
        }
    }

    /// A load has failed.
    fn fail(&mut self, load: &Running, now: Duration) {
        self.failed = Some(now);
        if load.fences == self.fences {
            self.rests_until = Some(now + self.kind.error_backoff);
        }
    }

    fn let_go(&mut self) {
        self.stored = None;
        self.breaks += 1;
    }
}

/// How loads ended.
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
    pub lines: Vec<Line>,
    pub counts: Counts,
    /// A caller is being dropped, and perhaps a load with it.
    pub hanging_up: bool,
    /// From now on all goes well.
    pub well: bool,
}

pub struct Database {
    clock: ManualClock,
    state: Mutex<State>,
}

enum Weather {
    Fine(u32),
    Error(u32),
    Hang,
}

impl State {
    /// How a load will go, that begins now.
    fn weather(&mut self, now: Duration) -> Weather {
        let (hour, second) = (now.as_secs() / HOUR, now.as_secs() % HOUR);
        let out = 10 * MINUTE..(11 + hour % 8) * MINUTE;
        let slow = self.rng.random_range(1..=25);
        match (self.rng.random_range(0..100), hour % 3) {
            _ if self.well => Weather::Fine(0),
            (_, 0) if out.contains(&second) => Weather::Error(0),
            (_, 1) if out.contains(&second) => Weather::Hang,
            (_, _) if out.contains(&second) => Weather::Error(slow),
            (0..75, _) => Weather::Fine(0),
            (75..92, _) => Weather::Fine(slow),
            (92..98, _) => Weather::Error(slow / 3),
            _ => Weather::Hang,
        }
    }

    /// Before an act of the cache that fences the loads of some keys.
    pub fn fence(&mut self, ends: bool, keys: impl Fn(usize, &Line) -> bool) {
        for (key, line) in self.lines.iter_mut().enumerate() {
            if keys(key, line) {
                line.fence(ends);
            }
        }
    }

    /// A row that is written and, at once, put.
    pub fn put(&mut self, key: usize, now: Duration) -> Row {
        let line = &mut self.lines[key];
        line.fence(true);
        line.stored = Some(now);
        Row {
            version: line.version,
            written: now,
        }
    }
}

impl Database {
    pub fn new(clock: ManualClock, seed: u64) -> Arc<Self> {
        let line = |key| Line {
            kind: kind_of(key),
            version: 1,
            group: key % GROUPS,
            floor: 0,
            fresh_floor: 0,
            fences: 0,
            running: Vec::new(),
            failed: None,
            rests_until: None,
            confirmed: None,
            stored: None,
            breaks: 0,
            starts: 0,
            hung: false,
        };
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            lines: (0..KEYS).map(line).collect(),
            counts: Counts::default(),
            hanging_up: false,
            well: false,
        };
        Arc::new(Self {
            clock,
            state: Mutex::new(state),
        })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The loader: reads the row as it is now, and gives it when it pleases.
    pub async fn load(self: Arc<Self>, key: usize, old: Option<Row>) -> Result<Read, &'static str> {
        let (mut row, group, weather, load) = self.begin(key);
        match weather {
            Weather::Fine(ticks) => self.wait(ticks).await,
            Weather::Error(ticks) => {
                self.wait(ticks).await;
                load.fail();
                return Err("the database is away");
            }
            Weather::Hang => pending().await,
        }
        row.written = self.clock.now();
        let mut read = Read {
            row,
            group,
            unchanged: false,
            store: true,
        };
        if let Some(old) = old {
            // Now and then what was loaded is not to be kept.
            read.store = self.state().rng.random_range(0..50) > 0;
            read.unchanged = read.store && old.version == row.version;
            if read.unchanged {
                read.row = old;
            }
        }
        load.give(&read);
        Ok(read)
    }

    fn begin(self: &Arc<Self>, key: usize) -> (Row, usize, Weather, Load) {
        let now = self.clock.now();
        let mut state = self.state();
        let weather = state.weather(now);
        let state = &mut *state;
        let line = &mut state.lines[key];
        let running = Running {
            fences: line.fences,
            began: now,
            hangs: matches!(weather, Weather::Hang),
        };
        let alone = line.running.iter().all(|it| it.fences != line.fences);
        assert!(alone, "two loads of one key at a time");
        let rests = line.rests_until.is_some_and(|until| now < until);
        assert!(!rests, "{key}: loaded too soon after a failure");
        line.running.push(running);
        line.starts += 1;
        state.counts.after_hanging += u64::from(std::mem::take(&mut line.hung));
        let row = Row {
            version: line.version,
            written: now,
        };
        let load = Load {
            database: Arc::clone(self),
            key,
            running,
            ended: false,
        };
        (row, line.group, weather, load)
    }

    async fn wait(&self, ticks: u32) {
        if ticks > 0 {
            // By the clock of the test: no time passes.
            let timer = Timer::sleep;
            timer(&self.clock, TICK * ticks).await;
        }
    }
}

/// A loader that runs.
struct Load {
    database: Arc<Database>,
    key: usize,
    running: Running,
    ended: bool,
}

impl Load {
    fn give(mut self, read: &Read) {
        self.ended = true;
        let now = self.database.clock.now();
        let mut state = self.database.state();
        let State { lines, counts, .. } = &mut *state;
        let line = &mut lines[self.key];
        counts.values += 1;
        if line.fences != self.running.fences {
            counts.fenced += 1;
        } else if read.store {
            line.stored = Some(now);
            if read.unchanged {
                counts.confirmed += 1;
                line.confirmed = Some((read.row, now));
            }
        } else {
            line.let_go();
        }
    }

    fn fail(mut self) {
        self.ended = true;
        let now = self.database.clock.now();
        let mut state = self.database.state();
        state.counts.errors += 1;
        state.lines[self.key].fail(&self.running, now);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let now = self.database.clock.now();
        let mut state = self.database.state();
        let State {
            lines,
            counts,
            hanging_up,
            ..
        } = &mut *state;
        let line = &mut lines[self.key];
        let place = line.running.iter().position(|it| *it == self.running);
        if let Some(place) = place {
            line.running.swap_remove(place);
        }
        if self.ended {
            return;
        }
        // Dropped before its end: by a caller who is gone, or by a timeout.
        if *hanging_up {
            counts.cancelled += 1;
        } else {
            counts.timeouts += 1;
            line.fail(&self.running, now);
            line.hung = self.running.hangs;
        }
    }
}
