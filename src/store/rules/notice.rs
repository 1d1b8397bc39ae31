//! The rules of notifications: they are written with what they are about, read, and taken back.

use std::sync::Arc;

use super::asked::refused;
use super::work::Work;
use crate::clock::Timestamp;
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::domain::notification::{Notice, Notification, NotificationType};
use crate::domain::user::UserProfile;
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{NotificationId, PostId, Topic, UserId};
use crate::limits;
use crate::store::sql::LaneSql;
use crate::store::sql::rows::{ReadNotifications, Telling, Told};

/// Writes a notification for each recipient, in the recipient's own topic. The topics come in the order in which all
/// databases lock them.
pub(super) async fn tell<D: LaneSql>(work: &mut Work<'_, '_, D>, notices: &mut [Notice]) -> Result<(), D::Error> {
    notices.sort_by_key(|notice| notice.recipient);
    for notice in notices {
        if notice.recipient == work.actor || work.rows.has_blocked(notice.recipient, work.actor).await? {
            continue;
        }
        let sender = work.rows.profile(work.actor).await?;
        let topic = Topic::Notifications(notice.recipient);
        let place = work.rows.take_place(topic).await?;
        let notification = Arc::new(compose(work.rows.view.ids.fresh(), *notice, sender, place.at));
        work.rows.insert_notification(&notification).await?;
        let change = NotificationChange::Came(notification);
        work.record(topic, place, FeedEvent::Notification { user: notice.recipient, change }).await?;
    }
    Ok(())
}

fn compose(id: NotificationId, notice: Notice, sender: Arc<UserProfile>, at: Timestamp) -> Notification {
    Notification {
        id,
        recipient: notice.recipient,
        message: notice.notification_type.text(&sender.display_name),
        sender,
        notification_type: notice.notification_type,
        references: notice.references,
        is_read: false,
        created_at: at,
        read_at: None,
    }
}

/// The notifications about one user's reactions to a post: to its author they are one thing.
fn of_reactions(sender: UserId, recipient: UserId, post: PostId) -> Telling {
    use NotificationType::{Celebration, Golazo, Like};
    Telling { sender, recipient, kinds: [Like, Celebration, Golazo], post: Some(post) }
}

/// Notifies of a reaction, which may replace an earlier one: the notification of the earlier one is then reworded. If
/// the user took a reaction back and reacts again, the recipient heard of it a while ago: the notification returns to
/// the list, but nothing rings.
pub(super) async fn tell_of_reaction<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    post: PostId,
    notice: Notice,
) -> Result<(), D::Error> {
    let Notice { recipient, notification_type, .. } = notice;
    if recipient == work.actor || work.rows.has_blocked(recipient, work.actor).await? {
        return Ok(());
    }
    let told = work.rows.told_of_reactions(of_reactions(work.actor, recipient, post)).await?;
    if let Some(told) = told.first() {
        let sender = work.rows.profile(work.actor).await?;
        let message = notification_type.text(&sender.display_name);
        work.rows.rephrase_notification(told.notification, notification_type, &message).await?;
        return changed(work, *told).await;
    }
    match work.rows.was_taken_back(post, work.actor) {
        None => tell(work, &mut [notice]).await,
        Some(is_read) => tell_again(work, notice, is_read).await,
    }
}

/// Writes a notification again that was deleted when its reaction was taken back.
async fn tell_again<D: LaneSql>(work: &mut Work<'_, '_, D>, notice: Notice, is_read: bool) -> Result<(), D::Error> {
    let (topic, user) = (Topic::Notifications(notice.recipient), notice.recipient);
    let sender = work.rows.profile(work.actor).await?;
    let place = work.rows.take_place(topic).await?;
    let notification = compose(work.rows.view.ids.fresh(), notice, sender, place.at);
    let notification = Arc::new(Notification { is_read, read_at: is_read.then_some(place.at), ..notification });
    work.rows.insert_notification(&notification).await?;
    let change = NotificationChange::Changed(notification);
    work.record(topic, place, FeedEvent::Notification { user, change }).await
}

/// Tells a recipient that one of their notifications has changed.
async fn changed<D: LaneSql>(work: &mut Work<'_, '_, D>, told: Told) -> Result<(), D::Error> {
    let Told { notification, recipient: user } = told;
    let Some(notification) = work.rows.notification(user, notification).await? else { return Ok(()) };
    let (topic, change) = (Topic::Notifications(user), NotificationChange::Changed(notification));
    let place = work.rows.take_place(topic).await?;
    work.record(topic, place, FeedEvent::Notification { user, change }).await
}

/// Deletes what the author was told of the actor's reactions to a post, which were taken back.
pub(super) async fn take_back<D: LaneSql>(
    work: &mut Work<'_, '_, D>,
    post: PostId,
    author: UserId,
) -> Result<(), D::Error> {
    if author == work.actor {
        return Ok(());
    }
    let told = work.rows.told_of_reactions(of_reactions(work.actor, author, post)).await?;
    let Some(newest) = told.first() else { return Ok(()) };
    let is_read = work.rows.notification(author, newest.notification).await?.is_none_or(|newest| newest.is_read);
    work.rows.take_notifications(&told).await?;
    work.rows.note_taken_back(post, work.actor, is_read);
    gone(work, told).await
}

/// Tells each recipient which notifications were deleted with what they were about. The topics come in the order in
/// which they are locked.
pub(super) async fn gone<D: LaneSql>(work: &mut Work<'_, '_, D>, mut told: Vec<Told>) -> Result<(), D::Error> {
    told.sort_by_key(|told| told.recipient);
    for of_one in told.chunk_by(|one, next| one.recipient == next.recipient) {
        let user = of_one[0].recipient;
        let notifications = of_one.iter().map(|told| told.notification).collect();
        let unread_count = work.rows.unread_notifications(user).await?;
        let place = work.rows.take_place(Topic::Notifications(user)).await?;
        let change = NotificationChange::Gone { notifications, unread_count };
        work.record(Topic::Notifications(user), place, FeedEvent::Notification { user, change }).await?;
    }
    Ok(())
}

/// Notifies of something that can be undone and done again, unless the recipient was notified of it within
/// [`limits::NOTICE_WINDOW`].
pub(super) async fn tell_once<D: LaneSql>(work: &mut Work<'_, '_, D>, notice: Notice) -> Result<(), D::Error> {
    let Notice { recipient, notification_type, references } = notice;
    let telling = Telling { sender: work.actor, recipient, kinds: [notification_type; 3], post: references.post };
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
    let unread_count = work.rows.unread_notifications(work.actor).await?;
    finish(work, NotificationChange::Gone { notifications: vec![id], unread_count }).await
}

pub(super) async fn clear<D: LaneSql>(work: Work<'_, '_, D>) -> Result<Outcome, D::Error> {
    let notifications = work.rows.clear_notifications(work.actor).await?;
    if notifications.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    let unread_count = work.rows.unread_notifications(work.actor).await?;
    finish(work, NotificationChange::Gone { notifications, unread_count }).await
}

async fn finish<D: LaneSql>(mut work: Work<'_, '_, D>, change: NotificationChange) -> Result<Outcome, D::Error> {
    let (user, topic) = (work.actor, Topic::Notifications(work.actor));
    let place = work.rows.take_place(topic).await?;
    work.record(topic, place, FeedEvent::Notification { user, change }).await?;
    work.done()
}
