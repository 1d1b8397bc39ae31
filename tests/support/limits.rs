//! Limits that the system sets for a server: the size of its files.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::Server;

impl Server {
    /// No file may grow beyond `bytes`, as on a full disk, neither the database nor the log. `None` removes the limit.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap());
        // The hard limit stays, because only root could raise it again.
        let limit = Rlimit { current: bytes, maximum: getrlimit(Resource::Fsize).maximum };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }
}
