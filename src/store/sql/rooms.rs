//! Reads rooms, and checks who may enter.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::chat::message::Message;
use crate::domain::chat::room::{ChatRoom, ChatType, Participant, RoomSettings};
use crate::domain::login::Bearer;
use crate::domain::user::{Admission, Membership};
use crate::ids::{FamilyId, MessageId, RoomId, UserId};
use crate::limits;
use crate::store::caches::{Before, Caches};
use crate::store::sql::logins::{self, BEARER, BEARER_COLUMNS, OF_BEARER};
use crate::store::sql::member::closed;
use crate::store::sql::messages;
use crate::store::sql::people::profiles;
use crate::store::sql::{
    BRANCHES_MAX, Columns, Id, KEYS_MAX, Sql, ToColumn, Unexpected, View, each, marks, offset, padded,
};
use crate::store::{PageOf, PageRequest};

/// Whether `user` may enter `room`. One query reads what the caches lack.
pub async fn admission<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<Admission, C::Error> {
    let caches = view.caches;
    if let Some(admission) = caches.admission(room, user, view.now) {
        return Ok(admission);
    }
    let asked = Asked::now(caches, room, user, view.now);
    let sql = format!("SELECT {}", asked.columns());
    let parameters: Vec<_> = asked.parameters().collect();
    let found = view.row(&sql, &parameters, |row| asked.read(row, 0)).await?;
    let found = found.ok_or_else(|| Unexpected("a query about one user returned no row".into()))?;
    Ok(asked.remember(caches, found, view.now))
}

/// What a handshake for a room asks: the user of its token, whether the token's login has ended, and whether the user
/// may enter. One query reads it, unless the caches hold half of it.
pub async fn entrance<C: Sql>(
    view: &mut View<'_, C>,
    room: RoomId,
    user: UserId,
    family: FamilyId,
) -> Result<(Bearer, Admission), C::Error> {
    let (caches, now) = (view.caches, view.now);
    match (logins::remembered(caches, user, family, now), caches.admission(room, user, now)) {
        (None, None) => {}
        (Some(bearer), _) => return Ok((bearer, admission(view, room, user).await?)),
        (None, Some(admission)) => return Ok((logins::bearer(view, user, family).await?, admission)),
    }
    let bearer = logins::Asked::now(caches, user, family);
    let admission = Asked::now(caches, room, user, now);
    let sql = format!("SELECT {BEARER}, {} {OF_BEARER}", admission.columns());
    let mut parameters: Vec<&dyn ToColumn> = vec![&user, &family];
    parameters.extend(admission.parameters());
    parameters.extend([&user, &user] as [&dyn ToColumn; 2]);
    let read = |row: Columns<'_>| Ok((bearer.read(row)?, admission.read(row, BEARER_COLUMNS)?));
    let found = view.row(&sql, &parameters, read).await?;
    let (of_bearer, of_admission) = found.ok_or_else(|| Unexpected("a query about one user returned no row".into()))?;
    let of_bearer = of_bearer.whole(view).await?;
    Ok((bearer.remember(caches, of_bearer, now), admission.remember(caches, of_admission, now)))
}

/// Has the caches know what they lack of these users' admissions to these rooms: two queries for all.
pub async fn know<C: Sql>(view: &mut View<'_, C>, wanted: &[(RoomId, UserId)]) -> Result<(), C::Error> {
    let (caches, now) = (view.caches, view.now);
    let is_unknown = |(room, user): &&(RoomId, UserId)| caches.admission(*room, *user, now).is_none();
    let unknown: Vec<(RoomId, UserId)> = wanted.iter().filter(is_unknown).copied().collect();
    for asked in unknown.chunks(PAIRS_MAX) {
        let before = [caches.participants.before(), caches.room_sizes.before()];
        let pairs = padded(asked);
        let branches = vec!["(p.chat_room_id = ? AND p.user_id = ?)"; pairs.len()].join(" OR ");
        let sql = format!(
            "SELECT p.chat_room_id, p.user_id, {} FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id \
             WHERE ({branches}) AND r.is_active = 1",
            closed!()
        );
        let parameters: Vec<&dyn ToColumn> =
            pairs.iter().flat_map(|(room, user)| [room as &dyn ToColumn, user]).collect();
        let read = |row: Columns<'_>| Ok(((row.id(0)?, row.id(1)?), membership_of(1 + u64::from(row.flag(2)?))));
        let found: HashMap<(RoomId, UserId), Membership> =
            view.rows(&sql, &parameters, read).await?.into_iter().collect();
        for key in asked {
            caches.participants.put(before[0], *key, found.get(key).copied().unwrap_or(Membership::None), now);
        }
        let rooms: BTreeSet<RoomId> = asked.iter().map(|(room, _)| *room).collect();
        let rooms = padded(&Vec::from_iter(rooms));
        let sql = format!(
            "SELECT chat_room_id, count(*) FROM chat_participants WHERE chat_room_id IN ({}) GROUP BY chat_room_id",
            marks(rooms.len())
        );
        let read = |row: Columns<'_>| Ok((row.id(0)?, row.count(1)?));
        let sizes = view.rows(&sql, &each(&rooms).collect::<Vec<_>>(), read).await?;
        let sizes: HashMap<RoomId, u64> = sizes.into_iter().collect();
        for room in rooms {
            let size = sizes.get(&room).copied().unwrap_or(0);
            caches.room_sizes.put(before[1], room, u32::try_from(size).unwrap_or(u32::MAX), now);
        }
    }
    Ok(())
}

/// The most pairs of keys of one query.
const PAIRS_MAX: usize = 128;

/// A question about an admission, and the state of the caches before it was asked.
struct Asked {
    room: RoomId,
    user: UserId,
    /// The room's size, if it is known. Whoever comes to a large room need not count it again.
    size: Option<u32>,
    before: [Before; 2],
}

impl Asked {
    /// Must be called before the database is asked.
    fn now(caches: &Caches, room: RoomId, user: UserId, now: Timestamp) -> Self {
        let before = [caches.participants.before(), caches.room_sizes.before()];
        Self { room, user, size: caches.room_sizes.get(&room, now), before }
    }

    /// The columns that [`Self::read`] reads.
    fn columns(&self) -> &'static str {
        match self.size {
            Some(_) => PLACE,
            None => PLACE_AND_SIZE,
        }
    }

    /// Those of [`Self::columns`].
    fn parameters(&self) -> impl Iterator<Item = &dyn ToColumn> {
        let size = self.size.is_none().then_some(&self.room as &dyn ToColumn);
        [&self.room as &dyn ToColumn, &self.user].into_iter().chain(size)
    }

    /// Reads the columns of a row, from the column `first` on.
    fn read(&self, row: Columns<'_>, first: usize) -> Result<Admission, Unexpected> {
        let participants = match self.size {
            Some(size) => size,
            None => u32::try_from(row.count(first + 1)?).unwrap_or(u32::MAX),
        };
        Ok(Admission { membership: membership_of(row.count(first)?), participants })
    }

    /// Caches the answer.
    fn remember(self, caches: &Caches, found: Admission, now: Timestamp) -> Admission {
        let Self { room, user, size, before: [participants, sizes] } = self;
        caches.participants.put(participants, (room, user), found.membership, now);
        if size.is_none() {
            caches.room_sizes.put(sizes, room, found.participants, now);
        }
        found
    }
}

/// As [`PLACE`] writes it.
fn membership_of(number: u64) -> Membership {
    match number {
        0 => Membership::None,
        1 => Membership::Open,
        _ => Membership::Closed,
    }
}

macro_rules! place {
    () => {
        concat!(
            "coalesce((SELECT 1 + ",
            closed!(),
            " FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id \
             WHERE p.chat_room_id = ? AND p.user_id = ? AND r.is_active = 1 LIMIT 1), 0)"
        )
    };
}

const PLACE: &str = place!();

const PLACE_AND_SIZE: &str = concat!(place!(), ", (SELECT count(*) FROM chat_participants WHERE chat_room_id = ?)");

/// The active participants of active rooms, but for rooms of two of whom one has blocked the other.
pub async fn participants<C: Sql>(view: &mut View<'_, C>, rooms: &[RoomId]) -> Result<Vec<(RoomId, UserId)>, C::Error> {
    let mut found = Vec::new();
    for keys in rooms.chunks(KEYS_MAX).map(padded) {
        let sql = format!(
            "SELECT p.chat_room_id, p.user_id FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id \
             JOIN users u ON u.id = p.user_id \
             WHERE p.chat_room_id IN ({}) AND r.is_active = 1 AND u.is_active = 1 AND NOT {}",
            marks(keys.len()),
            closed!()
        );
        let parameters: Vec<_> = each(&keys).collect();
        found.extend(view.rows(&sql, &parameters, |row| Ok((row.id(0)?, row.id(1)?))).await?);
    }
    Ok(found)
}

/// A room's columns and its newest message, of `chat_rooms r`.
const ROOM: &str = "SELECT r.id, r.name, r.chat_type, r.description, r.avatar, r.is_active, r.created_at, r.updated_at, \
    r.last_activity, (SELECT id FROM messages WHERE chat_room_id = r.id AND is_deleted = 0 \
    ORDER BY created_at DESC, id DESC LIMIT 1)";

/// A room whose participants and newest message are not looked up yet.
type Found = (ChatRoom, Option<MessageId>);

/// The viewer's rooms, newest message first, rooms without messages last.
pub async fn list<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    chat_type: Option<ChatType>,
    is_active: bool,
    page: PageRequest,
) -> Result<PageOf<ChatRoom>, C::Error> {
    const OWN: &str = "FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id \
        WHERE p.user_id = ? AND r.is_active = ?";
    let of_type = if chat_type.is_some() { "AND r.chat_type = ?" } else { "" };
    let from = offset(page);
    let mut parameters: Vec<&dyn ToColumn> = vec![&viewer, &is_active];
    parameters.extend(chat_type.as_ref().map(|chat_type| chat_type as &dyn ToColumn));
    let count = view.count(&format!("SELECT count(*) {OWN} {of_type}"), &parameters).await?;
    let sql = format!(
        "{ROOM} FROM (SELECT r.id, (SELECT created_at FROM messages WHERE chat_room_id = r.id AND is_deleted = 0 \
         ORDER BY created_at DESC LIMIT 1) AS newest, r.created_at {OWN} {of_type} \
         ORDER BY newest IS NULL, newest DESC, r.created_at DESC, r.id LIMIT ? OFFSET ?) page \
         JOIN chat_rooms r ON r.id = page.id \
         ORDER BY page.newest IS NULL, page.newest DESC, r.created_at DESC, r.id"
    );
    parameters.extend([&page.size as &dyn ToColumn, &from]);
    let found = view.rows(&sql, &parameters, |row| room_of_row(row, viewer)).await?;
    Ok(PageOf { count, rows: complete(view, viewer, found, Shown::Few).await? })
}

/// One active room of the viewer, with a page of its participants.
pub async fn one<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    room: RoomId,
    participants: PageRequest,
) -> Result<Option<ChatRoom>, C::Error> {
    let sql = format!(
        "{ROOM} FROM chat_rooms r WHERE r.id = ? AND r.is_active = 1 \
         AND EXISTS (SELECT 1 FROM chat_participants WHERE chat_room_id = r.id AND user_id = ?)"
    );
    let found = view.row(&sql, &[&room, &viewer], |row| room_of_row(row, viewer)).await?;
    Ok(complete(view, viewer, found.into_iter().collect(), Shown::Page(participants)).await?.pop())
}

fn room_of_row(row: Columns<'_>, viewer: UserId) -> Result<Found, Unexpected> {
    let room = ChatRoom {
        id: row.id(0)?,
        name: row.text(1)?,
        chat_type: row.kind(2)?,
        description: row.text(3)?,
        avatar: row.optional_text(4)?,
        is_active: row.flag(5)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
        last_activity: row.time(8)?,
        participants: Vec::new(),
        participants_count: 0,
        last_message: None,
        viewer,
    };
    Ok((room, row.optional_id(9)?))
}

/// The participants that are shown.
#[derive(Clone, Copy)]
enum Shown {
    /// The viewer and at most [`limits::PARTICIPANTS_LISTED_MAX`] others.
    Few,
    /// The viewer, and a page of all participants.
    Page(PageRequest),
}

/// Adds participants and newest messages, with the same few queries for any number of rooms.
async fn complete<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    found: Vec<Found>,
    shown: Shown,
) -> Result<Vec<ChatRoom>, C::Error> {
    let ids: Vec<RoomId> = found.iter().map(|(room, _)| room.id).collect();
    let counts = counts(view, &ids).await?;
    let mut participants = whole_participants(view, viewer, &ids, shown).await?;
    let newest: Vec<MessageId> = found.iter().filter_map(|(_, newest)| *newest).collect();
    let newest = messages::wholes(view, Some(viewer), &newest).await?;
    let mut newest: HashMap<RoomId, Arc<Message>> =
        newest.into_iter().map(|message| (message.room, Arc::new(message))).collect();
    let whole = |(room, _): Found| ChatRoom {
        participants: participants.remove(&room.id).unwrap_or_default(),
        participants_count: counts.get(&room.id).copied().unwrap_or_default(),
        last_message: newest.remove(&room.id),
        ..room
    };
    Ok(found.into_iter().map(whole).collect())
}

/// The number of participants of each room.
async fn counts<C: Sql>(view: &mut View<'_, C>, rooms: &[RoomId]) -> Result<HashMap<RoomId, u64>, C::Error> {
    let mut found = HashMap::with_capacity(rooms.len());
    for keys in rooms.chunks(KEYS_MAX).map(padded) {
        let sql = format!(
            "SELECT chat_room_id, count(*) FROM chat_participants WHERE chat_room_id IN ({}) GROUP BY chat_room_id",
            marks(keys.len())
        );
        let parameters: Vec<_> = each(&keys).collect();
        found.extend(view.rows(&sql, &parameters, |row| Ok((row.id(0)?, row.count(1)?))).await?);
    }
    Ok(found)
}

/// The participants of each room, oldest first, with unread counts for the viewer (or, on a page, for everybody on it).
async fn whole_participants<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    rooms: &[RoomId],
    shown: Shown,
) -> Result<HashMap<RoomId, Vec<Participant>>, C::Error> {
    let mut found = Vec::new();
    for keys in rooms.chunks(KEYS_MAX).map(padded) {
        let sql = format!("{PARTICIPANT} WHERE user_id = ? AND chat_room_id IN ({})", marks(keys.len()));
        let parameters: Vec<&dyn ToColumn> = std::iter::once(&viewer as _).chain(each(&keys)).collect();
        found.extend(view.rows(&sql, &parameters, participant_of_row).await?);
    }
    let others = match shown {
        Shown::Few => some_others(view, viewer, rooms).await?,
        Shown::Page(page) => others_of_page(view, rooms, page).await?,
    };
    found.extend(others.into_iter().filter(|(_, user, _)| *user != viewer));
    found.sort_by_key(|(_, _, participant)| (participant.joined_at, participant.id));
    let people = profiles(view, found.iter().map(|(_, user, _)| *user)).await?;
    let mut by_room: HashMap<RoomId, Vec<Participant>> = HashMap::with_capacity(rooms.len());
    for (room, user, participant) in found {
        let user = people.of(user)?;
        by_room.entry(room).or_default().push(Participant { user, ..participant });
    }
    let is_counted = |user: UserId| matches!(shown, Shown::Page(_)) || user == viewer;
    count_unread(view, &mut by_room, is_counted).await?;
    Ok(by_room)
}

/// The columns of [`participant_of_row`].
const PARTICIPANT: &str = "SELECT id, user_id, role, other_user_nickname, chat_background, chat_color, \
    other_message_color, notifications_enabled, sound_enabled, is_muted, joined_at, last_read_at, chat_room_id \
    FROM chat_participants";

type FoundParticipant = (RoomId, UserId, Participant);

/// Some others of each room, found by an index and not by age, so that a large room costs no more than a small one.
async fn some_others<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    rooms: &[RoomId],
) -> Result<Vec<FoundParticipant>, C::Error> {
    let mut found = Vec::new();
    for keys in rooms.chunks(BRANCHES_MAX).map(padded) {
        let branch = format!("{PARTICIPANT} WHERE chat_room_id = ? AND user_id <> ? ORDER BY user_id LIMIT ?");
        let sql = format!("SELECT * FROM {} some", C::DIALECT.union_of(&branch, keys.len()));
        let mut parameters: Vec<&dyn ToColumn> = Vec::with_capacity(keys.len() * 3);
        for key in &keys {
            parameters.extend([key as &dyn ToColumn, &viewer, &limits::PARTICIPANTS_LISTED_MAX]);
        }
        found.extend(view.rows(&sql, &parameters, participant_of_row).await?);
    }
    Ok(found)
}

/// A page of each room's participants, oldest first.
async fn others_of_page<C: Sql>(
    view: &mut View<'_, C>,
    rooms: &[RoomId],
    page: PageRequest,
) -> Result<Vec<FoundParticipant>, C::Error> {
    let mut found = Vec::new();
    for room in rooms {
        let sql = format!("{PARTICIPANT} WHERE chat_room_id = ? ORDER BY joined_at, id LIMIT ? OFFSET ?");
        found.extend(view.rows(&sql, &[room, &page.size, &offset(page)], participant_of_row).await?);
    }
    Ok(found)
}

fn participant_of_row(row: Columns<'_>) -> Result<FoundParticipant, Unexpected> {
    let participant = Participant {
        id: row.id::<Id>(0)?.0,
        user: Arc::default(),
        role: row.text(2)?,
        settings: RoomSettings {
            other_user_nickname: row.text(3)?,
            chat_background: row.text(4)?,
            chat_color: row.text(5)?,
            other_message_color: row.text(6)?,
            notifications_enabled: row.flag(7)?,
            sound_enabled: row.flag(8)?,
            is_muted: row.flag(9)?,
        },
        joined_at: row.time(10)?,
        last_read_at: row.time(11)?,
        unread_count: 0,
    };
    Ok((row.id(12)?, row.id(1)?, participant))
}

/// One scan of each room's newest messages serves everybody who is counted: counts end at [`limits::UNREAD_COUNT_MAX`],
/// and messages that all have read are left out.
async fn count_unread<C: Sql>(
    view: &mut View<'_, C>,
    by_room: &mut HashMap<RoomId, Vec<Participant>>,
    is_counted: impl Fn(UserId) -> bool,
) -> Result<(), C::Error> {
    const BRANCH: &str = "SELECT chat_room_id, created_at, sender_id FROM messages \
        WHERE chat_room_id = ? AND is_deleted = 0 AND created_at > ? ORDER BY created_at DESC LIMIT ?";
    let oldest_read = |participants: &Vec<Participant>| {
        participants.iter().filter(|one| is_counted(one.user.id)).map(|one| one.last_read_at).min()
    };
    let read: Vec<(RoomId, Timestamp)> =
        by_room.iter().filter_map(|(room, all)| Some((*room, oldest_read(all)?))).collect();
    let mut newest_first: HashMap<RoomId, Vec<(Timestamp, UserId)>> = HashMap::new();
    for some in read.chunks(BRANCHES_MAX) {
        // Padded with a room that does not exist, so that a handful of statements serves every length.
        let mut some = some.to_vec();
        some.resize(some.len().next_power_of_two(), (RoomId(uuid::Uuid::nil()), Timestamp::default()));
        let sql = C::DIALECT.union_all(BRANCH, some.len());
        let mut parameters: Vec<&dyn ToColumn> = Vec::with_capacity(some.len() * 3);
        for (room, after) in &some {
            parameters.extend([room as &dyn ToColumn, after, &limits::UNREAD_COUNT_MAX]);
        }
        let rows = view.rows(&sql, &parameters, |row| Ok((row.id(0)?, row.time(1)?, row.id(2)?))).await?;
        for (room, at, sender) in rows {
            newest_first.entry(room).or_default().push((at, sender));
        }
    }
    for (room, messages) in &mut newest_first {
        messages.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
        for participant in by_room.get_mut(room).into_iter().flatten().filter(|one| is_counted(one.user.id)) {
            let after = messages.partition_point(|(at, _)| *at > participant.last_read_at);
            let others = messages[..after].iter().filter(|(_, sender)| *sender != participant.user.id);
            participant.unread_count = others.count() as u64;
        }
    }
    Ok(())
}
