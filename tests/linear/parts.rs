//! Calls taken apart: what happens at one moment each.
//!
//! Most calls are one part. A load is two, taking the seat and landing, and whoever waits
//! for it has one before it lands and one after; that of a loader which chooses its tags
//! begins with a third, from which on marks of its tags count. An invalidation marks its
//! tags, at a time of the clock, and then visits the shard.

use std::collections::HashMap;

use super::history::{Answer, Call, GARBLED, History, KEYS, Load, Set, Value};

/// A value of the history by its index; zero is none.
pub type Index = u8;

/// What a part does, and what was seen of it.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    Read {
        key: usize,
        saw: Index,
    },
    ReadGarbled {
        key: usize,
    },
    Contains {
        key: usize,
        was: bool,
    },
    Keys {
        saw: Set,
    },
    /// Zero is to store nothing, and to remove what there is.
    Store {
        key: usize,
        value: Index,
    },
    StoreIfAbsent {
        key: usize,
        value: Index,
        done: bool,
    },
    Remove {
        key: usize,
        was: bool,
    },
    Swap {
        key: usize,
        saw: Index,
        new: Index,
    },
    Mark {
        tags: Set,
    },
    Visit {
        tags: Set,
        count: Option<u8>,
    },
    Flush,
    Advance,
    Open,
    Seat {
        flight: Index,
        anew: bool,
    },
    Land {
        flight: Index,
    },
    GiveUp {
        flight: Index,
    },
    /// Finds the value, or comes to wait for the load that gives it.
    Find {
        key: usize,
        value: Index,
        flight: Index,
    },
    /// The load that was waited for is over.
    Await {
        flight: Index,
    },
}

/// It happens after `from` and before `to`.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub from: u64,
    pub to: u64,
    pub deed: Deed,
    /// Which of the lane's calls it belongs to.
    pub call: usize,
}

/// A load, by its index; zero is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flight {
    pub key: usize,
    /// What it gives; zero if it fails or is dropped.
    pub value: Index,
    /// The tags that it has from the beginning, and those that it chooses.
    pub tags: Set,
    pub own: Set,
    pub lane: usize,
    /// The parts of its lane after which it is open, and over.
    pub open: u8,
    pub end: u8,
}

pub struct Parts {
    pub lanes: Vec<Vec<Part>>,
    pub values: Vec<Value>,
    pub flights: Vec<Flight>,
    /// What was there before.
    pub before: [Index; KEYS.len()],
}

/// The numbers of values and loads, while a history is taken apart.
struct Numbers {
    values: Vec<Value>,
    by_id: HashMap<u32, Index>,
    /// By the id of a value: the load that gives it, or would have given it.
    loads: HashMap<u32, Index>,
}

impl Numbers {
    fn add(&mut self, value: Value) -> Index {
        let index = Index::try_from(self.values.len()).unwrap();
        self.values.push(value);
        self.by_id.insert(value.id, index);
        index
    }

    fn of(&self, id: u32) -> Result<Index, String> {
        let index = self.by_id.get(&id).copied();
        index.ok_or_else(|| format!("value {id} comes from nowhere"))
    }

    fn seen(&self, id: Option<u32>) -> Result<Index, String> {
        id.map_or(Ok(0), |id| self.of(id))
    }
}

impl Parts {
    pub fn is_garbled(&self, value: Index) -> bool {
        self.values[usize::from(value)].garbled
    }

    pub fn of(history: &History) -> Result<Self, String> {
        let none = Value {
            id: 0,
            tags: 0,
            ttl: 0,
            garbled: false,
        };
        let mut numbers = Numbers {
            values: vec![none],
            by_id: HashMap::new(),
            loads: HashMap::new(),
        };
        let mut flights = vec![Flight::default()];
        let mut before = [0; KEYS.len()];
        for (index, value) in before.iter_mut().zip(history.before) {
            *index = value.map_or(0, |value| numbers.add(value));
        }
        for event in history.lanes.iter().flatten() {
            if let Some(value) = event.value() {
                numbers.add(value);
            }
            if let Call::Load(Load {
                value,
                led: Some(_),
                ..
            }) = event.call
            {
                let flight = Index::try_from(flights.len()).unwrap();
                numbers.loads.insert(value.id, flight);
                flights.push(Flight::default());
            }
        }
        let mut lanes = Vec::new();
        for (lane, events) in history.lanes.iter().enumerate() {
            let mut parts = Vec::new();
            for (call, event) in events.iter().enumerate() {
                let (from, to) = (event.from, event.to);
                let mut add = |from, to, deed| {
                    parts.push(Part {
                        from,
                        to,
                        deed,
                        call,
                    });
                    u8::try_from(parts.len()).unwrap()
                };
                match event.call {
                    Call::Load(load) => {
                        if let Some(flight) = load.apart((from, to), &numbers, add)? {
                            let index = numbers.loads[&load.value.id];
                            flights[usize::from(index)] = Flight { lane, ..flight };
                        }
                    }
                    Call::Invalidate { tags, count } => {
                        let count = count.map(|count| u8::try_from(count).unwrap_or(u8::MAX));
                        add(from, to, Deed::Mark { tags });
                        add(from, to, Deed::Visit { tags, count });
                    }
                    call => {
                        add(from, to, numbers.deed(call)?);
                    }
                }
            }
            lanes.push(parts);
        }
        Ok(Self {
            lanes,
            values: numbers.values,
            flights,
            before,
        })
    }
}

impl Numbers {
    /// What a call does that is one part.
    fn deed(&self, call: Call) -> Result<Deed, String> {
        Ok(match call {
            Call::Get {
                key,
                saw: Some(GARBLED),
            } => Deed::ReadGarbled { key },
            Call::Get { key, saw } => Deed::Read {
                key,
                saw: self.seen(saw)?,
            },
            Call::Contains { key, was } => Deed::Contains { key, was },
            Call::Keys { saw } => Deed::Keys { saw },
            Call::Put { key, value, stored } => {
                let value = if stored { self.of(value.id)? } else { 0 };
                Deed::Store { key, value }
            }
            Call::PutIfAbsent { key, value, done } => {
                let value = self.of(value.id)?;
                Deed::StoreIfAbsent { key, value, done }
            }
            Call::Remove { key, was } => Deed::Remove { key, was },
            Call::Update { key, saw, new } => {
                let (saw, new) = (self.seen(saw)?, self.seen(new.map(|new| new.id))?);
                Deed::Swap { key, saw, new }
            }
            Call::Flush => Deed::Flush,
            Call::Advance => Deed::Advance,
            Call::Invalidate { .. } | Call::Load(_) => unreachable!("more than one part"),
        })
    }
}

impl Load {
    /// Its parts; and its flight, if it was the leader.
    fn apart(
        &self,
        (from, to): (u64, u64),
        numbers: &Numbers,
        mut add: impl FnMut(u64, u64, Deed) -> u8,
    ) -> Result<Option<Flight>, String> {
        let key = self.key;
        let Some((begun, ended)) = self.led else {
            let (id, failed) = match self.answer {
                Answer::Value(id) => (id, false),
                Answer::Error(id) => (id, true),
                // Whatever it found, it left no trace.
                Answer::Dropped => return Ok(None),
            };
            let flight = numbers.loads.get(&id).copied().unwrap_or(0);
            let value = if failed { 0 } else { numbers.of(id)? };
            add(from, to, Deed::Find { key, value, flight });
            add(from, to, Deed::Await { flight });
            return Ok(None);
        };
        let flight = numbers.loads[&self.value.id];
        let mut open = 0;
        if self.own != 0 {
            open = add(from, begun, Deed::Open);
        }
        let anew = self.anew;
        add(from, begun, Deed::Seat { flight, anew });
        let (value, end) = match self.answer {
            Answer::Value(id) if id == self.value.id => {
                let value = numbers.of(id)?;
                (value, Deed::Land { flight })
            }
            Answer::Error(id) if id == self.value.id => (0, Deed::GiveUp { flight }),
            Answer::Dropped => (0, Deed::GiveUp { flight }),
            other => return Err(format!("a leader was answered {other:?}")),
        };
        let end = add(ended.unwrap_or(begun), to, end) - 1;
        Ok(Some(Flight {
            key,
            value,
            tags: self.value.tags & !self.own,
            // A loader that failed has named none.
            own: if value == 0 { 0 } else { self.own },
            lane: 0,
            open,
            end,
        }))
    }
}
