//! What a lane asks and changes of rooms and messages, and of its own log: each statement once, whether a database runs
//! it at once or puts it off.

use crate::clock::Timestamp;
use crate::domain::chat::message::{Message, ReactionType};
use crate::domain::chat::write::Transport;
use crate::domain::event::Committed;
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits;
use crate::store::batch::UnreadRest;
use crate::store::event_log::LogLine;
use crate::store::rules::Member;
use crate::store::sql::feed_rows::Error;
use crate::store::sql::{Columns, Id, Parameters, Sql, Transaction, Unexpected, View};

/// Rows of [`with_message`].
pub const MESSAGES: &str = "INSERT INTO messages (id, content, message_type, image, video, audio, file_url, file_name, \
    file_size, is_edited, is_deleted, deleted_at, created_at, updated_at, chat_room_id, reply_to_id, sender_id, story_id) \
    VALUES ";
/// Rows of [`with_event`].
pub const EVENTS: &str = "INSERT INTO pregon_events (topic, epoch, seq, event_id, kind, transport, message_id, user_id, \
    detail, created_at) VALUES ";
/// Rows of a new id, a time, a message and who has read it then.
pub const READS: &str = "INSERT INTO message_reads (id, read_at, message_id, user_id) VALUES ";

/// A new message's columns.
pub fn with_message<R>(message: &Message, then: impl FnOnce(Parameters<'_>) -> R) -> R {
    let at = message.created_at;
    let no_time: Option<Timestamp> = None;
    then(&[
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
    ])
}

/// An event's columns.
pub fn with_event<R>(event: &Committed, transport: Transport, then: impl FnOnce(Parameters<'_>) -> R) -> R {
    let LogLine { kind, subject, user, detail } = LogLine::of(&event.event);
    then(&[
        &event.topic.to_string(),
        &event.cursor.epoch,
        &event.cursor.seq,
        &event.event_id,
        &kind,
        &transport.as_str(),
        &subject.map(Id),
        &user,
        &detail,
        &event.at.0,
    ])
}

/// The columns of [`member_of_row`], after its room and its user.
pub const MEMBER: &str = "SELECT p.chat_room_id, p.user_id, r.is_active AND u.is_active, p.role IN ('owner', 'admin'), \
    r.chat_type = 'private', u.username FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id \
    JOIN users u ON u.id = p.user_id WHERE ";

/// A row of [`MEMBER`].
pub fn member_of_row(row: Columns<'_>) -> Result<Member, Unexpected> {
    Ok(Member {
        is_active: row.flag(2)?,
        is_admin: row.flag(3)?,
        is_private: row.flag(4)?,
        username: row.str(5)?.into(),
    })
}

/// A participant with what decides on its rights.
pub async fn member<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<Option<Member>, C::Error> {
    let sql = format!("{MEMBER}p.chat_room_id = ? AND p.user_id = ?");
    view.row(&sql, &[&room, &user], member_of_row).await
}

/// The message that its client named so, and when.
pub async fn named<C: Sql>(
    view: &mut View<'_, C>,
    user: UserId,
    room: RoomId,
    name: &str,
) -> Result<Option<(MessageId, Timestamp)>, C::Error> {
    let sql =
        "SELECT message_id, created_at FROM pregon_client_ids WHERE user_id = ? AND room_id = ? AND client_id = ?";
    view.row(sql, &[&user, &room, &name], |row| Ok((row.id(0)?, Timestamp(row.number(1)?)))).await
}

/// Has the user reacted to the message so?
pub async fn has_reacted<C: Sql>(
    view: &mut View<'_, C>,
    message: MessageId,
    user: UserId,
    reaction: ReactionType,
) -> Result<bool, C::Error> {
    let sql = "SELECT 1 FROM message_reactions WHERE message_id = ? AND user_id = ? AND reaction_type = ?";
    view.is_there(sql, &[&message, &user, &reaction]).await
}

/// Has the user read the message?
pub async fn has_read<C: Sql>(view: &mut View<'_, C>, message: MessageId, user: UserId) -> Result<bool, C::Error> {
    view.is_there("SELECT 1 FROM message_reads WHERE message_id = ? AND user_id = ?", &[&message, &user]).await
}

/// Has the user a row in the room?
pub async fn is_participant<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<bool, C::Error> {
    view.is_there("SELECT 1 FROM chat_participants WHERE chat_room_id = ? AND user_id = ?", &[&room, &user]).await
}

/// Takes a participant's row away; false when there is none.
pub async fn delete_member<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<bool, C::Error> {
    let sql = "DELETE FROM chat_participants WHERE chat_room_id = ? AND user_id = ?";
    Ok(view.execute(sql, &[&room, &user]).await? > 0)
}

/// Until when a participant has read.
pub async fn last_read<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<Timestamp, C::Error> {
    let sql = "SELECT last_read_at FROM chat_participants WHERE chat_room_id = ? AND user_id = ?";
    let found = view.row(sql, &[&room, &user], |row| row.time(0)).await?;
    found.ok_or_else(|| Unexpected("a participant is gone".into()).into())
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

/// How many unread messages `rest` has.
pub async fn count_unread<C: Sql>(view: &mut View<'_, C>, rest: UnreadRest) -> Result<u64, C::Error> {
    let UnreadRest { room, user, after, before, .. } = rest;
    view.count(&format!("SELECT count(*) {UNREAD}"), &[&room, &after, &before, &user, &user]).await
}

/// A message's new text.
pub fn edit_message<T: Transaction>(
    work: &mut T,
    message: MessageId,
    content: &str,
    at: Timestamp,
) -> Result<(), Error<T>> {
    let sql = "UPDATE messages SET content = ?, is_edited = 1, updated_at = ? WHERE id = ?";
    work.change(sql, &[&content, &at, &message])
}

/// A message is there no more, for who reads.
pub fn delete_message<T: Transaction>(work: &mut T, message: MessageId, at: Timestamp) -> Result<(), Error<T>> {
    let sql = "UPDATE messages SET is_deleted = 1, deleted_at = ?, updated_at = ? WHERE id = ?";
    work.change(sql, &[&at, &at, &message])
}

/// A reaction that was there goes, another comes.
pub fn toggle_reaction<T: Transaction>(
    work: &mut T,
    (message, user, reaction): (MessageId, UserId, ReactionType),
    is_there: bool,
    at: Timestamp,
) -> Result<(), Error<T>> {
    if is_there {
        let sql = "DELETE FROM message_reactions WHERE message_id = ? AND user_id = ? AND reaction_type = ?";
        return work.change(sql, &[&message, &user, &reaction]);
    }
    let sql =
        "INSERT INTO message_reactions (id, reaction_type, created_at, message_id, user_id) VALUES (?, ?, ?, ?, ?)";
    work.change(sql, &[&Id::fresh(), &reaction, &at, &message, &user])
}
