//! Panics that are expected.

use std::cell::Cell;
use std::panic::{UnwindSafe, catch_unwind, set_hook, take_hook};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Lets expected panics be, which the hook of the fuzzer takes for findings. To be called
/// once, before the first run.
pub fn let_expected_panics_be() {
    let hook = take_hook();
    set_hook(Box::new(move |panic| {
        if !EXPECTED.get() {
            hook(panic);
        }
    }));
}

/// Whether something panics.
pub(crate) fn panics(act: impl FnOnce() + UnwindSafe) -> bool {
    EXPECTED.set(true);
    let result = catch_unwind(act);
    EXPECTED.set(false);
    result.is_err()
}
