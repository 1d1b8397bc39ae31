//! Subscriptions of browsers to Web Push.

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::push::{NewSubscription, RoomHead, Subscription};
use crate::ids::{MessageId, NotificationId, RoomId, UserId};
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::sql::pushes;

/// Subscriptions to Web Push, and who of them is told of what.
#[async_trait]
pub trait Pushes: Send + Sync + 'static {
    /// Stores a browser's subscription in place of its last one. A user has at most [`crate::limits::PUSH_SUBSCRIPTIONS_MAX`];
    /// the oldest go.
    async fn subscribe_push(&self, new: NewSubscription) -> Result<(), StoreError>;
    /// Deletes one of a user's subscriptions; false if there is none of that id.
    async fn unsubscribe_push(&self, user: UserId, id: Uuid) -> Result<bool, StoreError>;
    /// Deletes a subscription that its push service does not know any more, unless it was made again since `created_at`.
    async fn push_gone(&self, id: Uuid, created_at: i64) -> Result<bool, StoreError>;
    /// A user's subscriptions, newest first.
    async fn push_subscriptions(&self, user: UserId) -> Result<Vec<Subscription>, StoreError>;
    /// Whether anybody has subscribed.
    async fn has_push_subscriptions(&self) -> Result<bool, StoreError>;
    /// What a push says of a message's room; `None` if the room is closed, or the message was deleted.
    async fn room_head(&self, room: RoomId, message: MessageId) -> Result<Option<RoomHead>, StoreError>;
    /// Subscriptions of those who are to be told of a message: active participants other than the sender who have not muted
    /// the room and have not read up to it. Ordered by user and id, those behind `after`.
    async fn push_in_room(
        &self,
        message: (RoomId, UserId, Timestamp),
        after: (UserId, Uuid),
        limit: u32,
    ) -> Result<Vec<Subscription>, StoreError>;
    /// The subscriptions of a notification's recipient; none if it was read or deleted.
    async fn push_of_notification(
        &self,
        user: UserId,
        notification: NotificationId,
    ) -> Result<Vec<Subscription>, StoreError>;
    /// The private key of this installation: the stored one, or `made`, which is stored then.
    async fn push_key(&self, made: String) -> Result<String, StoreError>;
}

#[async_trait]
impl<B: Backend> Pushes for B {
    async fn subscribe_push(&self, new: NewSubscription) -> Result<(), StoreError> {
        self.change(move |view| Box::pin(async move { pushes::subscribe(view, &new).await })).await
    }

    async fn unsubscribe_push(&self, user: UserId, id: Uuid) -> Result<bool, StoreError> {
        self.change(move |view| Box::pin(pushes::unsubscribe(view, user, id))).await
    }

    async fn push_gone(&self, id: Uuid, created_at: i64) -> Result<bool, StoreError> {
        self.change(move |view| Box::pin(pushes::gone(view, id, created_at))).await
    }

    async fn push_subscriptions(&self, user: UserId) -> Result<Vec<Subscription>, StoreError> {
        self.read(move |view| Box::pin(pushes::of_user(view, user))).await
    }

    async fn has_push_subscriptions(&self) -> Result<bool, StoreError> {
        self.read(|view| Box::pin(pushes::any(view))).await
    }

    async fn room_head(&self, room: RoomId, message: MessageId) -> Result<Option<RoomHead>, StoreError> {
        self.read(move |view| Box::pin(pushes::room_head(view, room, message))).await
    }

    async fn push_in_room(
        &self,
        message: (RoomId, UserId, Timestamp),
        after: (UserId, Uuid),
        limit: u32,
    ) -> Result<Vec<Subscription>, StoreError> {
        self.read(move |view| Box::pin(pushes::in_room(view, message, after, limit))).await
    }

    async fn push_of_notification(
        &self,
        user: UserId,
        notification: NotificationId,
    ) -> Result<Vec<Subscription>, StoreError> {
        self.read(move |view| Box::pin(pushes::of_notification(view, user, notification))).await
    }

    async fn push_key(&self, made: String) -> Result<String, StoreError> {
        self.change(move |view| Box::pin(async move { pushes::key(view, &made).await })).await
    }
}
