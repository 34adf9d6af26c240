//! Whether one order of all parts explains what was seen.
//!
//! The search of Wing and Gong (1993) with the memory of Lowe (2017): from the state before,
//! every part that no other must precede is tried as the next, until all are done; what was
//! tried once, so far in every lane and with the same contents, is not tried again.

use std::collections::HashSet;
use std::fmt::Write;

use super::history::{Call, History};
use super::model::{Rules, State};
use super::parts::{Deed, Parts};

/// So many states of one history are looked at. Most need 40, none has needed 30,000 if it
/// could be explained at all.
const MOST: usize = 500_000;

/// What is wrong with a history, if no order explains it.
pub fn check(history: &History) -> Result<(), String> {
    search(history).map_err(|why| format!("{why}\n{}", history.text()))
}

fn search(history: &History) -> Result<(), String> {
    let parts = Parts::of(history)?;
    let marks_matter = history.lanes.iter().flatten().any(|event| {
        matches!(event.call, Call::Advance) || matches!(event.call, Call::Load(it) if it.own != 0)
    });
    let rules = Rules {
        parts: &parts,
        apart: history.apart,
        marks_matter,
    };
    let mut open = vec![State::new(&parts)];
    let mut seen = HashSet::new();
    let mut furthest = open[0];
    let mut next = Vec::new();
    let progress = |state: &State| state.at.iter().map(|&at| u32::from(at)).sum::<u32>();
    while let Some(state) = open.pop() {
        let pending = |lane| rules.part(&state, lane).map(|part| (part.to, lane, part));
        let mut ready: Vec<_> = (0..parts.lanes.len()).filter_map(pending).collect();
        if ready.is_empty() {
            return Ok(());
        }
        if progress(&state) > progress(&furthest) {
            furthest = state;
        }
        ready.sort_unstable_by_key(|(to, ..)| *to);
        let first = ready[0].0;
        ready.retain(|(_, _, part)| part.from < first);
        // What had to happen first is tried first.
        next.clear();
        for &(_, lane, _) in &ready {
            let before = next.len();
            if rules.follow(&state, lane, &mut next) {
                next.drain(..before);
                break;
            }
        }
        for &state in next.iter().rev() {
            if seen.insert(state) {
                open.push(state);
            }
        }
        if seen.len() > MOST {
            return Err("too many states to look at".into());
        }
    }
    Err(format!(
        "no order of these calls explains what they saw; at the furthest there was\n{}",
        stuck(&rules, &furthest)
    ))
}

/// Where the longest explanation ends.
fn stuck(rules: &Rules<'_>, state: &State) -> String {
    let mut text = format!("{state:?}\nand next would be\n");
    for lane in 0..rules.parts.lanes.len() {
        if let Some(part) = rules.part(state, lane) {
            let value = |index: u8| rules.parts.values[usize::from(index)].id;
            let shown = match part.deed {
                Deed::Read { saw, .. } => format!(" (value {})", value(saw)),
                Deed::Find { value: it, .. } => format!(" (value {})", value(it)),
                _ => String::new(),
            };
            let (call, deed) = (part.call, part.deed);
            let _ = writeln!(text, "  lane {lane}, call {call}: {deed:?}{shown}");
        }
    }
    text
}
