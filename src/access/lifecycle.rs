//! The server's phase of life, which tells whether it still takes work.

use tokio::sync::watch;

/// The phases of a server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not all parts are running yet.
    Starting,
    /// It takes work.
    Ready,
    /// It finishes its work and takes nothing new.
    Draining,
}

/// The current phase. `server` sets it, everybody may read it.
#[derive(Debug)]
pub struct Lifecycle(watch::Sender<Phase>);

impl Default for Lifecycle {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Starting))
    }
}

impl Lifecycle {
    /// Begins with [`Phase::Starting`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a later phase.
    pub fn enter(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until the server takes nothing new.
    pub async fn draining(&self) {
        drop(self.0.subscribe().wait_for(|phase| *phase == Phase::Draining).await);
    }
}
