//! Writes about posts, people and notifications: what every database offers them, and which rule does which.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::event::{Committed, Event};
use crate::domain::feed::comment::{Comment, CommentHead};
use crate::domain::feed::event::FeedEvent;
use crate::domain::feed::post::{NewPost, Post, PostHead, PostPatch, PostReactionType, ReactionCounts};
use crate::domain::feed::write::Action;
use crate::domain::notification::{Notification, NotificationType};
use crate::domain::people::{RequestHead, RequestStatus};
use crate::domain::user::UserProfile;
use crate::domain::write::{Outcome, Refusal, Write};
use crate::ids::{CommentId, EventId, NotificationId, PostId, RequestId, Topic, UserId};
use crate::store::rules::{Place, Rows, comment, notice, origin, people, post, refused};

/// Notifications that a user read at one stroke.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadNotifications {
    /// How many were unread.
    pub count: u64,
    /// The newest of them, at most [`crate::limits::READ_ALL_FRAMES_MAX`], newest first.
    pub newest: Vec<NotificationId>,
}

/// What somebody may have been told already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// Who caused it.
    pub sender: UserId,
    /// Who was told.
    pub recipient: UserId,
    /// Of something of one of these kinds; some may be named several times.
    pub kinds: [NotificationType; 3],
    /// Of this post, or (`None`) of no post.
    pub post: Option<PostId>,
}

/// The rows of posts, people and notifications as one transaction sees them, its own changes included.
pub trait FeedRows: Rows {
    /// A user's profile with the counts as this transaction leaves them.
    fn changed_profile(&mut self, user: UserId) -> Result<Arc<UserProfile>, Self::Error>;

    /// What decides on a post's rights.
    fn post_head(&mut self, post: PostId) -> Result<Option<PostHead>, Self::Error>;
    /// A whole post as nobody in particular sees it.
    fn post(&mut self, post: PostId) -> Result<Option<Arc<Post>>, Self::Error>;
    /// Is there a post with this short id?
    fn is_short_id_taken(&mut self, short_id: &str) -> Result<bool, Self::Error>;
    /// A new post; its author's count grows with it.
    fn insert_post(
        &mut self,
        post: PostId,
        author: UserId,
        short_id: &str,
        new: &NewPost,
        at: Timestamp,
    ) -> Result<(), Self::Error>;
    /// Other fields.
    fn patch_post(&mut self, post: PostId, patch: &PostPatch, at: Timestamp) -> Result<(), Self::Error>;
    /// The post and all that belongs to it; its author's count falls.
    fn delete_post(&mut self, post: PostId, author: UserId) -> Result<(), Self::Error>;
    /// Takes away a user's reactions to a post: which there were.
    fn take_reactions(&mut self, post: PostId, user: UserId) -> Result<Vec<PostReactionType>, Self::Error>;
    /// A new reaction: its row's id.
    fn insert_reaction(
        &mut self,
        post: PostId,
        user: UserId,
        reaction: PostReactionType,
        at: Timestamp,
    ) -> Result<Uuid, Self::Error>;
    /// Moves the counters by what was taken and what was added; what they are then.
    fn move_reaction_counts(
        &mut self,
        post: PostId,
        taken: &[PostReactionType],
        added: Option<PostReactionType>,
    ) -> Result<ReactionCounts, Self::Error>;
    /// A share row, and the counter with it: what it is then. `None` when there was a row.
    fn insert_share(
        &mut self,
        post: PostId,
        user: UserId,
        message: &str,
        at: Timestamp,
    ) -> Result<Option<u64>, Self::Error>;

    /// What decides on a comment's rights.
    fn comment_head(&mut self, comment: CommentId) -> Result<Option<CommentHead>, Self::Error>;
    /// A comment with its first replies as nobody in particular sees it.
    fn comment(&mut self, comment: CommentId) -> Result<Option<Arc<Comment>>, Self::Error>;
    /// A new comment; the counters of its post and parent grow with it. The post's, then.
    fn insert_comment(&mut self, comment: &Comment) -> Result<u64, Self::Error>;
    /// New text.
    fn edit_comment(&mut self, comment: CommentId, content: &str, at: Timestamp) -> Result<(), Self::Error>;
    /// Has the post more than `most` comments?
    fn has_more_comments(&mut self, post: PostId, most: usize) -> Result<bool, Self::Error>;
    /// The oldest comment on the post itself.
    fn top_comment(&mut self, post: PostId) -> Result<Option<CommentId>, Self::Error>;
    /// A comment goes with all answers to it, and the counters of its post and parent fall: which went, each before
    /// those that answer it, and the post's counter then. At most `most` go (at least 1), answers before what they
    /// answer: the comment itself goes with the last of them, or stays. What stays is answered and counted as ever.
    fn delete_comments(
        &mut self,
        comment: CommentId,
        head: CommentHead,
        most: usize,
    ) -> Result<(Vec<CommentId>, u64), Self::Error>;
    /// A like row, and the counter with it: what it is then. `None` when there was a row.
    fn insert_comment_like(
        &mut self,
        comment: CommentId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Option<u64>, Self::Error>;
    /// Takes the like row away, and the counter falls: what it is then. `None` when there was no row.
    fn delete_comment_like(&mut self, comment: CommentId, user: UserId) -> Result<Option<u64>, Self::Error>;

    /// A follow row with both counters; false when there was one.
    fn insert_follow(&mut self, follower: UserId, following: UserId, at: Timestamp) -> Result<bool, Self::Error>;
    /// Takes the follow row away, with both counters; false when there was none.
    fn delete_follow(&mut self, follower: UserId, following: UserId) -> Result<bool, Self::Error>;
    /// Does the user hear of the other's public posts: as a follower or as a friend?
    fn hears(&mut self, user: UserId, other: UserId) -> Result<bool, Self::Error>;
    /// Is there a friendship row?
    fn are_friends(&mut self, one: UserId, other: UserId) -> Result<bool, Self::Error>;
    /// A friend request.
    fn request_head(&mut self, request: RequestId) -> Result<Option<RequestHead>, Self::Error>;
    /// The open friend request between two users, whoever of them asks.
    fn pending_request(&mut self, one: UserId, other: UserId) -> Result<Option<RequestHead>, Self::Error>;
    /// Opens a request: an older one of the same two is opened again. Its id.
    fn open_request(&mut self, sender: UserId, receiver: UserId, at: Timestamp) -> Result<RequestId, Self::Error>;
    /// Closes a request.
    fn close_request(&mut self, request: RequestId, status: RequestStatus) -> Result<(), Self::Error>;
    /// A friendship row; nothing when there is one.
    fn insert_friendship(&mut self, one: UserId, other: UserId, at: Timestamp) -> Result<(), Self::Error>;
    /// Takes the friendship row away; false when there was none.
    fn delete_friendship(&mut self, one: UserId, other: UserId) -> Result<bool, Self::Error>;

    /// Is there such a notification that was made after `since`?
    fn was_told(&mut self, telling: Telling, since: Timestamp) -> Result<bool, Self::Error>;
    /// A new notification.
    fn insert_notification(&mut self, notification: &Notification) -> Result<(), Self::Error>;
    /// Marks a user's notification as read: false when it was; `None` when there is none.
    fn read_notification(
        &mut self,
        user: UserId,
        notification: NotificationId,
        at: Timestamp,
    ) -> Result<Option<bool>, Self::Error>;
    /// Marks the newest unread notifications of a user as read, at most [`crate::limits::READ_ALL_ROWS_MAX`].
    fn read_all_notifications(&mut self, user: UserId, at: Timestamp) -> Result<ReadNotifications, Self::Error>;
    /// Takes a user's notification away; false when there is none.
    fn delete_notification(&mut self, user: UserId, notification: NotificationId) -> Result<bool, Self::Error>;
    /// A user's notification.
    fn notification(
        &mut self,
        user: UserId,
        notification: NotificationId,
    ) -> Result<Option<Arc<Notification>>, Self::Error>;
    /// Has a row of another program its place in its topic's order?
    fn is_adopted(&mut self, row: Uuid) -> Result<bool, Self::Error>;
    /// Now it has.
    fn insert_adopted(&mut self, row: Uuid, topic: Topic, place: Place) -> Result<(), Self::Error>;
    /// Takes a user's notifications away, at most [`crate::limits::READ_ALL_ROWS_MAX`]: which.
    fn clear_notifications(&mut self, user: UserId) -> Result<Vec<NotificationId>, Self::Error>;
}

/// A write under way with what it has caused so far.
pub(super) struct Work<'a, R> {
    pub rows: &'a mut R,
    pub events: &'a mut Vec<Arc<Committed>>,
    pub write: &'a Write,
    pub actor: UserId,
    pub now: Timestamp,
    /// The event that the caller is answered with: the first.
    first: Option<Arc<Committed>>,
}

impl<R: FeedRows> Work<'_, R> {
    /// One more event at a place that was taken in its topic.
    pub fn record(&mut self, topic: Topic, place: Place, event: FeedEvent) -> Result<(), R::Error> {
        let committed = Committed {
            topic,
            cursor: place.cursor,
            event_id: if self.first.is_none() { self.write.event_id } else { EventId::fresh() },
            at: place.at,
            origin: origin(self.write),
            event: Event::Feed(event),
        };
        self.rows.log(&committed, self.write.transport)?;
        let committed = Arc::new(committed);
        self.first.get_or_insert_with(|| Arc::clone(&committed));
        self.events.push(committed);
        Ok(())
    }

    /// What the caller is answered with.
    pub fn done(self) -> Result<Outcome, R::Error> {
        Ok(self.first.map_or(Outcome::Unchanged, Outcome::Committed))
    }
}

/// Does what `action` wants, or says why not.
pub(super) fn apply<R: FeedRows>(
    rows: &mut R,
    events: &mut Vec<Arc<Committed>>,
    now: Timestamp,
    write: &Write,
    action: &Action,
) -> Result<Outcome, R::Error> {
    if !rows.is_active_user(write.actor)? {
        return Ok(refused(Refusal::NotActive));
    }
    let work = Work { rows, events, write, actor: write.actor, now, first: None };
    match action {
        Action::Publish { post, new } => post::publish(work, *post, new),
        Action::EditPost { post, patch } => post::edit(work, *post, patch),
        Action::DeletePost { post } => post::delete(work, *post),
        Action::React { post, reaction } => post::react(work, *post, *reaction),
        Action::Unreact { post } => post::unreact(work, *post),
        Action::Share { post, message } => post::share(work, *post, message),
        Action::Comment(new) => comment::add(work, new),
        Action::EditComment { post, comment, content } => comment::edit(work, *post, *comment, content),
        Action::DeleteComment { post, comment } => comment::delete(work, *post, *comment),
        Action::LikeComment { post, comment } => comment::like(work, *post, *comment),
        Action::UnlikeComment { post, comment } => comment::unlike(work, *post, *comment),
        Action::Follow { user } => people::follow(work, *user),
        Action::Unfollow { user } => people::unfollow(work, *user),
        Action::RequestFriend { user } => people::request(work, *user),
        Action::AnswerRequest { request, accept } => people::answer(work, *request, *accept),
        Action::CancelRequest { request } => people::cancel(work, *request),
        Action::RemoveFriend { user } => people::remove(work, *user),
        Action::ReadNotification { notification } => notice::read(work, *notification),
        Action::ReadAllNotifications => notice::read_all(work),
        Action::DeleteNotification { notification } => notice::delete(work, *notification),
        Action::ClearNotifications => notice::clear(work),
    }
}
