//! The kernel's figures for a process: CPU time and resident memory; also for our own thread.

use anyhow::{Context, Result, bail};
use procfs::process::Process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The most processes that are watched together.
pub const PROCESSES_MAX: usize = 8;

/// Processes watched from outside: the nodes of a server, all their threads together.
#[derive(Clone, Copy)]
pub struct Watched {
    pids: [i32; PROCESSES_MAX],
    count: usize,
}

impl Watched {
    pub fn new(pids: &[u32]) -> Result<Self> {
        if pids.len() > PROCESSES_MAX {
            bail!("{} processes are too many to watch: at most {PROCESSES_MAX}", pids.len());
        }
        let mut watched = Self { pids: [0; PROCESSES_MAX], count: pids.len() };
        for (slot, pid) in watched.pids.iter_mut().zip(pids) {
            *slot = i32::try_from(*pid).with_context(|| format!("--server-pid {pid} is not a process"))?;
        }
        watched.cpu_us()?;
        Ok(watched)
    }

    /// User and system time since their start, in µs. The resolution is one clock tick (usually 10 ms), so a window of
    /// some seconds is needed.
    pub fn cpu_us(&self) -> Result<u64> {
        Ok(self.each_cpu_us()?.iter().sum())
    }

    /// The same for each of them; 0 behind the last.
    pub fn each_cpu_us(&self) -> Result<[u64; PROCESSES_MAX]> {
        let mut each = [0; PROCESSES_MAX];
        for (us, pid) in each.iter_mut().zip(self.pids()) {
            let stat = Process::new(*pid).and_then(|process| process.stat()).with_context(|| gone(*pid))?;
            *us = (stat.utime + stat.stime) * 1_000_000 / procfs::ticks_per_second();
        }
        Ok(each)
    }

    pub fn rss_kib(&self) -> Result<u64> {
        let rss = |pid: &i32| {
            let status = Process::new(*pid).and_then(|process| process.status()).with_context(|| gone(*pid))?;
            status.vmrss.with_context(|| format!("/proc/{pid}/status shows no VmRSS"))
        };
        self.pids().iter().map(rss).sum()
    }

    fn pids(&self) -> &[i32] {
        &self.pids[..self.count]
    }
}

/// A process of which a report tells by name.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    pub pid: u32,
}

impl std::str::FromStr for Named {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || format!("{text}: must be NAME=PID, as in redis=4711");
        let (name, pid) = text.split_once('=').with_context(wrong)?;
        Ok(Self { name: name.to_owned(), pid: pid.parse().with_context(wrong)? })
    }
}

fn gone(pid: i32) -> String {
    format!("cannot read /proc/{pid}: is the server (--server-pid) alive?")
}

/// CPU time of the calling thread, on which the whole load runs, in ns.
pub fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The kernel's figures for the calling thread, on which the whole load runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnThread {
    pub cpu_ns: u64,
    /// Time in which it was ready to run but had no core.
    pub waited_ns: u64,
    /// How often it was taken off its core.
    pub preemptions: u64,
}

/// Waiting and preemptions are 0 if the kernel does not count them.
pub fn own_thread() -> OwnThread {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let task = Process::myself().and_then(|process| process.task_from_tid(thread)).ok();
    let waited = task.as_ref().and_then(|task| Some(task.schedstat().ok()?.run_delay));
    let preemptions = task.as_ref().and_then(|task| task.status().ok()?.nonvoluntary_ctxt_switches);
    OwnThread {
        cpu_ns: own_cpu_ns(),
        waited_ns: waited.unwrap_or_default(),
        preemptions: preemptions.unwrap_or_default(),
    }
}

/// Pins the calling thread, and everything it starts later, to one core.
pub fn pin(core: usize) -> Result<()> {
    if core >= CpuSet::MAX_CPU {
        bail!("--core {core} is not a core number");
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))
}

/// Raises the limit of open files as far as allowed, and says if that is not enough.
pub fn raise_file_limit(sockets: usize) -> Result<()> {
    let needed = sockets as u64 + 64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raising = limit.maximum.map_or("none".to_owned(), |maximum| maximum.to_string());
    eprintln!("limit of open files raised from {} to {raising}", limit.current.unwrap_or_default());
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")?;
    if let Some(maximum) = limit.maximum.filter(|maximum| *maximum < needed) {
        bail!(
            "{sockets} connections need {needed} open files, this process may have {maximum}: \
             raise the hard limit (ulimit -Hn) or ask for fewer"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_watched() {
        let watched = Watched::new(&[std::process::id()]).expect("own /proc");
        assert!(watched.rss_kib().expect("own memory") > 0);
        let twice = Watched::new(&[std::process::id(); 2]).expect("own /proc");
        let [first, second, none, ..] = twice.each_cpu_us().expect("own time");
        assert!(second >= first && none == 0);
        assert!(Watched::new(&[1; PROCESSES_MAX + 1]).is_err() && Watched::new(&[u32::MAX]).is_err());
        assert!(own_cpu_ns() > 0);
        assert!(own_thread().cpu_ns > 0);
    }
}
