//! Hands what libFuzzer makes up to the target `v1`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::v1(data));
