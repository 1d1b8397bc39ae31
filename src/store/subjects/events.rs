//! The event log: what happened in a topic since.

use async_trait::async_trait;

use crate::domain::event::Cursor;
use crate::ids::Topic;
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::page::EventsAfter;
use crate::store::sql::events;

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
