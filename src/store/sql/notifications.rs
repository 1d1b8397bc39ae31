//! Reads notifications and friend requests.

use std::sync::Arc;

use crate::domain::notification::{Notification, References};
use crate::domain::people::FriendRequest;
use crate::ids::{NotificationId, UserId};
use crate::limits;
use crate::store::sql::people::profiles;
use crate::store::sql::{
    Behind, Columns, KEYS_MAX, Sql, ToColumn, Unexpected, View, behind, each, marks, offset, or_none, padded,
};
use crate::store::{PageOf, PageRequest};

const NOTIFICATION: &str = "SELECT id, recipient_id, sender_id, notification_type, post_id, comment_id, \
    friend_request_id, message, is_read, created_at, read_at FROM notifications";

/// A notification whose sender is not looked up yet.
type Found = (UserId, Notification);

/// A page of a user's notifications, newest first.
pub async fn page<C: Sql>(
    view: &mut View<'_, C>,
    user: UserId,
    page: PageRequest,
) -> Result<PageOf<Notification>, C::Error> {
    let count = view.count("SELECT count(*) FROM notifications WHERE recipient_id = ?", &[&user]).await?;
    let ties = C::DIALECT.ties("id");
    let sql = format!(
        "{NOTIFICATION} WHERE recipient_id = ?{} ORDER BY created_at DESC, {ties} LIMIT ? OFFSET ?",
        behind(page, "", &ties)
    );
    let after = Behind::of(page);
    let from = offset(page);
    let mut parameters: Vec<&dyn ToColumn> = vec![&user];
    parameters.extend(after.parameters());
    parameters.extend([&page.size as &dyn ToColumn, &from]);
    let found = view.rows(&sql, &parameters, notification_of_row).await?;
    Ok(PageOf { count, rows: complete(view, found).await? })
}

/// One of a user's notifications.
pub async fn one<C: Sql>(
    view: &mut View<'_, C>,
    user: UserId,
    id: NotificationId,
) -> Result<Option<Notification>, C::Error> {
    let sql = format!("{NOTIFICATION} WHERE id = ? AND recipient_id = ?");
    let found = view.row(&sql, &[&id, &user], notification_of_row).await?;
    Ok(complete(view, found.into_iter().collect()).await?.pop())
}

/// Notifications by their ids, in no particular order.
pub async fn wholes<C: Sql>(view: &mut View<'_, C>, ids: &[NotificationId]) -> Result<Vec<Notification>, C::Error> {
    let mut found = Vec::with_capacity(ids.len());
    for keys in ids.chunks(KEYS_MAX).map(padded) {
        let sql = format!("{NOTIFICATION} WHERE id IN ({})", marks(keys.len()));
        found.extend(view.rows(&sql, &each(&keys).collect::<Vec<_>>(), notification_of_row).await?);
    }
    complete(view, found).await
}

/// The number of a user's unread notifications.
pub async fn unread<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<u64, C::Error> {
    view.count("SELECT count(*) FROM notifications WHERE recipient_id = ? AND is_read = 0", &[&user]).await
}

fn notification_of_row(row: Columns<'_>) -> Result<Found, Unexpected> {
    let notification = Notification {
        id: row.id(0)?,
        recipient: row.id(1)?,
        sender: Arc::default(),
        notification_type: row.kind(3)?,
        references: References {
            post: row.optional_id(4)?,
            comment: row.optional_id(5)?,
            friend_request: row.optional_id(6)?,
        },
        message: row.text(7)?,
        is_read: row.flag(8)?,
        created_at: row.time(9)?,
        read_at: row.optional_time(10)?,
    };
    Ok((row.id(2)?, notification))
}

async fn complete<C: Sql>(view: &mut View<'_, C>, found: Vec<Found>) -> Result<Vec<Notification>, C::Error> {
    let people = profiles(view, found.iter().map(|(sender, _)| *sender)).await?;
    let whole = |(sender, notification)| Ok(Notification { sender: people.of(sender)?, ..notification });
    found.into_iter().map(whole).collect()
}

/// Open friend requests to and from a user, newest first; empty if the table does not exist.
pub async fn friend_requests<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<Vec<FriendRequest>, C::Error> {
    let sql = "SELECT id, sender_id, receiver_id, status, created_at FROM friend_requests \
        WHERE (sender_id = ? OR receiver_id = ?) AND status = 'pending' ORDER BY created_at DESC, id LIMIT ?";
    let read = |row: Columns<'_>| {
        let sender = Arc::default();
        let receiver = Arc::default();
        let request =
            FriendRequest { id: row.id(0)?, sender, receiver, status: row.kind(3)?, created_at: row.time(4)? };
        Ok((row.id(1)?, row.id(2)?, request))
    };
    let found = or_none::<C, _>(view.rows(sql, &[&user, &user, &limits::PEOPLE_LISTED_MAX], read).await)?;
    let people = profiles(view, found.iter().flat_map(|(sender, receiver, _)| [*sender, *receiver])).await?;
    let whole = |(sender, receiver, request)| {
        Ok(FriendRequest { sender: people.of(sender)?, receiver: people.of(receiver)?, ..request })
    };
    found.into_iter().map(whole).collect()
}
