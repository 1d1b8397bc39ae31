//! What was seen of posts in rows that others write.

use std::sync::Arc;

use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Post, PostHead, PostReactionType, ReactionCounts};
use crate::ids::{CommentId, PostId, UserId};

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
