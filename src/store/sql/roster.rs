//! Reads who takes part in a room of any size, what one of them has not read, and who has read a message: by indexes alone.

use crate::clock::Timestamp;
use crate::domain::chat::roster::{Member, Reader, Readers, Unread, UserPage};
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits;
use crate::store::sql::people::profiles;
use crate::store::sql::{Sql, ToColumn, Unexpected, View};

/// Participants behind a user, in the order of their ids.
pub const MEMBERS: &str = "SELECT user_id, role FROM chat_participants WHERE chat_room_id = ? AND user_id > ? \
    ORDER BY user_id LIMIT ?";
/// Readers behind a user, in the order of their ids.
pub const READERS: &str = "SELECT user_id, read_at FROM message_reads WHERE message_id = ? AND user_id > ? \
    ORDER BY user_id LIMIT ?";
/// How many have read a message.
pub const READERS_COUNT: &str = "SELECT count(*) FROM message_reads WHERE message_id = ?";
/// The newest messages behind a time, and how many of them are by others: as many as are counted by the lists of rooms.
pub const UNREAD: &str = "SELECT count(*), count(CASE WHEN sender_id <> ? THEN 1 END) FROM (SELECT sender_id FROM messages \
    WHERE chat_room_id = ? AND is_deleted = 0 AND created_at > ? ORDER BY created_at DESC LIMIT ?) newest";

/// A page of a room's participants.
pub async fn members<C: Sql>(
    view: &mut View<'_, C>,
    room: RoomId,
    after: UserId,
    limit: u32,
) -> Result<UserPage<Member>, C::Error> {
    let most = limit + 1;
    let found: Vec<(UserId, String)> =
        view.rows(MEMBERS, &[&room, &after, &most], |row| Ok((row.id(0)?, row.text(1)?))).await?;
    let (found, next) = page_of(found, limit, |(user, _)| *user);
    let people = profiles(view, found.iter().map(|(user, _)| *user)).await?;
    let whole = |(user, role)| Ok(Member { user: people.of(user)?, role });
    let rows = found.into_iter().map(whole).collect::<Result<_, Unexpected>>()?;
    Ok(UserPage { rows, next })
}

/// What a participant has not read; `None` if the user is none.
pub async fn unread<C: Sql>(view: &mut View<'_, C>, room: RoomId, user: UserId) -> Result<Option<Unread>, C::Error> {
    let sql = "SELECT last_read_at FROM chat_participants WHERE chat_room_id = ? AND user_id = ?";
    let Some(last_read_at) = view.row(sql, &[&room, &user], |row| row.time(0)).await? else { return Ok(None) };
    let most = limits::UNREAD_COUNT_MAX;
    let values: [&dyn ToColumn; 4] = [&user, &room, &last_read_at, &most];
    let counts = view.row(UNREAD, &values, |row| Ok((row.count(0)?, row.count(1)?))).await?;
    let (all, count) = counts.unwrap_or_default();
    Ok(Some(Unread { count, is_capped: all >= most as u64, last_read_at }))
}

/// Who has read a message; `None` if there is no such message in the room.
pub async fn readers<C: Sql>(
    view: &mut View<'_, C>,
    room: RoomId,
    message: MessageId,
    after: UserId,
    limit: u32,
) -> Result<Option<Readers>, C::Error> {
    let sql = "SELECT 1 FROM messages WHERE id = ? AND chat_room_id = ? AND is_deleted = 0";
    if !view.is_there(sql, &[&message, &room]).await? {
        return Ok(None);
    }
    let count = view.count(READERS_COUNT, &[&message]).await?;
    let most = limit + 1;
    let found: Vec<(UserId, Timestamp)> =
        view.rows(READERS, &[&message, &after, &most], |row| Ok((row.id(0)?, row.time(1)?))).await?;
    let (found, next) = page_of(found, limit, |(user, _)| *user);
    let people = profiles(view, found.iter().map(|(user, _)| *user)).await?;
    let whole = |(user, at)| Ok(Reader { user: people.of(user)?, at });
    let rows = found.into_iter().map(whole).collect::<Result<_, Unexpected>>()?;
    Ok(Some(Readers { count, page: UserPage { rows, next } }))
}

/// As many rows as were asked for, and where the next page begins if one more was found.
fn page_of<T>(mut found: Vec<T>, limit: u32, user: impl Fn(&T) -> UserId) -> (Vec<T>, Option<UserId>) {
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().map(user).filter(|_| has_more);
    (found, next)
}
