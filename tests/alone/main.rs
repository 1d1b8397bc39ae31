//! Loads that measure: what runs beside them would be in their latencies and in the memory, so they run one at a time, and
//! cargo runs no other file meanwhile.

mod bounds;
mod crowd;
mod fleet;
mod flood;
mod load_scenarios;
mod memory;
mod overload;
mod slow_reader;
#[allow(dead_code, reason = "a part is used here; what nobody uses is found in tests/it")]
#[path = "../support/mod.rs"]
mod support;
mod turn;
mod voice;
mod watch;
