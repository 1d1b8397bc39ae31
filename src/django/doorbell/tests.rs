//! A read that fails in the midst: what was told before it is not told again, and what was not told is not lost.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::clock::Timestamp;
use crate::domain::chat::message::Message;
use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Post, PostHead, PostReactionType};
use crate::domain::write::Addition;
use crate::engine::shard::port::{Inbox, ToShard};
use crate::fanout::publisher::to_one_shard;
use crate::ids::MessageId;
use crate::store::django::{Adopted, HearingMark};

/// A database that has none of the comments, and whose reads fail where they are told to.
#[derive(Default)]
struct Rows {
    author: UserId,
    /// For each read of a comment that is to come, whether it fails.
    comments: Mutex<VecDeque<bool>>,
}

fn away() -> StoreError {
    StoreError::Unavailable("away".into())
}

#[async_trait]
impl Beside for Rows {
    async fn has_django(&self) -> Result<bool, StoreError> {
        Ok(true)
    }
    async fn look_at_post(
        &self,
        _: PostId,
        _: Option<UserId>,
    ) -> Result<Option<(Arc<Post>, Option<PostReactionType>)>, StoreError> {
        Err(away())
    }
    async fn look_at_comment(&self, _: CommentId) -> Result<Option<Arc<Comment>>, StoreError> {
        if lock(&self.comments).pop_front().unwrap_or(false) { Err(away()) } else { Ok(None) }
    }
    async fn look_at_head(&self, _: PostId) -> Result<Option<PostHead>, StoreError> {
        Ok(Some(PostHead { author: self.author, is_public: true, allow_comments: true }))
    }
    fn forget_head(&self, _: PostId) {}
    async fn look_at_message(&self, _: MessageId) -> Result<Option<Arc<Message>>, StoreError> {
        Ok(None)
    }
    async fn additions(&self, _: &[Topic], _: Timestamp) -> Result<Vec<(Addition, Timestamp)>, StoreError> {
        Ok(Vec::new())
    }
    async fn adopted(&self, _: &[Uuid]) -> Result<Vec<Adopted>, StoreError> {
        Ok(Vec::new())
    }
    async fn forget_adopted(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
    async fn hearing_marks(&self, _: &[UserId]) -> Result<Vec<(UserId, HearingMark)>, StoreError> {
        Ok(Vec::new())
    }
}

/// A ringer over these rows with a listener of the post, and the listener's inbox.
fn ringer(rows: Rows, post: PostId) -> (Arc<Ringer>, Arc<Inbox>) {
    let (fanout, inbox) = to_one_shard(&[Topic::Post(post)]);
    (Ringer::new(Arc::new(rows), Arc::new(fanout), Box::new(|_| true)), inbox)
}

/// How many frames of deleted comments the inbox has.
fn deletions(inbox: &Inbox) -> usize {
    let frames = std::iter::from_fn(|| inbox.pop()).filter_map(|message| match message {
        ToShard::Publish(publication) => Some(String::from_utf8_lossy(publication.frames.usual()).into_owned()),
        _ => None,
    });
    frames.map(|frames| frames.matches("comment_deleted").count()).sum()
}

fn gone() -> (CommentId, CommentDue) {
    (CommentId::fresh(), CommentDue { is_gone: true, ..CommentDue::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_is_told_once_though_the_posts_read_fails() {
    let post = PostId::fresh();
    let (ringer, inbox) = ringer(Rows::default(), post);
    let due = Due { is_updated: true, comments: vec![gone()], ..Due::default() };
    let again = ringer.answer(post, &due).await;
    assert_eq!(again, Due { comments: Vec::new(), ..due });
    assert_eq!(deletions(&inbox), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_before_the_read_that_fails_are_told_and_the_others_are_looked_at_again() {
    let post = PostId::fresh();
    let (ringer, inbox) = ringer(Rows { comments: Mutex::new(VecDeque::from([false, true])), ..Rows::default() }, post);
    let due = Due { comments: vec![gone(), gone(), gone()], ..Due::default() };
    let again = ringer.answer(post, &due).await;
    assert_eq!((again.comments.as_slice(), deletions(&inbox)), (&due.comments[1..], 1));
    assert!(ringer.answer(post, &again).await.is_empty());
    assert_eq!(deletions(&inbox), 2);
}
