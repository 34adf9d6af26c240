//! Any values of options, under a clock that jumps.

#![no_main]

use hydracache_fuzz::options::{Input, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: hydracache_fuzz::let_expected_panics_be(),
    |input: Input| run(&input)
);
