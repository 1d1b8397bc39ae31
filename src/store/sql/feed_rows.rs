//! The rows of posts, people and notifications as the batch's transaction sees them: [`FeedRows`] in SQL.
//!
//! Counters move by what is added and taken away, in the row itself: another program's changes are never overwritten.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::feed::comment::{Comment, CommentHead};
use crate::domain::feed::post::{NewPost, Post, PostHead, PostPatch, PostReactionType, ReactionCounts};
use crate::domain::notification::Notification;
use crate::domain::people::{RequestHead, RequestStatus};
use crate::domain::user::UserProfile;
use crate::ids::{CommentId, NotificationId, PostId, RequestId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::rules::{FeedRows, Place, ReadNotifications, Rows, Telling};
use crate::store::sql::{
    Columns, Dialect, Id, Parameters, Sql, Unexpected, View, accounts, comments, comments_tree, each, marks,
    notifications, padded, people, posts,
};

/// How a transaction's driver fails.
pub type Error<T> = <<T as Transaction>::Driver as Sql>::Error;

/// A batch's transaction under way.
pub trait Transaction {
    /// The lane's connection.
    type Driver: Sql;

    /// What `work` does in the transaction: waited for, or there at once.
    fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut View<'_, Self::Driver>) -> Result<T, Error<Self>>,
    ) -> Result<T, Error<Self>>;

    /// Users whose rows the transaction has changed.
    fn changed(&mut self) -> &mut BTreeSet<UserId>;

    /// A participant's row has changed: what is remembered of it is old.
    fn forget_member(&mut self, room: RoomId, user: UserId);

    /// A change: how many rows it met.
    fn execute(&mut self, sql: &str, values: Parameters<'_>) -> Result<u64, Error<Self>> {
        self.run(async |view| view.execute(sql, values).await)
    }

    /// A change whose outcome nobody waits for: it may be put off to the batch's end.
    fn change(&mut self, sql: &str, values: Parameters<'_>) -> Result<(), Error<Self>> {
        self.execute(sql, values).map(drop)
    }

    /// Has `sql` a row?
    fn is_there(&mut self, sql: &str, values: Parameters<'_>) -> Result<bool, Error<Self>> {
        self.run(async |view| view.is_there(sql, values).await)
    }

    /// The first column of the only row.
    fn number(&mut self, sql: &str, values: Parameters<'_>) -> Result<u64, Error<Self>> {
        self.run(async |view| view.count(sql, values).await)
    }

    /// The friend request of which `sql` is true; none in a database without any.
    fn request(&mut self, sql: &str, values: Parameters<'_>) -> Result<Option<RequestHead>, Error<Self>> {
        let sql = format!("SELECT id, sender_id, receiver_id, status FROM friend_requests WHERE {sql}");
        match self.run(async |view| view.row(&sql, values, request_of_row).await) {
            Err(error) if Self::Driver::is_of_another_schema(&error) => Ok(None),
            found => found,
        }
    }
}

fn request_of_row(row: Columns<'_>) -> Result<RequestHead, Unexpected> {
    Ok(RequestHead { id: row.id(0)?, sender: row.id(1)?, receiver: row.id(2)?, status: row.kind(3)? })
}

impl<B> FeedRows for B
where
    B: Transaction + Rows<Error = <<B as Transaction>::Driver as Sql>::Error>,
{
    fn changed_profile(&mut self, user: UserId) -> Result<Arc<UserProfile>, Self::Error> {
        self.changed().insert(user);
        self.run(async |view| people::known_profile(view, user).await)
    }

    fn post_head(&mut self, post: PostId) -> Result<Option<PostHead>, Self::Error> {
        self.run(async |view| posts::head(view, post).await)
    }

    fn post(&mut self, post: PostId) -> Result<Option<Arc<Post>>, Self::Error> {
        Ok(self.run(async |view| posts::whole(view, None, post).await)?.map(Arc::new))
    }

    fn is_short_id_taken(&mut self, short_id: &str) -> Result<bool, Self::Error> {
        self.is_there("SELECT 1 FROM posts WHERE short_id = ?", &[&short_id])
    }

    fn insert_post(
        &mut self,
        post: PostId,
        author: UserId,
        short_id: &str,
        new: &NewPost,
        at: Timestamp,
    ) -> Result<(), Self::Error> {
        self.changed().insert(author);
        self.execute(
            "INSERT INTO posts (id, content, images, video, thumbnail, podcast_url, streaming_url, post_type, category, \
             likes_count, celebrations_count, golazos_count, comments_count, shares_count, views_count, is_pinned, \
             is_archived, allow_comments, is_public, created_at, updated_at, user_id, short_id) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, ?, ?, ?, ?, ?, ?)",
            &[
                &post,
                &new.content,
                &new.images,
                &new.video,
                &new.thumbnail,
                &new.podcast_url,
                &new.streaming_url,
                &new.post_type,
                &new.category,
                &new.allow_comments,
                &new.is_public,
                &at,
                &at,
                &author,
                &short_id,
            ],
        )?;
        self.execute("UPDATE users SET posts_count = posts_count + 1 WHERE id = ?", &[&author]).map(drop)
    }

    fn patch_post(&mut self, post: PostId, patch: &PostPatch, at: Timestamp) -> Result<(), Self::Error> {
        self.execute(
            "UPDATE posts SET content = coalesce(?, content), images = coalesce(?, images), \
             video = coalesce(?, video), thumbnail = coalesce(?, thumbnail), \
             podcast_url = coalesce(?, podcast_url), streaming_url = coalesce(?, streaming_url), \
             post_type = coalesce(?, post_type), category = coalesce(?, category), \
             allow_comments = coalesce(?, allow_comments), is_public = coalesce(?, is_public), \
             is_pinned = coalesce(?, is_pinned), updated_at = ? WHERE id = ?",
            &[
                &patch.content,
                &patch.images,
                &patch.video,
                &patch.thumbnail,
                &patch.podcast_url,
                &patch.streaming_url,
                &patch.post_type,
                &patch.category,
                &patch.allow_comments,
                &patch.is_public,
                &patch.is_pinned,
                &at,
                &post,
            ],
        )
        .map(drop)
    }

    fn delete_post(&mut self, post: PostId, author: UserId) -> Result<(), Self::Error> {
        self.changed().insert(author);
        self.run(async |view| comments_tree::delete_all(view, post).await)?;
        // Those that pregon does not write are another program's, and need not be there.
        let others: &[&str] = match B::Driver::DIALECT {
            Dialect::Sqlite => &[],
            Dialect::Mysql => &["post_views", "post_reports"],
        };
        for table in ["post_reactions", "post_shares", "post_bookmarks"].iter().chain(others) {
            match self.execute(&format!("DELETE FROM {table} WHERE post_id = ?"), &[&post]) {
                Err(error) if B::Driver::is_of_another_schema(&error) => {}
                other => drop(other?),
            }
        }
        self.execute("DELETE FROM posts WHERE id = ?", &[&post])?;
        self.execute(&one_less("users", "posts_count"), &[&author]).map(drop)
    }

    fn take_reactions(&mut self, post: PostId, user: UserId) -> Result<Vec<PostReactionType>, Self::Error> {
        let locked = B::Driver::DIALECT.locked();
        let sql = format!("SELECT reaction_type FROM post_reactions WHERE post_id = ? AND user_id = ? {locked}");
        let taken = self.run(async |view| view.rows(&sql, &[&post, &user], |row| row.kind(0)).await)?;
        if !taken.is_empty() {
            self.execute("DELETE FROM post_reactions WHERE post_id = ? AND user_id = ?", &[&post, &user])?;
        }
        Ok(taken)
    }

    fn insert_reaction(
        &mut self,
        post: PostId,
        user: UserId,
        reaction: PostReactionType,
        at: Timestamp,
    ) -> Result<Uuid, Self::Error> {
        let id = Id::fresh();
        self.execute(
            "INSERT INTO post_reactions (id, reaction_type, created_at, post_id, user_id) VALUES (?, ?, ?, ?, ?)",
            &[&id, &reaction, &at, &post, &user],
        )?;
        Ok(id.0)
    }

    fn move_reaction_counts(
        &mut self,
        post: PostId,
        taken: &[PostReactionType],
        added: Option<PostReactionType>,
    ) -> Result<ReactionCounts, Self::Error> {
        let [likes, celebrations, golazos] = ReactionCounts::moves(taken, added);
        let moved = ["likes_count", "celebrations_count", "golazos_count"].map(|count| B::Driver::DIALECT.moved(count));
        let sql = format!("UPDATE posts SET {} WHERE id = ?", moved.join(", "));
        self.execute(&sql, &[&likes, &celebrations, &golazos, &post])?;
        let sql = "SELECT likes_count, celebrations_count, golazos_count FROM posts WHERE id = ?";
        let counts_of_row = |row: Columns<'_>| {
            Ok(ReactionCounts { likes: row.count(0)?, celebrations: row.count(1)?, golazos: row.count(2)? })
        };
        let counts = self.run(async |view| view.row(sql, &[&post], counts_of_row).await)?;
        counts.ok_or_else(|| Unexpected("a post is gone".into()).into())
    }

    fn insert_share(
        &mut self,
        post: PostId,
        user: UserId,
        message: &str,
        at: Timestamp,
    ) -> Result<Option<u64>, Self::Error> {
        if self.is_there("SELECT 1 FROM post_shares WHERE user_id = ? AND post_id = ?", &[&user, &post])? {
            return Ok(None);
        }
        self.execute(
            "INSERT INTO post_shares (id, message, created_at, post_id, user_id) VALUES (?, ?, ?, ?, ?)",
            &[&Id::fresh(), &message, &at, &post, &user],
        )?;
        self.execute("UPDATE posts SET shares_count = shares_count + 1 WHERE id = ?", &[&post])?;
        self.number("SELECT shares_count FROM posts WHERE id = ?", &[&post]).map(Some)
    }

    fn comment_head(&mut self, comment: CommentId) -> Result<Option<CommentHead>, Self::Error> {
        self.run(async |view| comments::head(view, comment).await)
    }

    fn comment(&mut self, comment: CommentId) -> Result<Option<Arc<Comment>>, Self::Error> {
        Ok(self.run(async |view| comments::one(view, None, comment).await)?.map(Arc::new))
    }

    fn insert_comment(&mut self, comment: &Comment) -> Result<u64, Self::Error> {
        let at = comment.created_at;
        self.execute(
            "INSERT INTO comments (id, content, image, likes_count, replies_count, is_edited, created_at, updated_at, \
             parent_id, user_id, post_id) VALUES (?, ?, ?, 0, 0, 0, ?, ?, ?, ?, ?)",
            &[
                &comment.id,
                &comment.content,
                &comment.image,
                &at,
                &at,
                &comment.parent,
                &comment.user.id,
                &comment.post,
            ],
        )?;
        if let Some(parent) = comment.parent {
            self.execute("UPDATE comments SET replies_count = replies_count + 1 WHERE id = ?", &[&parent])?;
        }
        self.execute("UPDATE posts SET comments_count = comments_count + 1 WHERE id = ?", &[&comment.post])?;
        self.number("SELECT comments_count FROM posts WHERE id = ?", &[&comment.post])
    }

    fn edit_comment(&mut self, comment: CommentId, content: &str, at: Timestamp) -> Result<(), Self::Error> {
        let sql = "UPDATE comments SET content = ?, is_edited = 1, updated_at = ? WHERE id = ?";
        self.execute(sql, &[&content, &at, &comment]).map(drop)
    }

    fn has_more_comments(&mut self, post: PostId, most: usize) -> Result<bool, Self::Error> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM comments WHERE post_id = ? LIMIT ?) found";
        Ok(self.number(sql, &[&post, &(most + 1)])? > most as u64)
    }

    fn top_comment(&mut self, post: PostId) -> Result<Option<CommentId>, Self::Error> {
        let sql = "SELECT id FROM comments WHERE post_id = ? AND parent_id IS NULL ORDER BY created_at LIMIT 1";
        self.run(async |view| view.row(sql, &[&post], |row| row.id(0)).await)
    }

    fn delete_comments(
        &mut self,
        comment: CommentId,
        head: CommentHead,
        most: usize,
    ) -> Result<(Vec<CommentId>, u64), Self::Error> {
        let mut gone = self.run(async |view| comments_tree::take_answers_first(view, comment, most).await)?;
        gone.reverse();
        if let Some(parent) = head.parent.filter(|_| gone.first() == Some(&comment)) {
            self.execute(&one_less("comments", "replies_count"), &[&parent])?;
        }
        let sql = format!("UPDATE posts SET {} WHERE id = ?", B::Driver::DIALECT.moved("comments_count"));
        let fewer = -i64::try_from(gone.len()).unwrap_or(i64::MAX);
        self.execute(&sql, &[&fewer, &head.post])?;
        let comments_count = self.number("SELECT comments_count FROM posts WHERE id = ?", &[&head.post])?;
        Ok((gone, comments_count))
    }

    fn insert_comment_like(
        &mut self,
        comment: CommentId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Option<u64>, Self::Error> {
        let sql = "SELECT 1 FROM comment_likes WHERE user_id = ? AND comment_id = ?";
        if self.is_there(sql, &[&user, &comment])? {
            return Ok(None);
        }
        self.execute(
            "INSERT INTO comment_likes (id, created_at, comment_id, user_id) VALUES (?, ?, ?, ?)",
            &[&Id::fresh(), &at, &comment, &user],
        )?;
        self.execute("UPDATE comments SET likes_count = likes_count + 1 WHERE id = ?", &[&comment])?;
        self.number("SELECT likes_count FROM comments WHERE id = ?", &[&comment]).map(Some)
    }

    fn delete_comment_like(&mut self, comment: CommentId, user: UserId) -> Result<Option<u64>, Self::Error> {
        let sql = "DELETE FROM comment_likes WHERE comment_id = ? AND user_id = ?";
        if self.execute(sql, &[&comment, &user])? == 0 {
            return Ok(None);
        }
        self.execute(&one_less("comments", "likes_count"), &[&comment])?;
        self.number("SELECT likes_count FROM comments WHERE id = ?", &[&comment]).map(Some)
    }

    fn insert_follow(&mut self, follower: UserId, following: UserId, at: Timestamp) -> Result<bool, Self::Error> {
        self.changed().extend([follower, following]);
        self.run(async |view| accounts::insert_follow(view, follower, following, at).await)
    }

    fn delete_follow(&mut self, follower: UserId, following: UserId) -> Result<bool, Self::Error> {
        self.changed().extend([follower, following]);
        let sql = "DELETE FROM user_follows WHERE follower_id = ? AND following_id = ?";
        if self.execute(sql, &[&follower, &following])? == 0 {
            return Ok(false);
        }
        self.execute(&one_less("users", "following_count"), &[&follower])?;
        self.execute(&one_less("users", "followers_count"), &[&following])?;
        Ok(true)
    }

    fn hears(&mut self, user: UserId, other: UserId) -> Result<bool, Self::Error> {
        let follows = "SELECT 1 FROM user_follows WHERE follower_id = ? AND following_id = ?";
        Ok(self.is_there(follows, &[&user, &other])? || self.are_friends(user, other)?)
    }

    fn are_friends(&mut self, one: UserId, other: UserId) -> Result<bool, Self::Error> {
        let sql = "SELECT 1 FROM friendships WHERE user1_id = ? AND user2_id = ?";
        match self.is_there(sql, &[&one.min(other), &one.max(other)]) {
            Err(error) if B::Driver::is_of_another_schema(&error) => Ok(false),
            found => found,
        }
    }

    fn request_head(&mut self, request: RequestId) -> Result<Option<RequestHead>, Self::Error> {
        self.request("id = ?", &[&request])
    }

    fn pending_request(&mut self, one: UserId, other: UserId) -> Result<Option<RequestHead>, Self::Error> {
        // The two may ask each other at the same time, in two lanes: who comes second waits here for the first.
        let (least, greatest) = (one.min(other), one.max(other));
        let both = format!("SELECT id FROM users WHERE id IN (?, ?) ORDER BY id {}", B::Driver::DIALECT.locked());
        self.run(async |view| view.rows(&both, &[&least, &greatest], |_| Ok(())).await)?;
        let sql = "sender_id = ? AND receiver_id = ? AND status = 'pending' LIMIT 1";
        match self.request(sql, &[&one, &other])? {
            None => self.request(sql, &[&other, &one]),
            found => Ok(found),
        }
    }

    fn open_request(&mut self, sender: UserId, receiver: UserId, at: Timestamp) -> Result<RequestId, Self::Error> {
        let older = self.request("sender_id = ? AND receiver_id = ? LIMIT 1", &[&sender, &receiver])?;
        if let Some(RequestHead { id, .. }) = older {
            let sql = "UPDATE friend_requests SET status = 'pending', created_at = ? WHERE id = ?";
            self.execute(sql, &[&at, &id])?;
            return Ok(id);
        }
        let request = RequestId::fresh();
        self.execute(
            "INSERT INTO friend_requests (id, status, created_at, sender_id, receiver_id) \
             VALUES (?, 'pending', ?, ?, ?)",
            &[&request, &at, &sender, &receiver],
        )?;
        Ok(request)
    }

    fn close_request(&mut self, request: RequestId, status: RequestStatus) -> Result<(), Self::Error> {
        self.execute("UPDATE friend_requests SET status = ? WHERE id = ?", &[&status, &request]).map(drop)
    }

    fn insert_friendship(&mut self, one: UserId, other: UserId, at: Timestamp) -> Result<(), Self::Error> {
        if self.are_friends(one, other)? {
            return Ok(());
        }
        self.execute(
            "INSERT INTO friendships (id, created_at, user1_id, user2_id) VALUES (?, ?, ?, ?)",
            &[&Id::fresh(), &at, &one.min(other), &one.max(other)],
        )
        .map(drop)
    }

    fn delete_friendship(&mut self, one: UserId, other: UserId) -> Result<bool, Self::Error> {
        let sql = "DELETE FROM friendships WHERE user1_id = ? AND user2_id = ?";
        match self.execute(sql, &[&one.min(other), &one.max(other)]) {
            Err(error) if B::Driver::is_of_another_schema(&error) => Ok(false),
            gone => Ok(gone? > 0),
        }
    }

    fn was_told(&mut self, telling: Telling, since: Timestamp) -> Result<bool, Self::Error> {
        let Telling { sender, recipient, kinds: [first, second, third], post } = telling;
        let sql = format!(
            "SELECT 1 FROM notifications WHERE sender_id = ? AND created_at > ? AND recipient_id = ? \
             AND post_id {} ? AND notification_type IN (?, ?, ?) LIMIT 1",
            B::Driver::DIALECT.is()
        );
        self.is_there(&sql, &[&sender, &since, &recipient, &post, &first, &second, &third])
    }

    fn insert_notification(&mut self, notification: &Notification) -> Result<(), Self::Error> {
        let references = notification.references;
        self.execute(
            "INSERT INTO notifications (id, notification_type, post_id, comment_id, message, is_read, created_at, \
             read_at, recipient_id, sender_id, friend_request_id, story_id) \
             VALUES (?, ?, ?, ?, ?, 0, ?, NULL, ?, ?, ?, NULL)",
            &[
                &notification.id,
                &notification.notification_type,
                &references.post,
                &references.comment,
                &notification.message,
                &notification.created_at,
                &notification.recipient,
                &notification.sender.id,
                &references.friend_request,
            ],
        )
        .map(drop)
    }

    fn notification(
        &mut self,
        user: UserId,
        notification: NotificationId,
    ) -> Result<Option<Arc<Notification>>, Self::Error> {
        Ok(self.run(async |view| notifications::one(view, user, notification).await)?.map(Arc::new))
    }

    fn is_adopted(&mut self, row: Uuid) -> Result<bool, Self::Error> {
        self.is_there("SELECT 1 FROM pregon_adopted WHERE row_id = ?", &[&Id(row)])
    }

    fn insert_adopted(&mut self, row: Uuid, topic: Topic, place: Place) -> Result<(), Self::Error> {
        self.execute(
            "INSERT INTO pregon_adopted (row_id, topic, epoch, seq, created_at) VALUES (?, ?, ?, ?, ?)",
            &[&Id(row), &topic.to_string(), &place.cursor.epoch, &place.cursor.seq, &place.at.0],
        )
        .map(drop)
    }

    fn read_notification(
        &mut self,
        user: UserId,
        notification: NotificationId,
        at: Timestamp,
    ) -> Result<Option<bool>, Self::Error> {
        let sql = "UPDATE notifications SET is_read = 1, read_at = ? WHERE id = ? AND recipient_id = ? AND is_read = 0";
        if self.execute(sql, &[&at, &notification, &user])? > 0 {
            return Ok(Some(true));
        }
        let sql = "SELECT 1 FROM notifications WHERE id = ? AND recipient_id = ?";
        Ok(self.is_there(sql, &[&notification, &user])?.then_some(false))
    }

    fn read_all_notifications(&mut self, user: UserId, at: Timestamp) -> Result<ReadNotifications, Self::Error> {
        // No second key: an index has this order, so that a long list is not sorted. No two of a user's have one time.
        let sql = format!(
            "SELECT id FROM notifications WHERE recipient_id = ? AND is_read = 0 \
             ORDER BY created_at DESC LIMIT {}",
            limits::READ_ALL_ROWS_MAX
        );
        let mut newest: Vec<NotificationId> =
            self.run(async |view| view.rows(&sql, &[&user], |row| row.id(0)).await)?;
        for keys in newest.chunks(limits::LIST_KEYS_MAX).map(padded) {
            let sql = format!("UPDATE notifications SET is_read = 1, read_at = ? WHERE id IN ({})", marks(keys.len()));
            let values: Vec<_> = std::iter::once(&at as _).chain(each(&keys)).collect();
            self.execute(&sql, &values)?;
        }
        let count = newest.len() as u64;
        newest.truncate(limits::READ_ALL_FRAMES_MAX);
        Ok(ReadNotifications { count, newest })
    }

    fn delete_notification(&mut self, user: UserId, notification: NotificationId) -> Result<bool, Self::Error> {
        let sql = "DELETE FROM notifications WHERE id = ? AND recipient_id = ?";
        Ok(self.execute(sql, &[&notification, &user])? > 0)
    }

    fn clear_notifications(&mut self, user: UserId) -> Result<Vec<NotificationId>, Self::Error> {
        let most = limits::READ_ALL_ROWS_MAX;
        let sql =
            format!("SELECT id FROM notifications WHERE recipient_id = ? LIMIT {most} {}", B::Driver::DIALECT.locked());
        let gone: Vec<NotificationId> = self.run(async |view| view.rows(&sql, &[&user], |row| row.id(0)).await)?;
        for keys in gone.chunks(limits::LIST_KEYS_MAX).map(padded) {
            let values: Vec<_> = each(&keys).collect();
            self.execute(&format!("DELETE FROM notifications WHERE id IN ({})", marks(keys.len())), &values)?;
        }
        Ok(gone)
    }
}

/// One less of what a row counts, but never less than none.
fn one_less(table: &str, column: &str) -> String {
    format!("UPDATE {table} SET {column} = CASE WHEN {column} > 0 THEN {column} - 1 ELSE 0 END WHERE id = ?")
}
