//! What the model knows of loads: who finds what, who joins, who stores.

use super::entry::{NEVER, Reading, State};
use super::input::{Form, Terms};
use super::model::{Fault, Key, Model};

/// How a load ended, for those who wait for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Value {
        id: u32,
        /// The first invalidation of a tag of its own since it began.
        marked: Option<usize>,
    },
    Fault(Fault),
    /// Nobody knows: look again.
    Dropped,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Old {
    pub(crate) id: u32,
    pub(crate) form: Form,
    pub(crate) tags: u8,
    pub(crate) reading: Reading,
}

#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) key: Key,
    pub(crate) asked: Form,
    pub(super) tags: u8,
    /// What it may replace.
    pub(crate) old: Option<Old>,
    /// How many invalidations of tags there were when it began.
    start: usize,
    /// The step in which it began.
    pub(crate) step: u64,
    pub(crate) end: Option<End>,
}

/// What a load finds.
pub(crate) enum Look {
    Serve(u32, State),
    Fault(Fault),
    Join { flight: usize, old: bool },
    Lead(usize),
}

impl Model {
    /// Whether a load of a key runs, fenced or not: then a `retain` may ask about it.
    pub(crate) fn is_loading(&self, key: Key) -> bool {
        let runs = |flight: &Flight| flight.key == key && flight.end.is_none();
        self.flights.iter().any(runs)
    }

    fn seat(&mut self, key: Key, asked: Form, tags: u8, old: Option<Old>) -> usize {
        self.stats.loads += 1;
        self.flights.push(Flight {
            key,
            asked,
            tags,
            old,
            start: self.marks.len(),
            step: self.step,
            end: None,
        });
        self.seats.insert(key, self.flights.len() - 1);
        self.flights.len() - 1
    }

    fn backoff(&self, key: Key) -> Option<Fault> {
        let (until, fault) = *self.backoffs.get(&key)?;
        (until > self.now).then_some(fault)
    }

    /// What a loading call does, by the table of `docs/freshness.md`. The first look of a
    /// call is counted.
    pub(crate) fn look(&mut self, key: Key, asked: Form, terms: &Terms, first: bool) -> Look {
        let now = self.now;
        let found = self.entries.get_mut(&key).map(|entry| {
            let state = entry.state(now);
            let old = Old {
                id: entry.id,
                form: entry.form,
                tags: entry.tags,
                reading: entry.reading(asked),
            };
            if state.is_fresh() || (state != State::Gone && old.reading != Reading::WrongType) {
                entry.touch(now);
            }
            (state, old)
        });
        let nothing = Old {
            id: 0,
            form: Form::Garbage,
            tags: 0,
            reading: Reading::Undecodable,
        };
        let (state, old) = found.unwrap_or((State::Gone, nothing));
        let (id, reading) = (old.id, old.reading);
        if first {
            // What cannot be decoded is a miss.
            let hit = state.is_fresh() && reading != Reading::Undecodable;
            *if hit {
                &mut self.stats.hits
            } else {
                &mut self.stats.misses
            } += 1;
        }
        let usable = state != State::Gone && reading == Reading::Value;
        if state.is_fresh() && reading == Reading::WrongType {
            return Look::Fault(Fault::WrongType);
        }
        if usable && state == State::Fresh {
            return Look::Serve(id, state);
        }
        if let Some(&flight) = self.seats.get(&key) {
            if usable && state <= State::Stale {
                return self.serve(id, state);
            }
            if self.flights[flight].asked != asked {
                return Look::Fault(Fault::WrongType);
            }
            // Whether it can be decoded is found out when it is needed.
            let old = state == State::Fallback && reading != Reading::WrongType;
            return Look::Join { flight, old };
        }
        if let Some(fault) = self.backoff(key) {
            if usable {
                return self.serve(id, state);
            }
            return Look::Fault(fault);
        }
        self.backoffs.remove(&key);
        let is_old = match state {
            State::Fresh | State::Due => reading == Reading::Value,
            State::Stale | State::Fallback => reading != Reading::WrongType,
            State::Gone => false,
        };
        self.stats.refreshes += u64::from(is_old && state <= State::Stale);
        let old = is_old.then_some(old);
        Look::Lead(self.seat(key, asked, terms.tags, old))
    }

    fn serve(&mut self, id: u32, state: State) -> Look {
        self.stats.stale_serves += u64::from(!state.is_fresh());
        Look::Serve(id, state)
    }

    /// Takes the seat for a `refresh`.
    pub(crate) fn sit_anew(&mut self, key: Key, asked: Form, terms: &Terms) -> Look {
        let now = self.now;
        let mut hit = false;
        if let Some(entry) = self.entries.get_mut(&key) {
            hit = entry.is_fresh(now);
            let reads = entry.reading(asked) != Reading::WrongType;
            if hit || (entry.state(now) != State::Gone && reads) {
                entry.touch(now);
            }
            if hit && !reads {
                self.stats.hits += 1;
                return Look::Fault(Fault::WrongType);
            }
        }
        *if hit {
            &mut self.stats.hits
        } else {
            &mut self.stats.misses
        } += 1;
        self.stats.refreshes += 1;
        Look::Lead(self.seat(key, asked, terms.tags, None))
    }

    /// What there is to be served instead of a load. A refresh that fails does not hide
    /// behind a fresh value that has no window.
    pub(crate) fn instead(&mut self, key: Key, asked: Form, refresh: bool) -> Option<u32> {
        let entry = self.entries.get(&key)?;
        let (state, id) = (entry.state(self.now), entry.id);
        let hidden = refresh && state.is_fresh() && !entry.has_window();
        if state == State::Gone || hidden || entry.reading(asked) != Reading::Value {
            return None;
        }
        self.serve(id, state);
        Some(id)
    }

    /// Whether a load still has its seat.
    fn has_seat(&self, flight: usize) -> bool {
        self.seats.get(&self.flights[flight].key) == Some(&flight)
    }

    /// How many invalidations of tags there were.
    pub(crate) fn marks(&self) -> usize {
        self.marks.len()
    }

    /// The number of the first invalidation of one of these tags since a start.
    fn first_mark(&self, tags: u8, start: usize) -> Option<usize> {
        let later = &self.marks[start..];
        let first = later.iter().position(|marked| marked & tags != 0);
        first.map(|place| start + place + 1)
    }

    /// Ends a load with a value. Whether it may be stored.
    pub(crate) fn land(&mut self, flight: usize, id: u32, own: u8, unchanged: bool) -> bool {
        let seated = self.has_seat(flight);
        let Flight {
            key, start, old, ..
        } = self.flights[flight];
        let old_tags = old.map_or(0, |old| old.tags);
        let revives = unchanged && self.first_mark(old_tags, start).is_some();
        let marked = self.first_mark(own, start);
        let stores = seated && marked.is_none() && !revives;
        if seated {
            self.fence(key);
        }
        self.stats.stale_load_discards += u64::from(!stores);
        self.flights[flight].end = Some(End::Value { id, marked });
        stores
    }

    /// Ends a load without a value.
    pub(crate) fn give_up(&mut self, flight: usize, end: End, pause: u64) {
        let key = self.flights[flight].key;
        let seated = self.has_seat(flight);
        if seated {
            self.fence(key);
        }
        if let End::Fault(fault) = end {
            self.stats.load_failures += 1;
            if seated && pause > 0 {
                let until = self.now.saturating_add(pause);
                self.backoffs.insert(key, (until.min(NEVER - 1), fault));
            }
        }
        self.flights[flight].end = Some(end);
    }
}
