//! What fuzzers call: each function takes any bytes, and may neither panic nor break what it asserts.
//!
//! The programs in `fuzz/fuzz_targets` hand them to libFuzzer. `tests/corpora.rs` hands them the inputs that are kept in
//! `fuzz/corpus` and `fuzz/crashes`, without a fuzzer.

mod clients;
mod cluster;
mod cursors;
mod multipart;
mod settings;
mod tokens;
mod websocket;

pub use clients::{v0, v1};
pub use cluster::cluster;
pub use cursors::cursors;
pub use multipart::multipart;
pub use settings::settings;
pub use tokens::{keys, tokens};
pub use websocket::{frame, handshake, inflate};

/// A target's name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: &[Target] = &[
    ("handshake", handshake),
    ("frame", frame),
    ("inflate", inflate),
    ("v0", v0),
    ("v1", v1),
    ("cluster", cluster),
    ("cursors", cursors),
    ("multipart", multipart),
    ("settings", settings),
    ("tokens", tokens),
    ("keys", keys),
];

/// Runs what waits on a runtime of this thread.
fn wait<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}
