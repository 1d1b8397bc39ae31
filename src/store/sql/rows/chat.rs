//! A batch's reads and changes of rooms and messages, inside its transaction.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::chat::message::{Message, ReactionType, ReplyPreview};
use crate::domain::chat::room::{Role, RoomPatch};
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits;
use crate::store::sql::chat_rows::{self, UnreadRest};
use crate::store::sql::member::Member;
use crate::store::sql::messages::{self, MessageHead};
use crate::store::sql::rows::{BatchRows, Place};
use crate::store::sql::{Id, LaneSql, Named, Table, ToColumn, new_rooms};

/// Messages of others that a user read in one write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadAll {
    /// The number of newly read messages.
    pub count: u64,
    /// The newest of them, at most [`limits::READ_ALL_FRAMES_MAX`], newest first.
    pub newest: Vec<MessageId>,
}

impl<D: LaneSql> BatchRows<'_, D> {
    /// The participant row of (room, user).
    pub async fn member(&mut self, room: RoomId, user: UserId) -> Result<Option<Member>, D::Error> {
        if let Some(member) = self.known.members.get(&(room, user)) {
            return Ok(member.clone());
        }
        let member = chat_rows::member(&mut self.view, room, user).await?;
        self.known.members.insert((room, user), member.clone());
        Ok(member)
    }

    /// A message of the room, deleted or not.
    pub async fn message_head(&mut self, room: RoomId, message: MessageId) -> Result<Option<MessageHead>, D::Error> {
        let found = match self.known.heads.get(&message) {
            Some(found) => *found,
            None => {
                let found = messages::head(&mut self.view, room, message).await?.map(|head| (room, head));
                // The message may exist in another room, which is not recorded here.
                if found.is_some() {
                    self.known.heads.insert(message, found);
                }
                found
            }
        };
        Ok(found.filter(|(of, _)| *of == room).map(|(_, head)| head))
    }

    /// A whole message, without a viewer.
    pub async fn message(&mut self, message: MessageId) -> Result<Option<Arc<Message>>, D::Error> {
        self.flush().await?;
        Ok(messages::whole(&mut self.view, None, message).await?.map(Arc::new))
    }

    /// A message of the room that is not deleted, as a reply shows it.
    pub async fn reply(&mut self, room: RoomId, message: MessageId) -> Result<Option<ReplyPreview>, D::Error> {
        if let Some(found) = self.known.replies.get(&message) {
            return Ok(found.as_ref().filter(|(of, _)| *of == room).map(|(_, reply)| reply.clone()));
        }
        self.flush().await?;
        messages::reply(&mut self.view, room, message).await
    }

    /// The message to which a client gave this name after `since`.
    pub async fn named_message(
        &mut self,
        user: UserId,
        room: RoomId,
        client_id: &str,
        since: Timestamp,
    ) -> Result<Option<Named>, D::Error> {
        let name = (user, room, client_id.to_owned());
        let found = match self.known.names.get(&name) {
            Some(found) => *found,
            None => {
                let found = chat_rows::named(&mut self.view, user, room, client_id).await?;
                self.known.names.insert(name, found);
                found
            }
        };
        Ok(found.filter(|named| named.at > since))
    }

    /// Inserts a message, and updates the room's last activity.
    pub async fn insert_message(&mut self, message: &Message) -> Result<(), D::Error> {
        self.active.insert(message.room, message.created_at);
        chat_rows::insert_message(self.view.driver, message).await
    }

    /// Records the client's name for a message.
    pub async fn name_message(
        &mut self,
        user: UserId,
        room: RoomId,
        client_id: &str,
        message: MessageId,
        place: Place,
    ) -> Result<(), D::Error> {
        let Place { at, cursor, .. } = place;
        let row: [&dyn ToColumn; 7] = [&user, &room, &client_id, &message, &at.0, &cursor.epoch, &cursor.seq];
        self.view.driver.insert(Table::Names, &row).await?;
        let named = Named { message, at, cursor: Some(cursor) };
        self.known.names.insert((user, room, client_id.to_owned()), Some(named));
        Ok(())
    }

    /// Changes a message's text.
    pub async fn edit_message(&mut self, message: MessageId, content: &str, at: Timestamp) -> Result<(), D::Error> {
        let sql = "UPDATE messages SET content = ?, is_edited = 1, updated_at = ? WHERE id = ?";
        self.view.driver.put_off(sql, &[&content, &at, &message]).await?;
        self.known.replies.remove(&message);
        Ok(())
    }

    /// Deletes a message softly.
    pub async fn delete_message(&mut self, message: MessageId, at: Timestamp) -> Result<(), D::Error> {
        let sql = "UPDATE messages SET is_deleted = 1, deleted_at = ?, updated_at = ? WHERE id = ?";
        self.view.driver.put_off(sql, &[&at, &at, &message]).await?;
        self.known.replies.insert(message, None);
        if let Some(Some((_, head))) = self.known.heads.get_mut(&message) {
            head.is_deleted = true;
        }
        Ok(())
    }

    /// Removes the reaction if it exists, else adds it; true if added.
    pub async fn toggle_reaction(
        &mut self,
        message: MessageId,
        user: UserId,
        reaction: ReactionType,
        at: Timestamp,
    ) -> Result<bool, D::Error> {
        let key = (message, user, reaction);
        let is_there = match self.known.reactions.get(&key) {
            Some(is_there) => *is_there,
            // A reaction that was not queried before was not changed before, so no deferred change matters.
            None => chat_rows::has_reacted(&mut self.view, message, user, reaction).await?,
        };
        if is_there {
            let sql = "DELETE FROM message_reactions WHERE message_id = ? AND user_id = ? AND reaction_type = ?";
            self.view.driver.put_off(sql, &[&message, &user, &reaction]).await?;
        } else {
            let id: Id = self.view.ids.fresh();
            let sql = "INSERT INTO message_reactions (id, reaction_type, created_at, message_id, user_id) \
                VALUES (?, ?, ?, ?, ?)";
            self.view.driver.put_off(sql, &[&id, &reaction, &at, &message, &user]).await?;
        }
        self.known.reactions.insert(key, !is_there);
        Ok(!is_there)
    }

    /// Inserts a read row; false if there was one.
    pub async fn insert_read(&mut self, message: MessageId, user: UserId, at: Timestamp) -> Result<bool, D::Error> {
        let is_there = match self.known.reads.get(&(message, user)) {
            Some(is_there) => *is_there,
            None => {
                self.flush().await?;
                chat_rows::has_read(&mut self.view, message, user).await?
            }
        };
        if !is_there {
            let id: Id = self.view.ids.fresh();
            self.view.driver.insert(Table::Reads, &[&id, &at, &message, &user]).await?;
            self.known.reads.insert((message, user), true);
        }
        Ok(!is_there)
    }

    /// Moves the participant's `last_read_at`, but never backwards.
    pub fn move_last_read(&mut self, room: RoomId, user: UserId, at: Timestamp) {
        let last = self.last_reads.entry((room, user)).or_insert(at);
        *last = at.max(*last);
    }

    /// Inserts the missing read rows for all messages of others after `last_read_at`.
    pub async fn read_all(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<ReadAll, D::Error> {
        self.flush().await?;
        let after = chat_rows::last_read(&mut self.view, room, user).await?;
        let rest = UnreadRest { room, user, after, before: Timestamp(i64::MAX), at };
        let found = chat_rows::insert_unread(&mut self.view, rest).await?;
        self.known.reads.extend(found.iter().map(|(message, _)| ((*message, user), true)));
        let mut count = found.len() as u64;
        if let Some(rest) = rest.after_these(&found) {
            count += chat_rows::count_unread(&mut self.view, rest).await?;
            if self.rests.len() < limits::READ_ALL_RESTS_MAX {
                self.rests.push_back(rest);
            }
        }
        let newest = found.into_iter().map(|(message, _)| message).take(limits::READ_ALL_FRAMES_MAX).collect();
        Ok(ReadAll { count, newest })
    }

    /// A participant's rights have changed.
    pub fn forget_member(&mut self, room: RoomId, user: UserId) {
        self.known.members.remove(&(room, user));
    }

    /// Inserts a `member` row; false if there was one.
    pub async fn insert_member(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<bool, D::Error> {
        self.known.members.remove(&(room, user));
        if chat_rows::is_participant(&mut self.view, room, user).await? {
            return Ok(false);
        }
        new_rooms::insert_participants(&mut self.view, room, &[(user, "member")], at).await?;
        Ok(true)
    }

    /// Deletes the participant row; false if there was none.
    pub async fn delete_member(&mut self, room: RoomId, user: UserId) -> Result<bool, D::Error> {
        self.known.members.remove(&(room, user));
        chat_rows::delete_member(&mut self.view, room, user).await
    }

    /// Whether the participant owns the room.
    pub async fn is_owner(&mut self, room: RoomId, user: UserId) -> Result<bool, D::Error> {
        let sql = "SELECT 1 FROM chat_participants WHERE chat_room_id = ? AND user_id = ? AND role = 'owner'";
        self.view.is_there(sql, &[&room, &user]).await
    }

    /// A participant's role; `None` if the user does not take part.
    pub async fn role(&mut self, room: RoomId, user: UserId) -> Result<Option<String>, D::Error> {
        let sql = "SELECT role FROM chat_participants WHERE chat_room_id = ? AND user_id = ?";
        self.view.row(sql, &[&room, &user], |row| row.text(0)).await
    }

    /// Changes a participant's role.
    pub async fn set_role(&mut self, room: RoomId, user: UserId, role: Role) -> Result<(), D::Error> {
        self.known.members.remove(&(room, user));
        let sql = "UPDATE chat_participants SET role = ? WHERE chat_room_id = ? AND user_id = ?";
        self.view.execute(sql, &[&role.as_str(), &room, &user]).await.map(drop)
    }

    /// Changes a room's own columns.
    pub async fn change_room(&mut self, room: RoomId, patch: &RoomPatch, at: Timestamp) -> Result<(), D::Error> {
        let sql = "UPDATE chat_rooms SET name = coalesce(?, name), description = coalesce(?, description), \
            avatar = CASE WHEN ? = 1 THEN ? ELSE avatar END, updated_at = ? WHERE id = ?";
        let (is_new, path) = (patch.avatar.is_change(), patch.avatar.path());
        self.view.execute(sql, &[&patch.name, &patch.description, &is_new, &path, &at, &room]).await.map(drop)
    }

    /// Unless the room has an owner, makes its oldest admin, or else its oldest member, the owner.
    pub async fn hand_over(&mut self, room: RoomId) -> Result<(), D::Error> {
        let sql = "SELECT 1 FROM chat_participants WHERE chat_room_id = ? AND role = 'owner'";
        if self.view.is_there(sql, &[&room]).await? {
            return Ok(());
        }
        let sql = "SELECT p.user_id FROM chat_participants p JOIN users u ON u.id = p.user_id WHERE p.chat_room_id = ? \
            ORDER BY u.is_active DESC, p.role = 'admin' DESC, p.joined_at, p.id LIMIT 1";
        let Some(heir) = self.view.row(sql, &[&room], |row| row.id::<UserId>(0)).await? else { return Ok(()) };
        self.known.members.remove(&(room, heir));
        let sql = "UPDATE chat_participants SET role = 'owner' WHERE chat_room_id = ? AND user_id = ?";
        self.view.execute(sql, &[&room, &heir]).await.map(drop)
    }

    /// Records that a user left on their own.
    pub async fn note_leave(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<(), D::Error> {
        let latest = D::DIALECT.keep_greatest("room_id, user_id", "left_at");
        let sql =
            format!("INSERT INTO pregon_left_rooms (room_id, user_id, left_at, added_at) VALUES (?, ?, ?, 0) {latest}");
        self.view.execute(&sql, &[&room, &user, &at.0]).await.map(drop)
    }

    /// When a user who had left on their own was last added again; `None` if never.
    pub async fn added_again(&mut self, room: RoomId, user: UserId) -> Result<Option<Timestamp>, D::Error> {
        let sql = "SELECT added_at FROM pregon_left_rooms WHERE room_id = ? AND user_id = ? AND added_at > 0";
        self.view.row(sql, &[&room, &user], |row| Ok(Timestamp(row.number(0)?))).await
    }

    /// Records that a user was added, if they had left on their own.
    pub async fn note_return(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<(), D::Error> {
        let sql = "UPDATE pregon_left_rooms SET added_at = ? WHERE room_id = ? AND user_id = ?";
        self.view.execute(sql, &[&at.0, &room, &user]).await.map(drop)
    }
}
