//! Posts: published, edited, deleted, reacted to, shared.

use std::sync::Arc;

use rand::Rng;

use super::feed::{FeedRows, Work};
use super::{Place, notice, refused};
use crate::domain::feed::comment::CommentHead;
use crate::domain::feed::event::{FeedEvent, PostChange, PostEvent};
use crate::domain::feed::post::{NewPost, Post, PostHead, PostPatch, PostReaction, PostReactionType};
use crate::domain::notification::{Notice, NotificationType, References};
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{CommentId, PostId, Topic};
use crate::limits;

/// Letters of a short id.
const SHORT_ID_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// Their number: 36^8 ids, so that even among a billion posts hardly ever a second try is needed.
const SHORT_ID_LENGTH: usize = 8;

/// A post's own event, at a place taken in its topic.
pub(super) fn record<R: FeedRows>(
    work: &mut Work<'_, R>,
    post: PostId,
    head: PostHead,
    place: Place,
    change: PostChange,
) -> Result<(), R::Error> {
    let event = PostEvent { post, author: head.author, is_public: head.is_public, change };
    work.record(Topic::Post(post), place, FeedEvent::Post(event))
}

/// The post, if the actor may see it.
pub(super) fn visible<R: FeedRows>(
    work: &mut Work<'_, R>,
    post: PostId,
) -> Result<Result<PostHead, Refusal>, R::Error> {
    Ok(match work.rows.post_head(post)? {
        None => Err(Refusal::NoSuchPost),
        Some(head) if !head.is_visible_to(work.actor) => Err(Refusal::NotVisible),
        Some(head) => Ok(head),
    })
}

/// The post, if it is the actor's. Whose it is not learns no more than by reading it.
fn own<R: FeedRows>(work: &mut Work<'_, R>, post: PostId) -> Result<Result<PostHead, Refusal>, R::Error> {
    let visible = visible(work, post)?;
    Ok(visible.and_then(|head| if head.author == work.actor { Ok(head) } else { Err(Refusal::NotAuthor) }))
}

pub(super) fn publish<R: FeedRows>(mut work: Work<'_, R>, id: PostId, new: &NewPost) -> Result<Outcome, R::Error> {
    // The same write again after an answer was lost.
    if work.rows.post_head(id)?.is_some() {
        return Ok(Outcome::Unchanged);
    }
    let mut short_id = random_short_id();
    while work.rows.is_short_id_taken(&short_id)? {
        short_id = random_short_id();
    }
    let place = work.rows.take_place(Topic::Post(id))?;
    work.rows.insert_post(id, work.actor, &short_id, new, place.at)?;
    match work.rows.post(id)? {
        Some(post) => {
            // This post counts among its author's.
            let post = Arc::new(Post { user: work.rows.changed_profile(work.actor)?, ..Arc::unwrap_or_clone(post) });
            let head = post.head();
            record(&mut work, id, head, place, PostChange::Created(post))?;
            work.done()
        }
        None => Ok(refused(Refusal::NoSuchPost)),
    }
}

fn random_short_id() -> String {
    let mut random = rand::rng();
    let letter = |_| char::from(SHORT_ID_LETTERS[random.random_range(0..SHORT_ID_LETTERS.len())]);
    (0..SHORT_ID_LENGTH).map(letter).collect()
}

pub(super) fn edit<R: FeedRows>(mut work: Work<'_, R>, id: PostId, patch: &PostPatch) -> Result<Outcome, R::Error> {
    let before = match own(&mut work, id)? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let place = work.rows.take_place(Topic::Post(id))?;
    work.rows.patch_post(id, patch, place.at)?;
    match work.rows.post(id)? {
        Some(post) => {
            let (head, was_public) = (post.head(), before.is_public);
            record(&mut work, id, head, place, PostChange::Edited { post, was_public })?;
            work.done()
        }
        None => Ok(refused(Refusal::NoSuchPost)),
    }
}

/// Of a post with many comments some go, and the post stays until the same is asked again: whoever asks looks whether
/// the post is what went.
pub(super) fn delete<R: FeedRows>(mut work: Work<'_, R>, id: PostId) -> Result<Outcome, R::Error> {
    let head = match own(&mut work, id)? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let place = work.rows.take_place(Topic::Post(id))?;
    if work.rows.has_more_comments(id, limits::COMMENTS_DELETED_MAX)?
        && let Some((comments, comments_count)) = take_comments(&mut work, id)?
    {
        let change = PostChange::CommentsDeleted { comments, user: work.actor, comments_count };
        record(&mut work, id, head, place, change)?;
        return work.done();
    }
    work.rows.delete_post(id, head.author)?;
    record(&mut work, id, head, place, PostChange::Deleted)?;
    work.done()
}

/// Takes away as many comments as one write may: which went, and the post's counter then. `None`: there was none.
fn take_comments<R: FeedRows>(work: &mut Work<'_, R>, post: PostId) -> Result<Option<(Vec<CommentId>, u64)>, R::Error> {
    let (mut gone, mut count) = (Vec::new(), None);
    while gone.len() < limits::COMMENTS_DELETED_MAX
        && let Some(top) = work.rows.top_comment(post)?
    {
        let head = CommentHead { author: work.actor, post, parent: None };
        let (comments, left) = work.rows.delete_comments(top, head, limits::COMMENTS_DELETED_MAX - gone.len())?;
        count = Some(left);
        let is_whole = comments.first() == Some(&top);
        gone.extend(comments);
        if !is_whole {
            break;
        }
    }
    Ok(count.map(|count| (gone, count)))
}

pub(super) fn react<R: FeedRows>(
    mut work: Work<'_, R>,
    id: PostId,
    reaction_type: PostReactionType,
) -> Result<Outcome, R::Error> {
    let head = match visible(&mut work, id)? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let (user, place) = (work.actor, work.rows.take_place(Topic::Post(id))?);
    let taken = work.rows.take_reactions(id, user)?;
    if taken.contains(&reaction_type) {
        let counts = work.rows.move_reaction_counts(id, &taken, None)?;
        record(&mut work, id, head, place, PostChange::Reacted { counts, user, reaction: None })?;
        return work.done();
    }
    let row = work.rows.insert_reaction(id, user, reaction_type, place.at)?;
    let counts = work.rows.move_reaction_counts(id, &taken, Some(reaction_type))?;
    let reaction = PostReaction { id: row, user: work.rows.profile(user)?, reaction_type, created_at: place.at };
    record(&mut work, id, head, place, PostChange::Reacted { counts, user, reaction: Some(reaction) })?;
    let references = References { post: Some(id), ..References::default() };
    let notification_type = NotificationType::of_reaction(reaction_type);
    notice::tell_once(&mut work, Notice { recipient: head.author, notification_type, references })?;
    work.done()
}

/// One's own reaction goes even when the post has become private.
pub(super) fn unreact<R: FeedRows>(mut work: Work<'_, R>, id: PostId) -> Result<Outcome, R::Error> {
    let Some(head) = work.rows.post_head(id)? else { return Ok(refused(Refusal::NoSuchPost)) };
    let user = work.actor;
    let taken = work.rows.take_reactions(id, user)?;
    if taken.is_empty() {
        let refusal = if head.is_visible_to(user) { Refusal::NoReaction } else { Refusal::NotVisible };
        return Ok(refused(refusal));
    }
    let counts = work.rows.move_reaction_counts(id, &taken, None)?;
    let place = work.rows.take_place(Topic::Post(id))?;
    record(&mut work, id, head, place, PostChange::Reacted { counts, user, reaction: None })?;
    work.done()
}

pub(super) fn share<R: FeedRows>(mut work: Work<'_, R>, id: PostId, message: &str) -> Result<Outcome, R::Error> {
    let head = match visible(&mut work, id)? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let (user, at) = (work.actor, work.rows.next_time(Topic::Post(id))?);
    let Some(shares_count) = work.rows.insert_share(id, user, message, at)? else {
        return Ok(Outcome::Unchanged);
    };
    let place = work.rows.take_place(Topic::Post(id))?;
    record(&mut work, id, head, place, PostChange::Shared { user, shares_count })?;
    let references = References { post: Some(id), ..References::default() };
    let notice = Notice { recipient: head.author, notification_type: NotificationType::Share, references };
    notice::tell(&mut work, &mut [notice])?;
    work.done()
}
