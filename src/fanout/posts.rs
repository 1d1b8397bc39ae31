//! Decides who hears which news of posts and notifications, and which of it waits for its turn.
//!
//! An author's topic is heard by the feeds of followers and friends and by the author's own feed. News of a private
//! post goes to the topic of the author's own feed alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::Counter;

use crate::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent};
use crate::domain::feed::post::{Post, PostReactionType, ReactionCounts};
use crate::domain::notification::{Notification, NotificationType};
use crate::engine::shard::port::{Except, ToShard, Whom};
use crate::fanout::batch::Batch;
use crate::fanout::pace::{Pace, Passed};
use crate::fanout::seen::{CommentSeen, Seen};
use crate::fanout::trailing::Trailing;
use crate::ids::{NotificationId, PostId, SessionKey, Topic, UserId};
use crate::limits::{POST_UPDATED_EVERY, REACTIONS_AT_ONCE, REACTIONS_EVERY};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v0::{feed_event, reason};

/// When a post's whole object is sent after its counters have moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostUpdates {
    /// After comments and shares, at most once per post and [`crate::limits::POST_UPDATED_EVERY`].
    Coalesced,
    /// After every change, reactions among them, as Django does.
    Always,
}

/// A reaction with the counts after it.
#[derive(Debug, Clone, Copy)]
struct Reaction {
    post: PostId,
    author: UserId,
    is_public: bool,
    counts: ReactionCounts,
    user: UserId,
    reaction: Option<PostReactionType>,
}

/// Who hears of a post's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Feeds, at once.
    Feeds,
    /// The sockets on the post, some time later (see `Trailing`).
    Post,
    /// Both at once, as Django does.
    All,
}

impl Audience {
    fn has_feeds(self) -> bool {
        self != Self::Post
    }

    fn has_post(self) -> bool {
        self != Self::Feeds
    }
}

/// The reads of posts that are under way. When a read ends, this tells whether newer news was told meanwhile, so that
/// what it found comes too late. Nothing is sent under its lock.
#[derive(Default)]
pub(super) struct Looks(Mutex<LooksUnderWay>);

#[derive(Default)]
struct LooksUnderWay {
    reads: HashMap<PostId, Reads>,
    next_ticket: u64,
}

impl Looks {
    /// A caller begins to read a post; returns the ticket of the read. Tickets grow, so a smaller one is an earlier
    /// read.
    pub fn begin(&self, post: PostId) -> u64 {
        let mut looks = self.lock();
        looks.next_ticket += 1;
        looks.reads.entry(post).or_default().under_way += 1;
        looks.next_ticket
    }

    /// Ends a read by a caller that looks at rows of its own accord. True if nothing newer was told meanwhile. It makes
    /// no other read outdated.
    pub fn end_look(&self, post: PostId, ticket: u64) -> bool {
        self.end(post, ticket, Audience::All, false)
    }

    /// Ends a read that a publisher asked for. True if what it found is newer than everything that its audience was
    /// sent of the post; all earlier reads for that audience are outdated then.
    pub fn end_read(&self, post: PostId, ticket: u64, audience: Audience) -> bool {
        self.end(post, ticket, audience, true)
    }

    fn end(&self, post: PostId, ticket: u64, audience: Audience, outdates: bool) -> bool {
        let mut looks = self.lock();
        let Some(reads) = looks.reads.get_mut(&post) else { return false };
        let is_current = reads.is_current(ticket, audience);
        if is_current && outdates {
            reads.outdate_before(ticket + 1, audience);
        }
        reads.under_way -= 1;
        if reads.under_way == 0 {
            looks.reads.remove(&post);
        }
        is_current
    }

    /// The whole post was told, or it is gone: reads that began before come too late.
    fn outdate(&self, post: PostId) {
        let mut looks = self.lock();
        let next = looks.next_ticket + 1;
        if let Some(reads) = looks.reads.get_mut(&post) {
            reads.outdate_before(next, Audience::All);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LooksUnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reads of one post that are under way.
#[derive(Default)]
struct Reads {
    under_way: u32,
    /// Reads with a smaller ticket come too late: the first number is for feeds, the second for the sockets on the
    /// post.
    feeds_from: u64,
    post_from: u64,
}

impl Reads {
    fn is_current(&self, ticket: u64, audience: Audience) -> bool {
        (!audience.has_feeds() || ticket >= self.feeds_from) && (!audience.has_post() || ticket >= self.post_from)
    }

    fn outdate_before(&mut self, ticket: u64, audience: Audience) {
        if audience.has_feeds() {
            self.feeds_from = ticket;
        }
        if audience.has_post() {
            self.post_from = ticket;
        }
    }
}

/// The frames and reads of one publisher's topics that wait for their turn.
pub(super) struct Held {
    updates: PostUpdates,
    reactions: Pace<PostId, Reaction>,
    notifications: Pace<(UserId, PostId), Arc<Notification>>,
    dirty: Pace<PostId, PostId>,
    trailing: Trailing,
    /// Posts whose turn to be read has come, and who hears what is found.
    due: Vec<(PostId, Audience)>,
    looks: Arc<Looks>,
    coalesced_reactions: Counter,
    coalesced_notifications: Counter,
    coalesced_updates: Counter,
}

impl Held {
    pub fn new(updates: PostUpdates) -> Self {
        let coalesced = |kind: &'static str| metrics::counter!("pregon_frames_coalesced_total", "kind" => kind);
        let every = match updates {
            PostUpdates::Coalesced => POST_UPDATED_EVERY,
            PostUpdates::Always => Duration::ZERO,
        };
        Self {
            updates,
            reactions: Pace::new(REACTIONS_EVERY, REACTIONS_AT_ONCE),
            notifications: Pace::new(REACTIONS_EVERY, REACTIONS_AT_ONCE),
            dirty: Pace::new(every, 1),
            trailing: Trailing::default(),
            due: Vec::new(),
            looks: Arc::default(),
            coalesced_reactions: coalesced("post_reaction"),
            coalesced_notifications: coalesced("notification"),
            coalesced_updates: coalesced("post_updated"),
        }
    }

    /// When the next of the waiting frames and reads has its turn.
    pub fn next_due(&self) -> Option<Instant> {
        let due =
            [self.reactions.next_due(), self.notifications.next_due(), self.dirty.next_due(), self.trailing.next_due()];
        due.into_iter().flatten().min()
    }

    /// Takes the posts that are to be read now, each with the ticket of its read.
    pub fn begin_reads(&mut self) -> Vec<(PostId, u64, Audience)> {
        let due = std::mem::take(&mut self.due);
        due.into_iter().map(|(post, audience)| (post, self.looks.begin(post), audience)).collect()
    }

    /// The reads of this publisher's posts.
    pub fn looks(&self) -> &Arc<Looks> {
        &self.looks
    }

    /// The whole post was sent, or it is gone: reads that began before come too late, and none need begin.
    fn outdate_reads(&mut self, post: PostId) {
        self.dirty.forget(post);
        self.trailing.forget(post);
        self.looks.outdate(post);
    }

    fn mark_dirty(&mut self, post: PostId, audience: Audience, now: Instant) {
        match self.dirty.pass(post, post, now) {
            Passed::Now(post) => self.due.push((post, audience)),
            Passed::Held => {}
            Passed::Replaced => self.coalesced_updates.increment(1),
        }
    }
}

/// One event, the listeners it may reach, and what is held for them.
pub(super) struct Scene<'a, 'b> {
    pub batch: &'a mut Batch<'b>,
    pub held: &'a mut Held,
    pub presenter: &'a Presenter,
    pub now: Instant,
}

impl Scene<'_, '_> {
    /// Gathers the frames of an event.
    pub fn play(&mut self, event: &FeedEvent, origin: Option<SessionKey>) {
        match event {
            FeedEvent::Post(event) => self.post(event),
            FeedEvent::Notification { user, change } => self.notification(*user, change, origin),
            // Relations make no frame: see `publish_relation`.
            FeedEvent::Relation(_) => {}
        }
    }

    /// Gathers the frames for what was seen in rows that other programs write.
    pub fn see(&mut self, seen: &Seen) {
        let event = |post, author, is_public, change| PostEvent { post, author, is_public, change };
        match seen {
            Seen::Created(post) => {
                self.post(&event(post.id, post.user.id, post.is_public, PostChange::Created(Arc::clone(post))));
            }
            Seen::Edited { post, was_public } => {
                let change = PostChange::Edited { post: Arc::clone(post), was_public: *was_public };
                self.post(&event(post.id, post.user.id, post.is_public, change));
            }
            Seen::Deleted { post, author, is_public } => {
                self.post(&event(*post, *author, *is_public, PostChange::Deleted));
            }
            Seen::Reacted { post, head, counts, user, reaction } => {
                let (author, is_public) = (head.author, head.is_public);
                let reaction = Some(*reaction);
                self.react(Reaction { post: *post, author, is_public, counts: *counts, user: *user, reaction });
                if self.held.updates == PostUpdates::Always {
                    self.counters_moved(*post, author, is_public);
                }
            }
            Seen::Counted(post, head) => self.counters_moved(*post, head.author, head.is_public),
            Seen::Comment { post, head, comment } => {
                let change = change_of(comment, head.author);
                self.post(&event(*post, head.author, head.is_public, change));
            }
        }
    }

    /// Gathers the held frames whose turn has come, and notes the posts whose turn to be read has come.
    pub fn catch_up(&mut self) {
        for reaction in self.held.reactions.take_due(self.now) {
            self.reaction(&reaction);
        }
        for notification in self.held.notifications.take_due(self.now) {
            let user = notification.recipient;
            self.notify(user, &NotificationChange::Came(notification), None);
        }
        let audience = if self.held.updates == PostUpdates::Always { Audience::All } else { Audience::Feeds };
        let due = self.held.dirty.take_due(self.now).into_iter().map(|post| (post, audience));
        self.held.due.extend(due);
        let due = self.held.trailing.take_due(self.now).into_iter().map(|post| (post, Audience::Post));
        self.held.due.extend(due);
    }

    /// Gathers `post_updated` with the post as it now is.
    pub fn update(&mut self, post: &Post, audience: Audience) {
        let presenter = self.presenter;
        let (author, is_public) = (post.user.id, post.is_public);
        let write = |out: &mut Vec<u8>| feed_event::post_updated(out, presenter, post);
        match audience {
            Audience::All => self.everywhere(post.id, author, is_public, write),
            Audience::Feeds => self.tell_feeds(author, is_public, write),
            Audience::Post => self.tell_post(post.id, author, is_public, write),
        }
    }

    fn post(&mut self, event: &PostEvent) {
        let PostEvent { post, author, is_public, ref change } = *event;
        let presenter = self.presenter;
        match change {
            PostChange::Created(_) => {
                self.tell_feeds(author, is_public, |out| feed_event::for_feeds(out, presenter, event));
            }
            PostChange::Edited { post: edited, was_public } => self.edited(event, edited, *was_public),
            PostChange::Deleted => {
                self.held.reactions.forget(post);
                self.held.outdate_reads(post);
                self.everywhere(post, author, is_public, |out| feed_event::post_deleted(out, post));
            }
            PostChange::Reacted { counts, user, reaction } => {
                let reaction = reaction.as_ref().map(|reaction| reaction.reaction_type);
                self.react(Reaction { post, author, is_public, counts: *counts, user: *user, reaction });
            }
            PostChange::Commented { .. }
            | PostChange::CommentEdited(_)
            | PostChange::CommentsDeleted { .. }
            | PostChange::CommentLiked { .. }
            | PostChange::Shared { .. } => {
                self.tell_post(post, author, is_public, |out| feed_event::for_post(out, presenter, event));
            }
        }
        let moves_counters = change.moves_counters()
            || (self.held.updates == PostUpdates::Always && matches!(change, PostChange::Reacted { .. }));
        if moves_counters {
            self.counters_moved(post, author, is_public);
        }
    }

    /// Notes that the whole post is to be read and told, if anybody listens.
    fn counters_moved(&mut self, post: PostId, author: UserId, is_public: bool) {
        let for_feeds = self.batch.is_heard(feeds_topic(author, is_public));
        let for_post = self.batch.is_heard(Topic::Post(post));
        if self.held.updates == PostUpdates::Always {
            if for_feeds || for_post {
                self.held.mark_dirty(post, Audience::All, self.now);
            }
            return;
        }
        if for_feeds {
            self.held.mark_dirty(post, Audience::Feeds, self.now);
        }
        if for_post {
            self.held.trailing.mark(post, self.now);
        }
    }

    fn edited(&mut self, event: &PostEvent, edited: &Post, was_public: bool) {
        let PostEvent { post, author, is_public, .. } = *event;
        let presenter = self.presenter;
        // The held reaction is for those who could see the post until now.
        if let Some(reaction) = self.held.reactions.take(post) {
            self.reaction(&reaction);
        }
        self.held.outdate_reads(post);
        if is_public == was_public {
            return self.update(edited, Audience::All);
        }
        let for_others = Topic::Author(author);
        if self.batch.is_heard(for_others) {
            let mut frames = Vec::new();
            match is_public {
                true => feed_event::new_post(&mut frames, presenter, edited),
                false => feed_event::post_deleted(&mut frames, post),
            }
            self.batch.send_apart(for_others, frames, Except::User(author));
        }
        if !is_public {
            self.batch.flush();
            let (topic, whom, goodbye) = (Topic::Post(post), Whom::AllBut(author), reason::HIDDEN);
            self.batch.ways.tell(topic, || ToShard::Evict { topic, whom, goodbye });
        }
        self.tell_feeds(author, false, |out| feed_event::post_updated(out, presenter, edited));
        self.tell_post(post, author, is_public, |out| feed_event::post_updated(out, presenter, edited));
    }

    fn react(&mut self, reaction: Reaction) {
        if !self.is_heard(reaction.post, reaction.author, reaction.is_public) {
            // A held reaction is older than this one. If it stayed, somebody who joins before its turn would be told
            // old counts.
            self.held.reactions.take(reaction.post);
            return;
        }
        match self.held.reactions.pass(reaction.post, reaction, self.now) {
            Passed::Now(reaction) => self.reaction(&reaction),
            Passed::Held => {}
            Passed::Replaced => self.held.coalesced_reactions.increment(1),
        }
    }

    fn reaction(&mut self, reaction: &Reaction) {
        let Reaction { post, author, is_public, counts, user, reaction } = *reaction;
        let write = |is_for_feeds| {
            move |out: &mut Vec<u8>| feed_event::post_reaction(out, post, is_for_feeds, counts, user, reaction)
        };
        self.tell_feeds(author, is_public, write(true));
        self.tell_post(post, author, is_public, write(false));
    }

    fn notification(&mut self, user: UserId, change: &NotificationChange, origin: Option<SessionKey>) {
        use NotificationType::{Celebration, Golazo, Like};
        match change {
            // A held notification may be among those that were read or changed: it is told first.
            NotificationChange::Read { .. } | NotificationChange::Changed(_) => self.release(user, &[]),
            // A notification that is gone before it was told is not told: it would ring for nothing.
            NotificationChange::Gone { notifications, .. } => self.release(user, notifications),
            NotificationChange::Came(_) => {}
        }
        if let NotificationChange::Came(notification) = change
            && let Some(post) = notification.references.post
            && matches!(notification.notification_type, Like | Celebration | Golazo)
            && self.batch.is_heard(Topic::Notifications(user))
        {
            match self.held.notifications.pass((user, post), Arc::clone(notification), self.now) {
                Passed::Now(_) => {}
                Passed::Held => return,
                Passed::Replaced => return self.held.coalesced_notifications.increment(1),
            }
        }
        self.notify(user, change, origin);
    }

    /// Tells the notifications that are held for a user, except those in `gone`.
    fn release(&mut self, user: UserId, gone: &[NotificationId]) {
        let [first, last] = [uuid::Uuid::nil(), uuid::Uuid::max()].map(PostId);
        let mut held = self.held.notifications.take_range((user, first)..=(user, last));
        held.retain(|notification| !gone.contains(&notification.id));
        held.sort_by_key(|notification| notification.created_at);
        for notification in held {
            self.notify(user, &NotificationChange::Came(notification), None);
        }
    }

    fn notify(&mut self, user: UserId, change: &NotificationChange, origin: Option<SessionKey>) {
        let topic = Topic::Notifications(user);
        if self.batch.is_heard(topic) {
            let presenter = self.presenter;
            self.batch.gather(topic, origin, |out| feed_event::for_notifications(out, presenter, change));
        }
    }

    fn is_heard(&self, post: PostId, author: UserId, is_public: bool) -> bool {
        self.batch.is_heard(feeds_topic(author, is_public)) || self.batch.is_heard(Topic::Post(post))
    }

    /// Gathers one frame, encoded once, for the feeds that may hear of the post and for the sockets on it.
    fn everywhere(&mut self, post: PostId, author: UserId, is_public: bool, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_heard(post, author, is_public) {
            let mut frames = Vec::new();
            write(&mut frames);
            self.tell_feeds(author, is_public, |out| out.extend_from_slice(&frames));
            self.tell_post(post, author, is_public, |out| out.extend_from_slice(&frames));
        }
    }

    fn tell_feeds(&mut self, author: UserId, is_public: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let topic = feeds_topic(author, is_public);
        if self.batch.is_heard(topic) {
            self.batch.gather(topic, None, write);
        }
    }

    /// A session may have joined because a cache still said that the post was public. While the post is private, only
    /// its author is told.
    fn tell_post(&mut self, post: PostId, author: UserId, is_public: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let topic = Topic::Post(post);
        if !self.batch.is_heard(topic) {
            return;
        }
        self.held.trailing.touch(post, self.now);
        if is_public {
            return self.batch.gather(topic, None, write);
        }
        let mut frames = Vec::new();
        write(&mut frames);
        self.batch.send_apart(topic, frames, Except::AllBut(author));
    }
}

/// The rows do not say everything that a change holds, and no frame carries what is missing. So the count of comments
/// is 0 here (the whole post, which is read afterwards, has it), and `somebody` stands for the user who deleted or
/// liked a comment.
fn change_of(seen: &CommentSeen, somebody: UserId) -> PostChange {
    match seen {
        CommentSeen::New(comment) => PostChange::Commented { comment: Arc::clone(comment), comments_count: 0 },
        CommentSeen::Edited(comment) => PostChange::CommentEdited(Arc::clone(comment)),
        CommentSeen::Deleted(comment) => {
            PostChange::CommentsDeleted { comments: vec![*comment], comments_count: 0, user: somebody }
        }
        CommentSeen::Liked(comment, likes_count) => {
            PostChange::CommentLiked { comment: *comment, user: somebody, likes_count: *likes_count, is_liked: true }
        }
    }
}

fn feeds_topic(author: UserId, is_public: bool) -> Topic {
    if is_public { Topic::Author(author) } else { Topic::Feed(author) }
}

#[cfg(test)]
mod tests;
