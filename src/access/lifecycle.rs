//! Where the server is in its life: whether it takes what comes.

use std::sync::atomic::{AtomicU8, Ordering};

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not yet all there.
    Starting,
    /// Takes everything.
    Ready,
    /// Finishes what it has and takes nothing new.
    Draining,
}

/// The phase, which `server` moves on and everybody may read.
#[derive(Debug, Default)]
pub struct Lifecycle(AtomicU8);

impl Lifecycle {
    /// Starting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on.
    pub fn enter(&self, phase: Phase) {
        let number = match phase {
            Phase::Starting => 0,
            Phase::Ready => 1,
            Phase::Draining => 2,
        };
        self.0.store(number, Ordering::Release);
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }
}
