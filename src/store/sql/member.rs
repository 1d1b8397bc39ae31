//! A participant's row.

use std::sync::Arc;

use crate::store::sql::{Columns, Unexpected};

/// A participant row with the values that decide on its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user and the room are active.
    pub is_active: bool,
    /// `owner` or `admin`.
    pub is_admin: bool,
    /// Whether the room is private, so that nobody is added or removed.
    pub is_private: bool,
    /// Whether one of its two has blocked the other, so that nobody writes.
    pub is_closed: bool,
    /// The user's name, for frames.
    pub username: Arc<str>,
}

/// Whether the room of a participant `p`, `r`, is a private one of two of whom one has blocked the other.
macro_rules! closed {
    () => {
        "(r.chat_type = 'private' AND EXISTS (SELECT 1 FROM chat_participants o WHERE o.chat_room_id = p.chat_room_id \
         AND o.user_id <> p.user_id AND (EXISTS (SELECT 1 FROM pregon_blocks WHERE blocker_id = o.user_id AND \
         blocked_id = p.user_id) OR EXISTS (SELECT 1 FROM pregon_blocks WHERE blocker_id = p.user_id AND \
         blocked_id = o.user_id))))"
    };
}
pub(super) use closed;

/// The columns of [`member_of_row`], after its room and its user.
pub const MEMBER: &str = concat!(
    "SELECT p.chat_room_id, p.user_id, r.is_active AND u.is_active, p.role IN ('owner', 'admin'), \
     r.chat_type = 'private', u.username, ",
    closed!(),
    " FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id JOIN users u ON u.id = p.user_id WHERE "
);

/// A row of [`MEMBER`].
pub fn member_of_row(row: Columns<'_>) -> Result<Member, Unexpected> {
    Ok(Member {
        is_active: row.flag(2)?,
        is_admin: row.flag(3)?,
        is_private: row.flag(4)?,
        username: row.str(5)?.into(),
        is_closed: row.flag(6)?,
    })
}
