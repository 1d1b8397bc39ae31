//! Rooms: made, set up, listed, entered.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::Timestamp;
use crate::domain::chat::room::{ChatRoom, ChatType, NewRoom, Participant, RoomSettings, SettingsPatch};
use crate::domain::user::Admission;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::sqlite::messages;
use crate::store::sqlite::old_people::{View, account, known_profile, offset};
use crate::store::sqlite::rows::insert_participant;
use crate::store::sqlite::values::{Id, count};
use crate::store::{NewRoomError, PageOf, PageRequest};

/// May `user` enter `room`? Every part comes from the caches where it is there.
pub fn admission(view: View<'_>, room: RoomId, user: UserId) -> rusqlite::Result<Admission> {
    let account = account(view, user)?;
    let is_participant = match view.caches.participants.get(&(room, user), view.now) {
        Some(is_participant) => is_participant,
        None => {
            let before = view.caches.participants.before();
            let is_participant = view
                .connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id \
                     WHERE p.chat_room_id = ?1 AND p.user_id = ?2 AND r.is_active = 1)",
                )?
                .query_row(params![room, user], |row| row.get(0))?;
            view.caches.participants.put(before, (room, user), is_participant, view.now);
            is_participant
        }
    };
    let participants = match view.caches.room_sizes.get(&room, view.now) {
        Some(participants) => participants,
        None => {
            let before = view.caches.room_sizes.before();
            let participants = view
                .connection
                .prepare_cached("SELECT count(*) FROM chat_participants WHERE chat_room_id = ?1")?
                .query_row([room], |row| row.get(0))?;
            view.caches.room_sizes.put(before, room, participants, view.now);
            participants
        }
    };
    Ok(Admission { account, is_participant, participants })
}

/// Active participants of active rooms.
pub fn participants(connection: &Connection, rooms: &[RoomId]) -> rusqlite::Result<Vec<(RoomId, UserId)>> {
    let mut found = Vec::new();
    for room in rooms {
        let mut query = connection.prepare_cached(
            "SELECT p.user_id FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id \
             JOIN users u ON u.id = p.user_id WHERE p.chat_room_id = ?1 AND r.is_active = 1 AND u.is_active = 1",
        )?;
        for user in query.query_map([room], |row| row.get(0))? {
            found.push((*room, user?));
        }
    }
    Ok(found)
}

/// The private room of two users, made if there is none. In the lane's transaction, so races make one room.
pub fn open_private(
    connection: &Connection,
    actor: UserId,
    other: UserId,
    now: Timestamp,
) -> rusqlite::Result<(RoomId, bool)> {
    let existing = connection
        .prepare_cached(
            "SELECT r.id FROM chat_participants a JOIN chat_participants b ON b.chat_room_id = a.chat_room_id \
             JOIN chat_rooms r ON r.id = a.chat_room_id \
             WHERE a.user_id = ?1 AND b.user_id = ?2 AND r.chat_type = 'private' AND r.is_active = 1 \
             ORDER BY r.last_activity DESC, r.id LIMIT 1",
        )?
        .query_row([actor, other], |row| row.get(0))
        .optional()?;
    if let Some(room) = existing {
        return Ok((room, false));
    }
    let new = NewRoom {
        creator: actor,
        chat_type: ChatType::Private,
        name: String::new(),
        description: String::new(),
        others: vec![other],
    };
    Ok((insert_room(connection, &new, now)?, true))
}

/// Makes a room with its participants. A private room that the two have already is that one.
pub fn create(connection: &Connection, new: &NewRoom, now: Timestamp) -> Result<RoomId, NewRoomError> {
    for user in &new.others {
        let is_active: Option<bool> = connection
            .prepare_cached("SELECT is_active FROM users WHERE id = ?1")?
            .query_row([user], |row| row.get(0))
            .optional()?;
        if is_active != Some(true) {
            return Err(NewRoomError::UnknownUsers);
        }
    }
    match (new.chat_type, new.others.as_slice()) {
        (ChatType::Private, [other]) if new.name.is_empty() => {
            Ok(open_private(connection, new.creator, *other, now)?.0)
        }
        _ => Ok(insert_room(connection, new, now)?),
    }
}

impl From<rusqlite::Error> for NewRoomError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A room's row and its participants'.
pub fn insert_room(connection: &Connection, new: &NewRoom, now: Timestamp) -> rusqlite::Result<RoomId> {
    let room = RoomId::fresh();
    connection
        .prepare_cached(
            "INSERT INTO chat_rooms (id, name, chat_type, description, avatar, is_active, created_at, updated_at, \
             last_activity, created_by_id) VALUES (?1, ?2, ?3, ?4, NULL, 1, ?5, ?5, ?5, ?6)",
        )?
        .execute(params![room, new.name, new.chat_type, new.description, now, new.creator])?;
    // The topic's clock starts with the room's: every event is later than every `last_read_at`.
    connection
        .prepare_cached("INSERT INTO pregon_topics (topic, epoch, seq, last_at) VALUES (?1, 1, 0, ?2)")?
        .execute(params![Topic::Room(room).to_string(), now.0])?;
    let role = if new.chat_type == ChatType::Private { "member" } else { "owner" };
    insert_participant(connection, room, new.creator, role, now)?;
    for user in &new.others {
        insert_participant(connection, room, *user, "member", now)?;
    }
    Ok(room)
}

/// Changes a participant's own settings; false when there is no such participant.
pub fn change_settings(
    connection: &Connection,
    viewer: UserId,
    room: RoomId,
    patch: &SettingsPatch,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE chat_participants SET other_user_nickname = coalesce(?3, other_user_nickname), \
             chat_background = coalesce(?4, chat_background), chat_color = coalesce(?5, chat_color), \
             other_message_color = coalesce(?6, other_message_color), \
             notifications_enabled = coalesce(?7, notifications_enabled), \
             sound_enabled = coalesce(?8, sound_enabled), is_muted = coalesce(?9, is_muted) \
             WHERE chat_room_id = ?1 AND user_id = ?2",
        )?
        .execute(params![
            room,
            viewer,
            patch.other_user_nickname,
            patch.chat_background,
            patch.chat_color,
            patch.other_message_color,
            patch.notifications_enabled,
            patch.sound_enabled,
            patch.is_muted,
        ])?;
    Ok(changed > 0)
}

/// The viewer's rooms, newest message first, rooms without messages last.
pub fn list(
    view: View<'_>,
    viewer: UserId,
    chat_type: Option<ChatType>,
    is_active: bool,
    page: PageRequest,
) -> rusqlite::Result<PageOf<ChatRoom>> {
    const OWN: &str = "FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id \
        WHERE p.user_id = ?1 AND r.is_active = ?2 AND (?3 IS NULL OR r.chat_type = ?3)";
    let count = view
        .connection
        .prepare_cached(&format!("SELECT count(*) {OWN}"))?
        .query_row(params![viewer, is_active, chat_type], |row| count(row, 0))?;
    let ids = view
        .connection
        .prepare_cached(&format!(
            "SELECT r.id, (SELECT max(created_at) FROM messages WHERE chat_room_id = r.id AND is_deleted = 0) AS newest \
             {OWN} ORDER BY newest IS NULL, newest DESC, r.created_at DESC, r.id LIMIT ?4 OFFSET ?5"
        ))?
        .query_map(params![viewer, is_active, chat_type, page.size, offset(page)], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<RoomId>>>()?;
    let rows = ids.into_iter().filter_map(|id| whole(view, viewer, id).transpose());
    Ok(PageOf { count, rows: rows.collect::<rusqlite::Result<_>>()? })
}

/// One active room of the viewer's.
pub fn one(view: View<'_>, viewer: UserId, room: RoomId) -> rusqlite::Result<Option<ChatRoom>> {
    let found = whole(view, viewer, room)?;
    Ok(found.filter(|room| room.is_active && room.participants.iter().any(|participant| participant.user.id == viewer)))
}

fn whole(view: View<'_>, viewer: UserId, room: RoomId) -> rusqlite::Result<Option<ChatRoom>> {
    let found = view
        .connection
        .prepare_cached(
            "SELECT id, name, chat_type, description, avatar, is_active, created_at, updated_at, last_activity \
             FROM chat_rooms WHERE id = ?1",
        )?
        .query_row([room], |row| room_of_row(row, viewer))
        .optional()?;
    let Some(mut found) = found else { return Ok(None) };
    found.participants = whole_participants(view, room)?;
    let newest: Option<MessageId> = view
        .connection
        .prepare_cached(
            "SELECT id FROM messages WHERE chat_room_id = ?1 AND is_deleted = 0 \
             ORDER BY created_at DESC, id DESC LIMIT 1",
        )?
        .query_row([room], |row| row.get(0))
        .optional()?;
    if let Some(newest) = newest {
        found.last_message = messages::whole(view, Some(viewer), newest)?.map(Arc::new);
    }
    Ok(Some(found))
}

fn room_of_row(row: &Row<'_>, viewer: UserId) -> rusqlite::Result<ChatRoom> {
    Ok(ChatRoom {
        id: row.get(0)?,
        name: row.get(1)?,
        chat_type: row.get(2)?,
        description: row.get(3)?,
        avatar: row.get(4)?,
        is_active: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
        last_activity: row.get(8)?,
        participants: Vec::new(),
        last_message: None,
        viewer,
    })
}

fn whole_participants(view: View<'_>, room: RoomId) -> rusqlite::Result<Vec<Participant>> {
    let mut participants = view
        .connection
        .prepare_cached(
            "SELECT id, user_id, role, other_user_nickname, chat_background, chat_color, other_message_color, \
             notifications_enabled, sound_enabled, is_muted, joined_at, last_read_at \
             FROM chat_participants WHERE chat_room_id = ?1 ORDER BY joined_at, id",
        )?
        .query_map([room], |row| participant_of_row(view, row))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    count_unread(view.connection, room, &mut participants)?;
    Ok(participants)
}

fn participant_of_row(view: View<'_>, row: &Row<'_>) -> rusqlite::Result<Participant> {
    Ok(Participant {
        id: row.get::<_, Id>(0)?.0,
        user: known_profile(view, row.get(1)?)?,
        role: row.get(2)?,
        settings: RoomSettings {
            other_user_nickname: row.get(3)?,
            chat_background: row.get(4)?,
            chat_color: row.get(5)?,
            other_message_color: row.get(6)?,
            notifications_enabled: row.get(7)?,
            sound_enabled: row.get(8)?,
            is_muted: row.get(9)?,
        },
        joined_at: row.get(10)?,
        last_read_at: row.get(11)?,
        unread_count: 0,
    })
}

/// One look at the room's newest messages serves all participants, however many: nobody's count goes beyond
/// [`limits::UNREAD_COUNT_MAX`].
fn count_unread(connection: &Connection, room: RoomId, participants: &mut [Participant]) -> rusqlite::Result<()> {
    let Some(oldest) = participants.iter().map(|participant| participant.last_read_at).min() else { return Ok(()) };
    let newest_first = connection
        .prepare_cached(
            "SELECT created_at, sender_id FROM messages WHERE chat_room_id = ?1 AND is_deleted = 0 \
             AND created_at > ?2 ORDER BY created_at DESC LIMIT ?3",
        )?
        .query_map(params![room, oldest, limits::UNREAD_COUNT_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(Timestamp, UserId)>>>()?;
    for participant in participants {
        let after = newest_first.partition_point(|(at, _)| *at > participant.last_read_at);
        let others = newest_first[..after].iter().filter(|(_, sender)| *sender != participant.user.id);
        participant.unread_count = others.count() as u64;
    }
    Ok(())
}
