//! What callers did and saw: each call with the times at which it began and returned.

use std::fmt::Write;

/// No history has more keys than that, nor more lanes.
pub const KEYS: [&str; 4] = ["a", "b", "c", "d"];
pub const TAGS: [&str; 3] = ["x", "y", "z"];
pub const LANES: usize = 6;

/// A set of tags, or of keys: a bit each.
pub type Set = u8;

pub fn names(set: Set) -> impl Iterator<Item = &'static str> {
    (0..TAGS.len()).filter_map(move |tag| (set >> tag & 1 == 1).then_some(TAGS[tag]))
}

/// A value that is stored by one call only, so that whoever sees it knows where it is from.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    pub id: u32,
    pub tags: Set,
    /// In seconds; zero is without end.
    pub ttl: u8,
    /// Its bytes cannot be decoded: to those who load it is as good as nothing.
    pub garbled: bool,
}

/// What who reads a garbled value saw, whichever it was.
pub const GARBLED: u32 = u32::MAX;

/// What a call asked, and what it was answered.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// `get`, `get_bytes` or `peek`.
    Get {
        key: usize,
        saw: Option<u32>,
    },
    Contains {
        key: usize,
        was: bool,
    },
    Keys {
        saw: Set,
    },
    /// With a time to live of zero nothing is stored.
    Put {
        key: usize,
        value: Value,
        stored: bool,
    },
    PutIfAbsent {
        key: usize,
        value: Value,
        done: bool,
    },
    /// `remove` or, where no value has a window, `expire`.
    Remove {
        key: usize,
        was: bool,
    },
    /// What was read last is what was replaced; by nothing if it was removed.
    Update {
        key: usize,
        saw: Option<u32>,
        new: Option<Value>,
    },
    /// Of tags, to remove or to expire. Without a count if it was dropped after a poll.
    Invalidate {
        tags: Set,
        count: Option<u64>,
    },
    Flush,
    /// The clock goes on by a second.
    Advance,
    Load(Load),
}

/// A loading call.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub key: usize,
    /// It loads whatever there is: `refresh`.
    pub anew: bool,
    /// What its loader gives, with all its tags.
    pub value: Value,
    /// Those of the tags that the loader chose.
    pub own: Set,
    /// When its loader was called, and when that ended, if it did.
    pub led: Option<(u64, Option<u64>)>,
    pub answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Value(u32),
    /// The error of the loader that would have given this value.
    Error(u32),
    /// The call was dropped.
    Dropped,
}

#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// When the call began and when it had returned, by a counter that all share.
    pub from: u64,
    pub to: u64,
    pub call: Call,
}

/// What happened between two moments of rest.
pub struct History {
    /// What there was before: without an end, or it would not be here.
    pub before: [Option<Value>; KEYS.len()],
    /// Callers that wait for each of their calls before they begin the next.
    pub lanes: Vec<Vec<Event>>,
    /// `invalidate` and `flush` come to one key after another, in any order: the keys may
    /// be in different shards.
    pub apart: bool,
}

impl Event {
    /// The value that the call stored, or may have stored.
    pub fn value(&self) -> Option<Value> {
        match self.call {
            Call::Put { value, .. } | Call::PutIfAbsent { value, .. } => Some(value),
            Call::Update { new, .. } => new,
            Call::Load(load) => load.led.map(|_| load.value),
            _ => None,
        }
    }
}

impl History {
    pub fn len(&self) -> usize {
        self.lanes.iter().map(Vec::len).sum()
    }

    /// What the last look at each key saw.
    pub fn after(&self) -> [Option<u32>; KEYS.len()] {
        let looks = self.lanes[0].iter().rev().take(KEYS.len());
        let mut after = [None; KEYS.len()];
        for look in looks {
            if let Call::Get { key, saw } = look.call {
                after[key] = saw;
            }
        }
        after
    }

    /// In the order in which the calls began, a line each.
    pub fn text(&self) -> String {
        let lanes = self.lanes.iter().enumerate();
        let mut all: Vec<_> = lanes
            .flat_map(|(lane, events)| events.iter().map(move |event| (lane, event)))
            .collect();
        all.sort_by_key(|(_, event)| event.from);
        let mut text = format!("before: {:?}\n", self.before);
        for (lane, Event { from, to, call }) in all {
            let _ = writeln!(text, "{from:>8} to {to:>8}, lane {lane}: {call:?}");
        }
        text
    }
}
