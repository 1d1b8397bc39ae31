//! A chat room and its participants, as stored and as one viewer sees them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::domain::chat::message::Message;
use crate::domain::user::{PicturePatch, UserProfile};
use crate::ids::{RoomId, UserId};

/// Kinds of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatType {
    /// Two people.
    Private,
    /// Three or more, with a name.
    Group,
    /// A community's room.
    Community,
}

impl ChatType {
    /// The column's and the JSON's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Group => "group",
            Self::Community => "community",
        }
    }

    /// Reads the column's text.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Private, Self::Group, Self::Community].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a participant may do in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One at most. May do all that admins may, and gives roles.
    Owner,
    /// May add and remove people, and change the room's name, description and picture.
    Admin,
    /// Everybody else.
    Member,
}

impl Role {
    /// The column's and the JSON's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    /// Reads the JSON's text.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Owner, Self::Admin, Self::Member].into_iter().find(|role| role.as_str() == text)
    }
}

/// A change of a group: what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomPatch {
    /// 1 to 100 characters.
    pub name: Option<String>,
    /// At most 2,000 characters.
    pub description: Option<String>,
    /// The change of its picture.
    pub avatar: PicturePatch,
}

/// A participant's own settings of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomSettings {
    /// The participant's nickname for the other user (private rooms).
    pub other_user_nickname: String,
    /// Colour or picture name, ≤ 20 characters.
    pub chat_background: String,
    /// Colour, ≤ 30 characters.
    pub chat_color: String,
    /// Colour, ≤ 30 characters.
    pub other_message_color: String,
    /// Kept, not enforced.
    pub notifications_enabled: bool,
    /// Kept, not enforced.
    pub sound_enabled: bool,
    /// Kept, not enforced.
    pub is_muted: bool,
}

impl Default for RoomSettings {
    /// The settings of a new row.
    fn default() -> Self {
        Self {
            other_user_nickname: String::new(),
            chat_background: String::new(),
            chat_color: String::new(),
            other_message_color: String::new(),
            notifications_enabled: true,
            sound_enabled: true,
            is_muted: false,
        }
    }
}

/// A participant row with its user.
#[derive(Debug, Clone)]
pub struct Participant {
    /// The row's id (a UUID).
    pub id: uuid::Uuid,
    /// The user.
    pub user: Arc<UserProfile>,
    /// `member`, `admin` or `owner`.
    pub role: String,
    /// This participant's settings.
    pub settings: RoomSettings,
    /// When the row was made.
    pub joined_at: Timestamp,
    /// Messages up to here are read.
    pub last_read_at: Timestamp,
    /// The number of messages by others after `last_read_at` that are not deleted. Lists count it for the viewer only.
    pub unread_count: u64,
}

/// A room as one of its participants sees it.
#[derive(Debug, Clone)]
pub struct ChatRoom {
    /// The room's id.
    pub id: RoomId,
    /// Empty in private rooms.
    pub name: String,
    /// Kind.
    pub chat_type: ChatType,
    /// Free text.
    pub description: String,
    /// Path below the media root.
    pub avatar: Option<String>,
    /// Inactive rooms admit nobody.
    pub is_active: bool,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row was last saved.
    pub updated_at: Timestamp,
    /// When the last message came.
    pub last_activity: Timestamp,
    /// Some of them, oldest first; the viewer is one.
    pub participants: Vec<Participant>,
    /// The number of all participants.
    pub participants_count: u64,
    /// The newest message that is not deleted.
    pub last_message: Option<Arc<Message>>,
    /// The participant whose view this is.
    pub viewer: UserId,
}

/// The row of a new room; every field has been validated.
#[derive(Debug, Clone)]
pub struct NewRoom {
    /// The user who creates the room and takes part in it.
    pub creator: UserId,
    /// Kind.
    pub chat_type: ChatType,
    /// Required for groups.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The other participants, without the creator and without duplicates.
    pub others: Vec<UserId>,
}

/// Changes to a viewer's settings of a room; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct SettingsPatch {
    /// ≤ 50 characters.
    pub other_user_nickname: Option<String>,
    /// ≤ 20 characters.
    pub chat_background: Option<String>,
    /// ≤ 30 characters.
    pub chat_color: Option<String>,
    /// ≤ 30 characters.
    pub other_message_color: Option<String>,
    /// Kept, not enforced.
    pub notifications_enabled: Option<bool>,
    /// Kept, not enforced.
    pub sound_enabled: Option<bool>,
    /// Kept, not enforced.
    pub is_muted: Option<bool>,
}
