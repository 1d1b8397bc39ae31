//! Load tests that measure. Anything beside them would affect their latencies and memory, so they run one at a time,
//! and cargo runs no other test file meanwhile.

mod bounds;
mod busy;
mod crowd;
mod fleet;
mod flood;
mod forged;
mod load_conformance;
mod load_scenarios;
mod load_v1;
mod memory;
mod monkey;
mod overload;
mod slow_reader;
mod stopped;
#[allow(dead_code, reason = "a part is used here; what nobody uses is found in tests/it")]
#[path = "../support/mod.rs"]
mod support;
mod turn;
mod voice;
mod waiting;
mod watch;
