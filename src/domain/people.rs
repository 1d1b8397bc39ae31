//! What joins two users: follows, friend requests, friendships.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::chat::message::texts;
use crate::domain::user::UserProfile;
use crate::ids::{RequestId, UserId};

texts! {
    /// How far a friend request has come.
    RequestStatus {
        /// Nobody answered.
        Pending = "pending",
        /// The two are friends.
        Accepted = "accepted",
        /// The receiver does not want to.
        Rejected = "rejected",
    }
}

/// A friend request.
#[derive(Debug, Clone)]
pub struct FriendRequest {
    /// The row's id.
    pub id: RequestId,
    /// Who asks.
    pub sender: Arc<UserProfile>,
    /// Who is asked.
    pub receiver: Arc<UserProfile>,
    /// How far it has come.
    pub status: RequestStatus,
    /// When it was asked.
    pub created_at: Timestamp,
}

/// What a rule must know of a friend request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead {
    /// The row's id.
    pub id: RequestId,
    /// Who asks.
    pub sender: UserId,
    /// Who is asked.
    pub receiver: UserId,
    /// How far it has come.
    pub status: RequestStatus,
}

texts! {
    /// What changed between a user and another.
    Relation {
        /// The user follows the other.
        Followed = "followed",
        /// The user follows the other no more.
        Unfollowed = "unfollowed",
        /// The two are friends.
        Befriended = "befriended",
        /// The two are friends no more.
        Unfriended = "unfriended",
        /// A friend request between the two was made, withdrawn or refused.
        Requested = "requested",
    }
}
