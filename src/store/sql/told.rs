//! Finds and deletes notifications whose cause is gone or has changed, by the user who caused them.
//!
//! In tables that another program made, there is no index from a post or comment to its notifications. But a
//! notification is made at the time of its cause or later, and by its author, and these have an index.

use crate::domain::notification::NotificationType;
use crate::ids::{CommentId, NotificationId, PostId, UserId};
use crate::limits;
use crate::store::sql::{Columns, Sql, ToColumn, Unexpected, View, each, marks, padded};

/// A notification that somebody may already have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// The user who caused it.
    pub sender: UserId,
    /// The user who was notified.
    pub recipient: UserId,
    /// The possible kinds; a kind may be repeated.
    pub kinds: [NotificationType; 3],
    /// The post it is about; `None` if it is about no post.
    pub post: Option<PostId>,
}

/// A notification with its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The notification.
    pub notification: NotificationId,
    /// The user who was notified.
    pub recipient: UserId,
}

/// How far the clock may have been set back between a cause and its notification, in seconds.
const CLOCKS_DIFFER_SECONDS: i64 = 2 * 3600;

fn told_of_row(row: Columns<'_>) -> Result<Told, Unexpected> {
    Ok(Told { notification: row.id(0)?, recipient: row.id(1)? })
}

/// The notifications about somebody's reactions to a post, newest first.
pub async fn of_reactions<C: Sql>(view: &mut View<'_, C>, telling: Telling) -> Result<Vec<Told>, C::Error> {
    let Telling { sender, recipient, kinds: [first, second, third], post } = telling;
    let sql = "SELECT id, recipient_id FROM notifications WHERE sender_id = ? AND post_id = ? AND recipient_id = ? \
        AND notification_type IN (?, ?, ?) AND created_at >= (SELECT created_at FROM posts WHERE id = ?) \
        ORDER BY created_at DESC";
    view.rows(sql, &[&sender, &post, &recipient, &first, &second, &third, &post], told_of_row).await
}

/// The notifications about comments that still exist.
pub async fn of_comments<C: Sql>(view: &mut View<'_, C>, comments: &[CommentId]) -> Result<Vec<Told>, C::Error> {
    let mut told = Vec::new();
    for keys in comments.chunks(limits::LIST_KEYS_MAX).map(padded) {
        let sql = format!("SELECT user_id, post_id, created_at FROM comments WHERE id IN ({})", marks(keys.len()));
        let ids: Vec<_> = each(&keys).collect();
        let read = |row: Columns<'_>| Ok((row.id::<UserId>(0)?, row.id::<PostId>(1)?, row.time(2)?));
        let rows = view.rows(&sql, &ids, read).await?;
        let (Some(oldest), Some(post)) = (rows.iter().map(|row| row.2).min(), rows.first().map(|row| row.1)) else {
            continue;
        };
        let mut senders: Vec<UserId> = rows.iter().map(|row| row.0).collect();
        senders.sort_unstable();
        senders.dedup();
        let senders = padded(&senders);
        let since = oldest.plus_seconds(-CLOCKS_DIFFER_SECONDS);
        let sql = format!(
            "SELECT id, recipient_id FROM notifications WHERE sender_id IN ({}) AND post_id = ? AND created_at >= ? \
             AND comment_id IN ({})",
            marks(senders.len()),
            marks(keys.len())
        );
        let values: Vec<&dyn ToColumn> = each(&senders).chain([&post as _, &since as _]).chain(each(&keys)).collect();
        told.extend(view.rows(&sql, &values, told_of_row).await?);
    }
    Ok(told)
}

/// Deletes the author's newest notifications about a post that still exists, at most [`limits::READ_ALL_ROWS_MAX`].
pub async fn take_of_post<C: Sql>(view: &mut View<'_, C>, post: PostId, author: UserId) -> Result<Vec<Told>, C::Error> {
    const WHICH: &str = "FROM notifications WHERE recipient_id = ? AND post_id = ? \
        AND created_at >= (SELECT created_at FROM posts WHERE id = ?)";
    let sql = format!("SELECT id, recipient_id {WHICH} ORDER BY created_at DESC LIMIT {}", limits::READ_ALL_ROWS_MAX);
    let told = view.rows(&sql, &[&author, &post, &post], told_of_row).await?;
    if !told.is_empty() {
        view.execute(&format!("DELETE {WHICH}"), &[&author, &post, &post]).await?;
    }
    Ok(told)
}

/// Deletes notifications.
pub async fn take<C: Sql>(view: &mut View<'_, C>, told: &[Told]) -> Result<(), C::Error> {
    let ids: Vec<NotificationId> = told.iter().map(|told| told.notification).collect();
    for keys in ids.chunks(limits::LIST_KEYS_MAX).map(padded) {
        let values: Vec<_> = each(&keys).collect();
        view.execute(&format!("DELETE FROM notifications WHERE id IN ({})", marks(keys.len())), &values).await?;
    }
    Ok(())
}

/// Changes a notification's kind and text.
pub async fn rephrase<C: Sql>(
    view: &mut View<'_, C>,
    notification: NotificationId,
    kind: NotificationType,
    message: &str,
) -> Result<(), C::Error> {
    let sql = "UPDATE notifications SET notification_type = ?, message = ? WHERE id = ?";
    view.execute(sql, &[&kind, &message, &notification]).await.map(drop)
}
