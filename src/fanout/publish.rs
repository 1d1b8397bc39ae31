//! From a batch of committed events to one message per topic and shard.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::domain::chat::event::ChatEvent;
use crate::domain::event::{Committed, Event};
use crate::domain::feed::comment::Comment;
use crate::domain::feed::event::{FeedEvent, RelationEvent};
use crate::domain::feed::post::{Post, PostHead, PostReactionType, ReactionCounts};
use crate::domain::people::Relation;
use crate::domain::write::Outcome;
use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Directory, Inbox, ToShard, Whom};
use crate::fanout::batch::{Batch, Ways};
pub use crate::fanout::posts::Audience;
use crate::fanout::posts::{Held, Scene};
use crate::fanout::routes::Routes;
use crate::ids::{CommentId, PostId, SessionKey, Topic, UserId};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v0::{event, reason};
use crate::telemetry::alarm;

/// When a post's whole object is sent after its counters have moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostUpdates {
    /// After comments and shares, at most once per post and [`crate::limits::POST_UPDATED_EVERY`].
    Coalesced,
    /// After every change, reactions among them, as Django does.
    Always,
}

/// What was seen in rows that others write: told as it is, without a place in its topic's order.
#[derive(Debug)]
pub enum Seen {
    /// A post is new.
    Created(Arc<Post>),
    /// A post's author changed it.
    Edited {
        /// As it now is, without a viewer.
        post: Arc<Post>,
        /// As it was when it was last told: who saw it and may not any more must lose it.
        was_public: bool,
    },
    /// A post is gone.
    Deleted {
        /// Which.
        post: PostId,
        /// Whose it was.
        author: UserId,
        /// Seen by others.
        is_public: bool,
    },
    /// Somebody reacted.
    Reacted {
        /// To which post.
        post: PostId,
        /// Who may hear of it.
        head: PostHead,
        /// All reactions.
        counts: ReactionCounts,
        /// Who.
        user: UserId,
        /// How.
        reaction: PostReactionType,
    },
    /// Counters of a post moved, and no frame carries them.
    Counted(PostId, PostHead),
    /// Something happened to a comment.
    Comment {
        /// On which post.
        post: PostId,
        /// Who may hear of it.
        head: PostHead,
        /// What.
        comment: CommentSeen,
    },
}

/// What was seen of a comment.
#[derive(Debug)]
pub enum CommentSeen {
    /// It is new.
    New(Arc<Comment>),
    /// It has new text.
    Edited(Arc<Comment>),
    /// It is gone.
    Deleted(CommentId),
    /// A like came or went: so many there are.
    Liked(CommentId, u64),
}

/// Asks for [`Fanout::refreshed`] with the post as it then is. Never blocks.
pub type ReadPost = Box<dyn Fn(PostId, u64, Audience) + Send + Sync>;

/// Encodes events and hands them to shards. Called by lanes; waits while a shard's inbox is full.
pub struct Fanout {
    ways: Ways,
    presenter: Arc<Presenter>,
    /// Frames that wait for their turn. Held for as long as anything about posts is sent, so that nothing overtakes
    /// what is newer.
    held: Mutex<Held>,
    /// Something is held that was not, or the end has come.
    changed: Condvar,
    read_post: OnceLock<ReadPost>,
}

impl Fanout {
    /// A fan-out to these shards.
    pub fn new(
        routes: Arc<Routes>,
        inboxes: Arc<[Arc<Inbox>]>,
        presenter: Arc<Presenter>,
        updates: PostUpdates,
    ) -> Self {
        Self {
            ways: Ways { routes, inboxes },
            presenter,
            held: Mutex::new(Held::new(updates)),
            changed: Condvar::new(),
            read_post: OnceLock::new(),
        }
    }

    /// Starts the thread that sends what was held when its turn has come. [`Self::stop`] ends it.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn start(self: &Arc<Self>, read_post: ReadPost) -> std::io::Result<JoinHandle<()>> {
        let _ = self.read_post.set(read_post);
        let fanout = Arc::clone(self);
        std::thread::Builder::new()
            .name("bursts".into())
            .spawn(move || _ = alarm::guard("the thread of bursts", || fanout.send_held()))
    }

    /// Ends the thread. Nobody listens any more.
    pub fn stop(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Events of one batch, each topic's in its order. A topic nobody listens to costs one look.
    pub fn publish(&self, events: &[Arc<Committed>]) {
        let mut batch = Batch::new(&self.ways);
        let mut held: Option<MutexGuard<'_, Held>> = None;
        for committed in events {
            match &committed.event {
                Event::Chat(event) => self.publish_chat(&mut batch, committed, event),
                Event::Feed(FeedEvent::Relation(event)) => self.publish_relation(&mut batch, *event),
                Event::Feed(event) => {
                    let held = held.get_or_insert_with(|| self.lock());
                    let origin = committed.origin;
                    let mut scene = Scene { batch: &mut batch, held, presenter: &self.presenter, now: Instant::now() };
                    scene.play(event, origin);
                }
            }
        }
        batch.flush();
        if let Some(mut held) = held {
            self.read_dirty(&mut held);
            drop(held);
            self.changed.notify_one();
        }
    }

    fn publish_chat(&self, batch: &mut Batch<'_>, committed: &Committed, event: &ChatEvent) {
        if let ChatEvent::Left { user } = *event {
            // What was said before somebody went is heard before they go.
            batch.flush();
            let (topic, whom, goodbye) = (committed.topic, Whom::Only(user), reason::REMOVED);
            self.ways.tell(topic, || ToShard::Evict { topic, whom, goodbye });
        } else if batch.is_heard(committed.topic) {
            batch.gather(committed.topic, committed.origin, |out| event::durable(out, &self.presenter, event));
        }
    }

    /// No frame: it changes who hears what, behind what was published before and before what comes.
    fn publish_relation(&self, batch: &mut Batch<'_>, event: RelationEvent) {
        let RelationEvent { user, other, relation, hears, .. } = event;
        let shards = self.ways.shards_of(Topic::Feed(user));
        if relation == Relation::Requested || shards.is_empty() {
            return;
        }
        batch.flush();
        for shard in shards.iter() {
            if hears {
                // Until the shard has taken this, the directory cannot know that it hears the other.
                self.ways.routes.hear_all(shard);
            }
            self.ways.inboxes[shard.index()].send(ToShard::Relation { user, other, hears });
        }
    }

    /// A session's write that produced no event: it hears why, or hears again of the message that was there already.
    pub fn answer(&self, session: SessionKey, client_id: Option<&str>, outcome: &Outcome) {
        let mut frames = Vec::new();
        match outcome {
            Outcome::Refused(refusal) => {
                let Some(text) = reason::refusal_text(*refusal) else { return };
                event::error(&mut frames, text, client_id);
            }
            Outcome::Repeated(message) => event::chat_message(&mut frames, &self.presenter, message),
            Outcome::Committed(_) | Outcome::Twin(_) | Outcome::Unchanged => return,
        }
        let deliver = ToShard::Deliver { session, frames: frames.into(), class: Class::Durable };
        self.ways.inboxes[session.shard.index()].send(deliver);
    }

    /// Here is the post that [`ReadPost`] was asked for with this ticket, for this audience; `None` when it is gone or could not be read.
    /// Waits while a shard's inbox is full.
    pub fn refreshed(&self, post: PostId, ticket: u64, audience: Audience, found: Option<&Post>) {
        let mut held = self.lock();
        let is_current = held.end_read(post, ticket, audience);
        if let Some(found) = found.filter(|_| is_current) {
            let mut batch = Batch::new(&self.ways);
            let now = Instant::now();
            Scene { batch: &mut batch, held: &mut held, presenter: &self.presenter, now }.update(found, audience);
            batch.flush();
        }
    }

    /// Somebody begins to look at a post: the ticket for [`Self::tell_looked`].
    pub fn begin_look(&self, post: PostId) -> u64 {
        self.lock().begin_look(post)
    }

    /// Tells what was seen of a post by a look with this ticket, unless newer was told meanwhile: then false, and the
    /// post is to be looked at again. Waits while a shard's inbox is full.
    pub fn tell_looked(&self, post: PostId, ticket: u64, seen: &[Seen]) -> bool {
        let held = self.lock();
        self.tell_held(held, Some((post, ticket)), seen)
    }

    /// Tells what was seen of what belongs to a post. Waits while a shard's inbox is full.
    pub fn tell_seen(&self, seen: &[Seen]) {
        let held = self.lock();
        self.tell_held(held, None, seen);
    }

    fn tell_held(&self, mut held: MutexGuard<'_, Held>, look: Option<(PostId, u64)>, seen: &[Seen]) -> bool {
        if look.is_some_and(|(post, ticket)| !held.end_look(post, ticket)) {
            return false;
        }
        let mut batch = Batch::new(&self.ways);
        let mut scene = Scene { batch: &mut batch, held: &mut held, presenter: &self.presenter, now: Instant::now() };
        seen.iter().for_each(|seen| scene.see(seen));
        batch.flush();
        self.read_dirty(&mut held);
        drop(held);
        self.changed.notify_one();
        true
    }

    fn send_held(&self) {
        let mut held = self.lock();
        while !held.is_over {
            let now = Instant::now();
            match held.next_due() {
                None => held = self.changed.wait(held).unwrap_or_else(PoisonError::into_inner),
                Some(due) if due > now => {
                    let waited = self.changed.wait_timeout(held, due - now);
                    held = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Some(_) => self.send_due(&mut held, now),
            }
        }
    }

    fn send_due(&self, held: &mut Held, now: Instant) {
        let mut batch = Batch::new(&self.ways);
        Scene { batch: &mut batch, held, presenter: &self.presenter, now }.catch_up();
        batch.flush();
        self.read_dirty(held);
    }

    fn read_dirty(&self, held: &mut Held) {
        for (post, ticket, audience) in held.begin_reads() {
            if let Some(read) = self.read_post.get() {
                read(post, ticket, audience);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
