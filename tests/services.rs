//! Starts the services that all tests of a run share, prints their addresses, and stops them when its standard input
//! ends: `tests/run` calls it.

#[path = "support/private/mod.rs"]
mod private;

use std::io::{Write, copy, sink, stdin, stdout};

use private::MariaDb;

fn main() {
    let mariadb = MariaDb::shared();
    writeln!(stdout(), "{}={}", MariaDb::RUNS_PORT, mariadb.port()).unwrap();
    copy(&mut stdin(), &mut sink()).unwrap();
}
