//! A user, as others see them.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::UserId;

/// The part of a user that a session needs: enough to check rights and to name the user in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's id.
    pub id: UserId,
    /// The name in frames such as `typing_status`.
    pub username: Box<str>,
    /// Deactivated users may do nothing.
    pub is_active: bool,
    /// Whom it neither sees come and go nor is seen by.
    pub apart: Apart,
}

impl Account {
    /// One that is active, and kept apart from nobody.
    pub fn active(id: UserId, username: Box<str>) -> Self {
        Self { id, username, is_active: true, apart: Apart::default() }
    }
}

/// Those who have blocked a user, and those whom the user has blocked: the newest [`APART_MAX`](crate::limits::APART_MAX). Most users have
/// none, and pay a pointer for that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::box_collection, reason = "each session's account has one, and nearly all are empty")]
pub struct Apart(Option<Box<Vec<UserId>>>);

impl Apart {
    /// These users, in any order.
    pub fn from(mut users: Vec<UserId>) -> Self {
        users.sort_unstable();
        users.dedup();
        users.shrink_to_fit();
        Self((!users.is_empty()).then(|| Box::new(users)))
    }

    /// Is this one among them?
    pub fn contains(&self, user: UserId) -> bool {
        self.0.as_ref().is_some_and(|users| users.binary_search(&user).is_ok())
    }

    /// The same and this one. Above the bound another goes.
    #[must_use]
    pub fn and(&self, user: UserId) -> Self {
        let mut users = self.0.clone().map(|users| *users).unwrap_or_default();
        if users.len() >= crate::limits::APART_MAX as usize {
            users.pop();
        }
        users.push(user);
        Self::from(users)
    }
}

/// Whether a user may enter a room, and how large the room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// What the user is in the room, if the room is active.
    pub membership: Membership,
    /// Participant rows of the room.
    pub participants: u32,
}

/// What a user is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// The user has no participant row.
    None,
    /// The user takes part.
    Open,
    /// The user takes part in a private room of two of whom one has blocked the other. Its history can be read, but nobody listens
    /// and nobody writes.
    Closed,
}

/// A user's row with live counts: the source of the 28-key profile.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct UserProfile {
    /// The user's id.
    pub id: UserId,
    /// Shown to others only when `show_email`.
    pub email: String,
    /// Unique, lower-case.
    pub username: String,
    /// The name shown to people.
    pub display_name: String,
    /// First name, often empty.
    pub first_name: String,
    /// Last name, often empty.
    pub last_name: String,
    /// Path below the media root, or an `http…` address.
    pub avatar: Option<String>,
    /// Path below the media root, or an `http…` address.
    pub cover_photo: Option<String>,
    /// Free text.
    pub bio: String,
    /// Free text.
    pub position: String,
    /// Free text.
    pub team: String,
    /// Shown to others only when `show_phone`.
    pub contact_number: String,
    /// A JSON array, as stored.
    pub interests: String,
    /// A JSON array, as stored.
    pub social_links: String,
    /// Rows of `user_follows` that follow this user.
    pub followers_count: u64,
    /// Rows of `user_follows` by this user.
    pub following_count: u64,
    /// Rows of `posts` by this user.
    pub posts_count: u64,
    /// Verified by the operator.
    pub is_verified: bool,
    /// Kept, not enforced.
    pub is_private: bool,
    /// The e-mail address is public.
    pub show_email: bool,
    /// The telephone number is public.
    pub show_phone: bool,
    /// Deactivated users may do nothing.
    pub is_active: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the whole row was last saved.
    pub last_active: Timestamp,
    /// `user` or `enterprise`.
    pub account_type: String,
    /// For enterprises.
    pub company_name: String,
    /// For enterprises.
    pub industry: String,
    /// For enterprises.
    pub website: String,
    /// The profile as JSON for viewers without special rights. `protocol` writes it on first use.
    #[serde(skip)]
    pub public_json: OnceLock<Box<str>>,
}

impl Default for UserId {
    fn default() -> Self {
        Self(uuid::Uuid::nil())
    }
}

/// A user in lists of people, found by search or listed as friend or follower. The counts are the row's own columns.
#[derive(Debug)]
pub struct Person {
    /// The user's profile.
    pub profile: Arc<UserProfile>,
    /// `users.followers_count`.
    pub followers_column: u64,
    /// `users.following_count`.
    pub following_column: u64,
    /// `users.posts_count`.
    pub posts_column: u64,
    /// The viewer follows this user.
    pub is_following: bool,
    /// The viewer and this user have a `friendships` row.
    pub is_friend: bool,
    /// The viewer has blocked this user.
    pub is_blocked: bool,
    /// `sent` or `received` if a friend request between the two is open.
    pub friend_request: Option<&'static str>,
}

/// The row of a new user; every field has been validated.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    /// Lower-case.
    pub email: String,
    /// Lower-case.
    pub username: String,
    /// Trimmed, 2 to 100 characters.
    pub display_name: String,
    /// `pbkdf2_sha256$…`.
    pub password_hash: String,
    /// Free text.
    pub position: String,
    /// Free text.
    pub team: String,
    /// Free text.
    pub bio: String,
    /// Free text.
    pub contact_number: String,
    /// `user` or `enterprise`.
    pub account_type: String,
    /// For enterprises.
    pub company_name: String,
    /// For enterprises.
    pub industry: String,
    /// For enterprises.
    pub website: String,
}

/// Changes to a user; `None` leaves a field as it is. Every field has been validated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfilePatch {
    /// Trimmed, 2 to 100 characters.
    pub display_name: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Free text.
    pub bio: Option<String>,
    /// Free text.
    pub position: Option<String>,
    /// Free text.
    pub team: Option<String>,
    /// Free text.
    pub contact_number: Option<String>,
    /// A JSON array.
    pub interests: Option<String>,
    /// A JSON array.
    pub social_links: Option<String>,
    /// Kept, not enforced.
    pub is_private: Option<bool>,
    /// The e-mail address is public.
    pub show_email: Option<bool>,
    /// The telephone number is public.
    pub show_phone: Option<bool>,
    /// `user` or `enterprise`.
    pub account_type: Option<String>,
    /// For enterprises.
    pub company_name: Option<String>,
    /// For enterprises.
    pub industry: Option<String>,
    /// For enterprises.
    pub website: Option<String>,
    /// The change of the avatar.
    pub avatar: PicturePatch,
    /// The change of the cover photo.
    pub cover_photo: PicturePatch,
}

/// A change of a user's picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PicturePatch {
    /// The picture stays.
    #[default]
    Keep,
    /// The picture is removed.
    Remove,
    /// The picture becomes the stored file at this path below the media root.
    Replace(String),
}

impl PicturePatch {
    /// Whether the user's row changes.
    pub fn is_change(&self) -> bool {
        *self != Self::Keep
    }

    /// The column's value after the change.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Replace(path) => Some(path),
            Self::Keep | Self::Remove => None,
        }
    }
}
