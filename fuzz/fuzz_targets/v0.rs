//! Hands what libFuzzer makes up to the target `v0`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::v0(data));
