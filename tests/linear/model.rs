//! A sequential model of the promised behaviour: the effect of every step on a few keys.
//!
//! A key has a value or none, and loads in its slot in the order of their starts. An
//! invalidation fences a load in flight by taking it out of the slot; a stored load takes out
//! the loads that began earlier. An invalidation of a tag that the loader chooses marks the load
//! instead: a marked load stores nothing and cannot be joined. An invalidation lasts from `Begin`
//! to `End`: a load that begins meanwhile and has a tag of the invalidation is early. It stores
//! nothing, and cannot be joined after the `End` of any invalidation.

use super::history::{CALLERS, KEYS, Set, Value};
use super::steps::{Index, Step, StepKind, Steps};

const NEVER: u8 = u8::MAX;
const ALL_KEYS: Set = (1 << KEYS.len()) - 1;

/// The value and the load of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyState {
    value: Index,
    until: u8,
    /// The tags of the value: an update keeps those of the value before.
    tags: Set,
    /// The loads in the slot, oldest first; zero is none.
    loads: [Index; CALLERS],
}

impl KeyState {
    /// The loads that began before this load.
    fn older(self, flight: Index) -> Option<usize> {
        self.loads.iter().position(|&load| load == flight)
    }

    fn add_load(&mut self, flight: Index) {
        let free = self.older(0).expect("a caller runs one load at a time");
        self.loads[free] = flight;
    }

    fn retain_loads(&mut self, keep: impl Fn(Index) -> bool) {
        let kept = self
            .loads
            .into_iter()
            .filter(|&load| load != 0 && keep(load));
        let kept: Vec<_> = kept.collect();
        self.loads = std::array::from_fn(|place| kept.get(place).copied().unwrap_or(0));
    }
}

/// The position of each caller, and the contents of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub position: [u8; CALLERS],
    /// For a running invalidation: the time at which it began; or, in a sharded cache, the
    /// set of visited keys, and in the bits above the set the count so far.
    pending: [u8; CALLERS],
    keys: [KeyState; KEYS.len()],
    time: u8,
    /// The sets of marked loads, of early loads, and of early loads that cannot be joined.
    marked: u64,
    early: u64,
    unjoinable: u64,
}

impl State {
    pub fn new(steps: &Steps) -> Self {
        let key_state = |&value: &Index| KeyState {
            value,
            until: NEVER,
            tags: steps.values[usize::from(value)].tags,
            loads: [0; CALLERS],
        };
        Self {
            position: [0; CALLERS],
            pending: [0; CALLERS],
            keys: std::array::from_fn(|key| key_state(&steps.before[key])),
            time: 0,
            marked: 0,
            early: 0,
            unjoinable: 0,
        }
    }

    /// The value that a read of the key sees.
    fn seen(&self, key: usize) -> Index {
        let key_state = &self.keys[key];
        if self.time < key_state.until || key_state.until == NEVER {
            key_state.value
        } else {
            0
        }
    }

    /// Stores a value, or nothing for zero, and fences every load.
    fn store(&mut self, steps: &Steps, key: usize, value: Index) {
        let Value { ttl, tags, .. } = steps.values[usize::from(value)];
        let until = if ttl == 0 { NEVER } else { self.time + ttl };
        self.keys[key] = KeyState {
            value,
            until,
            tags,
            loads: [0; CALLERS],
        };
    }

    /// Stores the value of a load, and fences the loads that began earlier.
    fn store_load(&mut self, steps: &Steps, key: usize, value: Index, older: usize) {
        let mut newer = [0; CALLERS];
        newer[..CALLERS - 1 - older].copy_from_slice(&self.keys[key].loads[older + 1..]);
        self.store(steps, key, value);
        self.keys[key].loads = newer;
    }

    /// Stores a value over the fresh value of a key, and keeps the tags, and the time if the new
    /// value has none.
    fn update(&mut self, steps: &Steps, key: usize, value: Index) {
        let old = self.keys[key];
        self.store(steps, key, value);
        self.keys[key].tags |= old.tags;
        if steps.values[usize::from(value)].ttl == 0 {
            self.keys[key].until = old.until;
        }
    }

    fn is_marked(&self, flight: Index) -> bool {
        self.marked >> flight & 1 == 1
    }

    /// The load that a call joins; zero is none.
    fn joinable(&self, key: usize) -> Index {
        let loads = self.keys[key].loads.iter().rev();
        let joinable = |&&load: &&Index| load != 0 && self.unjoinable >> load & 1 == 0;
        loads.copied().find(|load| joinable(&load)).unwrap_or(0)
    }

    /// Removes the value of a key and fences the load, each if it has one of the tags.
    /// Returns 1 or 0 for fresh or not: now, and at the earlier time `began`.
    fn invalidate(&mut self, steps: &Steps, key: usize, tags: Option<Set>, began: u8) -> (u8, u8) {
        let hit = |of: Set| tags.is_none_or(|tags| tags & of != 0);
        let key_state = &mut self.keys[key];
        key_state.retain_loads(|load| !hit(steps.flights[usize::from(load)].tags));
        if key_state.value == 0 || !hit(key_state.tags) {
            return (0, 0);
        }
        let fresh = |time: u8| u8::from(key_state.until == NEVER || time < key_state.until);
        let ended = (fresh(self.time), fresh(began));
        (key_state.value, key_state.until, key_state.tags) = (0, NEVER, 0);
        ended
    }
}

/// The transitions of the model.
pub struct Rules<'a> {
    pub steps: &'a Steps,
    pub sharded: bool,
    /// The clock advances or there are loads, so that the beginning of an invalidation matters.
    pub begin_matters: bool,
}

impl Rules<'_> {
    pub fn step(&self, state: &State, caller: usize) -> Option<&Step> {
        self.steps.callers[caller].get(usize::from(state.position[caller]))
    }

    /// Adds the states that may follow if the caller's next step is the next of all steps.
    /// Returns whether no other step need be tried: the step only reads, or has no effect
    /// from now on, so that any order with the step later is also an order with the step now.
    pub fn follow(&self, state: &State, caller: usize, next: &mut Vec<State>) -> bool {
        let Some(step) = self.step(state, caller) else {
            return false;
        };
        let mut to = *state;
        to.position[caller] += 1;
        let steps = self.steps;
        let (legal, certain) = match step.kind {
            StepKind::Read { key, saw } => {
                (state.seen(key) == saw && !steps.is_undecodable(saw), true)
            }
            StepKind::ReadUndecodable { key } => (steps.is_undecodable(state.seen(key)), true),
            StepKind::Contains { key, present } => ((state.seen(key) != 0) == present, true),
            StepKind::Keys { saw } => {
                let seen = |key: &usize| state.seen(*key) != 0;
                let seen = (0..KEYS.len()).filter(seen);
                (seen.fold(0, |set, key| set | 1 << key) == saw, true)
            }
            StepKind::Store { key, value } => {
                to.store(steps, key, value);
                (true, false)
            }
            StepKind::StoreIfAbsent { key, value, stored } => {
                if stored {
                    to.store(steps, key, value);
                }
                ((state.seen(key) == 0) == stored, !stored)
            }
            StepKind::Remove { key, present } => {
                to.store(steps, key, 0);
                ((state.seen(key) != 0) == present, false)
            }
            StepKind::Swap { key, saw, new } => {
                if saw != 0 && new != 0 {
                    to.update(steps, key, new);
                } else {
                    to.store(steps, key, new);
                }
                (state.seen(key) == saw, false)
            }
            StepKind::Begin => {
                to.pending[caller] = if self.sharded { 0 } else { state.time };
                (true, !self.begin_matters)
            }
            StepKind::End { tags } => {
                to.marked |= self.loads_to_mark(state, tags.unwrap_or(0));
                to.unjoinable |= state.early;
                (true, !self.begin_matters)
            }
            StepKind::Visit { tags, count } => {
                self.visit(state, caller, tags, count, next);
                return false;
            }
            StepKind::Advance => {
                to.time += 1;
                (true, false)
            }
            StepKind::Open => (true, false),
            StepKind::Claim { flight, refresh } => {
                let key = steps.flights[usize::from(flight)].key;
                to.keys[key].add_load(flight);
                let tags = steps.flights[usize::from(flight)].tags;
                let is_early = self.is_named(state, |named| named.is_none_or(|it| it & tags != 0));
                to.early |= u64::from(is_early) << flight;
                let free = state.joinable(key) == 0 && self.is_missing(state, key);
                (free || refresh, false)
            }
            StepKind::Complete { flight } => (true, self.complete(state, &mut to, flight)),
            StepKind::Abandon { flight } => {
                let key = steps.flights[usize::from(flight)].key;
                to.keys[key].retain_loads(|load| load != flight);
                (true, state.keys[key].older(flight).is_none())
            }
            StepKind::FindOrJoin { key, value, flight } => {
                if value != 0 && state.seen(key) == value {
                    to.position[caller] += 1;
                    next.push(to);
                    return true;
                }
                let in_flight = flight != 0 && state.joinable(key) == flight;
                let joined = in_flight && self.is_missing(state, key) && !state.is_marked(flight);
                (joined, false)
            }
            StepKind::Await { flight } => {
                let load = steps.flights[usize::from(flight)];
                (state.position[load.caller] > load.end, true)
            }
        };
        if legal {
            next.push(to);
        }
        legal && certain
    }

    /// Ends a load that has a value. Returns whether the load changes nothing.
    fn complete(&self, state: &State, to: &mut State, flight: Index) -> bool {
        let load = self.steps.flights[usize::from(flight)];
        let hit = |named: Option<Set>| named.is_some_and(|it| it & load.chosen != 0);
        let is_early = state.early >> flight & 1 == 1;
        let is_discarded = is_early || state.is_marked(flight) || self.is_named(state, hit);
        let older = state.keys[load.key].older(flight);
        match older {
            Some(_) if is_discarded => to.keys[load.key].retain_loads(|load| load != flight),
            Some(older) => to.store_load(self.steps, load.key, load.value, older),
            None => {}
        }
        older.is_none()
    }

    /// Whether a loading call finds no value.
    fn is_missing(&self, state: &State, key: usize) -> bool {
        let seen = state.seen(key);
        seen == 0 || self.steps.is_undecodable(seen)
    }

    /// Whether an invalidation between `Begin` and `End` has names that `hit` accepts. `None`
    /// is a flush.
    fn is_named(&self, state: &State, hit: impl Fn(Option<Set>) -> bool) -> bool {
        (0..self.steps.callers.len()).any(|caller| match self.step(state, caller) {
            Some(Step {
                kind: StepKind::Visit { tags, .. } | StepKind::End { tags },
                ..
            }) => hit(*tags),
            _ => false,
        })
    }

    /// The open loads that choose one of these tags.
    fn loads_to_mark(&self, state: &State, tags: Set) -> u64 {
        let flights = self.steps.flights.iter().enumerate();
        let open = flights.filter(|(_, load)| {
            let position = state.position[load.caller];
            load.chosen & tags != 0 && position >= load.open && position <= load.end
        });
        open.fold(0, |set, (flight, _)| set | 1 << flight)
    }

    fn visit(
        &self,
        state: &State,
        caller: usize,
        tags: Option<Set>,
        count: Option<u8>,
        next: &mut Vec<State>,
    ) {
        if !self.sharded {
            let mut to = *state;
            to.position[caller] += 1;
            let (mut least, mut most) = (0, 0);
            for key in 0..KEYS.len() {
                let (now, then) = to.invalidate(self.steps, key, tags, state.pending[caller]);
                least += now;
                most += then;
            }
            to.pending[caller] = 0;
            // An entry that expired during the call may be counted or not.
            if count.is_none_or(|count| least <= count && count <= most) {
                next.push(to);
            }
            return;
        }
        for key in 0..KEYS.len() {
            let mut to = *state;
            let pending = state.pending[caller];
            if pending >> key & 1 == 1 {
                continue;
            }
            let (ended, _) = to.invalidate(self.steps, key, tags, state.time);
            to.pending[caller] = (pending | 1 << key) + (ended << KEYS.len());
            if to.pending[caller] & ALL_KEYS == ALL_KEYS {
                let counted = to.pending[caller] >> KEYS.len();
                to.position[caller] += 1;
                to.pending[caller] = 0;
                if count.is_some_and(|count| counted != count) {
                    continue;
                }
            }
            next.push(to);
        }
    }
}
