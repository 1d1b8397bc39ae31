//! A batch's reads and changes of notifications and adopted rows, inside its transaction.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::notification::{Notification, NotificationType};
use crate::ids::{NotificationId, PostId, Topic, UserId};
use crate::limits;
use crate::store::sql::rows::{BatchRows, Place};
use crate::store::sql::told::{self, Telling, Told};
use crate::store::sql::{Id, LaneSql, each, marks, notifications, padded};

/// Notifications that a user read in one write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadNotifications {
    /// The number that were unread.
    pub count: u64,
    /// The newest of them, at most [`limits::READ_ALL_FRAMES_MAX`], newest first.
    pub newest: Vec<NotificationId>,
}

impl<D: LaneSql> BatchRows<'_, D> {
    /// Whether there is such a notification made after `since`.
    pub async fn was_told(&mut self, telling: Telling, since: Timestamp) -> Result<bool, D::Error> {
        let Telling { sender, recipient, kinds: [first, second, third], post } = telling;
        let sql = format!(
            "SELECT 1 FROM notifications WHERE sender_id = ? AND created_at > ? AND recipient_id = ? \
             AND post_id {} ? AND notification_type IN (?, ?, ?) LIMIT 1",
            D::DIALECT.is()
        );
        self.view.is_there(&sql, &[&sender, &since, &recipient, &post, &first, &second, &third]).await
    }

    /// The notifications about somebody's reactions to a post, newest first.
    pub async fn told_of_reactions(&mut self, telling: Telling) -> Result<Vec<Told>, D::Error> {
        told::of_reactions(&mut self.view, telling).await
    }

    /// Changes only a notification's kind and text.
    pub async fn rephrase_notification(
        &mut self,
        notification: NotificationId,
        kind: NotificationType,
        message: &str,
    ) -> Result<(), D::Error> {
        told::rephrase(&mut self.view, notification, kind, message).await
    }

    /// Deletes notifications.
    pub async fn take_notifications(&mut self, told: &[Told]) -> Result<(), D::Error> {
        told::take(&mut self.view, told).await
    }

    /// The number of a user's unread notifications.
    pub async fn unread_notifications(&mut self, user: UserId) -> Result<u64, D::Error> {
        notifications::unread(&mut self.view, user).await
    }

    /// Notes that somebody took back reactions to a post, about which its author had been notified. It is only kept in
    /// memory: after a restart the author may be notified once more.
    pub fn note_taken_back(&mut self, post: PostId, user: UserId, is_read: bool) {
        self.view.caches.taken_back.note((post, user), is_read, self.view.now);
    }

    /// Whether that happened recently, and whether the author had read the notification.
    pub fn was_taken_back(&mut self, post: PostId, user: UserId) -> Option<bool> {
        self.view.caches.taken_back.recall(&(post, user), self.view.now)
    }

    /// Inserts a notification.
    pub async fn insert_notification(&mut self, notification: &Notification) -> Result<(), D::Error> {
        let references = notification.references;
        self.view
            .execute(
                "INSERT INTO notifications (id, notification_type, post_id, comment_id, message, is_read, created_at, \
             read_at, recipient_id, sender_id, friend_request_id, story_id) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                &[
                    &notification.id,
                    &notification.notification_type,
                    &references.post,
                    &references.comment,
                    &notification.message,
                    &notification.is_read,
                    &notification.created_at,
                    &notification.read_at,
                    &notification.recipient,
                    &notification.sender.id,
                    &references.friend_request,
                ],
            )
            .await
            .map(drop)
    }

    /// A user's notification.
    pub async fn notification(
        &mut self,
        user: UserId,
        notification: NotificationId,
    ) -> Result<Option<Arc<Notification>>, D::Error> {
        Ok(notifications::one(&mut self.view, user, notification).await?.map(Arc::new))
    }

    /// Marks a user's notification as read; false if it already was, `None` if there is no such notification.
    pub async fn read_notification(
        &mut self,
        user: UserId,
        notification: NotificationId,
        at: Timestamp,
    ) -> Result<Option<bool>, D::Error> {
        let sql = "UPDATE notifications SET is_read = 1, read_at = ? WHERE id = ? AND recipient_id = ? AND is_read = 0";
        if self.view.execute(sql, &[&at, &notification, &user]).await? > 0 {
            return Ok(Some(true));
        }
        let sql = "SELECT 1 FROM notifications WHERE id = ? AND recipient_id = ?";
        Ok(self.view.is_there(sql, &[&notification, &user]).await?.then_some(false))
    }

    /// Marks a user's newest unread notifications as read, at most [`crate::limits::READ_ALL_ROWS_MAX`].
    pub async fn read_all_notifications(&mut self, user: UserId, at: Timestamp) -> Result<ReadNotifications, D::Error> {
        // Ordered by time alone, as the index is, so that a long list is not sorted. No two notifications of a user
        // have the same time.
        let sql = format!(
            "SELECT id FROM notifications WHERE recipient_id = ? AND is_read = 0 \
             ORDER BY created_at DESC LIMIT {}",
            limits::READ_ALL_ROWS_MAX
        );
        let mut newest: Vec<NotificationId> = self.view.rows(&sql, &[&user], |row| row.id(0)).await?;
        for keys in newest.chunks(limits::LIST_KEYS_MAX).map(padded) {
            let sql = format!("UPDATE notifications SET is_read = 1, read_at = ? WHERE id IN ({})", marks(keys.len()));
            let values: Vec<_> = std::iter::once(&at as _).chain(each(&keys)).collect();
            self.view.execute(&sql, &values).await?;
        }
        let count = newest.len() as u64;
        newest.truncate(limits::READ_ALL_FRAMES_MAX);
        Ok(ReadNotifications { count, newest })
    }

    /// Deletes a user's notification; false if there is none.
    pub async fn delete_notification(&mut self, user: UserId, notification: NotificationId) -> Result<bool, D::Error> {
        let sql = "DELETE FROM notifications WHERE id = ? AND recipient_id = ?";
        Ok(self.view.execute(sql, &[&notification, &user]).await? > 0)
    }

    /// Deletes a user's notifications, at most [`crate::limits::READ_ALL_ROWS_MAX`], and returns their ids.
    pub async fn clear_notifications(&mut self, user: UserId) -> Result<Vec<NotificationId>, D::Error> {
        let most = limits::READ_ALL_ROWS_MAX;
        let sql = format!("SELECT id FROM notifications WHERE recipient_id = ? LIMIT {most} {}", D::DIALECT.locked());
        let gone: Vec<NotificationId> = self.view.rows(&sql, &[&user], |row| row.id(0)).await?;
        for keys in gone.chunks(limits::LIST_KEYS_MAX).map(padded) {
            let values: Vec<_> = each(&keys).collect();
            self.view
                .execute(&format!("DELETE FROM notifications WHERE id IN ({})", marks(keys.len())), &values)
                .await?;
        }
        Ok(gone)
    }

    /// Whether a row of another program has its place in its topic's order.
    pub async fn is_adopted(&mut self, row: Uuid) -> Result<bool, D::Error> {
        self.view.is_there("SELECT 1 FROM pregon_adopted WHERE row_id = ?", &[&Id(row)]).await
    }

    /// Records that the row has its place.
    pub async fn insert_adopted(&mut self, row: Uuid, topic: Topic, place: Place) -> Result<(), D::Error> {
        self.view
            .execute(
                "INSERT INTO pregon_adopted (row_id, topic, epoch, seq, created_at) VALUES (?, ?, ?, ?, ?)",
                &[&Id(row), &topic.to_string(), &place.cursor.epoch, &place.cursor.seq, &place.at.0],
            )
            .await
            .map(drop)
    }
}
