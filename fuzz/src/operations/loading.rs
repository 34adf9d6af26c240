//! Loads in the model: look-ups, joins, fences, completions.

use super::entry::{NEVER, Reading, State};
use super::input::{CallOptions, Form};
use super::model::{Fault, Key, Model};

/// The end of a load, as seen by the waiters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Value {
        id: u32,
        /// The number of the first invalidation of a loader-chosen tag since the load began.
        invalidated_at: Option<usize>,
    },
    Fault(Fault),
    /// The leader was dropped: the waiters look up the key again.
    Dropped,
}

/// The entry that a load may replace.
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
    /// The entry that the load may replace.
    pub(crate) old: Option<Old>,
    /// The number of tag invalidations before the load began.
    start: usize,
    /// The step in which the load began.
    pub(crate) step: u64,
    pub(crate) end: Option<End>,
}

/// The result of a look-up by a loading call.
pub(crate) enum LookUp {
    Serve(u32, State),
    Fault(Fault),
    Join { flight: usize, old: bool },
    Lead(usize),
}

impl Model {
    /// Whether a load of the key runs, fenced or not: then a `retain` may see the key.
    pub(crate) fn is_loading(&self, key: Key) -> bool {
        let runs = |flight: &Flight| flight.key == key && flight.end.is_none();
        self.flights.iter().any(runs)
    }

    /// Claims the slot of a key for a new load.
    fn claim(&mut self, key: Key, asked: Form, tags: u8, old: Option<Old>) -> usize {
        self.stats.loads += 1;
        self.flights.push(Flight {
            key,
            asked,
            tags,
            old,
            start: self.tag_invalidations.len(),
            step: self.step,
            end: None,
        });
        let flight = self.flights.len() - 1;
        self.slots.entry(key).or_default().push(flight);
        self.flights.len() - 1
    }

    fn backoff(&self, key: Key) -> Option<Fault> {
        let (until, fault, _) = *self.backoffs.get(&key)?;
        (until > self.now).then_some(fault)
    }

    /// The look-up of a loading call, by the table of `docs/freshness.md`. Only the first
    /// look-up of a call is counted.
    pub(crate) fn look_up(
        &mut self,
        key: Key,
        asked: Form,
        settings: &CallOptions,
        first: bool,
    ) -> LookUp {
        let now = self.now;
        let found = self.entries.get_mut(&key).map(|entry| {
            let state = entry.state(now);
            let old = Old {
                id: entry.id,
                form: entry.form,
                tags: entry.tags,
                reading: entry.reading(asked),
            };
            if state.is_fresh() || (state != State::Expired && old.reading != Reading::WrongType) {
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
        let (state, old) = found.unwrap_or((State::Expired, nothing));
        let (id, reading) = (old.id, old.reading);
        if first {
            // An undecodable entry counts as a miss.
            let hit = state.is_fresh() && reading != Reading::Undecodable;
            *if hit {
                &mut self.stats.hits
            } else {
                &mut self.stats.misses
            } += 1;
        }
        let usable = state != State::Expired && reading == Reading::Value;
        if state.is_fresh() && reading == Reading::WrongType {
            return LookUp::Fault(Fault::WrongType);
        }
        if usable && state == State::Fresh {
            return LookUp::Serve(id, state);
        }
        // The newest load.
        if let Some(&flight) = self.slots.get(&key).and_then(|loads| loads.last()) {
            if usable && state <= State::Stale {
                return self.serve(id, state);
            }
            if self.flights[flight].asked != asked {
                return LookUp::Fault(Fault::WrongType);
            }
            // The entry is decoded only when needed.
            let old = state == State::Fallback && reading != Reading::WrongType;
            return LookUp::Join { flight, old };
        }
        if let Some(fault) = self.backoff(key) {
            if usable {
                return self.serve(id, state);
            }
            return LookUp::Fault(fault);
        }
        self.backoffs.remove(&key);
        let is_old = match state {
            State::Fresh | State::Due => reading == Reading::Value,
            State::Stale | State::Fallback => reading != Reading::WrongType,
            State::Expired => false,
        };
        self.stats.refreshes += u64::from(is_old && state <= State::Stale);
        let old = is_old.then_some(old);
        LookUp::Lead(self.claim(key, asked, settings.tags, old))
    }

    fn serve(&mut self, id: u32, state: State) -> LookUp {
        self.stats.stale_serves += u64::from(!state.is_fresh());
        LookUp::Serve(id, state)
    }

    /// Claims the slot for a `refresh`.
    pub(crate) fn claim_refresh(
        &mut self,
        key: Key,
        asked: Form,
        settings: &CallOptions,
    ) -> LookUp {
        let now = self.now;
        let mut hit = false;
        if let Some(entry) = self.entries.get_mut(&key) {
            hit = entry.is_fresh(now);
            let reads = entry.reading(asked) != Reading::WrongType;
            if hit || (entry.state(now) != State::Expired && reads) {
                entry.touch(now);
            }
            if hit && !reads {
                self.stats.hits += 1;
                return LookUp::Fault(Fault::WrongType);
            }
        }
        *if hit {
            &mut self.stats.hits
        } else {
            &mut self.stats.misses
        } += 1;
        self.stats.refreshes += 1;
        LookUp::Lead(self.claim(key, asked, settings.tags, None))
    }

    /// The value to serve instead of a failed or slow load.
    pub(crate) fn stale_value(&mut self, key: Key, asked: Form) -> Option<u32> {
        let entry = self.entries.get(&key)?;
        let (state, id) = (entry.state(self.now), entry.id);
        if state == State::Expired || entry.reading(asked) != Reading::Value {
            return None;
        }
        self.serve(id, state);
        Some(id)
    }

    /// Whether a load still holds its slot.
    fn holds_slot(&self, flight: usize) -> bool {
        let loads = self.slots.get(&self.flights[flight].key);
        loads.is_some_and(|loads| loads.contains(&flight))
    }

    /// Takes a load out of its slot, and with it the loads that `also` accepts.
    fn leave_slot(&mut self, flight: usize, also: impl Fn(usize) -> bool) {
        let key = self.flights[flight].key;
        if let Some(loads) = self.slots.get_mut(&key) {
            loads.retain(|&other| other != flight && !also(other));
            if loads.is_empty() {
                self.slots.remove(&key);
            }
        }
    }

    /// The number of tag invalidations so far.
    pub(crate) fn invalidations(&self) -> usize {
        self.tag_invalidations.len()
    }

    /// The number of the first invalidation of one of these tags since `start`.
    fn first_invalidation(&self, tags: u8, start: usize) -> Option<usize> {
        let later = &self.tag_invalidations[start..];
        let first = later
            .iter()
            .position(|invalidated_at| invalidated_at & tags != 0);
        first.map(|place| start + place + 1)
    }

    /// Completes a load with a value. Returns whether the value may be stored.
    pub(crate) fn complete(&mut self, flight: usize, id: u32, chosen: u8, unchanged: bool) -> bool {
        let holds_slot = self.holds_slot(flight);
        let Flight { start, old, .. } = self.flights[flight];
        let old_tags = old.map_or(0, |old| old.tags);
        let revives = unchanged && self.first_invalidation(old_tags, start).is_some();
        let invalidated_at = self.first_invalidation(chosen, start);
        let stores = holds_slot && invalidated_at.is_none() && !revives;
        // A stored load fences the loads that began earlier; their numbers are smaller.
        self.leave_slot(flight, |other| stores && other < flight);
        self.stats.stale_load_discards += u64::from(!stores);
        self.flights[flight].end = Some(End::Value { id, invalidated_at });
        stores
    }

    /// Abandons a load: ends the load without a value.
    pub(crate) fn abandon(&mut self, flight: usize, end: End, pause: u64) {
        let key = self.flights[flight].key;
        let holds_slot = self.holds_slot(flight);
        self.leave_slot(flight, |_| false);
        if let End::Fault(fault) = end {
            self.stats.load_failures += 1;
            if holds_slot && pause > 0 {
                let until = self.now.saturating_add(pause);
                let tags = self.flights[flight].tags;
                self.backoffs
                    .insert(key, (until.min(NEVER - 1), fault, tags));
            }
        }
        self.flights[flight].end = Some(end);
    }
}
