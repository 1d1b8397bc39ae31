//! Notifications: lists and counts.

use async_trait::async_trait;

use crate::domain::event::Cursor;
use crate::domain::notification::Notification;
use crate::ids::{NotificationId, Topic, UserId};
use crate::store::backend::Backend;
use crate::store::sql::events::with_place;
use crate::store::sql::notifications;
use crate::store::{PageOf, PageRequest, StoreError};

/// A user's notifications.
#[async_trait]
pub trait Notifications: Send + Sync + 'static {
    /// A user's notifications, newest first (ties by id).
    async fn notifications(&self, user: UserId, page: PageRequest) -> Result<PageOf<Notification>, StoreError>;
    /// The same, and the place in their order that the page shows, if they stood still for long enough.
    async fn notifications_at(
        &self,
        user: UserId,
        page: PageRequest,
    ) -> Result<(PageOf<Notification>, Option<Cursor>), StoreError>;
    /// One of a user's notifications.
    async fn notification(
        &self,
        user: UserId,
        notification: NotificationId,
    ) -> Result<Option<Notification>, StoreError>;
    /// The number of a user's unread notifications.
    async fn unread_notifications(&self, user: UserId) -> Result<u64, StoreError>;
}

#[async_trait]
impl<B: Backend> Notifications for B {
    async fn notifications(&self, user: UserId, page: PageRequest) -> Result<PageOf<Notification>, StoreError> {
        self.read(move |view| Box::pin(notifications::page(view, user, page))).await
    }

    async fn notifications_at(
        &self,
        user: UserId,
        page: PageRequest,
    ) -> Result<(PageOf<Notification>, Option<Cursor>), StoreError> {
        self.read(move |view| {
            Box::pin(
                async move { with_place!(view, Topic::Notifications(user), notifications::page(view, user, page)) },
            )
        })
        .await
    }

    async fn notification(&self, user: UserId, id: NotificationId) -> Result<Option<Notification>, StoreError> {
        self.read(move |view| Box::pin(notifications::one(view, user, id))).await
    }

    async fn unread_notifications(&self, user: UserId) -> Result<u64, StoreError> {
        self.read(move |view| Box::pin(notifications::unread(view, user))).await
    }
}
