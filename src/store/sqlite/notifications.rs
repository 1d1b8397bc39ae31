//! Notifications and friend requests as they are read.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::domain::notification::{Notification, References};
use crate::domain::people::FriendRequest;
use crate::ids::{NotificationId, UserId};
use crate::limits;
use crate::store::sqlite::old_people::{View, known_profile, offset};
use crate::store::sqlite::values::count;
use crate::store::{PageOf, PageRequest};

const NOTIFICATION: &str = "SELECT id, recipient_id, sender_id, notification_type, post_id, comment_id, \
    friend_request_id, message, is_read, created_at, read_at FROM notifications";

/// A page of a user's notifications, newest first.
pub fn page(view: View<'_>, user: UserId, page: PageRequest) -> rusqlite::Result<PageOf<Notification>> {
    let count = view
        .connection
        .prepare_cached("SELECT count(*) FROM notifications WHERE recipient_id = ?1")?
        .query_row([user], |row| count(row, 0))?;
    let rows = view
        .connection
        .prepare_cached(&format!(
            "{NOTIFICATION} WHERE recipient_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3"
        ))?
        .query_map(params![user, page.size, offset(page)], |row| notification_of_row(view, row))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(PageOf { count, rows })
}

/// One of a user's notifications.
pub fn one(view: View<'_>, user: UserId, id: NotificationId) -> rusqlite::Result<Option<Notification>> {
    view.connection
        .prepare_cached(&format!("{NOTIFICATION} WHERE id = ?1 AND recipient_id = ?2"))?
        .query_row(params![id, user], |row| notification_of_row(view, row))
        .optional()
}

/// How many of a user's notifications are unread.
pub fn unread(connection: &Connection, user: UserId) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM notifications WHERE recipient_id = ?1 AND is_read = 0")?
        .query_row([user], |row| count(row, 0))
}

fn notification_of_row(view: View<'_>, row: &Row<'_>) -> rusqlite::Result<Notification> {
    Ok(Notification {
        id: row.get(0)?,
        recipient: row.get(1)?,
        sender: known_profile(view, row.get(2)?)?,
        notification_type: row.get(3)?,
        references: References { post: row.get(4)?, comment: row.get(5)?, friend_request: row.get(6)? },
        message: row.get(7)?,
        is_read: row.get(8)?,
        created_at: row.get(9)?,
        read_at: row.get(10)?,
    })
}

/// Open friend requests to and from a user, newest first.
pub fn friend_requests(view: View<'_>, user: UserId) -> rusqlite::Result<Vec<FriendRequest>> {
    view.connection
        .prepare_cached(
            "SELECT id, sender_id, receiver_id, status, created_at FROM friend_requests \
             WHERE (sender_id = ?1 OR receiver_id = ?1) AND status = 'pending' \
             ORDER BY created_at DESC, id LIMIT ?2",
        )?
        .query_map(params![user, limits::PEOPLE_LISTED_MAX], |row| {
            Ok(FriendRequest {
                id: row.get(0)?,
                sender: known_profile(view, row.get(1)?)?,
                receiver: known_profile(view, row.get(2)?)?,
                status: row.get(3)?,
                created_at: row.get(4)?,
            })
        })?
        .collect()
}
