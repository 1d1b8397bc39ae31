//! Browsers that are told of messages by Web Push while their user has no socket.

use uuid::Uuid;

use crate::domain::chat::room::ChatType;
use crate::ids::{FamilyId, UserId};

/// A browser's subscription, as its client gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Made of the endpoint: a browser that subscribes again, or for another user, has the same.
    pub id: Uuid,
    /// Whose browser it is.
    pub user: UserId,
    /// The URL at its push service, at most [`crate::limits::PUSH_ENDPOINT_BYTES_MAX`] ASCII characters.
    pub endpoint: String,
    /// The browser's public key, base64url (RFC 8291 §2.1).
    pub p256dh: String,
    /// The browser's secret, base64url (RFC 8291 §2.2).
    pub auth: String,
    /// When it was made, in microseconds since 1970. Tells it from a later one with the same id.
    pub created_at: i64,
}

/// A subscription to be stored, with the login that asked for it: it ends with that login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// The subscription. Its time is set when it is stored.
    pub subscription: Subscription,
    /// The login.
    pub family: FamilyId,
}

/// What a push says of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomHead {
    /// Its kind.
    pub chat_type: ChatType,
    /// Its name; empty for private rooms.
    pub name: String,
}
