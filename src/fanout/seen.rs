//! What was seen of posts in rows that other programs write.

use std::sync::Arc;

use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Post, PostHead, PostReactionType, ReactionCounts};
use crate::ids::{CommentId, PostId, UserId};

/// What was seen in rows that other programs write. It is told as it is, without a place in its topic's order.
#[derive(Debug)]
pub enum Seen {
    /// A post is new.
    Created(Arc<Post>),
    /// A post's author changed it.
    Edited {
        /// As it now is, without a viewer.
        post: Arc<Post>,
        /// Whether it was public when it was last told: those who could see it and may not any more must lose it.
        was_public: bool,
    },
    /// A post is gone.
    Deleted {
        /// Which.
        post: PostId,
        /// Whose it was.
        author: UserId,
        /// Could others see it?
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
    /// A like came or went; the number of likes there are now.
    Liked(CommentId, u64),
}
