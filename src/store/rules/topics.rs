//! Finds out, before a write is done, in which topics it may take places.

use std::collections::BTreeSet;

use crate::domain::feed::write::Action;
use crate::domain::write::{Intent, Write};
use crate::ids::{PostId, Topic};
use crate::store::sql::LaneSql;
use crate::store::sql::rows::BatchRows;

/// Returns every topic in which the write may take a place, in the order in which databases with several lanes lock
/// their rows: batches that lock in one order never wait for each other in a circle. The write need not take all of
/// these places. It may take more when it deletes comments: who was notified of their answers is found out only then.
///
/// # Errors
/// A statement failed.
pub async fn topics<D: LaneSql>(rows: &mut BatchRows<'_, D>, write: &Write) -> Result<BTreeSet<Topic>, D::Error> {
    let mut topics = BTreeSet::from([write.topic()]);
    let Intent::Feed(action) = &write.intent else { return Ok(topics) };
    match action {
        Action::React { post, .. } | Action::Unreact { post } | Action::Share { post, .. } => {
            add_author(rows, *post, &mut topics).await?;
        }
        Action::DeletePost { post } => add_author(rows, *post, &mut topics).await?,
        Action::DeleteComment { post, comment } => {
            add_author(rows, *post, &mut topics).await?;
            if let Some(parent) = rows.comment_head(*comment).await?.and_then(|head| head.parent)
                && let Some(parent) = rows.comment_head(parent).await?
            {
                topics.insert(Topic::Notifications(parent.author));
            }
        }
        Action::Comment(new) => {
            add_author(rows, new.post, &mut topics).await?;
            if let Some(parent) = new.parent
                && let Some(parent) = rows.comment_head(parent).await?
            {
                topics.insert(Topic::Notifications(parent.author));
            }
        }
        Action::Follow { user } | Action::RequestFriend { user } => drop(topics.insert(Topic::Notifications(*user))),
        Action::AnswerRequest { request, .. } => {
            if let Some(request) = rows.request_head(*request).await? {
                topics.extend([Topic::Feed(request.sender), Topic::Notifications(request.sender)]);
            }
        }
        Action::Block { user } | Action::Unblock { user } => {
            topics.insert(Topic::Feed(*user));
            topics.extend(rows.private_rooms(write.actor, *user).await?.into_iter().map(Topic::Room));
        }
        Action::RemoveFriend { user } => drop(topics.insert(Topic::Feed(*user))),
        Action::Publish { .. }
        | Action::EditPost { .. }
        | Action::EditComment { .. }
        | Action::LikeComment { .. }
        | Action::UnlikeComment { .. }
        | Action::Unfollow { .. }
        | Action::CancelRequest { .. }
        | Action::ReadNotification { .. }
        | Action::ReadAllNotifications
        | Action::DeleteNotification { .. }
        | Action::ClearNotifications => {}
    }
    Ok(topics)
}

/// Adds the topic of the post author's notifications.
async fn add_author<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    post: PostId,
    topics: &mut BTreeSet<Topic>,
) -> Result<(), D::Error> {
    if let Some(head) = rows.post_head(post).await? {
        topics.insert(Topic::Notifications(head.author));
    }
    Ok(())
}
