//! A comment on a post, or a reply to one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::domain::user::UserProfile;
use crate::ids::{CommentId, PostId, UserId};

/// A comment row with its first replies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Comment {
    /// The comment's id.
    pub id: CommentId,
    /// Its post.
    pub post: PostId,
    /// The comment it answers.
    pub parent: Option<CommentId>,
    /// Its author.
    pub user: Arc<UserProfile>,
    /// Trimmed, 1 to 500 characters.
    pub content: String,
    /// Path below the media root.
    pub image: Option<String>,
    /// Like rows.
    pub likes_count: u64,
    /// Direct replies.
    pub replies_count: u64,
    /// Edited at least once.
    pub is_edited: bool,
    /// The order key of lists.
    pub created_at: Timestamp,
    /// Last edit.
    pub updated_at: Timestamp,
    /// The first replies, oldest first.
    pub replies: Vec<Comment>,
    /// Whether the viewer likes it; false in frames, which have no viewer.
    pub is_liked: bool,
}

/// The part of a comment that decides who may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommentHead {
    /// The comment's author.
    pub author: UserId,
    /// Its post.
    pub post: PostId,
    /// The comment it answers.
    pub parent: Option<CommentId>,
}

/// A comment to be written; every field has been validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewComment {
    /// The post commented on.
    pub post: PostId,
    /// The comment it answers, which must be on the same post.
    pub parent: Option<CommentId>,
    /// Trimmed, 1 to 500 characters.
    pub content: String,
    /// Path of a stored upload below the media root.
    pub image: Option<String>,
}
