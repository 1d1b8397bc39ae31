//! The event log: what happened in a topic since.

use async_trait::async_trait;

use crate::domain::event::Cursor;
use crate::domain::event_record::EventRecord;
use crate::ids::Topic;
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::sql::events;

/// What happened behind a place in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventsAfter {
    /// These, in the order of their places, without holes.
    Next {
        /// None: nothing has happened since.
        events: Vec<EventRecord>,
        /// There were more when the page was read.
        has_more: bool,
    },
    /// It is not known any more: the place is older than what is kept, or none of this log. Whoever asks begins anew.
    NotKept,
}

/// The event log.
#[async_trait]
pub trait Events: Send + Sync + 'static {
    /// What happened in a topic behind a place, of which the first event's has number 1: at most `limit` events and
    /// [`crate::limits::EVENTS_PAGE_MAX`].
    async fn events_after(&self, topic: Topic, cursor: Cursor, limit: usize) -> Result<EventsAfter, StoreError>;
}

#[async_trait]
impl<B: Backend> Events for B {
    async fn events_after(&self, topic: Topic, cursor: Cursor, limit: usize) -> Result<EventsAfter, StoreError> {
        self.read(move |view| Box::pin(events::after(view, topic, cursor, limit))).await
    }
}
