//! From a batch of committed events to one message per topic and shard.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::chat::event::ChatEvent;
use crate::durable::event::{Committed, Event};
use crate::durable::write::Outcome;
use crate::fanout::routes::Routes;
use crate::feed::event::FeedEvent;
use crate::ids::{SessionKey, Topic};
use crate::session::outbox::Class;
use crate::shard::port::{Directory, Except, Inbox, Publication, ToShard};
use crate::wire::object::Presenter;
use crate::wire::{event, feed_event, reason};

/// Encodes events and hands them to shards. Called by lanes; waits while a shard's inbox is full.
pub struct Fanout {
    routes: Arc<Routes>,
    inboxes: Arc<[Arc<Inbox>]>,
    presenter: Arc<Presenter>,
}

/// One topic's frames of a batch, next to each other.
#[derive(Default)]
struct Gathered {
    frames: Vec<u8>,
    origin: Option<SessionKey>,
}

impl Fanout {
    /// A fan-out to these shards.
    pub fn new(routes: Arc<Routes>, inboxes: Arc<[Arc<Inbox>]>, presenter: Arc<Presenter>) -> Self {
        Self { routes, inboxes, presenter }
    }

    /// Events of one batch, each topic's in its order. A topic nobody listens to costs one look.
    pub fn publish(&self, events: &[Arc<Committed>]) {
        let mut topics: HashMap<Topic, Gathered> = HashMap::new();
        for committed in events {
            let event = match &committed.event {
                Event::Chat(event) => event,
                Event::Feed(event) => {
                    self.gather_feed(&mut topics, committed, event);
                    continue;
                }
            };
            if let ChatEvent::Left { user } = *event {
                // What was said before somebody went is heard before they go.
                topics.drain().for_each(|(topic, gathered)| self.send(topic, gathered));
                let evict = || ToShard::Evict { topic: committed.topic, user, goodbye: reason::REMOVED };
                self.tell(committed.topic, evict);
                continue;
            }
            if self.routes.shards_of(&committed.topic).is_empty() {
                continue;
            }
            let gathered = topics.entry(committed.topic).or_default();
            gathered.origin = gathered.origin.or(committed.origin);
            event::durable(&mut gathered.frames, &self.presenter, event);
        }
        topics.into_iter().for_each(|(topic, gathered)| self.send(topic, gathered));
    }

    /// Posts, people and notifications: each audience that has listeners gets its own frames.
    fn gather_feed(&self, topics: &mut HashMap<Topic, Gathered>, committed: &Committed, event: &FeedEvent) {
        let mut gather = |topic: Topic, write: &dyn Fn(&mut Vec<u8>)| {
            if !self.routes.shards_of(&topic).is_empty() {
                let gathered = topics.entry(topic).or_default();
                gathered.origin = gathered.origin.or(committed.origin);
                write(&mut gathered.frames);
            }
        };
        match event {
            FeedEvent::Post(event) if event.is_public => {
                gather(Topic::Post(event.post), &|out| feed_event::for_post(out, &self.presenter, event));
                if event.change.is_for_feeds() {
                    gather(Topic::Author(event.author), &|out| feed_event::for_feeds(out, &self.presenter, event));
                    gather(Topic::Feed(event.author), &|out| feed_event::for_feeds(out, &self.presenter, event));
                }
            }
            // A private post is its author's alone.
            FeedEvent::Post(event) => {
                gather(Topic::Feed(event.author), &|out| feed_event::for_feeds(out, &self.presenter, event));
            }
            FeedEvent::Notification { user, change } => {
                let topic = Topic::Notifications(*user);
                gather(topic, &|out| feed_event::for_notifications(out, &self.presenter, change));
            }
            // No frame: it changes who hears what.
            FeedEvent::Relation(_) => {}
        }
    }

    /// A session's write that produced no event: it hears why, or hears again of the message that was there already.
    pub fn answer(&self, session: SessionKey, outcome: &Outcome) {
        let mut frames = Vec::new();
        match outcome {
            Outcome::Refused(refusal) => {
                let Some(text) = reason::refusal_text(*refusal) else { return };
                event::error(&mut frames, text);
            }
            Outcome::Repeated(message) => event::chat_message(&mut frames, &self.presenter, message),
            Outcome::Committed(_) | Outcome::Twin(_) | Outcome::Unchanged => return,
        }
        let deliver = ToShard::Deliver { session, frames: frames.into(), class: Class::Durable };
        self.inboxes[session.shard.index()].send(deliver);
    }

    fn send(&self, topic: Topic, gathered: Gathered) {
        if gathered.frames.is_empty() {
            return;
        }
        let publication = Arc::new(Publication {
            topic,
            frames: Bytes::from(gathered.frames),
            class: Class::Durable,
            except: Except::Nobody,
            origin: gathered.origin,
        });
        self.tell(topic, || ToShard::Publish(publication.clone()));
    }

    fn tell(&self, topic: Topic, message: impl Fn() -> ToShard) {
        for shard in self.routes.shards_of(&topic).iter() {
            self.inboxes[shard.index()].send(message());
        }
    }
}
