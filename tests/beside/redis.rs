//! A private Redis that stores nothing on disk.

use std::path::{Path, PathBuf};

use crate::support::private::service::{HeldPort, Service, new_folder};

/// A Redis server of a test's own.
pub struct Redis {
    service: Service,
    port: HeldPort,
}

impl Redis {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let folder = new_folder("redis");
        let port = HeldPort::new();
        let arguments = [
            ("--port", port.number().to_string()),
            ("--bind", "127.0.0.1".to_owned()),
            ("--dir", folder.display().to_string()),
            ("--save", String::new()),
            ("--appendonly", "no".to_owned()),
        ];
        let arguments: Vec<String> = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let program = program(&folder);
        let ready = "Ready to accept connections";
        Self { service: Service::start(folder, &program, &arguments, ready), port }
    }

    /// `redis://127.0.0.1:<port>/0`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port())
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Kills it at once, with all its data.
    pub fn kill(&self) {
        self.service.end("KILL");
    }

    /// Starts it again, empty, on the same port.
    pub fn start_again(&self) {
        self.service.start_again();
    }

    /// Lets it answer nobody until [`Self::resume`].
    pub fn pause(&self) {
        self.service.signal("STOP");
    }

    /// Lets it answer again.
    pub fn resume(&self) {
        self.service.signal("CONT");
    }
}

/// The server's program is the check program, too, and looks at the name by which it is called. Debian's package of
/// tools contains it under the other name, and starts no server.
fn program(folder: &Path) -> PathBuf {
    let server = Path::new("/usr/bin/redis-server");
    let checker = Path::new("/usr/bin/redis-check-rdb");
    if server.exists() || !checker.exists() {
        return "redis-server".into();
    }
    let link = folder.join("redis-server");
    std::os::unix::fs::symlink(checker, &link).unwrap();
    link
}
