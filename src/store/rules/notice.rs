//! Notifications: written with what they are about, read, and taken away.

use std::sync::Arc;

use super::feed::{FeedRows, ReadNotifications, Telling, Work};
use super::refused;
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::domain::notification::{Notice, Notification, NotificationType};
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{NotificationId, Topic};
use crate::limits;

/// Tells the recipients, each in a topic of its own: in the topics' order, as all databases lock them.
pub(super) fn tell<R: FeedRows>(work: &mut Work<'_, R>, notices: &mut [Notice]) -> Result<(), R::Error> {
    notices.sort_by_key(|notice| notice.recipient);
    for notice in notices {
        if notice.recipient == work.actor {
            continue;
        }
        let sender = work.rows.profile(work.actor)?;
        let topic = Topic::Notifications(notice.recipient);
        let place = work.rows.take_place(topic)?;
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
        work.rows.insert_notification(&notification)?;
        let change = NotificationChange::Came(notification);
        work.record(topic, place, FeedEvent::Notification { user: notice.recipient, change })?;
    }
    Ok(())
}

/// Tells of what can be taken back and done again, unless the recipient heard of it a while ago. All reactions to a post
/// are one such thing.
pub(super) fn tell_once<R: FeedRows>(work: &mut Work<'_, R>, notice: Notice) -> Result<(), R::Error> {
    use NotificationType::{Celebration, Golazo, Like};
    let Notice { recipient, notification_type, references } = notice;
    let kinds = match notification_type {
        Like | Celebration | Golazo => [Like, Celebration, Golazo],
        other => [other; 3],
    };
    let telling = Telling { sender: work.actor, recipient, kinds, post: references.post };
    let window = i64::try_from(limits::NOTICE_WINDOW.as_secs()).unwrap_or(i64::MAX);
    let since = work.now.plus_seconds(-window);
    if recipient == work.actor || work.rows.was_told(telling, since)? {
        return Ok(());
    }
    tell(work, &mut [notice])
}

pub(super) fn read<R: FeedRows>(work: Work<'_, R>, id: NotificationId) -> Result<Outcome, R::Error> {
    let at = work.rows.next_time(Topic::Notifications(work.actor))?;
    match work.rows.read_notification(work.actor, id, at)? {
        None => Ok(refused(Refusal::NoSuchNotification)),
        Some(false) => Ok(Outcome::Unchanged),
        Some(true) => finish(work, NotificationChange::Read { notifications: vec![id], count: 1 }),
    }
}

pub(super) fn read_all<R: FeedRows>(work: Work<'_, R>) -> Result<Outcome, R::Error> {
    let at = work.rows.next_time(Topic::Notifications(work.actor))?;
    let ReadNotifications { count, newest } = work.rows.read_all_notifications(work.actor, at)?;
    if count == 0 {
        return Ok(Outcome::Unchanged);
    }
    finish(work, NotificationChange::Read { notifications: newest, count })
}

pub(super) fn delete<R: FeedRows>(work: Work<'_, R>, id: NotificationId) -> Result<Outcome, R::Error> {
    if !work.rows.delete_notification(work.actor, id)? {
        return Ok(refused(Refusal::NoSuchNotification));
    }
    finish(work, NotificationChange::Gone { notifications: vec![id] })
}

pub(super) fn clear<R: FeedRows>(work: Work<'_, R>) -> Result<Outcome, R::Error> {
    let notifications = work.rows.clear_notifications(work.actor)?;
    match notifications.is_empty() {
        true => Ok(Outcome::Unchanged),
        false => finish(work, NotificationChange::Gone { notifications }),
    }
}

fn finish<R: FeedRows>(mut work: Work<'_, R>, change: NotificationChange) -> Result<Outcome, R::Error> {
    let (user, topic) = (work.actor, Topic::Notifications(work.actor));
    let place = work.rows.take_place(topic)?;
    work.record(topic, place, FeedEvent::Notification { user, change })?;
    work.done()
}
