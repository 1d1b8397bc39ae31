//! One thread of a server stands still, as if it were busy, for as long as a value lives.

use std::fs;
use std::time::Instant;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::support::{PATIENCE, Server};

/// A thread that stands still. It goes on when this is dropped. Belongs to the thread that made it.
pub struct Stopped(Pid, std::marker::PhantomData<*const ()>);

impl Stopped {
    /// Some containers forbid it: then nothing can be stopped.
    pub fn is_allowed(server: &Server) -> bool {
        let process = Pid::from_raw(i32::try_from(server.pid()).unwrap());
        let seized = ptrace::seize(process, ptrace::Options::empty());
        if seized == Err(nix::errno::Errno::EPERM) || seized == Err(nix::errno::Errno::ENOSYS) {
            return false;
        }
        seized.unwrap();
        ptrace::interrupt(process).unwrap();
        waitpid(process, Some(WaitPidFlag::__WALL)).unwrap();
        ptrace::detach(process, None).unwrap();
        true
    }

    /// Stops the thread of this name while it waits in a system call: elsewhere it may hold a lock of the allocator.
    pub fn new(server: &Server, name: &str) -> Self {
        let tasks = format!("/proc/{}/task", server.pid());
        let named =
            |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name);
        let task = fs::read_dir(&tasks).unwrap().map(Result::unwrap).find(named).expect("a thread of this name");
        let thread = Pid::from_raw(task.file_name().into_string().unwrap().parse().unwrap());
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        let began = Instant::now();
        loop {
            ptrace::interrupt(thread).unwrap();
            waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
            let call = fs::read_to_string(task.path().join("syscall")).unwrap();
            if call.split(' ').next().unwrap().parse::<i64>().is_ok_and(|number| number >= 0) {
                return Self(thread, std::marker::PhantomData);
            }
            assert!(began.elapsed() < PATIENCE, "it never waits: {call}");
            ptrace::cont(thread, None).unwrap();
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // The server may be gone.
        let _ = ptrace::detach(self.0, None);
    }
}
