//! What subscriptions of `pregon.v1` missed, read from the log and said as frames.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use crate::domain::event::{Committed, Cursor};
use crate::engine::shard::port::{Answer, Caught, From, Ticket};
use crate::fanout::routes::Routes;
use crate::ids::{SessionKey, Topic};
use crate::limits::REPLAY_BYTES_MAX;
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::event::Named;
use crate::protocol::v1::request::RequestId;
use crate::protocol::v1::{event, reply};
use crate::store::{Events, News, Since, StoreError};

/// A subscription that wants to know what it missed.
pub(super) struct Missed {
    pub session: SessionKey,
    pub ticket: Ticket,
    pub topic: Topic,
    pub from: From,
    pub subscribing: Option<Option<RequestId>>,
}

/// Says what subscriptions missed.
pub(super) struct Replay {
    pub log: Arc<dyn Events>,
    pub presenter: Arc<Presenter>,
    pub routes: Arc<Routes>,
}

impl Replay {
    /// What happened in topics behind places, as frames: the reply to the request first, if it is to be answered. All of them
    /// joined their topics before this reads.
    pub async fn catch(&self, missed: Vec<Missed>) -> (Vec<Answer>, u32) {
        let place = |missed: &Missed| match missed.from {
            From::Now => None,
            From::Cursor(place) => Some(place),
        };
        let wanted = missed.iter().map(|missed| (missed.topic, place(missed))).collect();
        let (news, queries) = match self.log.news(wanted).await {
            Ok((news, queries)) => (news.into_iter().map(Ok).collect(), queries),
            Err(error) => {
                let why = not_now(&error);
                (missed.iter().map(|_| Err(why)).collect::<Vec<_>>(), 1)
            }
        };
        let answer = |(missed, news): (Missed, Result<News, Complaint>)| {
            let Missed { session, ticket, topic, from, subscribing } = missed;
            let outcome = news.map(|news| self.caught(topic, from, subscribing, news));
            Answer::Caught { session, ticket, outcome }
        };
        (missed.into_iter().zip(news).map(answer).collect(), queries)
    }

    fn caught(&self, topic: Topic, from: From, subscribing: Option<Option<RequestId>>, news: News) -> Caught {
        let mut frames = Vec::new();
        let subscribed = |frames: &mut Vec<u8>, cursor, is_resumed| {
            if let Some(id) = &subscribing {
                reply::subscribed(frames, id.as_deref(), topic, Some(cursor), is_resumed);
            }
        };
        let News { now, since } = news;
        if let (From::Cursor(place), Since::Next { events, has_more }) = (from, &since) {
            subscribed(&mut frames, place, true);
            return self.replay(topic, events, (place, *has_more), frames, subscribing.is_some());
        }
        subscribed(&mut frames, now, false);
        if matches!(from, From::Cursor(_)) {
            reply::gap(&mut frames, topic, Some(now));
        }
        self.name_all(&mut frames, topic);
        Caught { frames, cursor: now, has_more: false }
    }

    /// The events' frames, as many as may be given at once. What they name is named before, and with `names_all` whoever else
    /// has a number.
    fn replay(
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
