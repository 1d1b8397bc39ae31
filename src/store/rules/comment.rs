//! Comments: added, edited, deleted, liked.

use std::sync::Arc;

use super::feed::{FeedRows, Work};
use super::{notice, post, refused};
use crate::durable::write::{Outcome, Refusal};
use crate::feed::comment::{Comment, CommentHead, NewComment};
use crate::feed::event::PostChange;
use crate::feed::notification::{Notice, References, told_of_comment};
use crate::feed::post::PostHead;
use crate::ids::{CommentId, PostId, Topic};

/// A comment on a post that the actor may see, with what decides on both.
fn visible<R: FeedRows>(
    work: &mut Work<'_, R>,
    on: PostId,
    comment: CommentId,
) -> Result<Result<(PostHead, CommentHead), Refusal>, R::Error> {
    let head = match post::visible(work, on)? {
        Ok(head) => head,
        Err(refusal) => return Ok(Err(refusal)),
    };
    Ok(match work.rows.comment_head(comment)? {
        Some(comment) if comment.post == on => Ok((head, comment)),
        _ => Err(Refusal::NoSuchComment),
    })
}

/// The same, if the comment is the actor's.
fn own<R: FeedRows>(
    work: &mut Work<'_, R>,
    on: PostId,
    comment: CommentId,
) -> Result<Result<(PostHead, CommentHead), Refusal>, R::Error> {
    let visible = visible(work, on, comment)?;
    Ok(visible.and_then(|heads| if heads.1.author == work.actor { Ok(heads) } else { Err(Refusal::NotAuthor) }))
}

pub(super) fn add<R: FeedRows>(mut work: Work<'_, R>, new: &NewComment) -> Result<Outcome, R::Error> {
    let head = match post::visible(&mut work, new.post)? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    if !head.allow_comments {
        return Ok(refused(Refusal::CommentsClosed));
    }
    let parent = match new.parent {
        None => None,
        Some(parent) => match work.rows.comment_head(parent)? {
            Some(parent) if parent.post == new.post => Some(parent),
            _ => return Ok(refused(Refusal::ParentElsewhere)),
        },
    };
    let place = work.rows.take_place(Topic::Post(new.post))?;
    let comment = Arc::new(Comment {
        id: CommentId::fresh(),
        post: new.post,
        parent: new.parent,
        user: work.rows.profile(work.actor)?,
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
    let comments_count = work.rows.insert_comment(&comment)?;
    let references = References { post: Some(new.post), comment: Some(comment.id), friend_request: None };
    post::record(&mut work, new.post, head, place, PostChange::Commented { comment, comments_count })?;
    let told = told_of_comment(work.actor, head.author, parent.map(|parent| parent.author));
    let notice = |(recipient, notification_type)| Notice { recipient, notification_type, references };
    // A private post is its author's alone: nobody else is led to it.
    let told = told.into_iter().filter(|(recipient, _)| head.is_visible_to(*recipient));
    notice::tell(&mut work, &mut told.map(notice).collect::<Vec<_>>())?;
    work.done()
}

pub(super) fn edit<R: FeedRows>(
    mut work: Work<'_, R>,
    on: PostId,
    id: CommentId,
    content: &str,
) -> Result<Outcome, R::Error> {
    let (head, _) = match own(&mut work, on, id)? {
        Ok(heads) => heads,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let place = work.rows.take_place(Topic::Post(on))?;
    work.rows.edit_comment(id, content, place.at)?;
    match work.rows.comment(id)? {
        Some(comment) => {
            post::record(&mut work, on, head, place, PostChange::CommentEdited(comment))?;
            work.done()
        }
        None => Ok(refused(Refusal::NoSuchComment)),
    }
}

pub(super) fn delete<R: FeedRows>(mut work: Work<'_, R>, on: PostId, id: CommentId) -> Result<Outcome, R::Error> {
    let (head, comment) = match own(&mut work, on, id)? {
        Ok(heads) => heads,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let place = work.rows.take_place(Topic::Post(on))?;
    let (comments, comments_count) = work.rows.delete_comments(id, comment)?;
    post::record(&mut work, on, head, place, PostChange::CommentsDeleted { comments, comments_count })?;
    work.done()
}

pub(super) fn like<R: FeedRows>(mut work: Work<'_, R>, on: PostId, id: CommentId) -> Result<Outcome, R::Error> {
    let (head, _) = match visible(&mut work, on, id)? {
        Ok(heads) => heads,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let (user, at) = (work.actor, work.rows.next_time(Topic::Post(on))?);
    let Some(likes_count) = work.rows.insert_comment_like(id, user, at)? else {
        return Ok(Outcome::Unchanged);
    };
    let place = work.rows.take_place(Topic::Post(on))?;
    let change = PostChange::CommentLiked { comment: id, user, likes_count, is_liked: true };
    post::record(&mut work, on, head, place, change)?;
    work.done()
}

pub(super) fn unlike<R: FeedRows>(mut work: Work<'_, R>, on: PostId, id: CommentId) -> Result<Outcome, R::Error> {
    let (head, _) = match visible(&mut work, on, id)? {
        Ok(heads) => heads,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let user = work.actor;
    let Some(likes_count) = work.rows.delete_comment_like(id, user)? else {
        return Ok(refused(Refusal::NoLike));
    };
    let place = work.rows.take_place(Topic::Post(on))?;
    let change = PostChange::CommentLiked { comment: id, user, likes_count, is_liked: false };
    post::record(&mut work, on, head, place, change)?;
    work.done()
}
