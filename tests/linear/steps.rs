//! Splits recorded calls into atomic steps.
//!
//! Most calls are one step. A load is two steps, the claim of the slot and the completion. A
//! waiter has one step before the completion and one after. A load whose loader chooses tags
//! begins with a third step: from then on, invalidations of those tags mark the load. An
//! invalidation is three steps: the begin, at a time of the clock, the visit of the shards, and
//! the end.

use std::collections::HashMap;

use super::history::{Answer, Call, History, KEYS, Load, Set, UNDECODABLE, Value};

/// The index of a value or of a load of the history; zero is none.
pub type Index = u8;

/// The effect of a step, and its recorded answer.
#[derive(Clone, Copy, Debug)]
pub enum StepKind {
    Read {
        key: usize,
        saw: Index,
    },
    ReadUndecodable {
        key: usize,
    },
    Contains {
        key: usize,
        present: bool,
    },
    Keys {
        saw: Set,
    },
    /// A value of zero stores nothing and removes the current value.
    Store {
        key: usize,
        value: Index,
    },
    StoreIfAbsent {
        key: usize,
        value: Index,
        stored: bool,
    },
    Remove {
        key: usize,
        present: bool,
    },
    Swap {
        key: usize,
        saw: Index,
        new: Index,
    },
    /// Lists an invalidation of tags, or without tags a flush.
    Begin,
    /// Invalidates the entries and fences the loads with these tags, or all.
    Visit {
        tags: Option<Set>,
        count: Option<u8>,
    },
    /// Records the tags, marks running loads that choose such a tag, and ends the invalidation.
    End {
        tags: Option<Set>,
    },
    Advance,
    /// The start of a load whose loader chooses tags: from here on the load can be marked.
    Open,
    Claim {
        flight: Index,
        refresh: bool,
    },
    Complete {
        flight: Index,
    },
    Abandon {
        flight: Index,
    },
    /// Finds the value, or joins the load of the value.
    FindOrJoin {
        key: usize,
        value: Index,
        flight: Index,
    },
    /// The joined load has ended.
    Await {
        flight: Index,
    },
}

/// A step that takes effect after `from` and before `to`.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub from: u64,
    pub to: u64,
    pub kind: StepKind,
    /// The index of the call among the calls of its caller.
    pub call: usize,
}

/// A load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flight {
    pub key: usize,
    /// The loaded value; zero if the load fails or is dropped.
    pub value: Index,
    /// The tags of the call's options, and the tags chosen by the loader.
    pub tags: Set,
    pub chosen: Set,
    pub caller: usize,
    /// The numbers of steps of the caller after which the load is open, and before its end.
    pub open: u8,
    pub end: u8,
}

pub struct Steps {
    pub callers: Vec<Vec<Step>>,
    pub values: Vec<Value>,
    pub flights: Vec<Flight>,
    /// The value of each key before the first call.
    pub before: [Index; KEYS.len()],
}

/// Assigns indices to values and loads while a history is split.
struct Indices {
    values: Vec<Value>,
    by_id: HashMap<u32, Index>,
    /// By the id of a value: the load that returned the value, or would have returned it.
    loads: HashMap<u32, Index>,
}

impl Indices {
    fn add(&mut self, value: Value) -> Index {
        let index = Index::try_from(self.values.len()).unwrap();
        self.values.push(value);
        self.by_id.insert(value.id, index);
        index
    }

    fn value_index(&self, id: u32) -> Result<Index, String> {
        let index = self.by_id.get(&id).copied();
        index.ok_or_else(|| format!("value {id} was never stored"))
    }

    fn seen_index(&self, id: Option<u32>) -> Result<Index, String> {
        id.map_or(Ok(0), |id| self.value_index(id))
    }
}

impl Steps {
    pub fn is_undecodable(&self, value: Index) -> bool {
        self.values[usize::from(value)].undecodable
    }

    pub fn split(history: &History) -> Result<Self, String> {
        let none = Value {
            id: 0,
            tags: 0,
            ttl: 0,
            undecodable: false,
        };
        let mut indices = Indices {
            values: vec![none],
            by_id: HashMap::new(),
            loads: HashMap::new(),
        };
        let mut flights = vec![Flight::default()];
        let mut before = [0; KEYS.len()];
        for (index, value) in before.iter_mut().zip(history.before) {
            *index = value.map_or(0, |value| indices.add(value));
        }
        for event in history.callers.iter().flatten() {
            if let Some(value) = event.value() {
                indices.add(value);
            }
            if let Call::Load(Load {
                value,
                led: Some(_),
                ..
            }) = event.call
            {
                let flight = Index::try_from(flights.len()).unwrap();
                indices.loads.insert(value.id, flight);
                flights.push(Flight::default());
            }
        }
        let mut callers = Vec::new();
        for (caller, events) in history.callers.iter().enumerate() {
            let mut steps = Vec::new();
            for (call, event) in events.iter().enumerate() {
                let (from, to) = (event.from, event.to);
                let mut add = |from, to, kind| {
                    steps.push(Step {
                        from,
                        to,
                        kind,
                        call,
                    });
                    u8::try_from(steps.len()).unwrap()
                };
                match event.call {
                    Call::Load(load) => {
                        if let Some(flight) = load.split((from, to), &indices, add)? {
                            let index = indices.loads[&load.value.id];
                            flights[usize::from(index)] = Flight { caller, ..flight };
                        }
                    }
                    Call::Invalidate { tags, count } => {
                        let count = count.map(|count| u8::try_from(count).unwrap_or(u8::MAX));
                        let tags = Some(tags);
                        add(from, to, StepKind::Begin);
                        add(from, to, StepKind::Visit { tags, count });
                        add(from, to, StepKind::End { tags });
                    }
                    Call::Flush => {
                        let (tags, count) = (None, None);
                        add(from, to, StepKind::Begin);
                        add(from, to, StepKind::Visit { tags, count });
                        add(from, to, StepKind::End { tags });
                    }
                    call => {
                        add(from, to, indices.single_step(call)?);
                    }
                }
            }
            callers.push(steps);
        }
        Ok(Self {
            callers,
            values: indices.values,
            flights,
            before,
        })
    }
}

impl Indices {
    /// The step of a call that is one step.
    fn single_step(&self, call: Call) -> Result<StepKind, String> {
        Ok(match call {
            Call::Get {
                key,
                saw: Some(UNDECODABLE),
            } => StepKind::ReadUndecodable { key },
            Call::Get { key, saw } => StepKind::Read {
                key,
                saw: self.seen_index(saw)?,
            },
            Call::Contains { key, present } => StepKind::Contains { key, present },
            Call::Keys { saw } => StepKind::Keys { saw },
            Call::Put { key, value, stored } => {
                let value = if stored {
                    self.value_index(value.id)?
                } else {
                    0
                };
                StepKind::Store { key, value }
            }
            Call::PutIfAbsent { key, value, stored } => {
                let value = self.value_index(value.id)?;
                StepKind::StoreIfAbsent { key, value, stored }
            }
            Call::Remove { key, present } => StepKind::Remove { key, present },
            Call::Update { key, saw, new } => {
                let (saw, new) = (
                    self.seen_index(saw)?,
                    self.seen_index(new.map(|new| new.id))?,
                );
                StepKind::Swap { key, saw, new }
            }
            Call::Advance => StepKind::Advance,
            Call::Flush | Call::Invalidate { .. } | Call::Load(_) => {
                unreachable!("more than one step")
            }
        })
    }
}

impl Load {
    /// Adds the steps of the call, and returns the flight if the call was the leader.
    fn split(
        &self,
        (from, to): (u64, u64),
        indices: &Indices,
        mut add: impl FnMut(u64, u64, StepKind) -> u8,
    ) -> Result<Option<Flight>, String> {
        let key = self.key;
        let Some((begun, ended)) = self.led else {
            let (id, failed) = match self.answer {
                Answer::Value(id) => (id, false),
                Answer::Error(id) => (id, true),
                // The dropped call has changed nothing.
                Answer::Dropped => return Ok(None),
            };
            let flight = indices.loads.get(&id).copied().unwrap_or(0);
            let value = if failed { 0 } else { indices.value_index(id)? };
            add(from, to, StepKind::FindOrJoin { key, value, flight });
            add(from, to, StepKind::Await { flight });
            return Ok(None);
        };
        let flight = indices.loads[&self.value.id];
        let mut open = 0;
        if self.chosen != 0 {
            open = add(from, begun, StepKind::Open);
        }
        let refresh = self.refresh;
        add(from, begun, StepKind::Claim { flight, refresh });
        let (value, end) = match self.answer {
            Answer::Value(id) if id == self.value.id => {
                let value = indices.value_index(id)?;
                (value, StepKind::Complete { flight })
            }
            Answer::Error(id) if id == self.value.id => (0, StepKind::Abandon { flight }),
            Answer::Dropped => (0, StepKind::Abandon { flight }),
            other => return Err(format!("a leader got the answer {other:?}")),
        };
        let end = add(ended.unwrap_or(begun), to, end) - 1;
        Ok(Some(Flight {
            key,
            value,
            tags: self.value.tags & !self.chosen,
            // A failed loader has chosen no tags.
            chosen: if value == 0 { 0 } else { self.chosen },
            caller: 0,
            open,
            end,
        }))
    }
}
