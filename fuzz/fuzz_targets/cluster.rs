//! Hands what libFuzzer makes up to the target `cluster`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::cluster(data));
