//! The rules of comments: adding, editing, deleting and liking them.

use std::sync::Arc;

use super::asked::refused;
use super::work::Work;
use super::{notice, post};
use crate::domain::feed::comment::{Comment, CommentHead, NewComment};
use crate::domain::feed::event::PostChange;
use crate::domain::feed::post::PostHead;
use crate::domain::notification::{Notice, References, told_of_comment};
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{CommentId, PostId, Topic};
use crate::limits;
use crate::store::sql::LaneSql;
use crate::store::sql::rows::GoneComments;

/// The post and the comment, as far as the rules need them to decide.
type Heads = (PostHead, CommentHead);

/// The post and a comment on it, whether the actor may see them or not. If there is no such comment, the refusal
/// depends on whether the actor may see the post.
async fn placed<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    on: PostId,
    comment: CommentId,
) -> Result<Result<Heads, Refusal>, D::Error> {
    let Some(head) = work.rows.post_head(on).await? else { return Ok(Err(Refusal::NoSuchPost)) };
    Ok(match work.rows.comment_head(comment).await? {
        Some(comment) if comment.post == on => Ok((head, comment)),
        _ if head.is_visible_to(work.actor) => Err(Refusal::NoSuchComment),
        _ => Err(Refusal::NotVisible),
    })
}

/// The post and a comment on it, if the actor may see them.
async fn visible<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    on: PostId,
    comment: CommentId,
) -> Result<Result<Heads, Refusal>, D::Error> {
    let (head, comment) = match placed(work, on, comment).await? {
        Ok(heads) => heads,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if !head.is_visible_to(work.actor) {
        return Ok(Err(Refusal::NotVisible));
    }
    for author in [head.author, comment.author] {
        if author != work.actor && work.rows.has_blocked(author, work.actor).await? {
            return Ok(Err(Refusal::Blocked));
        }
    }
    Ok(Ok((head, comment)))
}

/// The post and the actor's own comment on it. The post may have become private since.
async fn own<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    on: PostId,
    comment: CommentId,
) -> Result<Result<Heads, Refusal>, D::Error> {
    let placed = placed(work, on, comment).await?;
    Ok(placed.and_then(|(head, comment)| match comment.author == work.actor {
        true => Ok((head, comment)),
        false if head.is_visible_to(work.actor) => Err(Refusal::NotAuthor),
        false => Err(Refusal::NotVisible),
    }))
}

pub(super) async fn add<D: LaneSql>(mut work: Work<'_, '_, D>, new: &NewComment) -> Result<Outcome, D::Error> {
    let head = match post::visible(&mut work, new.post).await? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    if !head.allow_comments {
        return Ok(refused(Refusal::CommentsClosed));
    }
    let parent = match new.parent {
        None => None,
        Some(parent) => match work.rows.comment_head(parent).await? {
            Some(parent) if parent.post == new.post => Some(parent),
            _ => return Ok(refused(Refusal::ParentElsewhere)),
        },
    };
    let place = work.rows.take_place(Topic::Post(new.post)).await?;
    let comment = Arc::new(Comment {
        id: work.rows.view.ids.fresh(),
        post: new.post,
        parent: new.parent,
        user: work.rows.profile(work.actor).await?,
        content: new.content.clone(),
        image: new.image.clone(),
        likes_count: 0,
        replies_count: 0,
        is_edited: false,
        created_at: place.at,
        updated_at: place.at,
        replies: Vec::new(),
        is_liked: false,
    });
    let comments_count = work.rows.insert_comment(&comment).await?;
    let references = References { post: Some(new.post), comment: Some(comment.id), friend_request: None };
    post::record(&mut work, new.post, head, place, PostChange::Commented { comment, comments_count }).await?;
    let told = told_of_comment(work.actor, head.author, parent.map(|parent| parent.author));
    let notice = |(recipient, notification_type)| Notice { recipient, notification_type, references };
    // Only the author sees a private post: nobody else gets a notification that leads to it.
    let told = told.into_iter().filter(|(recipient, _)| head.is_visible_to(*recipient));
    notice::tell(&mut work, &mut told.map(notice).collect::<Vec<_>>()).await?;
    work.done()
}

pub(super) async fn edit<D: LaneSql>(
    mut work: Work<'_, '_, D>,
    on: PostId,
    id: CommentId,
    content: &str,
) -> Result<Outcome, D::Error> {
    let (head, _) = match own(&mut work, on, id).await? {
        Ok((head, _)) if !head.is_visible_to(work.actor) => return Ok(refused(Refusal::NotVisible)),
        Ok(heads) => heads,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let place = work.rows.take_place(Topic::Post(on)).await?;
    work.rows.edit_comment(id, content, place.at).await?;
    match work.rows.comment(id).await? {
        Some(comment) => {
            post::record(&mut work, on, head, place, PostChange::CommentEdited(comment)).await?;
            work.done()
        }
        None => Ok(refused(Refusal::NoSuchComment)),
    }
}

/// Deletes the actor's own comment, even if the post has become private. Of a comment with many answers, only a part is
/// deleted, and the comment stays until the same write is repeated: the caller sees in the event whether the comment
/// itself was deleted.
pub(super) async fn delete<D: LaneSql>(
    mut work: Work<'_, '_, D>,
    on: PostId,
    id: CommentId,
) -> Result<Outcome, D::Error> {
    let (head, comment) = match own(&mut work, on, id).await? {
        Ok(heads) => heads,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let place = work.rows.take_place(Topic::Post(on)).await?;
    let GoneComments { comments, comments_count, told } =
        work.rows.delete_comments(id, comment, limits::COMMENTS_DELETED_MAX).await?;
    let change = PostChange::CommentsDeleted { comments, user: work.actor, comments_count };
    post::record(&mut work, on, head, place, change).await?;
    notice::gone(&mut work, told).await?;
    work.done()
}

pub(super) async fn like<D: LaneSql>(
    mut work: Work<'_, '_, D>,
    on: PostId,
    id: CommentId,
) -> Result<Outcome, D::Error> {
    let (head, _) = match visible(&mut work, on, id).await? {
        Ok(heads) => heads,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let (user, at) = (work.actor, work.rows.next_time(Topic::Post(on)).await?);
    let Some(likes_count) = work.rows.insert_comment_like(id, user, at).await? else {
        return Ok(Outcome::Unchanged);
    };
    let place = work.rows.take_place(Topic::Post(on)).await?;
    let change = PostChange::CommentLiked { comment: id, user, likes_count, is_liked: true };
    post::record(&mut work, on, head, place, change).await?;
    work.done()
}

/// Removes the actor's own like, even if the post has become private.
pub(super) async fn unlike<D: LaneSql>(
    mut work: Work<'_, '_, D>,
    on: PostId,
    id: CommentId,
) -> Result<Outcome, D::Error> {
    let (head, _) = match placed(&mut work, on, id).await? {
        Ok(heads) => heads,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let user = work.actor;
    let Some(likes_count) = work.rows.delete_comment_like(id, user).await? else {
        let refusal = if head.is_visible_to(user) { Refusal::NoLike } else { Refusal::NotVisible };
        return Ok(refused(refusal));
    };
    let place = work.rows.take_place(Topic::Post(on)).await?;
    let change = PostChange::CommentLiked { comment: id, user, likes_count, is_liked: false };
    post::record(&mut work, on, head, place, change).await?;
    work.done()
}
