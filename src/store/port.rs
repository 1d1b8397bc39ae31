//! The calls that the store makes to the rest of the server.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::domain::event::Committed;
use crate::domain::write::{Durability, Intent, Outcome};
use crate::ids::{SessionKey, UserId};

/// Runs the rest of a batch's work once its events are told: when it is dropped, whatever happened before.
pub struct Told(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Told {
    /// `then` runs at the drop.
    pub fn new(then: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(then))))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(then) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            then();
        }
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

/// The calls that a lane makes before and after a batch is stored, and for refused writes. `server` connects it to the
/// fan-out.
pub trait LanePort: Send + Sync + 'static {
    /// These events are about to be committed, and the lane holds the locks of their topics, so events that are committed
    /// later in these topics are told later. Called where several lanes write. Must not block: others wait for the locks.
    fn place(&self, _events: &[Arc<Committed>]) {}
    /// Events that were [placed](Self::place) were not committed.
    fn give_back(&self, _events: &[Arc<Committed>]) {}
    /// Events of one batch, in order within each topic. The callers of the batch get their answers when `told` is dropped,
    /// and the lane hands over no other batch before. May block: that is the lane's back-pressure.
    fn committed(&self, events: Vec<Arc<Committed>>, told: Told);
    /// A session's write made no event: it was refused, or it repeated a `client_id`. `client_id` is the sender's own
    /// name for the write.
    fn answered(&self, session: SessionKey, client_id: Option<&str>, outcome: &Outcome);
    /// The outcome of a session's request, whatever it is: by the client's name for it, with who asked for what, and where it is stored.
    fn replied(
        &self,
        _session: SessionKey,
        _request: &str,
        _asked: (UserId, &Intent),
        _outcome: (&Outcome, Durability),
    ) {
    }
}

/// Returns the current time. Tests pass their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
