//! Which topics a write takes places in, told before it is done.

use std::collections::BTreeSet;

use crate::domain::feed::write::Action;
use crate::domain::write::{Intent, Write};
use crate::ids::{PostId, Topic};
use crate::store::sql::LaneSql;
use crate::store::sql::rows::BatchRows;

/// Every topic in which the write may take a place, in the order in which databases with several lanes lock their rows:
/// two batches that lock in one order never wait for each other in a circle. It is no promise that the write takes all.
/// Whoever was told of the answers to a comment is found out when that goes, and may come to these.
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

/// The post's author is told.
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
