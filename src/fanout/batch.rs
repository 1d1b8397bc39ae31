//! One batch on its way to the shards: the frames of each topic are joined and sent in the order in which a session
//! must hear them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Except, Inbox, Publication, ShardSet, ToShard};
use crate::fanout::routes::Routes;
use crate::ids::{SessionKey, Topic};
use crate::limits::PUBLICATION_BYTES_MAX;
use crate::protocol::form::{Also, FrameSet};
use crate::protocol::v1::said::{Said, wrapped};

/// Where frames go.
pub(super) struct Ways {
    pub routes: Arc<Routes>,
    pub inboxes: Arc<[Arc<Inbox>]>,
}

impl Ways {
    /// Shards that are given a topic's publications.
    pub fn shards_of(&self, topic: Topic) -> ShardSet {
        match topic {
            Topic::Author(author) => self.routes.shards_of_author(author),
            topic => self.routes.shards_of(&topic),
        }
    }

    /// Sends the message to each shard that hears the topic. Waits while an inbox is full.
    pub fn tell(&self, topic: Topic, message: impl Fn() -> ToShard) {
        for shard in self.shards_of(topic).iter() {
            self.inboxes[shard.index()].send(message());
        }
    }

    /// Do clients of `pregon.v1` listen to the topic?
    pub fn has_v1(&self, topic: Topic) -> bool {
        self.routes.forms_of(topic).has_v1()
    }

    /// Sends one publication. The caller has encoded it, once for all shards.
    fn publish(&self, born: Instant, topic: Topic, gathered: Gathered, except: Except) {
        let Gathered { frames, said, origin } = gathered;
        if !frames.is_empty() || !said.is_empty() {
            // What feeds hear has no order of its own, and so no cursor.
            let also = match topic {
                Topic::Author(_) | Topic::Feed(_) => Also::Wrapped(topic),
                _ if said.is_empty() => Also::Nothing,
                _ => Also::Said(Box::new(said)),
            };
            let frames = FrameSet::new(Bytes::from(frames)).and(also).made_for(self.routes.forms_of(topic));
            let publication = Arc::new(Publication { topic, frames, class: Class::Durable, except, origin, born });
            self.tell(topic, || ToShard::Publish(publication.clone()));
        }
    }
}

/// One topic's frames of a batch.
#[derive(Default)]
struct Gathered {
    frames: Vec<u8>,
    /// The same, or more, for clients of `pregon.v1`.
    said: Said,
    origin: Option<SessionKey>,
}

/// A batch's frames that have not been sent yet.
pub(super) struct Batch<'a> {
    pub ways: &'a Ways,
    /// When the batch was committed, or seen in rows, or its turn came.
    born: Instant,
    topics: HashMap<Topic, Gathered>,
    /// What posts' sockets are told has no place in their order: clients of `pregon.v1` get it as it is.
    wraps_posts: bool,
}

impl<'a> Batch<'a> {
    pub fn new(ways: &'a Ways) -> Self {
        Self { ways, born: Instant::now(), topics: HashMap::new(), wraps_posts: false }
    }

    /// A batch of what was seen in rows, and not of events.
    pub fn of_looks(ways: &'a Ways) -> Self {
        Self { wraps_posts: true, ..Self::new(ways) }
    }

    /// Does any shard have listeners of the topic?
    pub fn is_heard(&self, topic: Topic) -> bool {
        !self.ways.shards_of(topic).is_empty()
    }

    /// Adds frames to a topic; `write` appends them. If the sum would exceed `PUBLICATION_BYTES_MAX`, the earlier
    /// frames are sent first.
    pub fn gather(&mut self, topic: Topic, origin: Option<SessionKey>, write: impl FnOnce(&mut Vec<u8>)) {
        self.send_twin(topic);
        let gathered = self.topics.entry(topic).or_default();
        gathered.origin = gathered.origin.or(origin);
        let start = gathered.frames.len();
        write(&mut gathered.frames);
        if self.wraps_posts && matches!(topic, Topic::Post(_)) && self.ways.has_v1(topic) {
            let seen = wrapped(topic, gathered.frames.get(start..).unwrap_or_default());
            gathered.said.add(None, |out| out.extend_from_slice(&seen));
        }
        if start > 0 && gathered.frames.len() > PUBLICATION_BYTES_MAX {
            let rest = gathered.frames.split_off(start);
            let (frames, said) = (std::mem::replace(&mut gathered.frames, rest), std::mem::take(&mut gathered.said));
            let full = Gathered { frames, said, origin: gathered.origin };
            self.ways.publish(self.born, topic, full, Except::Nobody);
        }
    }

    /// Adds what clients of `pregon.v1` are told of an event: with `except`, after everything that was gathered and apart from
    /// what comes.
    pub fn gather_said(&mut self, topic: Topic, origin: Option<SessionKey>, said: &Said, except: Except) {
        if except != Except::Nobody {
            self.send(topic);
            let apart = Gathered { said: said.clone(), ..Gathered::default() };
            return self.ways.publish(self.born, topic, apart, except);
        }
        let gathered = self.topics.entry(topic).or_default();
        gathered.origin = gathered.origin.or(origin);
        if !gathered.said.is_empty() && gathered.said.frames.len() + said.frames.len() > PUBLICATION_BYTES_MAX {
            self.send(topic);
        }
        self.topics.entry(topic).or_default().said.append(said);
    }

    /// Sends frames that only a part of the topic's listeners gets, after everything that was gathered for the topic.
    pub fn send_apart(&mut self, topic: Topic, frames: Vec<u8>, except: Except) {
        self.send_twin(topic);
        self.send(topic);
        let mut apart = Gathered { frames, ..Gathered::default() };
        if self.wraps_posts && matches!(topic, Topic::Post(_)) && self.ways.has_v1(topic) {
            apart.said.add(None, |out| out.extend_from_slice(&wrapped(topic, &apart.frames)));
        }
        self.ways.publish(self.born, topic, apart, except);
    }

    /// Sends everything that was gathered.
    pub fn flush(&mut self) {
        for (topic, gathered) in self.topics.drain() {
            self.ways.publish(self.born, topic, gathered, Except::Nobody);
        }
    }

    fn send(&mut self, topic: Topic) {
        if let Some(gathered) = self.topics.remove(&topic) {
            self.ways.publish(self.born, topic, gathered, Except::Nobody);
        }
    }

    /// An author's own feed hears both `Feed(user)` and `Author(user)`. Frames that were gathered for one of the two
    /// are sent before frames are gathered for the other, so that this feed hears them in order.
    fn send_twin(&mut self, topic: Topic) {
        match topic {
            Topic::Feed(user) => self.send(Topic::Author(user)),
            Topic::Author(user) => self.send(Topic::Feed(user)),
            Topic::Room(_) | Topic::Post(_) | Topic::Notifications(_) => {}
        }
    }
}
