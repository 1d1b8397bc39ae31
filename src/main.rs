//! The `pregon` program: runs the command line.

use std::process::ExitCode;

/// Returns the memory of a burst of handshakes to the system; docs/performance.md compares it with others.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    pregon::cli::run()
}
