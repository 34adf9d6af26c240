//! Any bytes, read as all kinds of types.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hydracache_fuzz::bytes::run(bytes));
