//! Recorded calls: arguments, answer, and the moments of beginning and return.

use std::fmt::Write;

/// The keys of every history.
pub const KEYS: [&str; 4] = ["a", "b", "c", "d"];
pub const TAGS: [&str; 3] = ["x", "y", "z"];
/// The largest number of callers of a history.
pub const CALLERS: usize = 6;

/// A set of tags or keys, one bit each.
pub type Set = u8;

pub fn names(set: Set) -> impl Iterator<Item = &'static str> {
    (0..TAGS.len()).filter_map(move |tag| (set >> tag & 1 == 1).then_some(TAGS[tag]))
}

/// A value stored by one call only, so that a read identifies the storing call.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    pub id: u32,
    pub tags: Set,
    /// The time to live in seconds; zero is none.
    pub ttl: u8,
    /// The bytes cannot be decoded: a loading call treats the entry as missing.
    pub undecodable: bool,
}

/// Recorded by a read of an undecodable value: the read cannot tell which.
pub const UNDECODABLE: u32 = u32::MAX;

/// A call's arguments and answer.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// `get`, `get_bytes` or `peek`.
    Get {
        key: usize,
        saw: Option<u32>,
    },
    Contains {
        key: usize,
        present: bool,
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
        stored: bool,
    },
    /// `remove` or, where no value has a window, `expire`.
    Remove {
        key: usize,
        present: bool,
    },
    /// Replaces the last read value `saw`; without a `new` value, removes the entry.
    Update {
        key: usize,
        saw: Option<u32>,
        new: Option<Value>,
    },
    /// `invalidate_tag`, `invalidate_tags` or `expire_tag`; no count if dropped after a poll.
    Invalidate {
        tags: Set,
        count: Option<u64>,
    },
    Flush,
    /// Advances the clock by a second.
    Advance,
    Load(Load),
}

/// A loading call.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub key: usize,
    /// `refresh`: loads over a present value too.
    pub refresh: bool,
    /// The value of the loader, with all tags.
    pub value: Value,
    /// The tags chosen by the loader.
    pub chosen: Set,
    /// For a leader: the moments at which the loader was called, and ended, if it did.
    pub led: Option<(u64, Option<u64>)>,
    /// The value of another key that the loader read through the cache.
    pub parent: Option<u32>,
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
    /// The moments of the beginning and of the return, by one shared counter.
    pub from: u64,
    pub to: u64,
    pub call: Call,
}

/// All calls between two moments at which no call runs.
pub struct History {
    /// The values before the first call; none has a time to live.
    pub before: [Option<Value>; KEYS.len()],
    /// The calls of each caller, one after another.
    pub callers: Vec<Vec<Event>>,
    /// The keys may be in different shards, so `invalidate` and `flush` visit one key after
    /// another, in any order.
    pub sharded: bool,
}

impl Event {
    /// The value that the call stored or may have stored.
    pub fn value(&self) -> Option<Value> {
        match self.call {
            Call::Put { value, .. } | Call::PutIfAbsent { value, .. } => Some(value),
            Call::Update { new, .. } => new,
            Call::Load(load) => load.led.map(|_| load.value),
            _ => None,
        }
    }
}

/// Whether the value was stored by an update of another value: then the entry also has the tags, and
/// perhaps the time to live, of that value.
pub fn is_updated(callers: &[Vec<Event>], id: u32) -> bool {
    let is_update = |event: &Event| match event.call {
        Call::Update { saw, new, .. } => saw.is_some() && new.is_some_and(|new| new.id == id),
        _ => false,
    };
    callers.iter().flatten().any(is_update)
}

impl History {
    pub fn len(&self) -> usize {
        self.callers.iter().map(Vec::len).sum()
    }

    /// The result of the last read of each key.
    pub fn after(&self) -> [Option<u32>; KEYS.len()] {
        let reads = self.callers[0].iter().rev().take(KEYS.len());
        let mut after = [None; KEYS.len()];
        for read in reads {
            if let Call::Get { key, saw } = read.call {
                after[key] = saw;
            }
        }
        after
    }

    /// A text with a line per call, in the order of beginning.
    pub fn text(&self) -> String {
        let callers = self.callers.iter().enumerate();
        let mut all: Vec<_> = callers
            .flat_map(|(caller, events)| events.iter().map(move |event| (caller, event)))
            .collect();
        all.sort_by_key(|(_, event)| event.from);
        let mut text = format!("before: {:?}\n", self.before);
        for (caller, Event { from, to, call }) in all {
            let _ = writeln!(text, "{from:>8} to {to:>8}, caller {caller}: {call:?}");
        }
        text
    }
}
