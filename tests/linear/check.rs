//! Searches for one order of all steps that explains every recorded answer.
//!
//! The search of Wing and Gong (1993) with the memory of Lowe (2017): from the first state,
//! every step that no other step must precede is tried as the next, until all are done. A
//! state (the position of every caller, and the contents) is tried only once.

use std::collections::HashSet;
use std::fmt::Write;

use super::history::{Call, History};
use super::model::{Rules, State};
use super::read_through;
use super::steps::{StepKind, Steps};

/// The search gives up after this many states of one history. Most histories need 40; no
/// history with a valid order has needed 30,000.
const MAX_STATES: usize = 500_000;

/// Returns an error with the history's text if no order explains every answer.
pub fn check(history: &History) -> Result<(), String> {
    let checked = search(history).and_then(|()| read_through::check(history));
    checked.map_err(|why| format!("{why}\n{}", history.text()))
}

fn search(history: &History) -> Result<(), String> {
    let steps = Steps::split(history)?;
    let begin_matters = history
        .callers
        .iter()
        .flatten()
        .any(|event| matches!(event.call, Call::Advance | Call::Load(_)));
    let rules = Rules {
        steps: &steps,
        sharded: history.sharded,
        begin_matters,
    };
    let mut open = vec![State::new(&steps)];
    let mut seen = HashSet::new();
    let mut furthest = open[0];
    let mut next = Vec::new();
    let progress = |state: &State| {
        state
            .position
            .iter()
            .map(|&position| u32::from(position))
            .sum::<u32>()
    };
    while let Some(state) = open.pop() {
        let pending = |caller| {
            rules
                .step(&state, caller)
                .map(|step| (step.to, caller, step))
        };
        let mut ready: Vec<_> = (0..steps.callers.len()).filter_map(pending).collect();
        if ready.is_empty() {
            return Ok(());
        }
        if progress(&state) > progress(&furthest) {
            furthest = state;
        }
        ready.sort_unstable_by_key(|(to, ..)| *to);
        let first = ready[0].0;
        ready.retain(|(_, _, step)| step.from < first);
        // The step of the earliest return is tried first.
        next.clear();
        for &(_, caller, _) in &ready {
            let before = next.len();
            if rules.follow(&state, caller, &mut next) {
                next.drain(..before);
                break;
            }
        }
        for &state in next.iter().rev() {
            if seen.insert(state) {
                open.push(state);
            }
        }
        if seen.len() > MAX_STATES {
            return Err("too many states to search".into());
        }
    }
    Err(format!(
        "no order of these calls explains their answers; the longest explanation ends at\n{}",
        stuck(&rules, &furthest)
    ))
}

/// The state at the end of the longest explanation, and the next step of every caller.
fn stuck(rules: &Rules<'_>, state: &State) -> String {
    let mut text = format!("{state:?}\nthe next steps would be\n");
    for caller in 0..rules.steps.callers.len() {
        if let Some(step) = rules.step(state, caller) {
            let value = |index: u8| rules.steps.values[usize::from(index)].id;
            let shown = match step.kind {
                StepKind::Read { saw, .. } => format!(" (value {})", value(saw)),
                StepKind::FindOrJoin { value: it, .. } => format!(" (value {})", value(it)),
                _ => String::new(),
            };
            let (call, kind) = (step.call, step.kind);
            let _ = writeln!(text, "  caller {caller}, call {call}: {kind:?}{shown}");
        }
    }
    text
}
