//! Prints what a command reports.

use std::io::Write;

/// Prints one line on standard output.
pub fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
