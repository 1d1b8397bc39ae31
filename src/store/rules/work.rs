//! A write about posts, people or notifications, while it is under way.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::event::{Committed, Event};
use crate::domain::feed::event::FeedEvent;
use crate::domain::write::{Outcome, Write};
use crate::ids::{Topic, UserId};
use crate::store::rules::asked::origin;
use crate::store::sql::LaneSql;
use crate::store::sql::rows::{BatchRows, Place};

/// A write under way, with what it has caused so far.
pub(super) struct Work<'a, 'r, D> {
    pub rows: &'a mut BatchRows<'r, D>,
    pub events: &'a mut Vec<Arc<Committed>>,
    pub write: &'a Write,
    pub actor: UserId,
    pub now: Timestamp,
    /// The first event, with which the caller is answered.
    first: Option<Arc<Committed>>,
}

impl<'a, 'r, D: LaneSql> Work<'a, 'r, D> {
    /// A write that has caused nothing yet.
    pub fn new(
        rows: &'a mut BatchRows<'r, D>,
        events: &'a mut Vec<Arc<Committed>>,
        write: &'a Write,
        now: Timestamp,
    ) -> Self {
        Self { rows, events, write, actor: write.actor, now, first: None }
    }

    /// Records one more event, at a place that was taken in its topic.
    pub async fn record(&mut self, topic: Topic, place: Place, event: FeedEvent) -> Result<(), D::Error> {
        self.record_event(topic, place, Event::Feed(event)).await
    }

    /// The same with an event of a room.
    pub async fn record_event(&mut self, topic: Topic, place: Place, event: Event) -> Result<(), D::Error> {
        let committed = Committed {
            topic,
            cursor: place.cursor,
            event_id: if self.first.is_none() { self.write.event_id } else { self.rows.view.ids.fresh() },
            at: place.at,
            previous: place.previous,
            origin: origin(self.write),
            event,
        };
        self.rows.log(&committed, self.write.transport).await?;
        let committed = Arc::new(committed);
        self.first.get_or_insert_with(|| Arc::clone(&committed));
        self.events.push(committed);
        Ok(())
    }

    /// The answer to the caller.
    pub fn done(self) -> Result<Outcome, D::Error> {
        Ok(self.first.map_or(Outcome::Unchanged, Outcome::Committed))
    }
}
