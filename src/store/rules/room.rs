//! The rules of joining and leaving a room, and what the room remembers of it.

use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::room::{Role, RoomPatch};
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{Topic, UserId};
use crate::limits;
use crate::store::rules::asked::{Asked, record, refused};
use crate::store::sql::LaneSql;
use crate::store::sql::rows::BatchRows;

/// Removes a participant who leaves, or whom an admin removes.
pub(super) async fn take_away<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    user: UserId,
) -> Result<Outcome, D::Error> {
    let was_owner = rows.is_owner(write.room, user).await?;
    if !rows.delete_member(write.room, user).await? {
        return Ok(refused(Refusal::NoSuchUser));
    }
    let place = rows.take_place(Topic::Room(write.room)).await?;
    if was_owner {
        rows.hand_over(write.room).await?;
    }
    if user == write.actor {
        rows.note_leave(write.room, user, place.at).await?;
    }
    record(rows, write, place, ChatEvent::Left { user }).await
}

/// Gives a participant another role, for the owner.
pub(super) async fn set_role<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    user: UserId,
    role: Role,
) -> Result<Outcome, D::Error> {
    if !rows.is_owner(write.room, write.actor).await? {
        return Ok(refused(Refusal::NotOwner));
    }
    if user == write.actor {
        return Ok(refused(Refusal::OwnRole));
    }
    match rows.role(write.room, user).await? {
        None => return Ok(refused(Refusal::NoSuchUser)),
        Some(now) if now == role.as_str() => return Ok(Outcome::Unchanged),
        Some(_) => {}
    }
    let place = rows.take_place(Topic::Room(write.room)).await?;
    if role == Role::Owner {
        rows.set_role(write.room, write.actor, Role::Admin).await?;
    }
    rows.set_role(write.room, user, role).await?;
    record(rows, write, place, ChatEvent::Changed { user: write.actor }).await
}

/// Changes a group's name, description or picture, for an admin.
pub(super) async fn change<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    patch: &RoomPatch,
) -> Result<Outcome, D::Error> {
    if *patch == RoomPatch::default() {
        return Ok(Outcome::Unchanged);
    }
    let place = rows.take_place(Topic::Room(write.room)).await?;
    rows.change_room(write.room, patch, place.at).await?;
    record(rows, write, place, ChatEvent::Changed { user: write.actor }).await
}

/// Adds a user for an admin. A user who left on their own is not added again and again.
pub(super) async fn add<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    user: UserId,
) -> Result<Outcome, D::Error> {
    if !rows.is_active_user(user).await? {
        return Ok(refused(Refusal::NoSuchUser));
    }
    if rows.is_blocked(write.actor, user).await? {
        return Ok(refused(Refusal::Blocked));
    }
    let at = rows.next_time(Topic::Room(write.room)).await?;
    let added = rows.added_again(write.room, user).await?;
    if added.is_some_and(|added| added.plus_seconds(limits::ADDED_AGAIN_HOURS * 3600) > at)
        && rows.member(write.room, user).await?.is_none()
    {
        return Ok(refused(Refusal::HasLeft));
    }
    if !rows.insert_member(write.room, user, at).await? {
        return Ok(Outcome::Unchanged);
    }
    let place = rows.take_place(Topic::Room(write.room)).await?;
    rows.note_return(write.room, user, place.at).await?;
    record(rows, write, place, ChatEvent::Joined { user }).await
}
