//! The most that one frame of each kind may hold: no single frame makes a reader too slow.
//!
//! Other programs write the columns, too, so a column may hold more than pregon accepts. Texts are therefore cut where
//! frames are written (`protocol/v0`), to the constants here, and the sizes of whole frames follow from these.

use super::{
    CLIENT_ID_BYTES_MAX, COMMENT_CHARS_MAX, COMMENTS_DELETED_MAX, COMMENTS_SHOWN, CONTENT_CHARS_MAX, MESSAGE_BYTES_MAX,
    MESSAGE_REACTIONS_SHOWN, NAMES_MAX, OUTBOX_OWED_BYTES_MAX, POST_IMAGES_MAX, POST_REACTIONS_SHOWN_CEILING,
    POST_REPLY_LEVELS_SHOWN, PROFILE_LIST_BYTES_MAX, READ_ALL_FRAMES_MAX, REPLAY_EVENTS_MAX, REPLIES_SHOWN,
    REPLY_CHARS_SHOWN, REPLY_LEVELS_SHOWN, ROSTER_PAGE_MAX, SIGNAL_BYTES_MAX,
};

/// A character as JSON, in bytes: six if it must be written as `\u001f`, four at most otherwise.
pub const JSON_CHAR_BYTES: usize = 6;
/// Braces, keys, ids, numbers, times and words of one object. Its free texts are counted separately.
const OBJECT_BYTES: usize = 1024;
/// A WebSocket frame's header.
const FRAME_HEADER_BYTES: usize = 10;

/// How many characters of a text are shown to others: as many as the column holds where Django made it, or more than
/// pregon accepts.
pub mod chars {
    /// `users.email`
    pub const EMAIL: usize = 254;
    /// `users.username`
    pub const USERNAME: usize = 30;
    /// `users.display_name`
    pub const DISPLAY_NAME: usize = 100;
    /// `users.first_name`, a space and `users.last_name`
    pub const FULL_NAME: usize = 301;
    /// `users.bio`, a column without a limit
    pub const BIO: usize = 500;
    /// `users.position`
    pub const POSITION: usize = 100;
    /// `users.team`
    pub const TEAM: usize = 100;
    /// `users.contact_number`
    pub const CONTACT_NUMBER: usize = 20;
    /// `users.account_type`
    pub const ACCOUNT_TYPE: usize = 20;
    /// `users.company_name`
    pub const COMPANY_NAME: usize = 200;
    /// `users.industry`
    pub const INDUSTRY: usize = 100;
    /// `users.website`, `posts.podcast_url`, `posts.streaming_url`, `messages.file_url`
    pub const URL: usize = 200;
    /// `messages.file_name`
    pub const FILE_NAME: usize = 255;
    /// `chat_participants.role`
    pub const ROLE: usize = 10;
    /// `stories.media_type`
    pub const MEDIA_TYPE: usize = 20;
    /// `posts.short_id`
    pub const SHORT_ID: usize = 8;
    /// One of `posts.images`
    pub const IMAGE: usize = 500;
    /// `notifications.message`, a column without a limit
    pub const NOTIFICATION: usize = 2000;
}

/// The address of a picture, film or recording as JSON. A longer one is not shown.
pub const ADDRESS_JSON_BYTES_MAX: usize = 256 * JSON_CHAR_BYTES;
/// A profile as others see it. If it would be longer, its `interests` and `social_links` (which other programs may
/// write in any size) are shown as `[]`.
pub const PROFILE_JSON_BYTES_MAX: usize = 20 * 1024;
/// A post's `images` in frames: each with its quotes and a comma. A longer list is shown as `[]`.
pub const POST_IMAGES_JSON_BYTES_MAX: usize = POST_IMAGES_MAX * (texts(chars::IMAGE) + 3) + 2;

/// A profile without `interests` and `social_links`: avatar and cover are in it twice.
const PROFILE_TEXTS_BYTES: usize = OBJECT_BYTES
    + texts(chars::EMAIL + chars::USERNAME + chars::DISPLAY_NAME + chars::FULL_NAME + chars::BIO + chars::POSITION)
    + texts(chars::TEAM + chars::CONTACT_NUMBER + chars::ACCOUNT_TYPE + chars::COMPANY_NAME + chars::INDUSTRY)
    + texts(chars::URL)
    + 4 * ADDRESS_JSON_BYTES_MAX;
const BASIC_BYTES: usize = OBJECT_BYTES + texts(chars::USERNAME + chars::DISPLAY_NAME) + 2 * ADDRESS_JSON_BYTES_MAX;
const REPLY_BYTES: usize = OBJECT_BYTES + texts(chars::USERNAME + chars::DISPLAY_NAME + REPLY_CHARS_SHOWN + 3);
const STORY_BYTES: usize = BASIC_BYTES + OBJECT_BYTES + ADDRESS_JSON_BYTES_MAX + texts(chars::MEDIA_TYPE);
const MESSAGE_BYTES: usize = OBJECT_BYTES
    + PROFILE_JSON_BYTES_MAX
    + texts(CONTENT_CHARS_MAX + chars::URL + chars::FILE_NAME)
    + 3 * ADDRESS_JSON_BYTES_MAX
    + REPLY_BYTES
    + MESSAGE_REACTIONS_SHOWN * (OBJECT_BYTES + BASIC_BYTES)
    + OBJECT_BYTES // reaction_counts
    + STORY_BYTES;
const COMMENT_BYTES: usize = OBJECT_BYTES + PROFILE_JSON_BYTES_MAX + texts(COMMENT_CHARS_MAX) + ADDRESS_JSON_BYTES_MAX;
const POST_BYTES: usize = OBJECT_BYTES
    + PROFILE_JSON_BYTES_MAX
    + texts(chars::SHORT_ID + CONTENT_CHARS_MAX + 2 * chars::URL)
    + POST_IMAGES_JSON_BYTES_MAX
    + 2 * ADDRESS_JSON_BYTES_MAX
    + (POST_REACTIONS_SHOWN_CEILING as usize) * (OBJECT_BYTES + PROFILE_JSON_BYTES_MAX)
    + (COMMENTS_SHOWN as usize) * with_replies(POST_REPLY_LEVELS_SHOWN) * COMMENT_BYTES;
/// A user on a page of `pregon.v1`: an id, a time or a role, and whether somebody is there.
const PERSON_BYTES: usize = 160 + texts(chars::USERNAME + chars::DISPLAY_NAME + chars::ROLE) + ADDRESS_JSON_BYTES_MAX;
const SMALL_BYTES: usize = OBJECT_BYTES + texts(chars::USERNAME);

/// Every kind of frame that a socket can get, by its `type`, with the most that its payload may hold. Events that are
/// several frames at once are listed with the most that all of them hold together.
pub const FRAMES: &[(&str, usize)] = &[
    ("connection_success", OBJECT_BYTES),
    ("connection_established", OBJECT_BYTES),
    ("error", OBJECT_BYTES + texts(CLIENT_ID_BYTES_MAX)),
    ("pong", OBJECT_BYTES + MESSAGE_BYTES_MAX),
    ("signal", SMALL_BYTES + SIGNAL_BYTES_MAX),
    ("typing_status", SMALL_BYTES),
    ("user_status", SMALL_BYTES),
    ("chat_message", OBJECT_BYTES + MESSAGE_BYTES + texts(CLIENT_ID_BYTES_MAX)),
    ("message_edited", OBJECT_BYTES + MESSAGE_BYTES),
    ("message_deleted", SMALL_BYTES),
    ("message_reaction", SMALL_BYTES),
    ("message_read", SMALL_BYTES),
    ("message_read of a mark_as_read", READ_ALL_FRAMES_MAX * SMALL_BYTES),
    ("new_post", OBJECT_BYTES + POST_BYTES),
    ("post_updated", OBJECT_BYTES + POST_BYTES),
    ("post_deleted", SMALL_BYTES),
    ("post_reaction", SMALL_BYTES),
    ("new_comment", OBJECT_BYTES + with_replies(REPLY_LEVELS_SHOWN) * COMMENT_BYTES),
    ("comment_updated", OBJECT_BYTES + with_replies(REPLY_LEVELS_SHOWN) * COMMENT_BYTES),
    ("comment_like", SMALL_BYTES),
    ("comment_deleted", SMALL_BYTES),
    ("comment_deleted of one write", COMMENTS_DELETED_MAX * SMALL_BYTES),
    ("notification", 2 * OBJECT_BYTES + BASIC_BYTES + texts(chars::NOTIFICATION)),
    ("notification_read", SMALL_BYTES),
    ("notification_updated", 2 * OBJECT_BYTES + BASIC_BYTES + texts(chars::NOTIFICATION)),
    ("notification_deleted", SMALL_BYTES),
    ("notification_deleted of a clear-all", READ_ALL_FRAMES_MAX * SMALL_BYTES),
    ("notification_read of a mark-all-read", READ_ALL_FRAMES_MAX * SMALL_BYTES),
    ("roster", OBJECT_BYTES + ROSTER_PAGE_MAX as usize * PERSON_BYTES),
    ("readers", OBJECT_BYTES + ROSTER_PAGE_MAX as usize * PERSON_BYTES),
    ("users", OBJECT_BYTES + (NAMES_MAX + REPLAY_EVENTS_MAX) * (PERSON_BYTES - texts(chars::ROLE))),
];

/// The bytes that so many characters take as JSON.
const fn texts(chars: usize) -> usize {
    chars * JSON_CHAR_BYTES
}

/// How many comments are shown for one comment with so many levels of replies, counting the comment itself.
const fn with_replies(levels: u32) -> usize {
    let (mut all, mut level, mut width) = (1, 0, 1);
    while level < levels {
        width *= REPLIES_SHOWN as usize;
        all += width;
        level += 1;
    }
    all
}

const _: () = {
    let mut place = 0;
    while place < FRAMES.len() {
        let (kind, bytes) = FRAMES[place];
        if bytes + FRAME_HEADER_BYTES >= OUTBOX_OWED_BYTES_MAX {
            panic!("{}", kind);
        }
        place += 1;
    }
};
const _: () = assert!(
    // MySQL writes JSON with blanks: at most a third more than pregon accepts.
    PROFILE_TEXTS_BYTES + 2 * PROFILE_LIST_BYTES_MAX * 4 / 3 <= PROFILE_JSON_BYTES_MAX,
    "a profile always fits, with the lists that are taken"
);
const _: () = assert!(
    // A user without a picture has a drawing, whose address contains the name: twelve bytes for a character of four.
    chars::DISPLAY_NAME * 12 + 100 <= ADDRESS_JSON_BYTES_MAX,
    "the address of a drawing always fits"
);
