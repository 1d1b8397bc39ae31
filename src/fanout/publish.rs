//! From a batch of committed events to one message per topic and shard.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::domain::chat::event::ChatEvent;
use crate::domain::event::{Committed, Event};
use crate::domain::feed::event::{FeedEvent, RelationEvent};
use crate::domain::feed::post::Post;
use crate::domain::people::Relation;
use crate::engine::shard::port::{Directory, ToShard, Whom};
use crate::fanout::batch::{Batch, Ways};
pub use crate::fanout::posts::Audience;
use crate::fanout::posts::{Held, Looks, PostUpdates, Scene};
use crate::fanout::seen::Seen;
use crate::ids::{PostId, Topic};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v0::{event, reason};

/// Asks for [`Fanout::refreshed`](crate::fanout::publisher::Fanout::refreshed) with the post as it then is. Never blocks.
pub type ReadPost = Box<dyn Fn(PostId, u64, Audience) + Send + Sync>;

/// Encodes what one publisher is given and hands it to shards; waits while a shard's inbox is full. It keeps what waits for
/// its turn, of its own topics alone, so that nobody else need be kept out meanwhile.
pub(super) struct Teller {
    ways: Arc<Ways>,
    presenter: Arc<Presenter>,
    held: Held,
    read_post: Arc<OnceLock<ReadPost>>,
}

impl Teller {
    /// One that has told nothing yet.
    pub fn new(
        ways: Arc<Ways>,
        presenter: Arc<Presenter>,
        updates: PostUpdates,
        read_post: Arc<OnceLock<ReadPost>>,
    ) -> Self {
        Self { ways, presenter, held: Held::new(updates), read_post }
    }

    /// The reads of this publisher's posts.
    pub fn looks(&self) -> &Arc<Looks> {
        self.held.looks()
    }

    /// Events of one batch, each topic's in its order. A topic nobody listens to costs one look.
    pub fn publish(&mut self, events: &[Arc<Committed>]) {
        let ways = Arc::clone(&self.ways);
        let mut batch = Batch::new(&ways);
        let mut has_feed_events = false;
        for committed in events {
            match &committed.event {
                Event::Chat(event) => self.publish_chat(&mut batch, committed, event),
                Event::Feed(FeedEvent::Relation(event)) => publish_relation(&mut batch, *event),
                Event::Feed(event) => {
                    has_feed_events = true;
                    let (presenter, now) = (&*self.presenter, Instant::now());
                    Scene { batch: &mut batch, held: &mut self.held, presenter, now }.play(event, committed.origin);
                }
            }
        }
        batch.flush();
        if has_feed_events {
            self.read_dirty();
        }
    }

    fn publish_chat(&self, batch: &mut Batch<'_>, committed: &Committed, event: &ChatEvent) {
        if let ChatEvent::Left { user } = *event {
            // What was said before somebody went is heard before they go.
            batch.flush();
            let (topic, whom, goodbye) = (committed.topic, Whom::Only(user), reason::REMOVED);
            batch.ways.tell(topic, || ToShard::Evict { topic, whom, goodbye });
        } else if batch.is_heard(committed.topic) {
            batch.gather(committed.topic, committed.origin, |out| event::durable(out, &self.presenter, event));
        }
    }

    /// Here is the post that [`ReadPost`] was asked for with this ticket, for this audience; `None` when it is gone or could
    /// not be read.
    pub fn refreshed(&mut self, post: PostId, ticket: u64, audience: Audience, found: Option<&Post>) {
        let is_current = self.looks().end_read(post, ticket, audience);
        if let Some(found) = found.filter(|_| is_current) {
            self.scene(|scene| scene.update(found, audience));
        }
    }

    /// Tells what was seen of a post by a look with this ticket, unless newer was told meanwhile: then false, and the post
    /// is to be looked at again.
    pub fn tell_seen(&mut self, look: Option<(PostId, u64)>, seen: &[Seen]) -> bool {
        if look.is_some_and(|(post, ticket)| !self.looks().end_look(post, ticket)) {
            return false;
        }
        self.scene(|scene| seen.iter().for_each(|seen| scene.see(seen)));
        self.read_dirty();
        true
    }

    /// When [`Self::send_due`] next has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        self.held.next_due()
    }

    /// Sends what was held and has its turn.
    pub fn send_due(&mut self) {
        self.scene(|scene| scene.catch_up());
        self.read_dirty();
    }

    fn scene(&mut self, play: impl FnOnce(&mut Scene<'_, '_>)) {
        let mut batch = Batch::new(&self.ways);
        let (presenter, now) = (&*self.presenter, Instant::now());
        play(&mut Scene { batch: &mut batch, held: &mut self.held, presenter, now });
        batch.flush();
    }

    fn read_dirty(&mut self) {
        for (post, ticket, audience) in self.held.begin_reads() {
            if let Some(read) = self.read_post.get() {
                read(post, ticket, audience);
            }
        }
    }
}

/// No frame: it changes who hears what, behind what was published before and before what comes.
fn publish_relation(batch: &mut Batch<'_>, event: RelationEvent) {
    let RelationEvent { user, other, relation, hears, .. } = event;
    let ways = batch.ways;
    let shards = ways.shards_of(Topic::Feed(user));
    if relation == Relation::Requested || shards.is_empty() {
        return;
    }
    batch.flush();
    for shard in shards.iter() {
        if hears {
            // Until the shard has taken this, the directory cannot know that it hears the other.
            ways.routes.hear_all(shard);
        }
        ways.inboxes[shard.index()].send(ToShard::Relation { user, other, hears });
    }
}
