//! Arguments become settings, settings become a server, the server becomes an exit code.

use std::process::ExitCode;

/// Gives a burst of handshakes back to the system: docs/performance.md has the figures against others.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    pregon::cli::run()
}
