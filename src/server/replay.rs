//! What subscriptions of `pregon.v1` missed, read from the log and said as frames.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crate::domain::event::{Committed, Cursor};
use crate::engine::shard::port::{Answer, Caught, From, Ticket};
use crate::fanout::routes::Routes;
use crate::ids::{SessionKey, Topic};
use crate::limits::REPLAY_BYTES_MAX;
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::complaint::{self, Complaint};
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
            let outcome = news.map(|news| self.caught(topic, from, subscribing.as_ref(), news));
            Answer::Caught { session, ticket, outcome }
        };
        (missed.into_iter().zip(news).map(answer).collect(), queries)
    }

    fn caught(&self, topic: Topic, from: From, subscribing: Option<&Option<RequestId>>, news: News) -> Caught {
        let mut frames = Vec::new();
        let subscribed = |frames: &mut Vec<u8>, cursor, is_resumed| {
            if let Some(id) = subscribing {
                reply::subscribed(frames, id.as_deref(), topic, Some(cursor), is_resumed);
            }
        };
        let News { now, since } = news;
        if let (From::Cursor(place), Since::Next { events, has_more }) = (from, &since) {
            subscribed(&mut frames, place, true);
            return self.replay(topic, events, (place, *has_more), frames);
        }
        subscribed(&mut frames, now, false);
        if matches!(from, From::Cursor(_)) {
            reply::gap(&mut frames, topic, Some(now));
        }
        self.replay(topic, &[], (now, false), frames)
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
        // Whoever is named from here on has a later naming.
        let naming = self.routes.next_naming();
        if events.is_empty() && !self.routes.has_names(topic) {
            return Caught { frames, cursor, has_more, naming };
        }
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
