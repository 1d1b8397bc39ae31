//! Follows, friend requests and friendships.

use super::feed::{FeedRows, Work};
use super::{notice, refused};
use crate::domain::feed::event::{FeedEvent, RelationEvent};
use crate::domain::notification::{Notice, NotificationType, References};
use crate::domain::people::{Relation, RequestHead, RequestStatus};
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{RequestId, Topic, UserId};

/// Somebody else who is active, or why not.
fn somebody<R: FeedRows>(work: &mut Work<'_, R>, user: UserId) -> Result<Option<Refusal>, R::Error> {
    if user == work.actor {
        return Ok(Some(Refusal::Oneself));
    }
    Ok(if work.rows.is_active_user(user)? { None } else { Some(Refusal::NoSuchUser) })
}

/// One event in the feed of each of `users` and the other of the two, in the topics' order. The actor's is not always
/// the first: callers that answer with it look at what they asked for.
fn record<R: FeedRows>(
    work: &mut Work<'_, R>,
    pairs: &mut [(UserId, UserId)],
    relation: Relation,
    request: Option<RequestId>,
) -> Result<(), R::Error> {
    pairs.sort_unstable();
    for &mut (user, other) in pairs {
        let hears = work.rows.hears(user, other)?;
        let place = work.rows.take_place(Topic::Feed(user))?;
        let event = RelationEvent { user, other, relation, hears, request };
        work.record(Topic::Feed(user), place, FeedEvent::Relation(event))?;
    }
    Ok(())
}

fn tell<R: FeedRows>(
    work: &mut Work<'_, R>,
    recipient: UserId,
    notification_type: NotificationType,
    friend_request: Option<RequestId>,
) -> Result<(), R::Error> {
    let references = References { friend_request, ..References::default() };
    notice::tell_once(work, Notice { recipient, notification_type, references })
}

pub(super) fn follow<R: FeedRows>(mut work: Work<'_, R>, user: UserId) -> Result<Outcome, R::Error> {
    if let Some(refusal) = somebody(&mut work, user)? {
        return Ok(refused(refusal));
    }
    let (actor, at) = (work.actor, work.rows.next_time(Topic::Feed(work.actor))?);
    if !work.rows.insert_follow(actor, user, at)? {
        return Ok(Outcome::Unchanged);
    }
    record(&mut work, &mut [(actor, user)], Relation::Followed, None)?;
    tell(&mut work, user, NotificationType::Follow, None)?;
    work.done()
}

/// Somebody who was deactivated may be followed no more, too.
pub(super) fn unfollow<R: FeedRows>(mut work: Work<'_, R>, user: UserId) -> Result<Outcome, R::Error> {
    let actor = work.actor;
    if !work.rows.delete_follow(actor, user)? {
        return Ok(refused(Refusal::NotFollowing));
    }
    record(&mut work, &mut [(actor, user)], Relation::Unfollowed, None)?;
    work.done()
}

pub(super) fn request<R: FeedRows>(mut work: Work<'_, R>, user: UserId) -> Result<Outcome, R::Error> {
    if let Some(refusal) = somebody(&mut work, user)? {
        return Ok(refused(refusal));
    }
    let actor = work.actor;
    if work.rows.are_friends(actor, user)? {
        return Ok(refused(Refusal::AlreadyFriends));
    }
    if work.rows.pending_request(actor, user)?.is_some() {
        return Ok(refused(Refusal::AlreadyRequested));
    }
    let at = work.rows.next_time(Topic::Feed(actor))?;
    let request = work.rows.open_request(actor, user, at)?;
    record(&mut work, &mut [(actor, user)], Relation::Requested, Some(request))?;
    tell(&mut work, user, NotificationType::FriendRequest, Some(request))?;
    work.done()
}

/// An open request that concerns the actor in the way that `is_own` says.
fn pending<R: FeedRows>(
    work: &mut Work<'_, R>,
    request: RequestId,
    is_own: impl Fn(&RequestHead, UserId) -> bool,
) -> Result<Option<RequestHead>, R::Error> {
    let head = work.rows.request_head(request)?;
    Ok(head.filter(|head| head.status == RequestStatus::Pending && is_own(head, work.actor)))
}

pub(super) fn answer<R: FeedRows>(mut work: Work<'_, R>, id: RequestId, accept: bool) -> Result<Outcome, R::Error> {
    let Some(request) = pending(&mut work, id, |request, actor| request.receiver == actor)? else {
        return Ok(refused(Refusal::NoSuchRequest));
    };
    let (actor, sender) = (work.actor, request.sender);
    if !accept {
        work.rows.close_request(id, RequestStatus::Rejected)?;
        record(&mut work, &mut [(actor, sender)], Relation::Requested, Some(id))?;
        return work.done();
    }
    let at = work.rows.next_time(Topic::Feed(actor))?;
    work.rows.close_request(id, RequestStatus::Accepted)?;
    work.rows.insert_friendship(actor, sender, at)?;
    record(&mut work, &mut [(actor, sender), (sender, actor)], Relation::Befriended, Some(id))?;
    tell(&mut work, sender, NotificationType::FriendAccept, Some(id))?;
    work.done()
}

/// The row stays, closed: asked again, it is the same request, and what was told of it still leads to it.
pub(super) fn cancel<R: FeedRows>(mut work: Work<'_, R>, id: RequestId) -> Result<Outcome, R::Error> {
    let Some(request) = pending(&mut work, id, |request, actor| request.sender == actor)? else {
        return Ok(refused(Refusal::NoSuchRequest));
    };
    let actor = work.actor;
    work.rows.close_request(id, RequestStatus::Rejected)?;
    record(&mut work, &mut [(actor, request.receiver)], Relation::Requested, Some(id))?;
    work.done()
}

pub(super) fn remove<R: FeedRows>(mut work: Work<'_, R>, user: UserId) -> Result<Outcome, R::Error> {
    let actor = work.actor;
    if !work.rows.delete_friendship(actor, user)? {
        return Ok(refused(Refusal::NotFriends));
    }
    record(&mut work, &mut [(actor, user), (user, actor)], Relation::Unfriended, None)?;
    work.done()
}
