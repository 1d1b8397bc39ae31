//! The clocks that a node goes by. Simulations have their own.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::Timestamp;

/// The time of day and the time that passes.
#[derive(Clone)]
pub(super) struct Clocks {
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    steady: Arc<dyn Fn() -> Instant + Send + Sync>,
}

impl Default for Clocks {
    fn default() -> Self {
        Self { wall: Arc::new(Timestamp::now), steady: Arc::new(Instant::now) }
    }
}

impl Clocks {
    /// Other clocks than the system's.
    #[cfg(test)]
    pub fn new(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        steady: impl Fn() -> Instant + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(wall), steady: Arc::new(steady) }
    }

    /// The time of day.
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// The time that passes.
    pub fn steady(&self) -> Instant {
        (self.steady)()
    }
}
