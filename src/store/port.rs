//! The calls that the store makes to the rest of the server.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::event::Committed;
use crate::domain::write::Outcome;
use crate::ids::SessionKey;

/// The calls that a lane makes after a batch is stored, and for refused writes. `server` connects it to the fan-out.
///
/// Both calls may block while a shard's inbox is full: that is the lane's back-pressure.
pub trait LanePort: Send + Sync + 'static {
    /// Events of one batch, in order within each topic. Called before the callers of the batch get their answers.
    fn committed(&self, events: &[Arc<Committed>]);
    /// A session's write made no event: it was refused, or it repeated a `client_id`. `client_id` is the sender's own
    /// name for the write.
    fn answered(&self, session: SessionKey, client_id: Option<&str>, outcome: &Outcome);
}

/// Returns the current time. Tests pass their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
