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
use crate::protocol::form::FrameSet;

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

    /// Sends one publication. The caller has encoded it, once for all shards.
    fn publish(&self, born: Instant, topic: Topic, frames: Vec<u8>, except: Except, origin: Option<SessionKey>) {
        if !frames.is_empty() {
            let frames = FrameSet::new(Bytes::from(frames));
            // Packing takes time that a shard has not.
            self.routes.forms_of(topic).iter().for_each(|form| _ = frames.of(form));
            let publication = Arc::new(Publication { topic, frames, class: Class::Durable, except, origin, born });
            self.tell(topic, || ToShard::Publish(publication.clone()));
        }
    }
}

/// One topic's frames of a batch.
#[derive(Default)]
struct Gathered {
    frames: Vec<u8>,
    origin: Option<SessionKey>,
}

/// A batch's frames that have not been sent yet.
pub(super) struct Batch<'a> {
    pub ways: &'a Ways,
    /// When the batch was committed, or seen in rows, or its turn came.
    born: Instant,
    topics: HashMap<Topic, Gathered>,
}

impl<'a> Batch<'a> {
    pub fn new(ways: &'a Ways) -> Self {
        Self { ways, born: Instant::now(), topics: HashMap::new() }
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
        if start > 0 && gathered.frames.len() > PUBLICATION_BYTES_MAX {
            let rest = gathered.frames.split_off(start);
            let full = std::mem::replace(&mut gathered.frames, rest);
            self.ways.publish(self.born, topic, full, Except::Nobody, gathered.origin);
        }
    }

    /// Sends frames that only a part of the topic's listeners gets, after everything that was gathered for the topic.
    pub fn send_apart(&mut self, topic: Topic, frames: Vec<u8>, except: Except) {
        self.send_twin(topic);
        self.send(topic);
        self.ways.publish(self.born, topic, frames, except, None);
    }

    /// Sends everything that was gathered.
    pub fn flush(&mut self) {
        for (topic, gathered) in self.topics.drain() {
            self.ways.publish(self.born, topic, gathered.frames, Except::Nobody, gathered.origin);
        }
    }

    fn send(&mut self, topic: Topic) {
        if let Some(gathered) = self.topics.remove(&topic) {
            self.ways.publish(self.born, topic, gathered.frames, Except::Nobody, gathered.origin);
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
