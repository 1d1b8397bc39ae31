//! Arguments become settings, settings become a server, the server becomes an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    pregon::cli::run()
}
