//! The event log: what happened in a topic since.

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::domain::event::{Committed, Cursor};
use crate::domain::event_record::EventRecord;
use crate::ids::Topic;
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::page::{EventsAfter, Head, Missing, News};
use crate::store::sql::{events, rebuild};

/// The event log.
#[async_trait]
pub trait Events: Send + Sync + 'static {
    /// What happened in a topic behind a place, of which the first event's has number 1: at most `limit` events and
    /// [`crate::limits::EVENTS_PAGE_MAX`].
    async fn events_after(&self, topic: Topic, cursor: Cursor, limit: usize) -> Result<EventsAfter, StoreError>;
    /// Where topics are, and the whole events behind places in them: at most [`crate::limits::NEWS_EVENTS_MAX`] together. One
    /// answer for each, in the same order, and the number of queries.
    async fn news(&self, wanted: Vec<(Topic, Option<Cursor>)>) -> Result<(Vec<News>, u32), StoreError>;
    /// The records that are missing somewhere, in the order of their places: at most [`crate::limits::FILL_EVENTS_MAX`].
    async fn missing(&self, missing: Vec<Missing>) -> Result<Vec<EventRecord>, StoreError>;
    /// The newest events of the topics in which something happened since `since`.
    async fn heads_since(&self, since: Timestamp) -> Result<Vec<Head>, StoreError>;
    /// Forgets what other nodes' events changed. Called before these events are told here.
    fn overtaken(&self, events: &[Arc<Committed>]);
    /// The whole events of records, one for each and in the same order, from the rows as they are now. What was deleted since
    /// is told as deleted.
    async fn rebuilt(&self, records: Vec<EventRecord>) -> Result<Vec<Arc<Committed>>, StoreError>;
    /// Where a topic is now: what was committed before this was called is not behind it.
    async fn cursor_of(&self, topic: Topic) -> Result<Cursor, StoreError>;
}

#[async_trait]
impl<B: Backend> Events for B {
    async fn events_after(&self, topic: Topic, cursor: Cursor, limit: usize) -> Result<EventsAfter, StoreError> {
        self.read(move |view| Box::pin(events::after(view, topic, cursor, limit))).await
    }

    async fn news(&self, wanted: Vec<(Topic, Option<Cursor>)>) -> Result<(Vec<News>, u32), StoreError> {
        self.read(move |view| {
            Box::pin(async move {
                let news = events::news(view, &wanted).await?;
                Ok((news, view.asked))
            })
        })
        .await
    }

    async fn rebuilt(&self, records: Vec<EventRecord>) -> Result<Vec<Arc<Committed>>, StoreError> {
        self.read(move |view| Box::pin(async move { rebuild::committed(view, &records).await })).await
    }

    async fn missing(&self, missing: Vec<Missing>) -> Result<Vec<EventRecord>, StoreError> {
        self.read(move |view| Box::pin(async move { events::missing(view, &missing).await })).await
    }

    async fn heads_since(&self, since: Timestamp) -> Result<Vec<Head>, StoreError> {
        self.read(move |view| Box::pin(events::heads_since(view, since))).await
    }

    fn overtaken(&self, events: &[Arc<Committed>]) {
        events.iter().for_each(|event| self.caches().forget_changed(event));
    }

    async fn cursor_of(&self, topic: Topic) -> Result<Cursor, StoreError> {
        self.read(move |view| Box::pin(events::cursor_of(view, topic))).await
    }
}
