//! Does what sockets with many topics need of the database: says whose they are, judges, and reads what they missed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::access::gate::Judge;
use crate::access::token::Tokens;
use crate::domain::event::{Committed, Cursor};
use crate::engine::shard::port::{Answer, Caught, Errand, Errands, From, Inbox, ToShard};
use crate::fanout::routes::Routes;
use crate::ids::Topic;
use crate::limits::{ERRANDS_AT_ONCE, ERRANDS_MAX, REPLAY_BYTES_MAX, REPLAY_EVENTS_MAX};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::event::Named;
use crate::protocol::v1::request::RequestId;
use crate::protocol::v1::{event, reply};
use crate::store::{Events, EventsAfter, StoreError};

/// Whatever an errand needs.
pub(super) struct Desk {
    pub judge: Judge,
    pub tokens: Arc<Tokens>,
    pub replay: Replay,
}

/// Says what subscriptions missed.
pub(super) struct Replay {
    pub log: Arc<dyn Events>,
    pub presenter: Arc<Presenter>,
    pub routes: Arc<Routes>,
}

/// The port by which shards have errands done, on the control runtime.
pub(super) fn port(desk: Desk, inboxes: Arc<[Arc<Inbox>]>, control: Handle) -> Errands {
    let (desk, turns, waiting) =
        (Arc::new(desk), Arc::new(Semaphore::new(ERRANDS_AT_ONCE)), Arc::<AtomicUsize>::default());
    Arc::new(move |errand| {
        if waiting.fetch_add(1, Ordering::Relaxed) >= ERRANDS_MAX {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let (desk, turns, waiting, inboxes) = (desk.clone(), turns.clone(), waiting.clone(), inboxes.clone());
        control.spawn(async move {
            let turn = turns.acquire().await;
            let shard = errand.session().shard.index();
            let answer = desk.done(errand).await;
            drop(turn);
            inboxes[shard].send_async(ToShard::Answer(Box::new(answer))).await;
            waiting.fetch_sub(1, Ordering::Relaxed);
        });
        true
    })
}

impl Desk {
    async fn done(&self, errand: Errand) -> Answer {
        match errand {
            Errand::Identify { session, request, credential } => {
                let outcome = self.judge.identify(&credential, &self.tokens).await;
                Answer::Identified { session, request, outcome }
            }
            Errand::Judge { session, ticket, user, family, topic } => {
                let outcome = self.judge.seat(user, family, topic).await;
                Answer::Judged { session, ticket, outcome }
            }
            Errand::Catch { session, ticket, topic, from, subscribing } => {
                let outcome = self.replay.catch(topic, from, subscribing).await;
                Answer::Caught { session, ticket, outcome }
            }
        }
    }
}

impl Replay {
    /// What happened in a topic behind a place, as frames: the reply to the request first, if it is to be answered.
    pub async fn catch(
        &self,
        topic: Topic,
        from: From,
        subscribing: Option<Option<RequestId>>,
    ) -> Result<Caught, Complaint> {
        self.read(topic, from, subscribing).await.map_err(|error| not_now(&error))
    }

    async fn read(
        &self,
        topic: Topic,
        from: From,
        subscribing: Option<Option<RequestId>>,
    ) -> Result<Caught, StoreError> {
        let (store, mut frames) = (&self.log, Vec::new());
        let subscribed = |frames: &mut Vec<u8>, cursor, is_resumed| {
            if let Some(id) = &subscribing {
                reply::subscribed(frames, id.as_deref(), topic, Some(cursor), is_resumed);
            }
        };
        let place = match from {
            From::Now => None,
            From::Cursor(place) => match store.events_after(topic, place, REPLAY_EVENTS_MAX).await? {
                EventsAfter::Next { events, has_more } => {
                    subscribed(&mut frames, place, true);
                    let events = store.rebuilt(events).await?;
                    return Ok(self.told(topic, &events, (place, has_more), frames, subscribing.is_some()));
                }
                EventsAfter::NotKept => Some(place),
            },
        };
        let cursor = store.cursor_of(topic).await?;
        subscribed(&mut frames, cursor, false);
        if place.is_some() {
            reply::gap(&mut frames, topic, Some(cursor));
        }
        self.name_all(&mut frames, topic);
        Ok(Caught { frames, cursor, has_more: false })
    }

    /// The events' frames, as many as may be given at once. What they name is named before, and with `names_all` whoever else
    /// has a number.
    fn told(
        &self,
        topic: Topic,
        events: &[Arc<Committed>],
        (mut cursor, mut has_more): (Cursor, bool),
        mut frames: Vec<u8>,
        names_all: bool,
    ) -> Caught {
        let names = self.routes.names_of(topic);
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut said, mut numbers) = (Vec::new(), BTreeSet::new());
        for committed in events {
            if said.len() > REPLAY_BYTES_MAX {
                has_more = true;
                break;
            }
            event::committed(&mut said, &self.presenter, committed, &mut |who| {
                let number = names.number(who, || self.routes.next_number());
                numbers.insert(number);
                number
            });
            cursor = committed.cursor;
        }
        let is_meant = |named: &&Named| names_all || numbers.contains(&named.number);
        let mut named = names.all().filter(is_meant).peekable();
        if named.peek().is_some() {
            event::users(&mut frames, &self.presenter, topic, named);
        }
        frames.append(&mut said);
        Caught { frames, cursor, has_more }
    }

    fn name_all(&self, frames: &mut Vec<u8>, topic: Topic) {
        let names = self.routes.names_of(topic);
        let names = names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.is_empty() {
            event::users(frames, &self.presenter, topic, names.all());
        }
    }
}

fn not_now(error: &StoreError) -> Complaint {
    tracing::warn!(%error, "what a subscription missed could not be read");
    complaint::UNAVAILABLE
}
