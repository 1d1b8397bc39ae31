//! What the system allows a server: the size of its files.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::Server;

impl Server {
    /// No file may grow beyond so many bytes, as on a full disk: neither the database's nor the log. `None`: any may.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap());
        // The hard limit stays: to lift it again needs root.
        let limit = Rlimit { current: bytes, maximum: getrlimit(Resource::Fsize).maximum };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }
}
