//! Does what sockets with many topics need of the database: says whose they are, judges, and reads what they missed.

use std::collections::BTreeMap;
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
use crate::protocol::v1::request::RequestId;
use crate::protocol::v1::{event, reply};
use crate::server::questions::Questions;
use crate::store::{EventsAfter, StoreError};

/// Whatever an errand needs.
pub(super) struct Desk {
    pub judge: Judge,
    pub tokens: Arc<Tokens>,
    pub presenter: Arc<Presenter>,
    pub routes: Arc<Routes>,
    pub inboxes: Arc<[Arc<Inbox>]>,
}

/// The port by which shards have errands done, on the control runtime.
pub(super) fn port(desk: Desk, control: Handle) -> Errands {
    let inboxes = desk.inboxes.clone();
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
            Errand::Ask(asked) => {
                let Self { judge, presenter, inboxes, .. } = self;
                let frames = Questions { judge, presenter, inboxes }.answered(&asked).await;
                Answer::Replied { session: asked.session, frames }
            }
            Errand::Catch { session, ticket, topic, from, subscribing } => {
                let outcome = self.catch(topic, from, subscribing).await.map_err(|error| not_now(&error));
                Answer::Caught { session, ticket, outcome }
            }
        }
    }

    /// What happened in a topic behind a place, as frames: the reply to the request first, if it is to be answered.
    async fn catch(
        &self,
        topic: Topic,
        from: From,
        subscribing: Option<Option<RequestId>>,
    ) -> Result<Caught, StoreError> {
        let (store, mut frames) = (&self.judge.store, Vec::new());
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
                    return Ok(self.replay(topic, &events, (place, has_more), frames));
                }
                EventsAfter::NotKept => Some(place),
            },
        };
        let cursor = store.cursor_of(topic).await?;
        subscribed(&mut frames, cursor, false);
        if place.is_some() {
            reply::gap(&mut frames, topic, Some(cursor));
        }
        Ok(self.replay(topic, &[], (cursor, false), frames))
    }

    /// The events' frames, as many as may be given at once. What they name is named before, and behind the last of them whoever
    /// else has a number: frames that come now may use it.
    fn replay(
        &self,
        topic: Topic,
        events: &[Arc<Committed>],
        (mut cursor, mut has_more): (Cursor, bool),
        mut frames: Vec<u8>,
    ) -> Caught {
        let names = self.routes.names_of(topic);
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut said, mut named) = (Vec::new(), BTreeMap::new());
        for committed in events {
            if said.len() > REPLAY_BYTES_MAX {
                has_more = true;
                break;
            }
            event::committed(&mut said, &self.presenter, committed, &mut |who| {
                let who = names.number(who, &self.presenter, || self.routes.next_number());
                let number = who.number;
                named.insert(number, who);
                number
            });
            cursor = committed.cursor;
        }
        if !has_more {
            named.extend(names.all().map(|who| (who.number, Arc::clone(who))));
        }
        if !named.is_empty() {
            event::users(&mut frames, topic, named.values().map(|who| &**who));
        }
        frames.append(&mut said);
        Caught { frames, cursor, has_more, naming: self.routes.next_naming() }
    }
}

fn not_now(error: &StoreError) -> Complaint {
    tracing::warn!(%error, "what a subscription missed could not be read");
    complaint::UNAVAILABLE
}
