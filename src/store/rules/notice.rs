//! Notifications: written with what they are about, read, and taken away.

use std::sync::Arc;

use super::feed::Work;
use super::refused;
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::domain::notification::{Notice, Notification, NotificationType};
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{NotificationId, Topic};
use crate::limits;
use crate::store::sql::LaneSql;
use crate::store::sql::rows::{ReadNotifications, Telling};

/// Tells the recipients, each in a topic of its own: in the topics' order, as all databases lock them.
pub(super) async fn tell<D: LaneSql>(work: &mut Work<'_, '_, D>, notices: &mut [Notice]) -> Result<(), D::Error> {
    notices.sort_by_key(|notice| notice.recipient);
    for notice in notices {
        if notice.recipient == work.actor {
            continue;
        }
        let sender = work.rows.profile(work.actor).await?;
        let topic = Topic::Notifications(notice.recipient);
        let place = work.rows.take_place(topic).await?;
        let notification = Arc::new(Notification {
            id: NotificationId::fresh(),
            recipient: notice.recipient,
            message: notice.notification_type.text(&sender.display_name),
            sender,
            notification_type: notice.notification_type,
            references: notice.references,
            is_read: false,
            created_at: place.at,
            read_at: None,
        });
        work.rows.insert_notification(&notification).await?;
        let change = NotificationChange::Came(notification);
        work.record(topic, place, FeedEvent::Notification { user: notice.recipient, change }).await?;
    }
    Ok(())
}

/// Tells of what can be taken back and done again, unless the recipient heard of it a while ago. All reactions to a post
/// are one such thing.
pub(super) async fn tell_once<D: LaneSql>(work: &mut Work<'_, '_, D>, notice: Notice) -> Result<(), D::Error> {
    use NotificationType::{Celebration, Golazo, Like};
    let Notice { recipient, notification_type, references } = notice;
    let kinds = match notification_type {
        Like | Celebration | Golazo => [Like, Celebration, Golazo],
        other => [other; 3],
    };
    let telling = Telling { sender: work.actor, recipient, kinds, post: references.post };
    let window = i64::try_from(limits::NOTICE_WINDOW.as_secs()).unwrap_or(i64::MAX);
    let since = work.now.plus_seconds(-window);
    if recipient == work.actor || work.rows.was_told(telling, since).await? {
        return Ok(());
    }
    tell(work, &mut [notice]).await
}

pub(super) async fn read<D: LaneSql>(work: Work<'_, '_, D>, id: NotificationId) -> Result<Outcome, D::Error> {
    let at = work.rows.next_time(Topic::Notifications(work.actor)).await?;
    match work.rows.read_notification(work.actor, id, at).await? {
        None => Ok(refused(Refusal::NoSuchNotification)),
        Some(false) => Ok(Outcome::Unchanged),
        Some(true) => finish(work, NotificationChange::Read { notifications: vec![id], count: 1 }).await,
    }
}

pub(super) async fn read_all<D: LaneSql>(work: Work<'_, '_, D>) -> Result<Outcome, D::Error> {
    let at = work.rows.next_time(Topic::Notifications(work.actor)).await?;
    let ReadNotifications { count, newest } = work.rows.read_all_notifications(work.actor, at).await?;
    if count == 0 {
        return Ok(Outcome::Unchanged);
    }
    finish(work, NotificationChange::Read { notifications: newest, count }).await
}

pub(super) async fn delete<D: LaneSql>(work: Work<'_, '_, D>, id: NotificationId) -> Result<Outcome, D::Error> {
    if !work.rows.delete_notification(work.actor, id).await? {
        return Ok(refused(Refusal::NoSuchNotification));
    }
    finish(work, NotificationChange::Gone { notifications: vec![id] }).await
}

pub(super) async fn clear<D: LaneSql>(work: Work<'_, '_, D>) -> Result<Outcome, D::Error> {
    let notifications = work.rows.clear_notifications(work.actor).await?;
    match notifications.is_empty() {
        true => Ok(Outcome::Unchanged),
        false => finish(work, NotificationChange::Gone { notifications }).await,
    }
}

async fn finish<D: LaneSql>(mut work: Work<'_, '_, D>, change: NotificationChange) -> Result<Outcome, D::Error> {
    let (user, topic) = (work.actor, Topic::Notifications(work.actor));
    let place = work.rows.take_place(topic).await?;
    work.record(topic, place, FeedEvent::Notification { user, change }).await?;
    work.done()
}
