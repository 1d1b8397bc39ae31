//! A batch's reads and changes of follows, friend requests and friendships, inside its transaction.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::people::{RequestHead, RequestStatus};
use crate::domain::user::UserProfile;
use crate::ids::{RequestId, RoomId, UserId};
use crate::store::sql::rows::{BatchRows, one_less};
use crate::store::sql::{Columns, Id, LaneSql, Parameters, Unexpected, accounts, people};

impl<D: LaneSql> BatchRows<'_, D> {
    /// A user's profile with the counts as this transaction leaves them.
    pub async fn changed_profile(&mut self, user: UserId) -> Result<Arc<UserProfile>, D::Error> {
        self.view.changed.insert(user);
        people::known_profile(&mut self.view, user).await
    }

    /// Inserts a follow row and raises both counters; false if there was one.
    pub async fn insert_follow(
        &mut self,
        follower: UserId,
        following: UserId,
        at: Timestamp,
    ) -> Result<bool, D::Error> {
        self.view.changed.extend([follower, following]);
        accounts::insert_follow(&mut self.view, follower, following, at).await
    }

    /// Deletes the follow row and lowers both counters; false if there was none.
    pub async fn delete_follow(&mut self, follower: UserId, following: UserId) -> Result<bool, D::Error> {
        self.view.changed.extend([follower, following]);
        let sql = "DELETE FROM user_follows WHERE follower_id = ? AND following_id = ?";
        if self.view.execute(sql, &[&follower, &following]).await? == 0 {
            return Ok(false);
        }
        self.view.execute(&one_less("users", "following_count"), &[&follower]).await?;
        self.view.execute(&one_less("users", "followers_count"), &[&following]).await?;
        Ok(true)
    }

    /// Whether the user hears the other's public posts, as a follower or friend.
    pub async fn hears(&mut self, user: UserId, other: UserId) -> Result<bool, D::Error> {
        let follows = "SELECT 1 FROM user_follows WHERE follower_id = ? AND following_id = ?";
        Ok(self.view.is_there(follows, &[&user, &other]).await? || self.are_friends(user, other).await?)
    }

    /// Inserts a block; false if there was one.
    pub async fn insert_block(&mut self, blocker: UserId, blocked: UserId, at: Timestamp) -> Result<bool, D::Error> {
        if self.has_blocked(blocker, blocked).await? {
            return Ok(false);
        }
        let sql = "INSERT INTO pregon_blocks (blocker_id, blocked_id, created_at) VALUES (?, ?, ?)";
        self.view.execute(sql, &[&blocker, &blocked, &at.0]).await?;
        Ok(true)
    }

    /// Deletes a block; false if there was none.
    pub async fn delete_block(&mut self, blocker: UserId, blocked: UserId) -> Result<bool, D::Error> {
        let sql = "DELETE FROM pregon_blocks WHERE blocker_id = ? AND blocked_id = ?";
        Ok(self.view.execute(sql, &[&blocker, &blocked]).await? > 0)
    }

    /// Whether this user has blocked the other.
    pub async fn has_blocked(&mut self, blocker: UserId, blocked: UserId) -> Result<bool, D::Error> {
        let sql = "SELECT 1 FROM pregon_blocks WHERE blocker_id = ? AND blocked_id = ?";
        self.view.is_there(sql, &[&blocker, &blocked]).await
    }

    /// Whether one of the two has blocked the other.
    pub async fn is_blocked(&mut self, one: UserId, other: UserId) -> Result<bool, D::Error> {
        let sql = "SELECT 1 FROM pregon_blocks WHERE (blocker_id = ? AND blocked_id = ?) \
            OR (blocker_id = ? AND blocked_id = ?) LIMIT 1";
        self.view.is_there(sql, &[&one, &other, &other, &one]).await
    }

    /// The private rooms of two users: one, or more if another program made them.
    pub async fn private_rooms(&mut self, one: UserId, other: UserId) -> Result<Vec<RoomId>, D::Error> {
        let sql = "SELECT r.id FROM chat_participants a JOIN chat_participants b ON b.chat_room_id = a.chat_room_id \
            JOIN chat_rooms r ON r.id = a.chat_room_id WHERE a.user_id = ? AND b.user_id = ? AND r.chat_type = 'private' \
            ORDER BY r.id";
        self.view.rows(sql, &[&one, &other], |row| row.id(0)).await
    }

    /// Whether there is a friendship row.
    pub async fn are_friends(&mut self, one: UserId, other: UserId) -> Result<bool, D::Error> {
        let sql = "SELECT 1 FROM friendships WHERE user1_id = ? AND user2_id = ?";
        match self.view.is_there(sql, &[&one.min(other), &one.max(other)]).await {
            Err(error) if D::is_of_another_schema(&error) => Ok(false),
            found => found,
        }
    }

    /// A friend request.
    pub async fn request_head(&mut self, request: RequestId) -> Result<Option<RequestHead>, D::Error> {
        self.request("id = ?", &[&request]).await
    }

    /// The open friend request between two users, in either direction.
    pub async fn pending_request(&mut self, one: UserId, other: UserId) -> Result<Option<RequestHead>, D::Error> {
        // The two may ask each other at the same time in two lanes: the second one waits here for the first.
        let least = one.min(other);
        let greatest = one.max(other);
        let both = format!("SELECT id FROM users WHERE id IN (?, ?) ORDER BY id {}", D::DIALECT.locked());
        self.view.rows(&both, &[&least, &greatest], |_| Ok(())).await?;
        let sql = "sender_id = ? AND receiver_id = ? AND status = 'pending' LIMIT 1";
        match self.request(sql, &[&one, &other]).await? {
            None => self.request(sql, &[&other, &one]).await,
            found => Ok(found),
        }
    }

    /// Opens a request, or reopens an older one of the same two. Returns its id.
    pub async fn open_request(
        &mut self,
        sender: UserId,
        receiver: UserId,
        at: Timestamp,
    ) -> Result<RequestId, D::Error> {
        let older = self.request("sender_id = ? AND receiver_id = ? LIMIT 1", &[&sender, &receiver]).await?;
        if let Some(RequestHead { id, .. }) = older {
            let sql = "UPDATE friend_requests SET status = 'pending', created_at = ? WHERE id = ?";
            self.view.execute(sql, &[&at, &id]).await?;
            return Ok(id);
        }
        let request: RequestId = self.view.ids.fresh();
        self.view
            .execute(
                "INSERT INTO friend_requests (id, status, created_at, sender_id, receiver_id) \
             VALUES (?, 'pending', ?, ?, ?)",
                &[&request, &at, &sender, &receiver],
            )
            .await?;
        Ok(request)
    }

    /// Closes a request.
    pub async fn close_request(&mut self, request: RequestId, status: RequestStatus) -> Result<(), D::Error> {
        self.view.execute("UPDATE friend_requests SET status = ? WHERE id = ?", &[&status, &request]).await.map(drop)
    }

    /// Inserts a friendship row, unless there is one.
    pub async fn insert_friendship(&mut self, one: UserId, other: UserId, at: Timestamp) -> Result<(), D::Error> {
        if self.are_friends(one, other).await? {
            return Ok(());
        }
        let id: Id = self.view.ids.fresh();
        self.view
            .execute(
                "INSERT INTO friendships (id, created_at, user1_id, user2_id) VALUES (?, ?, ?, ?)",
                &[&id, &at, &one.min(other), &one.max(other)],
            )
            .await
            .map(drop)
    }

    /// Deletes the friendship row; false if there was none.
    pub async fn delete_friendship(&mut self, one: UserId, other: UserId) -> Result<bool, D::Error> {
        let sql = "DELETE FROM friendships WHERE user1_id = ? AND user2_id = ?";
        match self.view.execute(sql, &[&one.min(other), &one.max(other)]).await {
            Err(error) if D::is_of_another_schema(&error) => Ok(false),
            gone => Ok(gone? > 0),
        }
    }

    /// The friend request that fulfils `sql`; `None` if the database has no such table.
    async fn request(&mut self, sql: &str, values: Parameters<'_>) -> Result<Option<RequestHead>, D::Error> {
        let sql = format!("SELECT id, sender_id, receiver_id, status FROM friend_requests WHERE {sql}");
        match self.view.row(&sql, values, request_of_row).await {
            Err(error) if D::is_of_another_schema(&error) => Ok(None),
            found => found,
        }
    }
}

fn request_of_row(row: Columns<'_>) -> Result<RequestHead, Unexpected> {
    Ok(RequestHead { id: row.id(0)?, sender: row.id(1)?, receiver: row.id(2)?, status: row.kind(3)? })
}
