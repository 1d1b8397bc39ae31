//! Hands what libFuzzer makes up to the target `frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::frame(data));
