//! Turns a batch of committed events into one message per topic and shard.

use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Instant;

use crate::domain::chat::event::ChatEvent;
use crate::domain::event::{Committed, Cursor, Event};
use crate::domain::feed::event::{FeedEvent, RelationEvent};
use crate::domain::feed::post::Post;
use crate::domain::people::Relation;
use crate::engine::shard::port::{Directory, Except, ToShard, Whom};
use crate::fanout::batch::{Batch, Ways};
pub use crate::fanout::posts::Audience;
use crate::fanout::posts::{Held, Looks, PostUpdates, Scene};
use crate::fanout::seen::Seen;
use crate::ids::{PostId, Topic};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v0::{event, reason};
use crate::protocol::v1;
use crate::protocol::v1::said::Said;

/// Asks for the post to be read and given to [`Fanout::refreshed`](crate::fanout::publisher::Fanout::refreshed). Never
/// blocks.
pub type ReadPost = Box<dyn Fn(PostId, u64, Audience) + Send + Sync>;

/// Encodes what one publisher is given and hands it to shards; waits while a shard's inbox is full. It holds the frames
/// that wait for their turn, for its own topics alone, so that publishers share no lock for them.
pub(super) struct Teller {
    ways: Arc<Ways>,
    presenter: Arc<Presenter>,
    held: Held,
    read_post: Arc<OnceLock<ReadPost>>,
}

impl Teller {
    /// A teller that holds nothing yet.
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

    /// Tells the events of one batch, each topic's in order. A topic without listeners costs one look into the
    /// directory.
    pub fn publish(&mut self, events: &[Arc<Committed>]) {
        let ways = Arc::clone(&self.ways);
        let mut batch = Batch::new(&ways);
        let mut has_feed_events = false;
        for committed in events {
            self.publish_v1(&mut batch, committed);
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

    /// Gathers what clients of `pregon.v1` hear of an event: at once, whatever waits for its turn for others.
    fn publish_v1(&self, batch: &mut Batch<'_>, committed: &Committed) {
        let topic = committed.topic;
        let is_ordered = matches!(topic, Topic::Room(_) | Topic::Post(_) | Topic::Notifications(_));
        if !is_ordered || !batch.ways.has_v1(topic) {
            return;
        }
        let routes = &batch.ways.routes;
        let names = routes.names_of(topic);
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut new, mut known, mut event) = (Vec::new(), Vec::new(), Vec::new());
        v1::event::committed(&mut event, &self.presenter, committed, &mut |who| {
            let (named, is_news) = names.tell(who, &self.presenter, || routes.next_number());
            let number = named.number;
            if is_news {
                new.push(named);
            } else {
                known.push(named);
            }
            number
        });
        let mut said = Said { named: known, naming: routes.next_naming(), ..Said::default() };
        if !new.is_empty() {
            said.add(None, |out| v1::event::users(out, topic, new.iter().map(|named| &**named)));
        }
        said.add(Some(committed.cursor), |out| out.extend_from_slice(&event));
        if !said.is_empty() {
            batch.gather_said(topic, committed.origin, &said, except_of(&committed.event));
        }
    }

    /// Tells clients of `pregon.v1` that everything up to a place may be missing, and is not told any more.
    pub fn tell_gap(&mut self, topic: Topic, cursor: Cursor) {
        let ways = Arc::clone(&self.ways);
        let mut said = Said::default();
        said.add(Some(cursor), |out| v1::reply::gap(out, topic, Some(cursor)));
        if ways.has_v1(topic) {
            let mut batch = Batch::new(&ways);
            batch.gather_said(topic, None, &said, Except::Nobody);
            batch.flush();
        }
    }

    fn publish_chat(&self, batch: &mut Batch<'_>, committed: &Committed, event: &ChatEvent) {
        if let ChatEvent::Left { user } = *event {
            // The user hears everything that was said before they were removed.
            batch.flush();
            let (topic, whom, goodbye) = (committed.topic, Whom::Only(user), reason::REMOVED);
            batch.ways.tell(topic, || ToShard::Evict { topic, whom, goodbye });
        } else if batch.is_heard(committed.topic) {
            batch.gather(committed.topic, committed.origin, |out| event::durable(out, &self.presenter, event));
        }
    }

    /// Tells a post that [`ReadPost`] was asked for with this ticket and for this audience. `found` is `None` if the
    /// post is gone or could not be read.
    pub fn refreshed(&mut self, post: PostId, ticket: u64, audience: Audience, found: Option<&Post>) {
        let is_current = self.looks().end_read(post, ticket, audience);
        if let Some(found) = found.filter(|_| is_current) {
            self.scene(|scene| scene.update(found, audience));
        }
    }

    /// Tells what a look with this ticket saw of a post. False if newer news of the post was told meanwhile: nothing is
    /// told then, and the caller looks again.
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

    /// Sends the held frames whose turn has come.
    pub fn send_due(&mut self) {
        self.scene(|scene| scene.catch_up());
        self.read_dirty();
    }

    fn scene(&mut self, play: impl FnOnce(&mut Scene<'_, '_>)) {
        let mut batch = Batch::of_looks(&self.ways);
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

/// Of a private post only its author hears.
fn except_of(event: &Event) -> Except {
    match event {
        Event::Feed(FeedEvent::Post(event)) if !event.is_public => Except::AllBut(event.author),
        _ => Except::Nobody,
    }
}

/// Sends no frame. It changes whom a user hears, or sees: after everything that was published before, and before everything that
/// comes after.
fn publish_relation(batch: &mut Batch<'_>, event: RelationEvent) {
    let RelationEvent { user, other, relation, hears, .. } = event;
    let ways = batch.ways;
    let shards = ways.shards_of(Topic::Feed(user));
    match relation {
        Relation::Blocked => {
            batch.flush();
            return ways.inboxes.iter().for_each(|inbox| inbox.send(ToShard::Apart { user, other }));
        }
        Relation::Requested | Relation::Unblocked => return,
        _ if shards.is_empty() => return,
        _ => {}
    }
    batch.flush();
    for shard in shards.iter() {
        if hears {
            // The directory learns only from the shard that it hears the other user. Until the shard has worked this
            // off, it is given the publications of all authors.
            ways.routes.hear_all(shard);
        }
        ways.inboxes[shard.index()].send(ToShard::Relation { user, other, hears });
    }
}
