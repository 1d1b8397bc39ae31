//! Where the server is in its life: whether it takes what comes.

use tokio::sync::watch;

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
#[derive(Debug)]
pub struct Lifecycle(watch::Sender<Phase>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Starting))
    }
}

impl Lifecycle {
    /// Starting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on.
    pub fn enter(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until nothing new is taken.
    pub async fn draining(&self) {
        drop(self.0.subscribe().wait_for(|phase| *phase == Phase::Draining).await);
    }
}
