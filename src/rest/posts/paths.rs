//! The posts and comments that paths name.

use crate::domain::feed::post::PostHead;
use crate::ids::{CommentId, PostId};
use crate::rest::app::App;
use crate::rest::error::{FORBIDDEN, NOT_FOUND, Result};
use crate::rest::extract::Caller;

/// The post id of a path.
///
/// # Errors
/// 404, like Django's path converter.
pub fn post_id(text: &str) -> Result<PostId> {
    text.parse().map_err(|_| NOT_FOUND)
}

/// The rights and audience of a post that the caller may see.
///
/// # Errors
/// 404 if there is no such post, 403 for somebody else's private post.
pub async fn require_visible(app: &App, caller: &Caller, post: PostId) -> Result<PostHead> {
    let head = app.store.post_head(post).await?.ok_or(NOT_FOUND)?;
    if head.is_visible_to(caller.id()) { Ok(head) } else { Err(FORBIDDEN) }
}

/// The comment that a path names, with its post.
///
/// # Errors
/// 404, and the store's errors.
pub async fn locate(app: &App, comment: &str) -> Result<(PostId, CommentId)> {
    let comment = comment.parse().map_err(|_| NOT_FOUND)?;
    let head = app.store.comment_head(comment).await?.ok_or(NOT_FOUND)?;
    Ok((head.post, comment))
}
