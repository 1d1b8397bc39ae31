//! Tables that get many rows at once, with the fixed text of their INSERT.

use std::sync::OnceLock;

use crate::store::sql::{Dialect, marks};

/// The tables in the order in which a batch's rows are written: referenced tables first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Users.
    Users,
    /// Follows.
    Follows,
    /// Rooms.
    Rooms,
    /// Participants of rooms, with their settings.
    Participants,
    /// Messages.
    Messages,
    /// The event log.
    Events,
    /// Clients' own names for their messages. A name that is given again names another message.
    Names,
    /// Read messages, by user and time.
    Reads,
    /// The last place of each topic.
    Topics,
}

impl Table {
    /// The number of tables.
    pub const COUNT: usize = 9;
    /// All of them, in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Users,
        Self::Follows,
        Self::Rooms,
        Self::Participants,
        Self::Messages,
        Self::Events,
        Self::Names,
        Self::Reads,
        Self::Topics,
    ];

    /// The text before the first row.
    pub fn head(self, dialect: Dialect) -> &'static str {
        match self {
            Self::Users => {
                "INSERT INTO users (id, password, last_login, is_superuser, first_name, last_name, is_staff, is_active, \
                 date_joined, email, username, display_name, avatar, cover_photo, bio, position, team, contact_number, \
                 interests, social_links, is_private, show_email, show_phone, followers_count, following_count, \
                 posts_count, created_at, updated_at, last_active, is_verified, email_verified, account_type, \
                 company_name, industry, website) VALUES "
            }
            Self::Follows => "INSERT INTO user_follows (id, created_at, follower_id, following_id) VALUES ",
            Self::Rooms => {
                "INSERT INTO chat_rooms (id, name, chat_type, description, avatar, is_active, created_at, updated_at, \
                 last_activity, created_by_id) VALUES "
            }
            Self::Participants => {
                "INSERT INTO chat_participants (id, role, other_user_nickname, chat_background, chat_color, \
                 other_message_color, notifications_enabled, sound_enabled, is_muted, is_blocked, joined_at, \
                 last_read_at, user_id, chat_room_id) VALUES "
            }
            Self::Messages => {
                "INSERT INTO messages (id, content, message_type, image, video, audio, file_url, file_name, file_size, \
                 is_edited, is_deleted, deleted_at, created_at, updated_at, chat_room_id, reply_to_id, sender_id, \
                 story_id) VALUES "
            }
            Self::Events => {
                "INSERT INTO pregon_events (topic, epoch, seq, event_id, kind, transport, message_id, user_id, detail, \
                 created_at) VALUES "
            }
            Self::Names => dialect.replacing_names(),
            Self::Reads => "INSERT INTO message_reads (id, read_at, message_id, user_id) VALUES ",
            Self::Topics => "INSERT INTO pregon_topics (topic, epoch, seq, last_at) VALUES ",
        }
    }

    /// The text after the last row.
    pub fn tail(self, dialect: Dialect) -> &'static str {
        match self {
            Self::Names => dialect.names_again(),
            Self::Topics => dialect.places_again(),
            _ => "",
        }
    }

    /// The statement for one row. `columns` is always the same for one table.
    pub fn one_row(self, dialect: Dialect, columns: usize) -> &'static str {
        static TEXTS: [[OnceLock<String>; Table::COUNT]; 2] = [const { [const { OnceLock::new() }; Table::COUNT] }; 2];
        let make = || format!("{}({}){}", self.head(dialect), marks(columns), self.tail(dialect));
        TEXTS[dialect as usize][self as usize].get_or_init(make)
    }
}
