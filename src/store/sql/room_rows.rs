//! Who comes into a room and who goes, as the batch's transaction sees it: [`RoomRows`] in SQL.

use crate::clock::Timestamp;
use crate::ids::{RoomId, UserId};
use crate::store::rules::{RoomRows, Rows};
use crate::store::sql::{Sql, Transaction};

impl<B> RoomRows for B
where
    B: Transaction + Rows<Error = <<B as Transaction>::Driver as Sql>::Error>,
{
    fn is_owner(&mut self, room: RoomId, user: UserId) -> Result<bool, Self::Error> {
        let sql = "SELECT 1 FROM chat_participants WHERE chat_room_id = ? AND user_id = ? AND role = 'owner'";
        self.is_there(sql, &[&room, &user])
    }

    fn hand_over(&mut self, room: RoomId) -> Result<(), Self::Error> {
        let sql = "SELECT 1 FROM chat_participants WHERE chat_room_id = ? AND role = 'owner'";
        if self.is_there(sql, &[&room])? {
            return Ok(());
        }
        let sql = "SELECT p.user_id FROM chat_participants p JOIN users u ON u.id = p.user_id WHERE p.chat_room_id = ? \
            ORDER BY u.is_active DESC, p.role = 'admin' DESC, p.joined_at, p.id LIMIT 1";
        let Some(heir) = self.run(async |view| view.row(sql, &[&room], |row| row.id::<UserId>(0)).await)? else {
            return Ok(());
        };
        self.forget_member(room, heir);
        let sql = "UPDATE chat_participants SET role = 'owner' WHERE chat_room_id = ? AND user_id = ?";
        self.execute(sql, &[&room, &heir]).map(drop)
    }

    fn note_leave(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<(), Self::Error> {
        let latest = B::Driver::DIALECT.keep_greatest("room_id, user_id", "left_at");
        let sql =
            format!("INSERT INTO pregon_left_rooms (room_id, user_id, left_at, added_at) VALUES (?, ?, ?, 0) {latest}");
        self.execute(&sql, &[&room, &user, &at.0]).map(drop)
    }

    fn added_again(&mut self, room: RoomId, user: UserId) -> Result<Option<Timestamp>, Self::Error> {
        let sql = "SELECT added_at FROM pregon_left_rooms WHERE room_id = ? AND user_id = ? AND added_at > 0";
        self.run(async |view| view.row(sql, &[&room, &user], |row| Ok(Timestamp(row.number(0)?))).await)
    }

    fn note_return(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<(), Self::Error> {
        let sql = "UPDATE pregon_left_rooms SET added_at = ? WHERE room_id = ? AND user_id = ?";
        self.execute(sql, &[&at.0, &room, &user]).map(drop)
    }
}
