//! What a store offers beside another program that writes the same tables: rows as that program left them.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::message::Message;
use crate::domain::event::Cursor;
use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Post, PostHead, PostReactionType};
use crate::domain::write::Addition;
use crate::ids::{CommentId, MessageId, PostId, Topic, UserId};
use crate::store::StoreError;

/// A row that has its place in its topic's order, whoever gave it that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopted {
    /// The row.
    pub id: Uuid,
    /// Its place.
    pub cursor: Cursor,
    /// The topic's time there.
    pub at: Timestamp,
}

/// A sum over all whom a user hears: another one means that somebody came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HearingMark {
    /// How many rows.
    pub rows: u64,
    /// Of what the rows say.
    pub sum: u64,
}

/// Questions that only a store with a neighbour is asked.
#[async_trait]
pub trait Beside: Send + Sync + 'static {
    /// Did Django make this database?
    async fn has_django(&self) -> Result<bool, StoreError>;
    /// A post as frames show it with its reactions and comments counted, and how a user reacted to it. Not cached.
    async fn look_at_post(
        &self,
        post: PostId,
        reacted: Option<UserId>,
    ) -> Result<Option<(Arc<Post>, Option<PostReactionType>)>, StoreError>;
    /// A comment as frames show it with its likes counted. Not cached.
    async fn look_at_comment(&self, comment: CommentId) -> Result<Option<Arc<Comment>>, StoreError>;
    /// What decides on a post's rights. Not cached.
    async fn look_at_head(&self, post: PostId) -> Result<Option<PostHead>, StoreError>;
    /// What is remembered of what decides on a post's rights, is so no longer.
    fn forget_head(&self, post: PostId);
    /// A message as frames show it, unless it is deleted. Not cached.
    async fn look_at_message(&self, message: MessageId) -> Result<Option<Arc<Message>>, StoreError>;
    /// Rows of `topics` with this time or a later one that pregon did not write itself, each with its time.
    async fn additions(&self, topics: &[Topic], since: Timestamp) -> Result<Vec<(Addition, Timestamp)>, StoreError>;
    /// Which of these rows have their place.
    async fn adopted(&self, rows: &[Uuid]) -> Result<Vec<Adopted>, StoreError>;
    /// Forgets what was adopted before then, some of it at a time: how much that was.
    async fn forget_adopted(&self, before: Timestamp) -> Result<u64, StoreError>;
    /// The sums of users; who hears nobody may be missing.
    async fn hearing_marks(&self, users: &[UserId]) -> Result<Vec<(UserId, HearingMark)>, StoreError>;
}
