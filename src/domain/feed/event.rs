//! What can happen with posts, people and notifications and is kept, with all that a frame and its audience need.

use std::sync::Arc;

use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Post, PostReaction, ReactionCounts};
use crate::domain::notification::Notification;
use crate::domain::people::Relation;
use crate::ids::{CommentId, NotificationId, PostId, RequestId, UserId};

/// What happened.
#[derive(Debug)]
pub enum FeedEvent {
    /// To a post; ordered in `Topic::Post`.
    Post(PostEvent),
    /// To one user's notifications; ordered in `Topic::Notifications`.
    Notification {
        /// Whose.
        user: UserId,
        /// What.
        change: NotificationChange,
    },
    /// Between a user and another; ordered in `Topic::Feed` of the first. A friendship is two events, one each.
    Relation(RelationEvent),
}

/// What happened to a post.
///
/// Who hears of it: sockets on the post, and for [some changes](PostChange::is_for_feeds) the feeds of the author, of
/// the author's followers and of the author's friends. Where `is_public` is false: the author's sockets alone.
#[derive(Debug)]
pub struct PostEvent {
    /// Which.
    pub post: PostId,
    /// Whose post.
    pub author: UserId,
    /// As the post is after the change.
    pub is_public: bool,
    /// What.
    pub change: PostChange,
}

impl PostEvent {
    /// Everybody may see the post, or it is the user's own.
    pub fn is_visible_to(&self, user: UserId) -> bool {
        self.is_public || self.author == user
    }
}

/// A change of a post. All counts are those after the change.
#[derive(Debug)]
pub enum PostChange {
    /// It is new. Its pictures are there.
    Created(Arc<Post>),
    /// Its author changed it.
    Edited {
        /// As it now is, without a viewer.
        post: Arc<Post>,
        /// As it was before: who saw it and may not any more must lose it, who may now must get it.
        was_public: bool,
    },
    /// It is gone with all that belongs to it.
    Deleted,
    /// A reaction came, was replaced, or went.
    Reacted {
        /// Final.
        counts: ReactionCounts,
        /// Whose reaction.
        user: UserId,
        /// What it is now; `None`: it went.
        reaction: Option<PostReaction>,
    },
    /// A new comment or reply.
    Commented {
        /// Without a viewer.
        comment: Arc<Comment>,
        /// All comments of the post.
        comments_count: u64,
    },
    /// A comment has new text.
    CommentEdited(Arc<Comment>),
    /// A comment went with all answers to it, or some of the answers went that go before it, or some of the comments that
    /// go before their post.
    CommentsDeleted {
        /// Each before those that answer it; at most [`crate::limits::COMMENTS_DELETED_MAX`].
        comments: Vec<CommentId>,
        /// Who deleted them.
        user: UserId,
        /// All comments of the post.
        comments_count: u64,
    },
    /// A like of a comment came or went.
    CommentLiked {
        /// Which comment.
        comment: CommentId,
        /// Whose like.
        user: UserId,
        /// Final.
        likes_count: u64,
        /// Came (true) or went.
        is_liked: bool,
    },
    /// Somebody shared it. No frame but `post_updated`.
    Shared {
        /// Who.
        user: UserId,
        /// Final.
        shares_count: u64,
    },
}

impl PostChange {
    /// Feeds hear of it, not only sockets on the post.
    pub fn is_for_feeds(&self) -> bool {
        matches!(self, Self::Created(_) | Self::Edited { .. } | Self::Deleted | Self::Reacted { .. })
    }

    /// Counters that `post_updated` carries changed, and no frame of this event carries them.
    pub fn moves_counters(&self) -> bool {
        matches!(self, Self::Commented { .. } | Self::CommentsDeleted { .. } | Self::Shared { .. })
    }
}

/// What happened to a user's notifications.
#[derive(Debug, Clone)]
pub enum NotificationChange {
    /// A new one.
    Came(Arc<Notification>),
    /// Some were seen: one frame each.
    Read {
        /// Which; at most 50, the newest.
        notifications: Vec<NotificationId>,
        /// How many in all.
        count: u64,
    },
    /// One tells of something else now, or is there again. Nothing new for the bell.
    Changed(Arc<Notification>),
    /// Some are gone: one frame each.
    Gone {
        /// Which: at most [`crate::limits::READ_ALL_ROWS_MAX`]. Of more than [`crate::limits::READ_ALL_FRAMES_MAX`] the rest
        /// has no frames.
        notifications: Vec<NotificationId>,
        /// How many are unread then.
        unread_count: u64,
    },
}

/// What happened between a user and another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationEvent {
    /// Whose feed changes.
    pub user: UserId,
    /// With respect to whom.
    pub other: UserId,
    /// What.
    pub relation: Relation,
    /// After it, the user hears of the other's public posts: as a follower or as a friend.
    pub hears: bool,
    /// The friend request it is about, if it is about one.
    pub request: Option<RequestId>,
}
