//! The rules of follows, friend requests and friendships.

use super::asked::refused;
use super::notice;
use super::work::Work;
use crate::domain::chat::event::ChatEvent;
use crate::domain::event::Event;
use crate::domain::feed::event::{FeedEvent, RelationEvent};
use crate::domain::notification::{Notice, NotificationType, References};
use crate::domain::people::{Relation, RequestHead, RequestStatus};
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{RequestId, Topic, UserId};
use crate::store::sql::LaneSql;

/// Why the actor may do nothing with this user: it is the actor, or not an active user.
async fn somebody<D: LaneSql>(work: &mut Work<'_, '_, D>, user: UserId) -> Result<Option<Refusal>, D::Error> {
    if user == work.actor {
        return Ok(Some(Refusal::Oneself));
    }
    Ok(if work.rows.is_active_user(user).await? { None } else { Some(Refusal::NoSuchUser) })
}

/// Records one event for each pair, in the feed of the pair's first user. The topics come in the order in which they
/// are locked, so the actor's event is not always the first: a caller that answers with the first event looks up which
/// user it is about.
async fn record<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    pairs: &mut [(UserId, UserId)],
    relation: Relation,
    request: Option<RequestId>,
) -> Result<(), D::Error> {
    pairs.sort_unstable();
    for &mut (user, other) in pairs {
        let hears = work.rows.hears(user, other).await?;
        let place = work.rows.take_place(Topic::Feed(user)).await?;
        let event = RelationEvent { user, other, relation, hears, request };
        work.record(Topic::Feed(user), place, FeedEvent::Relation(event)).await?;
    }
    Ok(())
}

async fn tell<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    recipient: UserId,
    notification_type: NotificationType,
    friend_request: Option<RequestId>,
) -> Result<(), D::Error> {
    let references = References { friend_request, ..References::default() };
    notice::tell_once(work, Notice { recipient, notification_type, references }).await
}

/// Blocks a user. Follows and a friendship between the two end, open requests are closed, and so is their private room.
pub(super) async fn block<D: LaneSql>(mut work: Work<'_, '_, D>, user: UserId) -> Result<Outcome, D::Error> {
    if let Some(refusal) = somebody(&mut work, user).await? {
        return Ok(refused(refusal));
    }
    let (actor, at) = (work.actor, work.rows.next_time(Topic::Feed(work.actor)).await?);
    if !work.rows.insert_block(actor, user, at).await? {
        return Ok(Outcome::Unchanged);
    }
    let mut pairs = vec![(actor, user), (user, actor)];
    if let Some(request) = work.rows.pending_request(actor, user).await? {
        work.rows.close_request(request.id, RequestStatus::Rejected).await?;
    }
    if work.rows.delete_friendship(actor, user).await? {
        record(&mut work, &mut pairs, Relation::Unfriended, None).await?;
    }
    for (follower, followed) in [(actor, user), (user, actor)] {
        if work.rows.delete_follow(follower, followed).await? {
            record(&mut work, &mut [(follower, followed)], Relation::Unfollowed, None).await?;
        }
    }
    record(&mut work, &mut [(actor, user)], Relation::Blocked, None).await?;
    seats(&mut work, user, |user| ChatEvent::Left { user }).await?;
    work.done()
}

/// Takes a block back. The other may have been deactivated.
pub(super) async fn unblock<D: LaneSql>(mut work: Work<'_, '_, D>, user: UserId) -> Result<Outcome, D::Error> {
    let actor = work.actor;
    if !work.rows.delete_block(actor, user).await? {
        return Ok(refused(Refusal::NotBlocked));
    }
    record(&mut work, &mut [(actor, user)], Relation::Unblocked, None).await?;
    if !work.rows.has_blocked(user, actor).await? {
        seats(&mut work, user, |user| ChatEvent::Joined { user }).await?;
    }
    work.done()
}

/// Tells the private room of the two that both have lost their seats there, or have them again. Their rows stay.
async fn seats<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    user: UserId,
    change: impl Fn(UserId) -> ChatEvent,
) -> Result<(), D::Error> {
    for room in work.rows.private_rooms(work.actor, user).await? {
        for whose in [work.actor, user] {
            work.rows.forget_member(room, whose);
            let place = work.rows.take_place(Topic::Room(room)).await?;
            work.record_event(Topic::Room(room), place, Event::Chat(change(whose))).await?;
        }
    }
    Ok(())
}

pub(super) async fn follow<D: LaneSql>(mut work: Work<'_, '_, D>, user: UserId) -> Result<Outcome, D::Error> {
    if let Some(refusal) = somebody(&mut work, user).await? {
        return Ok(refused(refusal));
    }
    if work.rows.is_blocked(work.actor, user).await? {
        return Ok(refused(Refusal::Blocked));
    }
    let (actor, at) = (work.actor, work.rows.next_time(Topic::Feed(work.actor)).await?);
    if !work.rows.insert_follow(actor, user, at).await? {
        return Ok(Outcome::Unchanged);
    }
    record(&mut work, &mut [(actor, user)], Relation::Followed, None).await?;
    tell(&mut work, user, NotificationType::Follow, None).await?;
    work.done()
}

/// Ends a follow. The followed user may have been deactivated.
pub(super) async fn unfollow<D: LaneSql>(mut work: Work<'_, '_, D>, user: UserId) -> Result<Outcome, D::Error> {
    let actor = work.actor;
    if !work.rows.delete_follow(actor, user).await? {
        return Ok(refused(Refusal::NotFollowing));
    }
    record(&mut work, &mut [(actor, user)], Relation::Unfollowed, None).await?;
    work.done()
}

pub(super) async fn request<D: LaneSql>(mut work: Work<'_, '_, D>, user: UserId) -> Result<Outcome, D::Error> {
    if let Some(refusal) = somebody(&mut work, user).await? {
        return Ok(refused(refusal));
    }
    let actor = work.actor;
    if work.rows.is_blocked(actor, user).await? {
        return Ok(refused(Refusal::Blocked));
    }
    if work.rows.are_friends(actor, user).await? {
        return Ok(refused(Refusal::AlreadyFriends));
    }
    if work.rows.pending_request(actor, user).await?.is_some() {
        return Ok(refused(Refusal::AlreadyRequested));
    }
    let at = work.rows.next_time(Topic::Feed(actor)).await?;
    let request = work.rows.open_request(actor, user, at).await?;
    record(&mut work, &mut [(actor, user)], Relation::Requested, Some(request)).await?;
    tell(&mut work, user, NotificationType::FriendRequest, Some(request)).await?;
    work.done()
}

/// An open request that concerns the actor as `is_own` demands.
async fn pending<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    request: RequestId,
    is_own: impl Fn(&RequestHead, UserId) -> bool,
) -> Result<Option<RequestHead>, D::Error> {
    let head = work.rows.request_head(request).await?;
    Ok(head.filter(|head| head.status == RequestStatus::Pending && is_own(head, work.actor)))
}

pub(super) async fn answer<D: LaneSql>(
    mut work: Work<'_, '_, D>,
    id: RequestId,
    accept: bool,
) -> Result<Outcome, D::Error> {
    let Some(request) = pending(&mut work, id, |request, actor| request.receiver == actor).await? else {
        return Ok(refused(Refusal::NoSuchRequest));
    };
    let (actor, sender) = (work.actor, request.sender);
    if !accept {
        work.rows.close_request(id, RequestStatus::Rejected).await?;
        record(&mut work, &mut [(actor, sender)], Relation::Requested, Some(id)).await?;
        return work.done();
    }
    let at = work.rows.next_time(Topic::Feed(actor)).await?;
    work.rows.close_request(id, RequestStatus::Accepted).await?;
    work.rows.insert_friendship(actor, sender, at).await?;
    record(&mut work, &mut [(actor, sender), (sender, actor)], Relation::Befriended, Some(id)).await?;
    tell(&mut work, sender, NotificationType::FriendAccept, Some(id)).await?;
    work.done()
}

/// Cancels a request. Its row stays, closed: if the actor asks again, it is the same request, and the notification of
/// it still leads to it.
pub(super) async fn cancel<D: LaneSql>(mut work: Work<'_, '_, D>, id: RequestId) -> Result<Outcome, D::Error> {
    let Some(request) = pending(&mut work, id, |request, actor| request.sender == actor).await? else {
        return Ok(refused(Refusal::NoSuchRequest));
    };
    let actor = work.actor;
    work.rows.close_request(id, RequestStatus::Rejected).await?;
    record(&mut work, &mut [(actor, request.receiver)], Relation::Requested, Some(id)).await?;
    work.done()
}

pub(super) async fn remove<D: LaneSql>(mut work: Work<'_, '_, D>, user: UserId) -> Result<Outcome, D::Error> {
    let actor = work.actor;
    if !work.rows.delete_friendship(actor, user).await? {
        return Ok(refused(Refusal::NotFriends));
    }
    record(&mut work, &mut [(actor, user), (user, actor)], Relation::Unfriended, None).await?;
    work.done()
}
