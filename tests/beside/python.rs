//! Python environments that tests make in the build folder.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of an environment with the packages of a file of requirements, whose path begins at the project's folder. It is made if it is
/// missing, which takes a minute and the network; tests that need it at once wait for one of them.
pub fn environment(name: &str, requirements: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.arg(root.join("tests/support/python_environment.py")).arg(name).arg(root.join(requirements));
    let output = command.output().unwrap_or_else(|error| panic!("python3: {error}; tests/run installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}
