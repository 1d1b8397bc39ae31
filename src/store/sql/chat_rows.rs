//! A lane's queries and changes of rooms and messages.

use crate::clock::Timestamp;
use crate::domain::chat::message::{Message, ReactionType};
use crate::domain::chat::write::Transport;
use crate::domain::event::Committed;
use crate::domain::event_record::EventRecord;
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits;
use crate::store::event_log::LogLine;
use crate::store::sql::member::{MEMBER, member_of_row};
use crate::store::sql::{Id, LaneSql, Named, Sql, Table, ToColumn, Unexpected, View};

pub use crate::store::sql::member::Member;

/// The rest of a `mark_as_read` of more than `limits::READ_ALL_ROWS_MAX` messages; idle moments write its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadRest {
    /// The room.
    pub room: RoomId,
    /// The reader.
    pub user: UserId,
    /// The participant's `last_read_at` before.
    pub after: Timestamp,
    /// The oldest message that already has its row.
    pub before: Timestamp,
    /// When it was read.
    pub at: Timestamp,
}

impl UnreadRest {
    /// The rest after these messages got their rows, newest first; `None` if these were all.
    pub fn after_these(self, done: &[(MessageId, Timestamp)]) -> Option<Self> {
        let (_, before) = *done.last().filter(|_| done.len() == limits::READ_ALL_ROWS_MAX)?;
        Some(Self { before, ..self })
    }
}

/// Inserts a message.
pub async fn insert_message<D: LaneSql>(driver: &mut D, message: &Message) -> Result<(), D::Error> {
    let at = message.created_at;
    let no_time: Option<Timestamp> = None;
    let values: [&dyn ToColumn; 18] = [
        &message.id,
        &message.content,
        &message.message_type,
        &message.image,
        &message.video,
        &message.audio,
        &message.file_url,
        &message.file_name,
        &message.file_size,
        &message.is_edited,
        &message.is_deleted,
        &no_time,
        &at,
        &at,
        &message.room,
        &message.reply_to.as_ref().map(|reply| reply.id),
        &message.sender.id,
        &message.story_id.map(Id),
    ];
    driver.insert(Table::Messages, &values).await
}

/// Inserts an event.
pub async fn insert_event<D: LaneSql>(driver: &mut D, event: &Committed, transport: Transport) -> Result<(), D::Error> {
    let record = EventRecord::of(event, transport);
    let LogLine { kind, subject, detail } = LogLine::of(&record);
    let values: [&dyn ToColumn; 10] = [
        &event.topic.to_string(),
        &event.cursor.epoch,
        &event.cursor.seq,
        &event.event_id,
        &kind,
        &transport.as_str(),
        &subject.map(Id),
        &record.user,
        &detail,
        &event.at.0,
    ];
    driver.insert(Table::Events, &values).await
}

/// A participant with its rights.
pub async fn member<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<Option<Member>, C::Error> {
    let sql = format!("{MEMBER}p.chat_room_id = ? AND p.user_id = ?");
    view.row(&sql, &[&room, &user], member_of_row).await
}

/// What is known of a named message.
pub const NAMED: &str = "message_id, created_at, epoch, seq";

/// The message to which its client gave this name.
pub async fn named<C: Sql>(
    view: &mut View<'_, C>,
    user: UserId,
    room: RoomId,
    name: &str,
) -> Result<Option<Named>, C::Error> {
    let sql = format!("SELECT {NAMED} FROM pregon_client_ids WHERE user_id = ? AND room_id = ? AND client_id = ?");
    view.row(&sql, &[&user, &room, &name], |row| Named::of_row(row, 0)).await
}

/// Whether the user has this reaction to the message.
pub async fn has_reacted<C: Sql>(
    view: &mut View<'_, C>,
    message: MessageId,
    user: UserId,
    reaction: ReactionType,
) -> Result<bool, C::Error> {
    let sql = "SELECT 1 FROM message_reactions WHERE message_id = ? AND user_id = ? AND reaction_type = ?";
    view.is_there(sql, &[&message, &user, &reaction]).await
}

/// Whether the user has read the message.
pub async fn has_read<C: Sql>(view: &mut View<'_, C>, message: MessageId, user: UserId) -> Result<bool, C::Error> {
    view.is_there("SELECT 1 FROM message_reads WHERE message_id = ? AND user_id = ?", &[&message, &user]).await
}

/// Whether the user has a row in the room.
pub async fn is_participant<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<bool, C::Error> {
    view.is_there("SELECT 1 FROM chat_participants WHERE chat_room_id = ? AND user_id = ?", &[&room, &user]).await
}

/// Deletes a participant's row; false if there is none.
pub async fn delete_member<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<bool, C::Error> {
    let sql = "DELETE FROM chat_participants WHERE chat_room_id = ? AND user_id = ?";
    Ok(view.execute(sql, &[&room, &user]).await? > 0)
}

/// The time up to which a participant has read.
pub async fn last_read<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<Timestamp, C::Error> {
    let sql = "SELECT last_read_at FROM chat_participants WHERE chat_room_id = ? AND user_id = ?";
    let found = view.row(sql, &[&room, &user], |row| row.time(0)).await?;
    found.ok_or_else(|| Unexpected("a participant's row is missing".into()).into())
}

const UNREAD: &str = "FROM messages m WHERE m.chat_room_id = ? AND m.is_deleted = 0 AND m.created_at > ? \
    AND m.created_at < ? AND m.sender_id <> ? \
    AND NOT EXISTS (SELECT 1 FROM message_reads d WHERE d.message_id = m.id AND d.user_id = ?)";

/// The newest unread messages of `rest`, newest first, at most [`limits::READ_ALL_ROWS_MAX`], with their times.
pub async fn newest_unread<C: Sql>(
    view: &mut View<'_, C>,
    rest: UnreadRest,
) -> Result<Vec<(MessageId, Timestamp)>, C::Error> {
    let sql = format!(
        "SELECT m.id, m.created_at {UNREAD} ORDER BY m.created_at DESC, m.id DESC LIMIT {}",
        limits::READ_ALL_ROWS_MAX
    );
    let UnreadRest { room, user, after, before, .. } = rest;
    view.rows(&sql, &[&room, &after, &before, &user, &user], |row| Ok((row.id(0)?, row.time(1)?))).await
}

/// The number of unread messages in `rest`.
pub async fn count_unread<C: Sql>(view: &mut View<'_, C>, rest: UnreadRest) -> Result<u64, C::Error> {
    let UnreadRest { room, user, after, before, .. } = rest;
    view.count(&format!("SELECT count(*) {UNREAD}"), &[&room, &after, &before, &user, &user]).await
}

/// Inserts read rows for the newest unread messages of `rest`. Returns these with their times.
pub async fn insert_unread<D: LaneSql>(
    view: &mut View<'_, D>,
    rest: UnreadRest,
) -> Result<Vec<(MessageId, Timestamp)>, D::Error> {
    let unread = newest_unread(view, rest).await?;
    for (message, _) in &unread {
        let id: Id = view.ids.fresh();
        view.driver.insert(Table::Reads, &[&id, &rest.at, message, &rest.user]).await?;
    }
    Ok(unread)
}
