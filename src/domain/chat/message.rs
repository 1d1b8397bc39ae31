//! A chat message, its kinds and its reactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::user::UserProfile;
use crate::ids::{MessageId, RoomId};

/// Defines an enum whose variants have a fixed text in columns and frames.
macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$case_doc])* #[serde(rename = $text)] $case,)*
        }

        impl $name {
            /// The text in columns and frames.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$case => $text,)*
                }
            }

            /// Reads the text in columns and frames.
            pub fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$case),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use texts;

texts! {
    /// The kind of a message.
    MessageType {
        /// Plain text.
        Text = "text",
        /// A picture that was uploaded.
        Image = "image",
        /// A film that was uploaded.
        Video = "video",
        /// A recording that was uploaded.
        Audio = "audio",
        /// A document that was uploaded, or a file somewhere else, by URL.
        File = "file",
        /// An emoji on its own.
        Emoji = "emoji",
        /// Written by the backend.
        System = "system",
        /// An answer to a story.
        StoryReply = "story_reply",
    }
}

texts! {
    /// The reactions to a message.
    ReactionType {
        /// 👍
        Like = "like",
        /// ❤️
        Love = "love",
        /// 😂
        Laugh = "laugh",
        /// 😮
        Wow = "wow",
        /// 😢
        Sad = "sad",
        /// 😠
        Angry = "angry",
        /// 🔥
        Fire = "fire",
        /// ⚽
        Golazo = "golazo",
    }
}

/// A reaction row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reaction {
    /// The row's id.
    pub id: Uuid,
    /// The user who reacted.
    pub user: Arc<UserProfile>,
    /// The kind of reaction.
    pub reaction_type: ReactionType,
    /// When.
    pub created_at: Timestamp,
}

/// What a reply shows of the message it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyPreview {
    /// The answered message.
    pub id: MessageId,
    /// Its author's name.
    pub sender_username: String,
    /// Its author's display name.
    pub sender_display_name: String,
    /// Its whole content, empty if it was deleted. Frames and answers cut it to 100 characters.
    pub content: String,
    /// Its kind.
    pub message_type: MessageType,
    /// Deleted softly.
    pub is_deleted: bool,
}

/// The story a `story_reply` answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoryPreview {
    /// The story's id.
    pub id: Uuid,
    /// Path below the media root.
    pub media: String,
    /// `image` or `video`.
    pub media_type: String,
    /// The story's author.
    pub user: Arc<UserProfile>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A message row with its author, reactions and answered message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// The message's id.
    pub id: MessageId,
    /// Its room.
    pub room: RoomId,
    /// Its author.
    pub sender: Arc<UserProfile>,
    /// Trimmed text, ≤ 2000 characters.
    pub content: String,
    /// Kind.
    pub message_type: MessageType,
    /// Path below the media root.
    pub image: Option<String>,
    /// Path below the media root.
    pub video: Option<String>,
    /// Path below the media root.
    pub audio: Option<String>,
    /// Set for files.
    pub file_url: String,
    /// Set for files.
    pub file_name: String,
    /// In bytes, set for files.
    pub file_size: Option<u32>,
    /// The answered message.
    pub reply_to: Option<ReplyPreview>,
    /// Edited at least once.
    pub is_edited: bool,
    /// Deleted softly.
    pub is_deleted: bool,
    /// The order key of the room's history.
    pub created_at: Timestamp,
    /// Last edit or deletion.
    pub updated_at: Timestamp,
    /// The newest reactions, as many as are shown, oldest first; equal times are ordered by id.
    pub reactions: Vec<Reaction>,
    /// The number of reactions of each type, whether they are shown or not. Types that nobody used are missing.
    pub reaction_counts: BTreeMap<ReactionType, u64>,
    /// The viewer's newest reaction, whether it is shown or not; `None` in frames, which have no viewer.
    pub user_reaction: Option<ReactionType>,
    /// Whether the viewer has a read row; false in frames.
    pub is_read: bool,
    /// The number of read rows.
    pub read_by_count: u64,
    /// The answered story's id.
    pub story_id: Option<Uuid>,
    /// The answered story, where it still exists.
    pub story: Option<StoryPreview>,
    /// The name that the sender's client gave the message. Set only in the event of its creation; `None` in later
    /// reads.
    pub client_id: Option<Box<str>>,
}
