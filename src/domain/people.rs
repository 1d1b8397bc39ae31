//! Relations between two users: follows, friend requests, friendships.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::chat::message::texts;
use crate::domain::user::UserProfile;
use crate::ids::{RequestId, UserId};

texts! {
    /// The state of a friend request.
    RequestStatus {
        /// The receiver has not answered.
        Pending = "pending",
        /// The two are friends.
        Accepted = "accepted",
        /// The receiver refused.
        Rejected = "rejected",
    }
}

/// A friend request.
#[derive(Debug, Clone)]
pub struct FriendRequest {
    /// The row's id.
    pub id: RequestId,
    /// The user who asks.
    pub sender: Arc<UserProfile>,
    /// The user who is asked.
    pub receiver: Arc<UserProfile>,
    /// Its state.
    pub status: RequestStatus,
    /// When it was sent.
    pub created_at: Timestamp,
}

/// The part of a friend request that the rules need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead {
    /// The row's id.
    pub id: RequestId,
    /// The user who asks.
    pub sender: UserId,
    /// The user who is asked.
    pub receiver: UserId,
    /// Its state.
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
        /// The user has blocked the other.
        Blocked = "blocked",
        /// The user has taken the block back.
        Unblocked = "unblocked",
    }
}
