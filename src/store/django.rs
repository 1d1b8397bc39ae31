//! Queries for running beside another program that writes to the same tables: they read rows as that program left them.

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

/// A row that has its place in its topic's order, given by this server or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopted {
    /// The row's id.
    pub id: Uuid,
    /// Its place.
    pub cursor: Cursor,
    /// The topic's time there.
    pub at: Timestamp,
}

/// A checksum of the authors a user hears. It changes when an author is added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HearingMark {
    /// The number of rows.
    pub rows: u64,
    /// The sum over the rows' values.
    pub sum: u64,
}

/// Queries that are only used when another program writes to the database.
#[async_trait]
pub trait Beside: Send + Sync + 'static {
    /// Whether Django made this database.
    async fn has_django(&self) -> Result<bool, StoreError>;
    /// A post as frames show it, with counted reactions and comments, and the user's reaction to it. Not cached.
    async fn look_at_post(
        &self,
        post: PostId,
        reacted: Option<UserId>,
    ) -> Result<Option<(Arc<Post>, Option<PostReactionType>)>, StoreError>;
    /// A comment as frames show it, with counted likes. Not cached.
    async fn look_at_comment(&self, comment: CommentId) -> Result<Option<Arc<Comment>>, StoreError>;
    /// The rights of a post. Not cached.
    async fn look_at_head(&self, post: PostId) -> Result<Option<PostHead>, StoreError>;
    /// Removes a post's rights from the cache, because they have changed.
    fn forget_head(&self, post: PostId);
    /// A message as frames show it, unless it is deleted. Not cached.
    async fn look_at_message(&self, message: MessageId) -> Result<Option<Arc<Message>>, StoreError>;
    /// Rows of `topics` at `since` or later that pregon did not write, each with its time.
    async fn additions(&self, topics: &[Topic], since: Timestamp) -> Result<Vec<(Addition, Timestamp)>, StoreError>;
    /// Those of these rows that have their place.
    async fn adopted(&self, rows: &[Uuid]) -> Result<Vec<Adopted>, StoreError>;
    /// Forgets adopted rows older than `before`, a part at a time. Returns how many.
    async fn forget_adopted(&self, before: Timestamp) -> Result<u64, StoreError>;
    /// The checksums of users; users who hear nobody may be missing.
    async fn hearing_marks(&self, users: &[UserId]) -> Result<Vec<(UserId, HearingMark)>, StoreError>;
}
