//! Messages as read: whole, in pages, as replies show them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::Timestamp;
use crate::domain::chat::message::{Message, Reaction, ReactionType, ReplyPreview, StoryPreview};
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits;
use crate::store::sqlite::old_people::{View, known_profile, offset};
use crate::store::sqlite::values::{Id, count};
use crate::store::{PageOf, PageRequest};

/// One message, deleted or not, as `viewer` (or nobody in particular) sees it.
pub fn whole(view: View<'_>, viewer: Option<UserId>, id: MessageId) -> rusqlite::Result<Option<Message>> {
    let row = view
        .connection
        .prepare_cached(
            "SELECT m.chat_room_id, m.sender_id, m.content, m.message_type, m.image, m.video, m.audio, m.file_url, \
             m.file_name, m.file_size, m.is_edited, m.is_deleted, m.created_at, m.updated_at, m.story_id, \
             (SELECT count(*) FROM message_reads WHERE message_id = m.id), \
             EXISTS (SELECT 1 FROM message_reads WHERE message_id = m.id AND user_id = ?2), \
             m.id, r.id, u.username, u.display_name, r.content, r.message_type \
             FROM messages m LEFT JOIN messages r ON r.id = m.reply_to_id LEFT JOIN users u ON u.id = r.sender_id \
             WHERE m.id = ?1",
        )?
        .query_row(params![id, viewer], |row| message_of_row(view, row))
        .optional()?;
    let Some(mut message) = row else { return Ok(None) };
    add_reactions(view, viewer, &mut message)?;
    if let Some(story) = message.story_id {
        message.story = story_preview(view, story)?;
    }
    Ok(Some(message))
}

fn message_of_row(view: View<'_>, row: &Row<'_>) -> rusqlite::Result<Message> {
    let is_reply = row.get::<_, Option<MessageId>>(18)?.is_some();
    Ok(Message {
        id: row.get(17)?,
        room: row.get(0)?,
        sender: known_profile(view, row.get(1)?)?,
        content: row.get(2)?,
        message_type: row.get(3)?,
        image: row.get(4)?,
        video: row.get(5)?,
        audio: row.get(6)?,
        file_url: row.get(7)?,
        file_name: row.get(8)?,
        file_size: row.get(9)?,
        reply_to: if is_reply { Some(reply_of_row(row, 18)?) } else { None },
        is_edited: row.get(10)?,
        is_deleted: row.get(11)?,
        created_at: row.get(12)?,
        updated_at: row.get(13)?,
        reactions: Vec::new(),
        reaction_counts: BTreeMap::new(),
        user_reaction: None,
        is_read: row.get(16)?,
        read_by_count: count(row, 15)?,
        story_id: row.get::<_, Option<Id>>(14)?.map(|id| id.0),
        story: None,
    })
}

/// Five columns from `first`: id, username, display name, content, type.
fn reply_of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<ReplyPreview> {
    Ok(ReplyPreview {
        id: row.get(first)?,
        sender_username: row.get(first + 1)?,
        sender_display_name: row.get(first + 2)?,
        content: row.get(first + 3)?,
        message_type: row.get(first + 4)?,
    })
}

/// The newest reactions of a message, by an index.
const NEWEST_REACTIONS: &str = "SELECT id, user_id, reaction_type, created_at FROM message_reactions \
    WHERE message_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2";

/// Adds the newest reactions, how many there are of each type, and the viewer's newest. Most messages have fewer than are
/// shown: then the first query has said it all.
fn add_reactions(view: View<'_>, viewer: Option<UserId>, message: &mut Message) -> rusqlite::Result<()> {
    message.reactions = newest_reactions(view, message.id)?;
    let shown = |viewer| message.reactions.iter().rev().find(|reaction| reaction.user.id == viewer);
    message.user_reaction = viewer.and_then(shown).map(|own| own.reaction_type);
    if message.reactions.len() < limits::MESSAGE_REACTIONS_SHOWN {
        for reaction in &message.reactions {
            *message.reaction_counts.entry(reaction.reaction_type).or_default() += 1;
        }
        return Ok(());
    }
    message.reaction_counts = reaction_counts(view.connection, message.id)?;
    if let (None, Some(viewer)) = (message.user_reaction, viewer) {
        message.user_reaction = own_reaction(view.connection, message.id, viewer)?;
    }
    Ok(())
}

fn newest_reactions(view: View<'_>, message: MessageId) -> rusqlite::Result<Vec<Reaction>> {
    let mut newest_first = view.connection.prepare_cached(NEWEST_REACTIONS)?;
    let mut rows = newest_first.query(params![message, limits::MESSAGE_REACTIONS_SHOWN])?;
    let mut reactions = Vec::new();
    while let Some(row) = rows.next()? {
        let user = known_profile(view, row.get(1)?)?;
        let (id, reaction_type, created_at) = (row.get::<_, Id>(0)?.0, row.get(2)?, row.get(3)?);
        reactions.push(Reaction { id, user, reaction_type, created_at });
    }
    reactions.reverse();
    Ok(reactions)
}

fn reaction_counts(connection: &Connection, message: MessageId) -> rusqlite::Result<BTreeMap<ReactionType, u64>> {
    connection
        .prepare_cached(
            "SELECT reaction_type, count(*) FROM message_reactions WHERE message_id = ?1 GROUP BY reaction_type",
        )?
        .query_map([message], |row| Ok((row.get(0)?, count(row, 1)?)))?
        .collect()
}

fn own_reaction(connection: &Connection, message: MessageId, viewer: UserId) -> rusqlite::Result<Option<ReactionType>> {
    connection
        .prepare_cached(
            "SELECT reaction_type FROM message_reactions WHERE message_id = ?1 AND user_id = ?2 \
             ORDER BY created_at DESC, id DESC LIMIT 1",
        )?
        .query_row(params![message, viewer], |row| row.get(0))
        .optional()
}

fn story_preview(view: View<'_>, story: uuid::Uuid) -> rusqlite::Result<Option<StoryPreview>> {
    let row = view
        .connection
        .prepare_cached("SELECT media, media_type, created_at, expires_at, user_id FROM stories WHERE id = ?1")?
        .query_row([Id(story)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .optional()?;
    let Some((media, media_type, created_at, expires_at, user)) = row else { return Ok(None) };
    let user = known_profile(view, user)?;
    Ok(Some(StoryPreview { id: story, media, media_type, user, created_at, expires_at }))
}

/// A message of the room that is not deleted, as a reply shows it.
pub fn reply(connection: &Connection, room: RoomId, message: MessageId) -> rusqlite::Result<Option<ReplyPreview>> {
    connection
        .prepare_cached(
            "SELECT m.id, u.username, u.display_name, m.content, m.message_type FROM messages m \
             JOIN users u ON u.id = m.sender_id WHERE m.id = ?1 AND m.chat_room_id = ?2 AND m.is_deleted = 0",
        )?
        .query_row(params![message, room], |row| reply_of_row(row, 0))
        .optional()
}

/// A page of a room's history, newest first. Empty for who is no participant.
pub fn page(
    view: View<'_>,
    viewer: UserId,
    room: RoomId,
    since: Option<Timestamp>,
    page: PageRequest,
) -> rusqlite::Result<PageOf<Message>> {
    if !is_participant(view.connection, viewer, room)? {
        return Ok(PageOf { count: 0, rows: Vec::new() });
    }
    // Every time sorts after the empty text.
    let since = since.map(Timestamp::database_text).unwrap_or_default();
    let count = view
        .connection
        .prepare_cached("SELECT count(*) FROM messages WHERE chat_room_id = ?1 AND is_deleted = 0 AND created_at > ?2")?
        .query_row(params![room, since], |row| count(row, 0))?;
    let ids = view
        .connection
        .prepare_cached(
            "SELECT id FROM messages WHERE chat_room_id = ?1 AND is_deleted = 0 AND created_at > ?2 \
             ORDER BY created_at DESC, id DESC LIMIT ?3 OFFSET ?4",
        )?
        .query_map(params![room, since, page.size, offset(page)], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<MessageId>>>()?;
    let rows = ids.into_iter().filter_map(|id| whole(view, Some(viewer), id).transpose());
    Ok(PageOf { count, rows: rows.collect::<rusqlite::Result<_>>()? })
}

/// One message of the room that is not deleted. `None` for who is no participant.
pub fn one(view: View<'_>, viewer: UserId, room: RoomId, message: MessageId) -> rusqlite::Result<Option<Message>> {
    if !is_participant(view.connection, viewer, room)? {
        return Ok(None);
    }
    let found = whole(view, Some(viewer), message)?;
    Ok(found.filter(|message| message.room == room && !message.is_deleted))
}

fn is_participant(connection: &Connection, user: UserId, room: RoomId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM chat_participants WHERE chat_room_id = ?1 AND user_id = ?2)")?
        .query_row(params![room, user], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate;

    #[test]
    fn the_newest_reactions_are_read_from_their_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::apply(std::path::Path::new("memory"), &mut connection).unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {NEWEST_REACTIONS}")).unwrap();
        let plan = explain.query_map(params!["", 10], |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<_> = plan.map(Result::unwrap).collect();
        assert!(plan.len() == 1 && plan[0].contains("message_reactions_newest_idx"), "{plan:?}");
    }
}
