//! Who takes part in a room and is there, what one of them has not read, and who has read a message.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::user::UserProfile;
use crate::ids::UserId;

/// Who of some users is present in a room, and how many are in all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Attendance {
    /// In all, over all nodes.
    pub count: u32,
    /// Of those who were asked for, in their order.
    pub are_present: Vec<bool>,
}

/// A page of a list of users, in the order of their ids.
#[derive(Debug, Clone)]
pub struct UserPage<T> {
    /// These.
    pub rows: Vec<T>,
    /// There are others behind this one.
    pub next: Option<UserId>,
}

/// Somebody who takes part in a room.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who.
    pub user: Arc<UserProfile>,
    /// `member`, `admin` or `owner`.
    pub role: String,
}

/// What a user has not read in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// Messages of others behind `last_read_at` that are not deleted.
    pub count: u64,
    /// There may be more: only the newest messages were counted.
    pub is_capped: bool,
    /// Messages up to here are read.
    pub last_read_at: Timestamp,
}

/// Somebody who has read a message.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Who.
    pub user: Arc<UserProfile>,
    /// When.
    pub at: Timestamp,
}

/// Who has read a message.
#[derive(Debug, Clone)]
pub struct Readers {
    /// How many, in all.
    pub count: u64,
    /// Some of them.
    pub page: UserPage<Reader>,
}
