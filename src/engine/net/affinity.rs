//! Which core a thread runs on, and whether it interrupts other threads there.
#![allow(unsafe_code)]

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores this process may use, ascending.
pub fn allowed_cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Keeps the calling thread on one core; false when the kernel refuses.
pub fn pin_to(core: usize) -> bool {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).is_ok()
}

/// Makes the calling thread wait, when it is woken, until the thread that runs on its core has finished, instead of
/// interrupting it (`SCHED_BATCH`, sched(7)). False if the kernel refuses. Threads that share a core and wake each
/// other use it: an interruption would cut short the batch that the other thread gathers.
pub fn let_others_finish() -> bool {
    // SAFETY: all fields are numbers (and, on some systems, times); zero is what `SCHED_BATCH` wants of each.
    let none: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live value, and 0 names the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const none) == 0 }
}
