//! The durable events of posts, people and notifications, with everything their frames and audience need.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Post, PostReaction, ReactionCounts};
use crate::domain::notification::Notification;
use crate::domain::people::Relation;
use crate::ids::{CommentId, NotificationId, PostId, RequestId, UserId};

/// An event about posts, people or notifications.
#[derive(Debug, Serialize, Deserialize)]
pub enum FeedEvent {
    /// A post changed; ordered in `Topic::Post`.
    Post(PostEvent),
    /// A user's notifications changed; ordered in `Topic::Notifications`.
    Notification {
        /// The owner of the notifications.
        user: UserId,
        /// The change.
        change: NotificationChange,
    },
    /// A relation between two users changed; ordered in the first user's `Topic::Feed`. A friendship makes one event
    /// for each user.
    Relation(RelationEvent),
}

/// A change of a post.
///
/// Sockets on the post receive it. [Some changes](PostChange::is_for_feeds) also go to the feeds of the author and of
/// the author's followers and friends. If `is_public` is false, only the author's sockets receive it.
#[derive(Debug, Serialize, Deserialize)]
pub struct PostEvent {
    /// The post.
    pub post: PostId,
    /// The post's author.
    pub author: UserId,
    /// Whether the post is public after the change.
    pub is_public: bool,
    /// The change.
    pub change: PostChange,
}

impl PostEvent {
    /// True if everybody may see the post, or if it is this user's own.
    pub fn is_visible_to(&self, user: UserId) -> bool {
        self.is_public || self.author == user
    }
}

/// The kinds of change. All counts are those after the change.
#[derive(Debug, Serialize, Deserialize)]
pub enum PostChange {
    /// The post is new, and its pictures are stored.
    Created(Arc<Post>),
    /// Its author changed it.
    Edited {
        /// The post after the change, without a viewer.
        post: Arc<Post>,
        /// Whether it was public before. Users who lose sight of it must drop it; users who gain sight of it must get
        /// it.
        was_public: bool,
    },
    /// The post was deleted with everything that belongs to it.
    Deleted,
    /// A reaction was added, replaced or taken back.
    Reacted {
        /// The counts after the change.
        counts: ReactionCounts,
        /// The user who reacted.
        user: UserId,
        /// The reaction after the change; `None` if it was taken back.
        reaction: Option<PostReaction>,
    },
    /// A new comment or reply.
    Commented {
        /// The new comment, without a viewer.
        comment: Arc<Comment>,
        /// The post's comments after the change.
        comments_count: u64,
    },
    /// A comment has new text.
    CommentEdited(Arc<Comment>),
    /// Comments were deleted: a comment with all its replies, or a part of them. A large tree is deleted in parts,
    /// replies first; so are the comments of a deleted post.
    CommentsDeleted {
        /// The deleted comments, each before its replies; at most [`crate::limits::COMMENTS_DELETED_MAX`].
        comments: Vec<CommentId>,
        /// The user who deleted them.
        user: UserId,
        /// The post's comments after the change.
        comments_count: u64,
    },
    /// A like of a comment was added or taken back.
    CommentLiked {
        /// The comment.
        comment: CommentId,
        /// The user who liked it.
        user: UserId,
        /// The likes after the change.
        likes_count: u64,
        /// True when it was added, false when it was taken back.
        is_liked: bool,
    },
    /// Somebody shared the post. The only frame is `post_updated`.
    Shared {
        /// The user who shared it.
        user: UserId,
        /// The shares after the change.
        shares_count: u64,
    },
}

impl PostChange {
    /// Whether feeds receive it too, not only sockets on the post.
    pub fn is_for_feeds(&self) -> bool {
        matches!(self, Self::Created(_) | Self::Edited { .. } | Self::Deleted | Self::Reacted { .. })
    }

    /// Whether it changes counters of `post_updated` that no frame of this event carries.
    pub fn moves_counters(&self) -> bool {
        matches!(self, Self::Commented { .. } | Self::CommentsDeleted { .. } | Self::Shared { .. })
    }
}

/// A change of a user's notifications.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum NotificationChange {
    /// A new one.
    Came(Arc<Notification>),
    /// Notifications were read. Each makes one frame.
    Read {
        /// The notifications read: the newest, at most 50.
        notifications: Vec<NotificationId>,
        /// How many were read in all.
        count: u64,
    },
    /// A notification has other content, or was restored. The bell does not ring again.
    Changed(Arc<Notification>),
    /// Notifications were deleted. Each makes one frame.
    Gone {
        /// The deleted notifications, at most [`crate::limits::READ_ALL_ROWS_MAX`]. Those beyond
        /// [`crate::limits::READ_ALL_FRAMES_MAX`] make no frame.
        notifications: Vec<NotificationId>,
        /// The number of unread notifications after the change.
        unread_count: u64,
    },
}

/// A change between two users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationEvent {
    /// The user whose feed changes.
    pub user: UserId,
    /// The other user.
    pub other: UserId,
    /// The change.
    pub relation: Relation,
    /// Whether the user receives the other's public posts after the change, as a follower or friend.
    pub hears: bool,
    /// The friend request concerned, if there is one.
    pub request: Option<RequestId>,
}
