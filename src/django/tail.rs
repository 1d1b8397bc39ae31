//! Finds rows that Django adds to `messages` and `notifications` without announcing them, and gives them their places
//! in the order of their topics.
//!
//! Both tables are indexed by topic and time, not by time alone, so only topics with listeners are looked at. The time
//! of a row is when it was made, not when it was committed, so each look reaches back. A near look every [`TAIL_EVERY`]
//! reaches back [`TAIL_NEAR`] and finds rows that were committed at once; a far look every [`TAIL_FAR_EVERY`] reaches
//! back [`TAIL_OVERLAP`] and finds what long transactions leave behind.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{BoxFuture, join_all};
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::django::row_cache::Known;
use crate::domain::chat::event::ChatEvent;
use crate::domain::event::{Committed, Event};
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::domain::write::{Addition, Intent, Outcome};
use crate::ids::{EventId, Topic, UserId};
use crate::limits::{
    ADOPTED_KEPT_HOURS, RETENTION_ROWS_MAX, TAIL_EVERY, TAIL_FAR_EVERY, TAIL_NEAR, TAIL_OVERLAP, TAIL_TOPICS_MAX,
    TAIL_WRITES_MAX,
};
use crate::store::django::{Adopted, Beside};
use crate::store::{Store, StoreError};

/// Asks the shards which topics have listeners.
pub type Live = Box<dyn Fn() -> BoxFuture<'static, Vec<Topic>> + Send + Sync>;

/// Tells events that already have their places. May wait.
pub type Publish = Box<dyn Fn(&[Arc<Committed>]) + Send + Sync>;

/// What the tail asks of the rest of the server.
pub struct Ways {
    /// The store with the lanes.
    pub store: Arc<dyn Store>,
    /// What the store offers for a database that Django shares.
    pub rows: Arc<dyn Beside>,
    /// Rooms and notifications with listeners.
    pub live: Live,
    /// Tells events to which another node gave their places.
    pub publish: Publish,
}

/// The task that looks for added rows.
pub struct Tail {
    ways: Ways,
    known: Known,
    /// When it was last asked which topics have listeners.
    asked: Timestamp,
    is_failing: bool,
}

impl Tail {
    /// A tail for which all rows that exist now are no news.
    pub fn new(ways: Ways) -> Self {
        let now = Timestamp::now();
        Self { ways, known: Known::new(now), asked: now, is_failing: false }
    }

    /// Looks for as long as the runtime lives.
    pub async fn run(mut self) {
        let mut ticks = interval(TAIL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let seconds = metrics::histogram!("pregon_django_tail_seconds");
        let mut last_far = Instant::now();
        let mut last_forgot = Instant::now();
        let mut is_more_to_forget = false;
        loop {
            ticks.tick().await;
            let began = Instant::now();
            let is_far = began - last_far >= TAIL_FAR_EVERY;
            match self.look(is_far).await {
                Ok(()) => {
                    if is_far {
                        last_far = began;
                    }
                    if std::mem::replace(&mut self.is_failing, false) {
                        tracing::info!("rows that Django adds are found again");
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(%error, "rows that Django adds cannot be looked for: they come later");
                    }
                }
            }
            if is_more_to_forget || began - last_forgot >= TAIL_OVERLAP {
                last_forgot = began;
                is_more_to_forget = self.forget_adopted().await;
            }
            seconds.record(began.elapsed());
        }
    }

    /// Forgets some of the rows that were adopted long ago. True if there are more.
    async fn forget_adopted(&self) -> bool {
        let before = Timestamp::now().plus_seconds(-ADOPTED_KEPT_HOURS * 3600);
        match self.ways.rows.forget_adopted(before).await {
            Ok(rows) => rows >= RETENTION_ROWS_MAX as u64,
            Err(error) => {
                tracing::debug!(%error, "what was adopted long ago could not be forgotten");
                false
            }
        }
    }

    async fn look(&mut self, is_far: bool) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let live = (self.ways.live)().await;
        let fresh = self.known.listen(&live, self.asked);
        self.asked = now;
        if !fresh.is_empty() {
            // If this fails, the next look treats these topics as fresh again.
            let found = self.found(&fresh, self.known.reach()).await?;
            let news = self.known.first_news(found);
            self.adopt(news).await?;
        }
        let since = if is_far { self.known.reach() } else { now.minus(TAIL_NEAR) };
        let found = self.found(&self.known.topics(), since).await?;
        let news = self.known.news(found);
        self.adopt(news).await?;
        if is_far {
            self.known.looked_far(now);
        }
        Ok(())
    }

    /// Reads the rows of topics, some topics at a time; each topic's rows are in order.
    async fn found(&self, topics: &[Topic], since: Timestamp) -> Result<Vec<(Addition, Timestamp)>, StoreError> {
        let mut found = Vec::new();
        for topics in topics.chunks(TAIL_TOPICS_MAX) {
            found.extend(self.ways.rows.additions(topics, since).await?);
        }
        Ok(found)
    }

    /// Gives rows their places, which also tells them on this node. If another node gave a row its place first, that
    /// node has told it, and this one tells its own listeners.
    async fn adopt(&mut self, news: Vec<Addition>) -> Result<(), StoreError> {
        for rows in news.chunks(TAIL_WRITES_MAX) {
            // The rows of a topic go to its lane in their order.
            let asked = rows.iter().map(|row| self.ways.store.request(UserId::default(), Intent::Adopt(*row)));
            let outcomes = join_all(asked).await;
            let mut elsewhere = Vec::new();
            for (row, outcome) in rows.iter().zip(outcomes) {
                match outcome {
                    Outcome::Committed(_) => {
                        metrics::counter!("pregon_django_adopted_total", "by" => "this node").increment(1);
                        self.known.note(*row);
                    }
                    Outcome::Unchanged => elsewhere.push(*row),
                    // Nothing was written: a later look finds the row again.
                    Outcome::Refused(refusal) => tracing::debug!(?refusal, "a row of Django's has to wait"),
                    Outcome::Twin(_) | Outcome::Repeated(..) => self.known.note(*row),
                }
            }
            if !elsewhere.is_empty() {
                self.tell_adopted(&elsewhere).await?;
            }
        }
        Ok(())
    }

    /// Tells rows that got their places from another node: its listeners have heard of them, and ours have not.
    async fn tell_adopted(&mut self, rows: &[Addition]) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id()).collect();
        let places = self.ways.rows.adopted(&ids).await?;
        let mut events = Vec::new();
        for row in rows {
            let place = places.iter().find(|place| place.id == row.id());
            // Rows that were placed before anybody listened here are not told.
            let place = place.filter(|place| self.known.since(row.topic()).is_some_and(|since| place.at >= since));
            if let Some(place) = place
                && let Some(event) = self.event(*row).await?
            {
                events.push(Arc::new(committed(*row, *place, event)));
            }
        }
        events.sort_by_key(|event| (event.topic, event.cursor));
        metrics::counter!("pregon_django_adopted_total", "by" => "another node").increment(events.len() as u64);
        block_in_place(|| (self.ways.publish)(&events));
        rows.iter().for_each(|row| self.known.note(*row));
        Ok(())
    }

    /// The row as an event; `None` if the row is gone.
    async fn event(&self, row: Addition) -> Result<Option<Event>, StoreError> {
        Ok(match row {
            Addition::Message { room, message } => {
                let message = self.ways.rows.look_at_message(message).await?.filter(|message| message.room == room);
                message.map(|message| Event::Chat(ChatEvent::Sent(message)))
            }
            Addition::Notification { recipient, notification } => {
                let notification = self.ways.store.notification(recipient, notification).await?;
                notification.map(|notification| {
                    let change = NotificationChange::Came(Arc::new(notification));
                    Event::Feed(FeedEvent::Notification { user: recipient, change })
                })
            }
        })
    }
}

fn committed(row: Addition, place: Adopted, event: Event) -> Committed {
    Committed {
        topic: row.topic(),
        cursor: place.cursor,
        // The event is told here once; the node that gave the row its place has logged it.
        event_id: EventId(row.id()),
        at: place.at,
        previous: None,
        origin: None,
        event,
    }
}
