//! What the kernel says of a process: its CPU time and its resident memory; and our own.

use std::fs;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// A process watched from outside: all its threads together.
#[derive(Clone, Copy)]
pub struct Watched {
    pid: u32,
    ticks_per_second: u64,
}

impl Watched {
    pub fn new(pid: u32) -> Result<Self> {
        let watched = Self { pid, ticks_per_second: rustix::param::clock_ticks_per_second() };
        watched.cpu_us()?;
        Ok(watched)
    }

    /// User and system time since it started, in µs. Steps of one clock tick (10 ms usually), so
    /// a window of some seconds is needed.
    pub fn cpu_us(&self) -> Result<u64> {
        let stat = self.read("stat")?;
        let ticks = parse_stat_ticks(&stat).with_context(|| format!("/proc/{}/stat has an unknown form", self.pid))?;
        Ok(ticks * 1_000_000 / self.ticks_per_second)
    }

    pub fn rss_kib(&self) -> Result<u64> {
        parse_rss_kib(&self.read("status")?).with_context(|| format!("/proc/{}/status shows no VmRSS", self.pid))
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}: is the server (--server-pid) alive?"))
    }
}

/// `utime + stime`: fields 14 and 15, counted behind the name, which may hold spaces and brackets.
fn parse_stat_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_rss_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// CPU time of the calling thread, in ns; the whole load runs on it.
pub fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What the kernel says of the calling thread, on which the whole load runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnThread {
    pub cpu_ns: u64,
    /// Time that it could have run and had no core.
    pub waited_ns: u64,
    /// How often it was put off its core.
    pub preemptions: u64,
}

/// Waiting and preemptions are 0 where the kernel does not count them.
pub fn own_thread() -> OwnThread {
    let waited = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let waited = waited.and_then(|text| text.split_ascii_whitespace().nth(1)?.parse().ok());
    let status = fs::read_to_string("/proc/thread-self/status").ok();
    let preemptions = status.and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    });
    OwnThread {
        cpu_ns: own_cpu_ns(),
        waited_ns: waited.unwrap_or_default(),
        preemptions: preemptions.unwrap_or_default(),
    }
}

/// Pins the calling thread, and what it starts from now on, to one core.
pub fn pin(core: usize) -> Result<()> {
    if core >= CpuSet::MAX_CPU {
        bail!("--core {core} is no core number");
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))
}

/// Raises the limit of open files as far as it may, and says so when that is not enough.
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
    fn cpu_time_is_found_behind_any_process_name() {
        let stat = "4242 (a) b (c) S 1 4242 4242 0 -1 4194560 900 0 2 0 317 83 5 6 20 0 9 0 5 1 2";
        assert_eq!(parse_stat_ticks(stat), Some(400));
        assert_eq!(parse_stat_ticks("4242 (x) S 1 2"), None);
    }

    #[test]
    fn resident_memory_is_read_in_kib() {
        let status = "Name:\tpregon\nVmPeak:\t  20000 kB\nVmRSS:\t   12345 kB\nThreads:\t3\n";
        assert_eq!(parse_rss_kib(status), Some(12_345));
        assert_eq!(parse_rss_kib("Name:\tpregon\n"), None);
    }

    #[test]
    fn this_process_can_be_watched() {
        let watched = Watched::new(std::process::id()).expect("own /proc");
        assert!(watched.rss_kib().expect("own memory") > 0);
        assert!(own_cpu_ns() > 0);
        assert!(own_thread().cpu_ns > 0);
    }
}
