//! Values that a loader made from another value, which it read through the cache.
//!
//! An invalidation of a tag ends every value with the tag that was stored before, and every list
//! made from such a value: after the invalidation has returned, no call may read the list.

use std::collections::HashMap;

use super::history::{Answer, Call, Event, History, Set};

/// An invalidation: the begin and the return, and the tags. `None` is a flush.
struct Ended {
    from: u64,
    to: u64,
    tags: Option<Set>,
}

impl Ended {
    fn hits(&self, tags: Set) -> bool {
        self.tags.is_none_or(|ended| ended & tags != 0)
    }
}

/// Returns an error if a call reads a value that is made from an invalidated value.
pub fn check(history: &History) -> Result<(), String> {
    let events = || history.callers.iter().flatten();
    // 1. The tags of each value, and the moment at which it was surely stored.
    let mut stored: HashMap<u32, (Set, u64)> = HashMap::new();
    let before = history.before.iter().flatten();
    stored.extend(before.map(|value| (value.id, (value.tags, 0))));
    let values = events().filter_map(|event| Some((event.value()?, event.to)));
    stored.extend(values.map(|(value, to)| (value.id, (value.tags, to))));
    let ended: Vec<Ended> = events().filter_map(ended).collect();
    for Event { call, .. } in events() {
        let Call::Load(load) = call else { continue };
        let (Some(parent), Some(_)) = (load.parent, load.led) else {
            continue;
        };
        let Some((parent_tags, parent_stored)) = stored.get(&parent) else {
            return Err(format!("a loader read the unknown value {parent}"));
        };
        // 2. The invalidations that end the value and its parent.
        let both = |it: &&Ended| {
            it.hits(*parent_tags) && it.hits(load.value.tags) && *parent_stored < it.from
        };
        for invalidation in ended.iter().filter(both) {
            // 3. No call that began later may see the value.
            let sees = |event: &&Event| event.from > invalidation.to && sees(event, load.value.id);
            if let Some(event) = events().find(sees) {
                let id = load.value.id;
                return Err(format!(
                    "{event:?} sees value {id}, made from value {parent}, which was invalidated \
                     between {} and {}",
                    invalidation.from, invalidation.to
                ));
            }
        }
    }
    Ok(())
}

fn ended(event: &Event) -> Option<Ended> {
    let (from, to) = (event.from, event.to);
    let tags = match event.call {
        Call::Invalidate { tags, .. } => Some(tags),
        Call::Flush => None,
        _ => return None,
    };
    Some(Ended { from, to, tags })
}

/// Returns whether a call reads this value. A leader does not read: the value is its own.
fn sees(event: &Event, id: u32) -> bool {
    match event.call {
        Call::Get { saw, .. } | Call::Update { saw, .. } => saw == Some(id),
        Call::Load(load) => load.led.is_none() && load.answer == Answer::Value(id),
        _ => false,
    }
}
