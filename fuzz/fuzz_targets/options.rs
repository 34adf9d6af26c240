//! Any values of options, under a clock that jumps.

#![no_main]

use hydracache_fuzz::options::{Input, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: hydracache_fuzz::silence_expected_panics(),
    |input: Input| run(&input)
);
