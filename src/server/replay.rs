//! What subscriptions of `pregon.v1` missed, read from the log and said as frames.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crate::domain::chat::event::ChatEvent;
use crate::domain::event::{Committed, Cursor, Event};
use crate::domain::feed::event::FeedEvent;
use crate::engine::shard::port::{Answer, Caught, From, Ticket};
use crate::fanout::routes::Routes;
use crate::ids::{SessionKey, Topic, UserId};
use crate::limits::{ANSWERS_TOGETHER_BYTES_MAX, REPLAY_BYTES_MAX};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::request::RequestId;
use crate::protocol::v1::{event, reply};
use crate::store::{Events, News, Since, StoreError};

/// A subscription that wants to know what it missed.
pub(super) struct Missed {
    pub session: SessionKey,
    pub ticket: Ticket,
    pub user: UserId,
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
        // What one subscription gets, the others of its group have less.
        let mut left = ANSWERS_TOGETHER_BYTES_MAX;
        let answer = |(missed, news): (Missed, Result<News, Complaint>)| {
            let (session, ticket) = (missed.session, missed.ticket);
            let outcome = news.map(|news| self.caught(&missed, news, left.min(REPLAY_BYTES_MAX)));
            left = left.saturating_sub(outcome.as_ref().map_or(0, |caught| caught.frames.len()));
            Answer::Caught { session, ticket, outcome }
        };
        (missed.into_iter().zip(news).map(answer).collect(), queries)
    }

    fn caught(&self, missed: &Missed, news: News, bytes_max: usize) -> Caught {
        let Missed { user, topic, from, ref subscribing, .. } = *missed;
        let mut frames = Vec::new();
        let subscribed = |frames: &mut Vec<u8>, cursor, is_resumed| {
            if let Some(id) = subscribing {
                reply::subscribed(frames, id.as_deref(), topic, Some(cursor), is_resumed);
            }
        };
        let News { now, since } = news;
        if let (From::Cursor(place), Since::Next { events, has_more }) = (from, &since) {
            subscribed(&mut frames, place, true);
            let (events, has_more) = match end_for(user, events) {
                Some(end) => (&events[..end], false),
                None => (&events[..], *has_more),
            };
            return self.replay((topic, user), events, (place, has_more), bytes_max, frames);
        }
        subscribed(&mut frames, now, false);
        if matches!(from, From::Cursor(_)) {
            reply::gap(&mut frames, topic, Some(now));
        }
        self.replay((topic, user), &[], (now, false), bytes_max, frames)
    }

    /// The frames of those events that the user may see, as many as may be given at once. What they name is named before, and behind
    /// the last of them whoever else has a number: frames that come now may use it.
    fn replay(
        &self,
        (topic, user): (Topic, UserId),
        events: &[Arc<Committed>],
        (mut cursor, mut has_more): (Cursor, bool),
        bytes_max: usize,
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
            if said.len() >= bytes_max {
                has_more = true;
                break;
            }
            cursor = committed.cursor;
            if is_hidden_from(user, &committed.event) {
                continue;
            }
            event::committed(&mut said, &self.presenter, committed, &mut |who| {
                let who = names.number(who, &self.presenter, || self.routes.next_number());
                let number = who.number;
                named.insert(number, who);
                number
            });
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

/// Where a room's events end for a user who has left it since they were let in: behind the leaving.
fn end_for(user: UserId, events: &[Arc<Committed>]) -> Option<usize> {
    let about = events.iter().enumerate().rev().find_map(|(place, committed)| match committed.event {
        Event::Chat(ChatEvent::Joined { user: who }) if who == user => Some(None),
        Event::Chat(ChatEvent::Left { user: who }) if who == user => Some(Some(place + 1)),
        _ => None,
    });
    about.flatten()
}

/// The post is private now, and it is somebody else's.
fn is_hidden_from(user: UserId, event: &Event) -> bool {
    matches!(event, Event::Feed(FeedEvent::Post(event)) if !event.is_visible_to(user))
}

fn not_now(error: &StoreError) -> Complaint {
    tracing::warn!(%error, "what a subscription missed could not be read");
    complaint::UNAVAILABLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::domain::feed::event::{PostChange, PostEvent};
    use crate::ids::{EventId, PostId, RoomId};

    fn events(topic: Topic, all: Vec<Event>) -> Vec<Arc<Committed>> {
        let committed = (1..).zip(all).map(|(seq, event)| Committed {
            topic,
            cursor: Cursor { epoch: 1, seq },
            event_id: EventId::fresh(),
            at: Timestamp(1),
            previous: None,
            origin: None,
            event,
        });
        committed.map(Arc::new).collect()
    }

    #[test]
    fn a_room_ends_for_its_reader_where_they_left_it_last() {
        let [ana, beto] = [UserId::fresh(), UserId::fresh()];
        let (joined, left) =
            (|user| Event::Chat(ChatEvent::Joined { user }), |user| Event::Chat(ChatEvent::Left { user }));
        let room = Topic::Room(RoomId::fresh());
        let all = events(room, vec![left(ana), joined(ana), left(beto), left(ana), joined(beto)]);
        assert_eq!(end_for(ana, &all), Some(4), "she is out of it");
        assert_eq!(end_for(beto, &all), None, "he is in it again");
        assert_eq!(end_for(UserId::fresh(), &all), None);
    }

    #[test]
    fn what_is_private_now_is_for_its_author_alone() {
        let [ana, beto] = [UserId::fresh(), UserId::fresh()];
        let event = |is_public| {
            let change = PostChange::Deleted;
            Event::Feed(FeedEvent::Post(PostEvent { post: PostId::fresh(), author: ana, is_public, change }))
        };
        assert!(is_hidden_from(beto, &event(false)) && !is_hidden_from(ana, &event(false)));
        assert!(!is_hidden_from(beto, &event(true)));
    }
}
