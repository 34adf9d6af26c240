//! Detects expected panics without reporting them to the fuzzer.

use std::cell::Cell;
use std::panic::{UnwindSafe, catch_unwind, set_hook, take_hook};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Hides expected panics from the hook of the fuzzer, which reports every panic as a finding.
/// Call once, before the first run.
pub fn silence_expected_panics() {
    let hook = take_hook();
    set_hook(Box::new(move |panic| {
        if !EXPECTED.get() {
            hook(panic);
        }
    }));
}

/// Returns whether a closure panics.
pub(crate) fn panics(act: impl FnOnce() + UnwindSafe) -> bool {
    EXPECTED.set(true);
    let result = catch_unwind(act);
    EXPECTED.set(false);
    result.is_err()
}
