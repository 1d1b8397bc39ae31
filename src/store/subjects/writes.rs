//! Writes that belong to a topic: they go through its lane, where the rules decide.

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::domain::chat::write::{Action, Transport};
use crate::domain::feed;
use crate::domain::write::{AnswerTo, Intent, Outcome, Refusal, Write};
use crate::ids::{EventId, RoomId, UserId};
use crate::store::backend::Backend;

/// Writes of a topic.
#[async_trait]
pub trait Writes: Send + Sync + 'static {
    /// Hands a write to its topic's lane. Never blocks.
    ///
    /// # Errors
    /// The write comes back if the lane's queue is full or the store is closing; answer [`Refusal::Busy`].
    fn submit(&self, write: Box<Write>) -> Result<(), Box<Write>>;

    /// Makes a chat write of REST, and waits for its outcome.
    async fn write(&self, actor: UserId, room: RoomId, action: Action) -> Outcome {
        self.request(actor, Intent::Chat { room, action }).await
    }

    /// Makes a write about posts, people or notifications of REST, and waits for its outcome.
    async fn write_feed(&self, actor: UserId, action: feed::write::Action) -> Outcome {
        self.request(actor, Intent::Feed(action)).await
    }

    /// Makes any write of REST, and waits for its outcome.
    async fn request(&self, actor: UserId, intent: Intent) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let write = Box::new(Write {
            event_id: EventId::fresh(),
            actor,
            transport: Transport::Rest,
            intent,
            answer: AnswerTo::Caller(Box::new(move |outcome| drop(answer.send(outcome)))),
        });
        match self.submit(write) {
            Ok(()) => outcome.await.unwrap_or(Outcome::Refused(Refusal::Unavailable)),
            Err(_) => Outcome::Refused(Refusal::Busy),
        }
    }
}

impl<B: Backend> Writes for B {
    fn submit(&self, write: Box<Write>) -> Result<(), Box<Write>> {
        self.queue(write)
    }
}
