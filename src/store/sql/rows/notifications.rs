//! Notifications as a batch's transaction reads and changes them; and which rows of another program have their place.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::notification::{Notification, NotificationType};
use crate::ids::{NotificationId, PostId, Topic, UserId};
use crate::limits;
use crate::store::sql::rows::{BatchRows, Place};
use crate::store::sql::{Id, LaneSql, each, marks, notifications, padded, told};

/// Notifications that a user read at one stroke.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadNotifications {
    /// How many were unread.
    pub count: u64,
    /// The newest of them, at most [`limits::READ_ALL_FRAMES_MAX`], newest first.
    pub newest: Vec<NotificationId>,
}

/// What somebody may have been told already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// Who caused it.
    pub sender: UserId,
    /// Who was told.
    pub recipient: UserId,
    /// Of something of one of these kinds; some may be named several times.
    pub kinds: [NotificationType; 3],
    /// Of this post, or (`None`) of no post.
    pub post: Option<PostId>,
}

/// A notification, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub notification: NotificationId,
    /// Who was told.
    pub recipient: UserId,
}

impl<D: LaneSql> BatchRows<'_, D> {
    /// Is there such a notification that was made after `since`?
    pub async fn was_told(&mut self, telling: Telling, since: Timestamp) -> Result<bool, D::Error> {
        let Telling { sender, recipient, kinds: [first, second, third], post } = telling;
        let sql = format!(
            "SELECT 1 FROM notifications WHERE sender_id = ? AND created_at > ? AND recipient_id = ? \
             AND post_id {} ? AND notification_type IN (?, ?, ?) LIMIT 1",
            D::DIALECT.is()
        );
        self.view.is_there(&sql, &[&sender, &since, &recipient, &post, &first, &second, &third]).await
    }

    /// What was told of somebody's reactions to a post, the newest first.
    pub async fn told_of_reactions(&mut self, telling: Telling) -> Result<Vec<Told>, D::Error> {
        told::of_reactions(&mut self.view, telling).await
    }

    /// A notification is of something else now. Nothing else of it changes.
    pub async fn rephrase_notification(
        &mut self,
        notification: NotificationId,
        kind: NotificationType,
        message: &str,
    ) -> Result<(), D::Error> {
        told::rephrase(&mut self.view, notification, kind, message).await
    }

    /// Takes notifications away.
    pub async fn take_notifications(&mut self, told: &[Told]) -> Result<(), D::Error> {
        told::take(&mut self.view, told).await
    }

    /// How many of a user's notifications are unread.
    pub async fn unread_notifications(&mut self, user: UserId) -> Result<u64, D::Error> {
        notifications::unread(&mut self.view, user).await
    }

    /// Somebody took back reactions to a post, of which its author was told. Remembered in memory: whoever forgets it tells
    /// once more.
    pub fn note_taken_back(&mut self, post: PostId, user: UserId, is_read: bool) {
        self.view.caches.taken_back.note((post, user), is_read, self.view.now);
    }

    /// The same lately: had the author read what was told?
    pub fn was_taken_back(&mut self, post: PostId, user: UserId) -> Option<bool> {
        self.view.caches.taken_back.recall(&(post, user), self.view.now)
    }

    /// A new notification.
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

    /// Marks a user's notification as read: false when it was; `None` when there is none.
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

    /// Marks the newest unread notifications of a user as read, at most [`crate::limits::READ_ALL_ROWS_MAX`].
    pub async fn read_all_notifications(&mut self, user: UserId, at: Timestamp) -> Result<ReadNotifications, D::Error> {
        // No second key: an index has this order, so that a long list is not sorted. No two of a user's have one time.
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

    /// Takes a user's notification away; false when there is none.
    pub async fn delete_notification(&mut self, user: UserId, notification: NotificationId) -> Result<bool, D::Error> {
        let sql = "DELETE FROM notifications WHERE id = ? AND recipient_id = ?";
        Ok(self.view.execute(sql, &[&notification, &user]).await? > 0)
    }

    /// Takes a user's notifications away, at most [`crate::limits::READ_ALL_ROWS_MAX`]: which.
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

    /// Has a row of another program its place in its topic's order?
    pub async fn is_adopted(&mut self, row: Uuid) -> Result<bool, D::Error> {
        self.view.is_there("SELECT 1 FROM pregon_adopted WHERE row_id = ?", &[&Id(row)]).await
    }

    /// Now it has.
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
