//! Who comes into a room and who goes, and what a room keeps of it.

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{RoomId, Topic, UserId};
use crate::limits;
use crate::store::rules::{Asked, Rows, record, refused};

/// The rows of participants as one transaction sees them, beside those that are asked for with every write.
pub trait RoomRows: Rows {
    /// Is the participant the room's owner?
    fn is_owner(&mut self, room: RoomId, user: UserId) -> Result<bool, Self::Error>;
    /// The room's oldest admin becomes its owner, else its oldest member, unless there is an owner.
    fn hand_over(&mut self, room: RoomId) -> Result<(), Self::Error>;
    /// Remembers that a user left by themselves.
    fn note_leave(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<(), Self::Error>;
    /// When somebody who had left by themselves was last added again; `None`: that never happened.
    fn added_again(&mut self, room: RoomId, user: UserId) -> Result<Option<Timestamp>, Self::Error>;
    /// Remembers that a user was added, if the user had left by themselves.
    fn note_return(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<(), Self::Error>;
}

/// A participant goes, by themselves or by an admin.
pub(super) fn take_away<R: RoomRows>(rows: &mut R, write: &Asked<'_>, user: UserId) -> Result<Outcome, R::Error> {
    let was_owner = rows.is_owner(write.room, user)?;
    if !rows.delete_member(write.room, user)? {
        return Ok(refused(Refusal::NoSuchUser));
    }
    let place = rows.take_place(Topic::Room(write.room))?;
    if was_owner {
        rows.hand_over(write.room)?;
    }
    if user == write.actor {
        rows.note_leave(write.room, user, place.at)?;
    }
    record(rows, write, place, ChatEvent::Left { user })
}

/// An admin adds somebody. Whoever had left by themselves is not brought back again and again.
pub(super) fn add<R: RoomRows>(rows: &mut R, write: &Asked<'_>, user: UserId) -> Result<Outcome, R::Error> {
    if !rows.is_active_user(user)? {
        return Ok(refused(Refusal::NoSuchUser));
    }
    let at = rows.next_time(Topic::Room(write.room))?;
    let added = rows.added_again(write.room, user)?;
    if added.is_some_and(|added| added.plus_seconds(limits::ADDED_AGAIN_HOURS * 3600) > at)
        && rows.member(write.room, user)?.is_none()
    {
        return Ok(refused(Refusal::HasLeft));
    }
    if !rows.insert_member(write.room, user, at)? {
        return Ok(Outcome::Unchanged);
    }
    let place = rows.take_place(Topic::Room(write.room))?;
    rows.note_return(write.room, user, place.at)?;
    record(rows, write, place, ChatEvent::Joined { user })
}
