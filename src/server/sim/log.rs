//! The database as the simulation has it: the event log, whose order is fixed at the commit, and which is trimmed and at times
//! away.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::ReactionType;
use crate::domain::chat::write::Transport;
use crate::domain::event::{Committed, Cursor, Event};
use crate::domain::event_record::{EventRecord, Happening};
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::ids::{EventId, MessageId, NotificationId, Topic, UserId};
use crate::limits::{FILL_EVENTS_MAX, IN_FLIGHT_MAX, LOOK_DEEP_EVERY, REPLAY_EVENTS_MAX};
use crate::store::{Events, EventsAfter, Head, Missing, News, Since, StoreError};

/// A committed event.
pub(super) struct Row {
    pub event: Arc<Committed>,
    pub committed_at: Instant,
    /// Its commit took long: usual looks do not reach back to its time.
    pub is_overdue: bool,
    /// Clients of `pregon.v1` get no frame of it.
    pub is_silent: bool,
}

/// What the database has of a topic.
pub(super) struct Rows {
    pub topic: Topic,
    pub rows: Vec<Row>,
    /// Events up to this number are not kept any more.
    pub forgotten: u64,
    /// A lane has taken the topic's row and has not committed yet.
    pub is_locked: bool,
}

impl Rows {
    pub fn last(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The first event behind this number of which there is a frame.
    pub fn next_loud(&self, after: u64) -> Option<&Row> {
        self.rows.iter().skip(usize::try_from(after).unwrap_or(usize::MAX)).find(|row| !row.is_silent)
    }
}

pub(super) struct State {
    pub topics: Vec<Rows>,
    pub is_away: bool,
    random: StdRng,
}

/// The database.
pub(super) struct Log(Mutex<State>);

/// The number of the message that an event of a room is about.
pub(super) fn message_of(topic: usize, seq: u64) -> MessageId {
    MessageId(Uuid::from_u128((topic as u128) << 64 | u128::from(seq)))
}

/// Who reacts, if an event of a room is a reaction.
pub(super) fn reacting_user(seq: u64) -> UserId {
    UserId(Uuid::from_u128(1 + u128::from(seq % 3)))
}

fn away() -> StoreError {
    StoreError::Unavailable("it is away".into())
}

/// Others may have their turns first.
async fn others_first(turns: u32) {
    for _ in 0..turns {
        let mut is_over = false;
        poll_fn(|_| if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl Log {
    pub fn new(topics: &[Topic], seed: u64) -> Self {
        let rows = |topic: &Topic| Rows { topic: *topic, rows: Vec::new(), forgotten: 0, is_locked: false };
        let topics = topics.iter().map(rows).collect();
        Self(Mutex::new(State { topics, is_away: false, random: StdRng::seed_from_u64(seed) }))
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next events of a topic whose row a lane holds. They are committed by [`Self::commit`].
    pub fn next(&self, topic: usize, count: u64, now: Timestamp) -> Vec<Arc<Committed>> {
        let mut state = self.lock();
        let kinds: Vec<u8> = (0..count).map(|_| state.random.random_range(0..100)).collect();
        let rows = &state.topics[topic];
        let mut previous = rows.rows.last().map(|row| row.event.at);
        let mut events = Vec::new();
        for (seq, kind) in (rows.last() + 1..).zip(kinds) {
            let at = previous.map_or(now, |last| now.max(Timestamp(last.0 + 1)));
            let user = reacting_user(seq);
            let message = message_of(topic, seq);
            let event = match rows.topic {
                Topic::Notifications(user) => {
                    let notifications = vec![NotificationId(message.0)];
                    let change = NotificationChange::Gone { notifications, unread_count: seq };
                    Event::Feed(FeedEvent::Notification { user, change })
                }
                _ if kind < 20 => Event::Chat(ChatEvent::Joined { user }),
                _ if kind < 50 => Event::Chat(ChatEvent::Reacted {
                    message,
                    user,
                    username: format!("u{}", seq % 3).into(),
                    reaction: ReactionType::Like,
                    added: true,
                }),
                _ => Event::Chat(ChatEvent::Deleted { message, user }),
            };
            let (topic, event_id) = (rows.topic, EventId(message.0));
            let cursor = Cursor { epoch: 1, seq };
            events.push(Arc::new(Committed { topic, cursor, event_id, at, previous, origin: None, event }));
            previous = Some(at);
        }
        events
    }

    pub fn commit(&self, events: &[Arc<Committed>], now: Instant, wall: Timestamp) {
        let mut state = self.lock();
        for event in events {
            let rows = state.topics.iter_mut().find(|rows| rows.topic == event.topic).expect("it is one of these");
            assert_eq!(event.cursor.seq, rows.last() + 1, "the order is the database's");
            // Clocks of nodes are wrong by up to 0.4 s.
            let is_overdue = event.at < wall.minus(IN_FLIGHT_MAX - Duration::from_millis(500));
            let is_silent = matches!(event.event, Event::Chat(ChatEvent::Joined { .. }));
            rows.rows.push(Row { event: Arc::clone(event), committed_at: now, is_overdue, is_silent });
        }
    }

    /// Forgets what is older than this.
    pub fn trim(&self, topic: usize, age: Duration, now: Instant) {
        let rows = &mut self.lock().topics[topic];
        let is_old = |row: &&Row| {
            let age = if row.is_overdue { age + LOOK_DEEP_EVERY } else { age };
            now.saturating_duration_since(row.committed_at) > age
        };
        rows.forgotten = rows.forgotten.max(rows.rows.iter().take_while(is_old).count() as u64);
    }

    /// A query: it takes some turns until it is run, and some until its answer has come.
    async fn query<T>(&self, run: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        let turns = self.lock().random.random_range(0..3);
        others_first(turns).await;
        let (answer, turns) = {
            let mut state = self.lock();
            if state.is_away {
                return Err(away());
            }
            (run(&state), state.random.random_range(0..3))
        };
        others_first(turns).await;
        if self.lock().is_away { Err(away()) } else { Ok(answer) }
    }
}

fn record(event: &Committed) -> EventRecord {
    EventRecord {
        topic: event.topic,
        cursor: event.cursor,
        event_id: event.event_id,
        at: event.at,
        transport: Transport::Rest,
        user: UserId::default(),
        happening: Happening::Joined,
    }
}

impl State {
    fn of(&self, topic: Topic) -> &Rows {
        self.topics.iter().find(|rows| rows.topic == topic).expect("it is one of these")
    }

    /// What is kept of a topic.
    fn kept(&self, topic: Topic) -> impl Iterator<Item = &Row> {
        let rows = self.of(topic);
        rows.rows.iter().skip(usize::try_from(rows.forgotten).unwrap_or(usize::MAX))
    }

    fn after(&self, topic: Topic, cursor: Cursor, limit: usize) -> EventsAfter {
        let rows = self.of(topic);
        if cursor.epoch != 1 || cursor.seq > rows.last() || (cursor.seq < rows.forgotten && cursor.seq < rows.last()) {
            return EventsAfter::NotKept;
        }
        let next = self.kept(topic).filter(|row| row.event.cursor.seq > cursor.seq);
        let events: Vec<_> = next.take(limit).map(|row| record(&row.event)).collect();
        let has_more = events.last().is_some_and(|event| event.cursor.seq < rows.last());
        EventsAfter::Next { events, has_more }
    }

    fn missing(&self, missing: &[Missing]) -> Vec<EventRecord> {
        let mut found = Vec::new();
        for Missing { topic, after, before, since, .. } in missing {
            let wanted = |row: &&Row| {
                let seq = row.event.cursor.seq;
                seq > *after && seq < *before && row.event.at >= *since
            };
            found.extend(self.kept(*topic).filter(wanted).map(|row| record(&row.event)));
        }
        found.sort_by_key(|record| (record.topic.to_string(), record.cursor));
        found.truncate(FILL_EVENTS_MAX);
        found
    }
}

#[async_trait]
impl Events for Log {
    async fn events_after(&self, topic: Topic, cursor: Cursor, limit: usize) -> Result<EventsAfter, StoreError> {
        // Few pages are as long as they may be.
        let limit = limit.min(1 + self.lock().random.random_range(0..20));
        self.query(|state| state.after(topic, cursor, limit)).await
    }

    async fn news(&self, wanted: Vec<(Topic, Option<Cursor>)>) -> Result<(Vec<News>, u32), StoreError> {
        let mut news = Vec::new();
        for (topic, since) in wanted {
            let now = self.cursor_of(topic).await?;
            let since = match since {
                None => Since::NotAsked,
                Some(place) => match self.events_after(topic, place, REPLAY_EVENTS_MAX).await? {
                    EventsAfter::NotKept => Since::NotKept,
                    EventsAfter::Next { events, has_more } => {
                        Since::Next { events: self.rebuilt(events).await?, has_more }
                    }
                },
            };
            news.push(News { now, since });
        }
        Ok((news, 0))
    }

    async fn missing(&self, missing: Vec<Missing>) -> Result<Vec<EventRecord>, StoreError> {
        self.query(|state| state.missing(&missing)).await
    }

    async fn heads_since(&self, since: Timestamp) -> Result<Vec<Head>, StoreError> {
        self.query(|state| {
            let head = |rows: &Rows| {
                let newest = newest(state, rows.topic, since)?;
                Some(Head { topic: rows.topic, cursor: newest })
            };
            state.topics.iter().filter_map(head).collect()
        })
        .await
    }

    fn overtaken(&self, _: &[Arc<Committed>]) {}

    async fn rebuilt(&self, records: Vec<EventRecord>) -> Result<Vec<Arc<Committed>>, StoreError> {
        self.query(|state| {
            let whole = |record: &EventRecord| {
                let place = usize::try_from(record.cursor.seq - 1).unwrap_or(usize::MAX);
                let Committed { topic, cursor, event_id, at, ref event, .. } =
                    *state.of(record.topic).rows[place].event;
                Arc::new(Committed { topic, cursor, event_id, at, previous: None, origin: None, event: again(event) })
            };
            records.iter().map(whole).collect()
        })
        .await
    }

    async fn cursor_of(&self, topic: Topic) -> Result<Cursor, StoreError> {
        self.query(|state| Cursor { epoch: 1, seq: state.of(topic).last() }).await
    }
}

fn newest(state: &State, topic: Topic, since: Timestamp) -> Option<Cursor> {
    state.kept(topic).filter(|row| row.event.at >= since).map(|row| row.event.cursor).max()
}

/// The same event, rebuilt from its rows.
fn again(event: &Event) -> Event {
    let text = serde_json::to_vec(event).expect("events can be written");
    serde_json::from_slice(&text).expect("and read")
}
