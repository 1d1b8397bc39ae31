//! The rules of posts: publishing, editing, deleting, reacting and sharing.

use std::sync::Arc;

use super::asked::refused;
use super::notice;
use super::work::Work;
use crate::domain::feed::comment::CommentHead;
use crate::domain::feed::event::{FeedEvent, PostChange, PostEvent};
use crate::domain::feed::post::{NewPost, Post, PostHead, PostPatch, PostReaction, PostReactionType};
use crate::domain::notification::{Notice, NotificationType, References};
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{IdSource, PostId, Topic};
use crate::limits;
use crate::store::sql::LaneSql;
use crate::store::sql::rows::{GoneComments, Place};

/// The letters of a short id.
const SHORT_ID_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// How many letters a short id has. There are 36^8 ids, so even among a billion posts a second try is hardly ever
/// needed.
const SHORT_ID_LENGTH: usize = 8;

/// Records an event of a post, at a place that was taken in its topic.
pub(super) async fn record<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    post: PostId,
    head: PostHead,
    place: Place,
    change: PostChange,
) -> Result<(), D::Error> {
    let event = PostEvent { post, author: head.author, is_public: head.is_public, change };
    work.record(Topic::Post(post), place, FeedEvent::Post(event)).await
}

/// The post, if the actor may see it and do something with it: its author has not blocked the actor.
pub(super) async fn visible<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    post: PostId,
) -> Result<Result<PostHead, Refusal>, D::Error> {
    Ok(match work.rows.post_head(post).await? {
        None => Err(Refusal::NoSuchPost),
        Some(head) if !head.is_visible_to(work.actor) => Err(Refusal::NotVisible),
        Some(head) if head.author != work.actor && work.rows.has_blocked(head.author, work.actor).await? => {
            Err(Refusal::Blocked)
        }
        Some(head) => Ok(head),
    })
}

/// The post, if it is the actor's. An actor who may not see the post gets the same refusal as when reading it.
async fn own<D: LaneSql>(work: &mut Work<'_, '_, D>, post: PostId) -> Result<Result<PostHead, Refusal>, D::Error> {
    let visible = visible(work, post).await?;
    Ok(visible.and_then(|head| if head.author == work.actor { Ok(head) } else { Err(Refusal::NotAuthor) }))
}

pub(super) async fn publish<D: LaneSql>(
    mut work: Work<'_, '_, D>,
    id: PostId,
    new: &NewPost,
) -> Result<Outcome, D::Error> {
    // The same write came again because its answer was lost.
    if work.rows.post_head(id).await?.is_some() {
        return Ok(Outcome::Unchanged);
    }
    let ids = work.rows.view.ids;
    let mut short_id = random_short_id(ids);
    while work.rows.is_short_id_taken(&short_id).await? {
        short_id = random_short_id(ids);
    }
    let place = work.rows.take_place(Topic::Post(id)).await?;
    work.rows.insert_post(id, work.actor, &short_id, new, place.at).await?;
    match work.rows.post(id).await? {
        Some(post) => {
            // The author's count of posts includes this post.
            let post =
                Arc::new(Post { user: work.rows.changed_profile(work.actor).await?, ..Arc::unwrap_or_clone(post) });
            let head = post.head();
            record(&mut work, id, head, place, PostChange::Created(post)).await?;
            work.done()
        }
        None => Ok(refused(Refusal::NoSuchPost)),
    }
}

fn random_short_id(ids: &dyn IdSource) -> String {
    let letter = |_| char::from(SHORT_ID_LETTERS[ids.below(SHORT_ID_LETTERS.len())]);
    (0..SHORT_ID_LENGTH).map(letter).collect()
}

pub(super) async fn edit<D: LaneSql>(
    mut work: Work<'_, '_, D>,
    id: PostId,
    patch: &PostPatch,
) -> Result<Outcome, D::Error> {
    let before = match own(&mut work, id).await? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let place = work.rows.take_place(Topic::Post(id)).await?;
    work.rows.patch_post(id, patch, place.at).await?;
    match work.rows.post(id).await? {
        Some(post) => {
            let (head, was_public) = (post.head(), before.is_public);
            record(&mut work, id, head, place, PostChange::Edited { post, was_public }).await?;
            work.done()
        }
        None => Ok(refused(Refusal::NoSuchPost)),
    }
}

/// Deletes a post. Of a post with many comments, only a part of the comments is deleted, and the post stays until the
/// same write is repeated: the caller sees in the event whether the post itself was deleted.
pub(super) async fn delete<D: LaneSql>(mut work: Work<'_, '_, D>, id: PostId) -> Result<Outcome, D::Error> {
    let head = match own(&mut work, id).await? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let place = work.rows.take_place(Topic::Post(id)).await?;
    if work.rows.has_more_comments(id, limits::COMMENTS_DELETED_MAX).await?
        && let Some(GoneComments { comments, comments_count, told }) = take_comments(&mut work, id).await?
    {
        let change = PostChange::CommentsDeleted { comments, user: work.actor, comments_count };
        record(&mut work, id, head, place, change).await?;
        notice::gone(&mut work, told).await?;
        return work.done();
    }
    let told = work.rows.delete_post(id, head.author).await?;
    record(&mut work, id, head, place, PostChange::Deleted).await?;
    notice::gone(&mut work, told).await?;
    work.done()
}

/// Deletes as many comments as one write may. `None` if there were none.
async fn take_comments<D: LaneSql>(work: &mut Work<'_, '_, D>, post: PostId) -> Result<Option<GoneComments>, D::Error> {
    let mut all: Option<GoneComments> = None;
    let count = |all: &Option<GoneComments>| all.as_ref().map_or(0, |gone| gone.comments.len());
    while count(&all) < limits::COMMENTS_DELETED_MAX
        && let Some(top) = work.rows.top_comment(post).await?
    {
        let head = CommentHead { author: work.actor, post, parent: None };
        let gone = work.rows.delete_comments(top, head, limits::COMMENTS_DELETED_MAX - count(&all)).await?;
        let is_whole = gone.comments.first() == Some(&top);
        let all = all.get_or_insert_default();
        all.comments.extend(gone.comments);
        all.told.extend(gone.told);
        all.comments_count = gone.comments_count;
        if !is_whole {
            break;
        }
    }
    Ok(all)
}

pub(super) async fn react<D: LaneSql>(
    mut work: Work<'_, '_, D>,
    id: PostId,
    reaction_type: PostReactionType,
) -> Result<Outcome, D::Error> {
    let head = match visible(&mut work, id).await? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let (user, place) = (work.actor, work.rows.take_place(Topic::Post(id)).await?);
    let taken = work.rows.take_reactions(id, user).await?;
    if taken.contains(&reaction_type) {
        let counts = work.rows.move_reaction_counts(id, &taken, None).await?;
        record(&mut work, id, head, place, PostChange::Reacted { counts, user, reaction: None }).await?;
        notice::take_back(&mut work, id, head.author).await?;
        return work.done();
    }
    let row = work.rows.insert_reaction(id, user, reaction_type, place.at).await?;
    let counts = work.rows.move_reaction_counts(id, &taken, Some(reaction_type)).await?;
    let reaction = PostReaction { id: row, user: work.rows.profile(user).await?, reaction_type, created_at: place.at };
    record(&mut work, id, head, place, PostChange::Reacted { counts, user, reaction: Some(reaction) }).await?;
    let references = References { post: Some(id), ..References::default() };
    let notification_type = NotificationType::of_reaction(reaction_type);
    notice::tell_of_reaction(&mut work, id, Notice { recipient: head.author, notification_type, references }).await?;
    work.done()
}

/// Removes the actor's own reaction, even if the post has become private.
pub(super) async fn unreact<D: LaneSql>(mut work: Work<'_, '_, D>, id: PostId) -> Result<Outcome, D::Error> {
    let Some(head) = work.rows.post_head(id).await? else { return Ok(refused(Refusal::NoSuchPost)) };
    let user = work.actor;
    let taken = work.rows.take_reactions(id, user).await?;
    if taken.is_empty() {
        let refusal = if head.is_visible_to(user) { Refusal::NoReaction } else { Refusal::NotVisible };
        return Ok(refused(refusal));
    }
    let counts = work.rows.move_reaction_counts(id, &taken, None).await?;
    let place = work.rows.take_place(Topic::Post(id)).await?;
    record(&mut work, id, head, place, PostChange::Reacted { counts, user, reaction: None }).await?;
    notice::take_back(&mut work, id, head.author).await?;
    work.done()
}

pub(super) async fn share<D: LaneSql>(
    mut work: Work<'_, '_, D>,
    id: PostId,
    message: &str,
) -> Result<Outcome, D::Error> {
    let head = match visible(&mut work, id).await? {
        Ok(head) => head,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let (user, at) = (work.actor, work.rows.next_time(Topic::Post(id)).await?);
    let Some(shares_count) = work.rows.insert_share(id, user, message, at).await? else {
        return Ok(Outcome::Unchanged);
    };
    let place = work.rows.take_place(Topic::Post(id)).await?;
    record(&mut work, id, head, place, PostChange::Shared { user, shares_count }).await?;
    let references = References { post: Some(id), ..References::default() };
    let notice = Notice { recipient: head.author, notification_type: NotificationType::Share, references };
    notice::tell(&mut work, &mut [notice]).await?;
    work.done()
}
