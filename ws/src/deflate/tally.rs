//! Counts what is compressed and inflated in the whole process, and for how long, for those who watch it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds since any fixed moment.
pub type Clock = fn() -> u64;

static CLOCK: OnceLock<Clock> = OnceLock::new();
static COUNTS: Counts<AtomicU64> = Counts::new();

/// From now on times are measured by this clock. Only the first call counts; before it no time passes.
pub fn measure_by(clock: Clock) {
    let _ = CLOCK.set(clock);
}

pub(super) fn now() -> u64 {
    CLOCK.get().map_or(0, |clock| clock())
}

/// What was counted since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts<T = u64> {
    /// Texts that were compressed, each once for all who hear it.
    pub deflated: T,
    /// Texts that were too short, or too long for a small window.
    pub passed_over: T,
    /// Texts that would not have become shorter.
    pub grown: T,
    /// Bytes of all these texts before.
    pub bytes_before: T,
    /// And after.
    pub bytes_after: T,
    /// Nanoseconds that this took.
    pub deflating_ns: T,
    /// Messages of clients that were inflated.
    pub inflated: T,
    /// Their bytes as they came.
    pub inflated_from_bytes: T,
    /// And as they were meant.
    pub inflated_to_bytes: T,
    /// Nanoseconds that this took.
    pub inflating_ns: T,
}

impl Counts<AtomicU64> {
    const fn new() -> Self {
        const fn zero() -> AtomicU64 {
            AtomicU64::new(0)
        }
        Self {
            deflated: zero(),
            passed_over: zero(),
            grown: zero(),
            bytes_before: zero(),
            bytes_after: zero(),
            deflating_ns: zero(),
            inflated: zero(),
            inflated_from_bytes: zero(),
            inflated_to_bytes: zero(),
            inflating_ns: zero(),
        }
    }
}

/// What was counted until now.
pub fn counts() -> Counts {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Counts {
        deflated: read(&COUNTS.deflated),
        passed_over: read(&COUNTS.passed_over),
        grown: read(&COUNTS.grown),
        bytes_before: read(&COUNTS.bytes_before),
        bytes_after: read(&COUNTS.bytes_after),
        deflating_ns: read(&COUNTS.deflating_ns),
        inflated: read(&COUNTS.inflated),
        inflated_from_bytes: read(&COUNTS.inflated_from_bytes),
        inflated_to_bytes: read(&COUNTS.inflated_to_bytes),
        inflating_ns: read(&COUNTS.inflating_ns),
    }
}

fn add(count: &AtomicU64, more: u64) {
    if more > 0 {
        count.fetch_add(more, Ordering::Relaxed);
    }
}

/// A message of a client was inflated.
pub(super) fn inflated(from_bytes: usize, to_bytes: usize, began: u64) {
    add(&COUNTS.inflated, 1);
    add(&COUNTS.inflated_from_bytes, from_bytes as u64);
    add(&COUNTS.inflated_to_bytes, to_bytes as u64);
    add(&COUNTS.inflating_ns, now().saturating_sub(began));
}

/// Some frames that are being packed: they are counted together.
pub(super) struct Packing {
    began: u64,
    counts: Counts,
}

impl Packing {
    pub(super) fn begun() -> Self {
        Self { began: now(), counts: Counts::default() }
    }

    pub(super) fn deflated(&mut self, before: usize, after: usize) {
        self.counts.deflated += 1;
        self.counts.bytes_before += before as u64;
        self.counts.bytes_after += after as u64;
    }

    pub(super) fn passed_over(&mut self, bytes: usize) {
        self.counts.passed_over += 1;
        self.stayed(bytes);
    }

    pub(super) fn would_grow(&mut self, bytes: usize) {
        self.counts.grown += 1;
        self.stayed(bytes);
    }

    fn stayed(&mut self, bytes: usize) {
        self.counts.bytes_before += bytes as u64;
        self.counts.bytes_after += bytes as u64;
    }

    pub(super) fn end(self) {
        let Counts { deflated, passed_over, grown, bytes_before, bytes_after, .. } = self.counts;
        add(&COUNTS.deflated, deflated);
        add(&COUNTS.passed_over, passed_over);
        add(&COUNTS.grown, grown);
        add(&COUNTS.bytes_before, bytes_before);
        add(&COUNTS.bytes_after, bytes_after);
        add(&COUNTS.deflating_ns, now().saturating_sub(self.began));
    }
}
