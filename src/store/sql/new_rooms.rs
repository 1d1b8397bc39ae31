//! Creates rooms and changes a participant's own settings: direct writes.

use crate::clock::Timestamp;
use crate::domain::chat::room::{ChatType, NewRoom, SettingsPatch};
use crate::ids::{RoomId, Topic, UserId};
use crate::limits;
use crate::store::sql::{Id, Sql, Table, ToColumn, View, each, marks, padded};

/// The participants that one INSERT makes.
const PARTICIPANTS_MAX: usize = 64;

/// The private room of two users; `fresh` is made, with true, if there is none. Both users' rows are locked first in a
/// fixed order, so that the second of two callers at once finds the first one's room.
pub async fn open_private<C: Sql>(
    view: &mut View<'_, C>,
    actor: UserId,
    other: UserId,
    fresh: RoomId,
) -> Result<(RoomId, bool), C::Error> {
    let pair = [actor.min(other), actor.max(other)];
    let both = format!("SELECT id FROM users WHERE id IN (?, ?) ORDER BY id {}", C::DIALECT.locked());
    view.rows(&both, &[&pair[0], &pair[1]], |_| Ok(())).await?;
    if let Some(room) = known_private(view, actor, other).await? {
        // After a lost answer, the found room is the one that the first run made.
        return Ok((room, room == fresh));
    }
    let new = NewRoom {
        creator: actor,
        chat_type: ChatType::Private,
        name: String::new(),
        description: String::new(),
        others: vec![other],
    };
    insert(view, fresh, &new).await?;
    Ok((fresh, true))
}

/// The private room of two users that was used last, if there is one.
pub async fn known_private<C: Sql>(
    view: &mut View<'_, C>,
    one: UserId,
    other: UserId,
) -> Result<Option<RoomId>, C::Error> {
    let sql = "SELECT r.id FROM chat_participants a JOIN chat_participants b ON b.chat_room_id = a.chat_room_id \
        JOIN chat_rooms r ON r.id = a.chat_room_id \
        WHERE a.user_id = ? AND b.user_id = ? AND r.chat_type = 'private' AND r.is_active = 1 \
        ORDER BY r.last_activity DESC, r.id LIMIT 1";
    view.row(sql, &[&one, &other], |row| row.id(0)).await
}

/// Creates the room `fresh` with its participants, or returns the private room that the two already have. `None` if
/// some of the others do not exist or are inactive.
pub async fn create<C: Sql>(view: &mut View<'_, C>, new: &NewRoom, fresh: RoomId) -> Result<Option<RoomId>, C::Error> {
    if view.is_there("SELECT 1 FROM chat_rooms WHERE id = ?", &[&fresh]).await? {
        return Ok(Some(fresh));
    }
    let mut active = 0;
    for keys in new.others.chunks(limits::LIST_KEYS_MAX) {
        let keys = padded(keys);
        let sql = format!("SELECT count(*) FROM users WHERE is_active = 1 AND id IN ({})", marks(keys.len()));
        let values: Vec<_> = each(&keys).collect();
        active += view.count(&sql, &values).await?;
    }
    let others: std::collections::HashSet<&UserId> = new.others.iter().collect();
    if active < others.len() as u64 {
        return Ok(None);
    }
    match (new.chat_type, new.others.as_slice()) {
        (ChatType::Private, [other]) if new.name.is_empty() => {
            Ok(Some(open_private(view, new.creator, *other, fresh).await?.0))
        }
        _ => insert(view, fresh, new).await.map(|()| Some(fresh)),
    }
}

/// Inserts a room's row, its participants' rows, and its topic's row.
pub async fn insert<C: Sql>(view: &mut View<'_, C>, room: RoomId, new: &NewRoom) -> Result<(), C::Error> {
    let now = view.now;
    let row = room_row(&room, new, &now);
    view.execute(Table::Rooms.one_row(C::DIALECT, row.len()), &row).await?;
    let topic = Topic::Room(room).to_string();
    let row = topic_row(&topic, &now.0);
    view.execute(Table::Topics.one_row(C::DIALECT, row.len()), &row).await?;
    let role = if new.chat_type == ChatType::Private { "member" } else { "owner" };
    let mut members = vec![(new.creator, role)];
    members.extend(new.others.iter().map(|user| (*user, "member")));
    insert_participants(view, room, &members, now).await
}

/// A new room's columns.
pub fn room_row<'a>(id: &'a RoomId, new: &'a NewRoom, now: &'a Timestamp) -> [&'a dyn ToColumn; 10] {
    [id, &new.name, &new.chat_type, &new.description, &None::<u32>, &true, now, now, now, &new.creator]
}

/// The row of a room's topic. The topic's clock starts with the room's, so that every event is later than every
/// `last_read_at`.
pub fn topic_row<'a>(topic: &'a dyn ToColumn, now: &'a i64) -> [&'a dyn ToColumn; 4] {
    [topic, &1_u32, &0_u32, now]
}

/// The row of a new participant: notifications on, everything else off or empty.
pub fn participant_row<'a>(
    id: &'a Id,
    (user, role): &'a (UserId, &'static str),
    room: &'a RoomId,
    at: &'a Timestamp,
) -> [&'a dyn ToColumn; 14] {
    [id, role, &"", &"", &"", &"", &true, &true, &false, &false, at, at, user, room]
}

/// Inserts participants, none of whom exists yet.
pub async fn insert_participants<C: Sql>(
    view: &mut View<'_, C>,
    room: RoomId,
    members: &[(UserId, &'static str)],
    at: Timestamp,
) -> Result<(), C::Error> {
    let mut left = members;
    while !left.is_empty() {
        // Powers of two, so that a handful of statements serves every number of rows.
        let (some, rest) = left.split_at((1 << left.len().ilog2()).min(PARTICIPANTS_MAX));
        let ids: Vec<Id> = some.iter().map(|_| view.ids.fresh()).collect();
        let rows = ids.iter().zip(some);
        let values: Vec<&dyn ToColumn> =
            rows.flat_map(|(id, member)| participant_row(id, member, &room, &at)).collect();
        let row = format!("({})", marks(values.len() / some.len()));
        let sql = Table::Participants.head(C::DIALECT).to_owned() + &vec![row; some.len()].join(", ");
        view.execute(&sql, &values).await?;
        left = rest;
    }
    Ok(())
}

/// Changes a participant's own settings; false if there is no such participant.
pub async fn change_settings<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    room: RoomId,
    patch: &SettingsPatch,
) -> Result<bool, C::Error> {
    let changed = view
        .execute(
            "UPDATE chat_participants SET other_user_nickname = coalesce(?, other_user_nickname), \
             chat_background = coalesce(?, chat_background), chat_color = coalesce(?, chat_color), \
             other_message_color = coalesce(?, other_message_color), \
             notifications_enabled = coalesce(?, notifications_enabled), \
             sound_enabled = coalesce(?, sound_enabled), is_muted = coalesce(?, is_muted) \
             WHERE chat_room_id = ? AND user_id = ?",
            &[
                &patch.other_user_nickname,
                &patch.chat_background,
                &patch.chat_color,
                &patch.other_message_color,
                &patch.notifications_enabled,
                &patch.sound_enabled,
                &patch.is_muted,
                &room,
                &viewer,
            ],
        )
        .await?;
    Ok(changed > 0)
}
