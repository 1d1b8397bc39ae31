//! Subscriptions of browsers to Web Push: who is told of a message or notification, and the server's own key.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::push::{NewSubscription, RoomHead, Subscription};
use crate::ids::{MessageId, NotificationId, RoomId, UserId};
use crate::limits;
use crate::store::sql::{Columns, Id, Sql, ToColumn, Unexpected, View};

const SUBSCRIPTION: &str =
    "s.id, s.user_id, s.endpoint, s.p256dh, s.auth, s.created_at FROM pregon_push_subscriptions s";

/// Participants of a room with subscriptions, behind a user and a subscription, in the order of their ids: active, not muted, and
/// they have
/// not read up to the message, nor blocked its sender.
pub const IN_ROOM: &str = "SELECT s.id, s.user_id, s.endpoint, s.p256dh, s.auth, s.created_at FROM chat_participants p \
    JOIN users u ON u.id = p.user_id JOIN pregon_push_subscriptions s ON s.user_id = p.user_id \
    WHERE p.chat_room_id = ? AND p.user_id >= ? AND (p.user_id > ? OR s.id > ?) AND p.user_id <> ? AND u.is_active = 1 \
    AND p.is_muted = 0 AND p.notifications_enabled = 1 AND p.last_read_at < ? \
    AND NOT EXISTS (SELECT 1 FROM pregon_blocks b WHERE b.blocker_id = p.user_id AND b.blocked_id = ?) ORDER BY p.user_id, s.id LIMIT ?";

fn subscription_of_row(row: Columns<'_>) -> Result<Subscription, Unexpected> {
    let Id(id) = row.id(0)?;
    Ok(Subscription {
        id,
        user: row.id(1)?,
        endpoint: row.text(2)?,
        p256dh: row.text(3)?,
        auth: row.text(4)?,
        created_at: row.number(5)?,
    })
}

/// Stores a subscription in place of the browser's last one, and deletes the user's oldest ones beyond
/// [`limits::PUSH_SUBSCRIPTIONS_MAX`].
pub async fn subscribe<C: Sql>(view: &mut View<'_, C>, new: &NewSubscription) -> Result<(), C::Error> {
    let NewSubscription { subscription: Subscription { id, user, endpoint, p256dh, auth, .. }, family } = new;
    view.execute("DELETE FROM pregon_push_subscriptions WHERE id = ?", &[&Id(*id)]).await?;
    let sql = "INSERT INTO pregon_push_subscriptions (id, user_id, family, endpoint, p256dh, auth, created_at) \
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    let now = view.now.0;
    view.execute(sql, &[&Id(*id), user, family, endpoint, p256dh, auth, &now]).await?;
    let all = of_user(view, *user).await?;
    // Newest first.
    for old in all.into_iter().skip(limits::PUSH_SUBSCRIPTIONS_MAX) {
        view.execute("DELETE FROM pregon_push_subscriptions WHERE id = ?", &[&Id(old.id)]).await?;
    }
    Ok(())
}

/// Deletes one of a user's subscriptions; false if there is none of that id.
pub async fn unsubscribe<C: Sql>(view: &mut View<'_, C>, user: UserId, id: Uuid) -> Result<bool, C::Error> {
    let sql = "DELETE FROM pregon_push_subscriptions WHERE id = ? AND user_id = ?";
    Ok(view.execute(sql, &[&Id(id), &user]).await? > 0)
}

/// Deletes a subscription that its push service does not know any more, unless it was made again meanwhile.
pub async fn gone<C: Sql>(view: &mut View<'_, C>, id: Uuid, created_at: i64) -> Result<bool, C::Error> {
    let sql = "DELETE FROM pregon_push_subscriptions WHERE id = ? AND created_at = ?";
    Ok(view.execute(sql, &[&Id(id), &created_at]).await? > 0)
}

/// A user's subscriptions, newest first.
pub async fn of_user<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<Vec<Subscription>, C::Error> {
    let sql = format!("SELECT {SUBSCRIPTION} WHERE s.user_id = ? ORDER BY s.created_at DESC, s.id DESC");
    view.rows(&sql, &[&user], subscription_of_row).await
}

/// Whether anybody has subscribed.
pub async fn any<C: Sql>(view: &mut View<'_, C>) -> Result<bool, C::Error> {
    view.is_there("SELECT 1 FROM pregon_push_subscriptions LIMIT 1", &[]).await
}

/// What a push says of a message's room; `None` if the room is closed, or the message was deleted.
pub async fn room_head<C: Sql>(
    view: &mut View<'_, C>,
    room: RoomId,
    message: MessageId,
) -> Result<Option<RoomHead>, C::Error> {
    let sql = "SELECT chat_type, name FROM chat_rooms WHERE id = ? AND is_active = 1 \
        AND EXISTS (SELECT 1 FROM messages m WHERE m.id = ? AND m.is_deleted = 0)";
    view.row(sql, &[&room, &message], |row| Ok(RoomHead { chat_type: row.kind(0)?, name: row.text(1)? })).await
}

/// A page of those to be told of a message in a room, behind `after`.
pub async fn in_room<C: Sql>(
    view: &mut View<'_, C>,
    (room, sender, at): (RoomId, UserId, Timestamp),
    after: (UserId, Uuid),
    limit: u32,
) -> Result<Vec<Subscription>, C::Error> {
    let (user, id) = (after.0, Id(after.1));
    let values: [&dyn ToColumn; 8] = [&room, &user, &user, &id, &sender, &at, &sender, &limit];
    view.rows(IN_ROOM, &values, subscription_of_row).await
}

/// The subscriptions of a notification's recipient; none if it was read or deleted, or its recipient is not active.
pub async fn of_notification<C: Sql>(
    view: &mut View<'_, C>,
    user: UserId,
    notification: NotificationId,
) -> Result<Vec<Subscription>, C::Error> {
    let sql = format!(
        "SELECT {SUBSCRIPTION} JOIN users u ON u.id = s.user_id WHERE s.user_id = ? AND u.is_active = 1 \
         AND EXISTS (SELECT 1 FROM notifications n WHERE n.id = ? AND n.is_read = 0)"
    );
    view.rows(&sql, &[&user, &notification], subscription_of_row).await
}

/// The private key that is stored; `made` if there was none.
pub async fn key<C: Sql>(view: &mut View<'_, C>, made: &str) -> Result<String, C::Error> {
    let stored = view.row("SELECT private_key FROM pregon_push_key WHERE number = 1", &[], |row| row.text(0)).await?;
    if let Some(stored) = stored {
        return Ok(stored);
    }
    let now = view.now.0;
    let sql = "INSERT INTO pregon_push_key (number, private_key, created_at) VALUES (1, ?, ?)";
    view.execute(sql, &[&made, &now]).await?;
    Ok(made.to_owned())
}
