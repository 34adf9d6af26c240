//! The cache as it is promised: a few keys, and every part of a call at one moment.
//!
//! A key has a value or none, and a load in its seat or none. What an invalidation does to
//! a load in flight is that it takes the seat from it; if it is by a tag that the loader
//! chooses, it marks the load, which then stores nothing and is no longer to be joined.

use super::history::{KEYS, LANES, Set};
use super::parts::{Deed, Index, Part, Parts};

const NEVER: u8 = u8::MAX;
const ALL_KEYS: Set = (1 << KEYS.len()) - 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    value: Index,
    until: u8,
    /// The load that has the seat; zero is none.
    seat: Index,
}

/// How far each lane is, and what there is then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub at: [u8; LANES],
    /// Of an invalidation: the time at which it began; or, where keys are apart, those it
    /// has come to, and above them what it counted.
    aside: [u8; LANES],
    slots: [Slot; KEYS.len()],
    time: u8,
    /// The loads that were marked.
    marked: u64,
}

impl State {
    pub fn new(parts: &Parts) -> Self {
        let slot = |&value: &Index| Slot {
            value,
            until: NEVER,
            seat: 0,
        };
        Self {
            at: [0; LANES],
            aside: [0; LANES],
            slots: std::array::from_fn(|key| slot(&parts.before[key])),
            time: 0,
            marked: 0,
        }
    }

    /// What a reader of the key sees.
    fn seen(&self, key: usize) -> Index {
        let slot = &self.slots[key];
        if self.time < slot.until || slot.until == NEVER {
            slot.value
        } else {
            0
        }
    }

    /// Stores a value, or nothing; either way the seat is free.
    fn store(&mut self, parts: &Parts, key: usize, value: Index) {
        let ttl = parts.values[usize::from(value)].ttl;
        let until = if ttl == 0 { NEVER } else { self.time + ttl };
        self.slots[key] = Slot {
            value,
            until,
            seat: 0,
        };
    }

    fn is_marked(&self, flight: Index) -> bool {
        self.marked >> flight & 1 == 1
    }

    /// Ends the value of a key and fences its load, if they have one of the tags. Whether
    /// the value was fresh, and whether it was at a time before.
    fn end(&mut self, parts: &Parts, key: usize, tags: Option<Set>, at: u8) -> (u8, u8) {
        let hit = |of: Set| tags.is_none_or(|tags| tags & of != 0);
        let slot = &mut self.slots[key];
        if slot.seat != 0 && hit(parts.flights[usize::from(slot.seat)].tags) {
            slot.seat = 0;
        }
        if slot.value == 0 || !hit(parts.values[usize::from(slot.value)].tags) {
            return (0, 0);
        }
        let fresh = |time: u8| u8::from(slot.until == NEVER || time < slot.until);
        let ended = (fresh(self.time), fresh(at));
        (slot.value, slot.until) = (0, NEVER);
        ended
    }
}

/// What can follow from one part.
pub struct Rules<'a> {
    pub parts: &'a Parts,
    pub apart: bool,
    /// The clock moves, or loaders choose tags: then it matters when an invalidation began.
    pub marks_matter: bool,
}

impl Rules<'_> {
    pub fn part(&self, state: &State, lane: usize) -> Option<&Part> {
        self.parts.lanes[lane].get(usize::from(state.at[lane]))
    }

    /// Adds the states that may follow if the next part of a lane is next of all. Says
    /// whether no other need be tried: it only reads, or does nothing from now on, so that
    /// an order in which it comes later is an order in which it comes now.
    pub fn follow(&self, state: &State, lane: usize, next: &mut Vec<State>) -> bool {
        let Some(part) = self.part(state, lane) else {
            return false;
        };
        let mut to = *state;
        to.at[lane] += 1;
        let parts = self.parts;
        let (legal, certain) = match part.deed {
            Deed::Read { key, saw } => (state.seen(key) == saw && !parts.is_garbled(saw), true),
            Deed::ReadGarbled { key } => (parts.is_garbled(state.seen(key)), true),
            Deed::Contains { key, was } => ((state.seen(key) != 0) == was, true),
            Deed::Keys { saw } => {
                let seen = |key: &usize| state.seen(*key) != 0;
                let seen = (0..KEYS.len()).filter(seen);
                (seen.fold(0, |set, key| set | 1 << key) == saw, true)
            }
            Deed::Store { key, value } => {
                to.store(parts, key, value);
                (true, false)
            }
            Deed::StoreIfAbsent { key, value, done } => {
                if done {
                    to.store(parts, key, value);
                }
                ((state.seen(key) == 0) == done, !done)
            }
            Deed::Remove { key, was } => {
                to.store(parts, key, 0);
                ((state.seen(key) != 0) == was, false)
            }
            Deed::Swap { key, saw, new } => {
                to.store(parts, key, new);
                (state.seen(key) == saw, false)
            }
            Deed::Mark { tags } => {
                to.aside[lane] = if self.apart { 0 } else { state.time };
                to.marked |= self.to_be_marked(state, tags);
                (true, !self.marks_matter)
            }
            Deed::Visit { tags, count } => {
                self.visit(state, lane, Some(tags), count, next);
                return false;
            }
            Deed::Flush => {
                self.visit(state, lane, None, None, next);
                return false;
            }
            Deed::Advance => {
                to.time += 1;
                (true, false)
            }
            Deed::Open => (true, false),
            Deed::Seat { flight, anew } => {
                let key = parts.flights[usize::from(flight)].key;
                to.slots[key].seat = flight;
                let free = state.slots[key].seat == 0 && self.is_missing(state, key);
                (free || anew, false)
            }
            Deed::Land { flight } => {
                let load = parts.flights[usize::from(flight)];
                let seated = state.slots[load.key].seat == flight;
                if seated && state.is_marked(flight) {
                    to.slots[load.key].seat = 0;
                } else if seated {
                    to.store(parts, load.key, load.value);
                }
                (true, !seated)
            }
            Deed::GiveUp { flight } => {
                let key = parts.flights[usize::from(flight)].key;
                let seated = state.slots[key].seat == flight;
                if seated {
                    to.slots[key].seat = 0;
                }
                (true, !seated)
            }
            Deed::Find { key, value, flight } => {
                if value != 0 && state.seen(key) == value {
                    to.at[lane] += 1;
                    next.push(to);
                    return true;
                }
                let there = flight != 0 && state.slots[key].seat == flight;
                let joined = there && self.is_missing(state, key) && !state.is_marked(flight);
                (joined, false)
            }
            Deed::Await { flight } => {
                let load = parts.flights[usize::from(flight)];
                (state.at[load.lane] > load.end, true)
            }
        };
        if legal {
            next.push(to);
        }
        legal && certain
    }

    /// Whether there is nothing for who would load.
    fn is_missing(&self, state: &State, key: usize) -> bool {
        let seen = state.seen(key);
        seen == 0 || self.parts.is_garbled(seen)
    }

    /// The loads in flight that choose one of these tags.
    fn to_be_marked(&self, state: &State, tags: Set) -> u64 {
        let flights = self.parts.flights.iter().enumerate();
        let open = flights.filter(|(_, load)| {
            let at = state.at[load.lane];
            load.own & tags != 0 && at >= load.open && at <= load.end
        });
        open.fold(0, |set, (flight, _)| set | 1 << flight)
    }

    fn visit(
        &self,
        state: &State,
        lane: usize,
        tags: Option<Set>,
        count: Option<u8>,
        next: &mut Vec<State>,
    ) {
        if !self.apart {
            let mut to = *state;
            to.at[lane] += 1;
            let (mut least, mut most) = (0, 0);
            for key in 0..KEYS.len() {
                let (now, then) = to.end(self.parts, key, tags, state.aside[lane]);
                least += now;
                most += then;
            }
            to.aside[lane] = 0;
            // What expired while it was on its way may be counted or not.
            if count.is_none_or(|count| least <= count && count <= most) {
                next.push(to);
            }
            return;
        }
        for key in 0..KEYS.len() {
            let mut to = *state;
            let aside = state.aside[lane];
            if aside >> key & 1 == 1 {
                continue;
            }
            let (ended, _) = to.end(self.parts, key, tags, state.time);
            to.aside[lane] = (aside | 1 << key) + (ended << KEYS.len());
            if to.aside[lane] & ALL_KEYS == ALL_KEYS {
                let counted = to.aside[lane] >> KEYS.len();
                to.at[lane] += 1;
                to.aside[lane] = 0;
                if count.is_some_and(|count| counted != count) {
                    continue;
                }
            }
            next.push(to);
        }
    }
}
