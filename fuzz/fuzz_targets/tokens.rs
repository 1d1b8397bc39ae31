//! Hands what libFuzzer makes up to the target `tokens`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::tokens(data));
