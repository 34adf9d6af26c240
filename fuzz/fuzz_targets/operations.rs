//! Sequences of calls against a plain model.

#![no_main]

use hydracache_fuzz::operations::{Input, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: Input| run(&input));
