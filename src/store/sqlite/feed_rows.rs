//! The rows of posts, people and notifications as the batch's transaction sees them: [`FeedRows`] in SQL.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::feed::comment::{Comment, CommentHead};
use crate::domain::feed::post::{NewPost, Post, PostHead, PostPatch, PostReactionType, ReactionCounts};
use crate::domain::notification::Notification;
use crate::domain::people::{RequestHead, RequestStatus};
use crate::domain::user::UserProfile;
use crate::ids::{CommentId, NotificationId, PostId, RequestId, Topic, UserId};
use crate::limits;
use crate::store::rules::{FeedRows, Place, ReadNotifications, Telling};
use crate::store::sqlite::old_people::known_profile;
use crate::store::sqlite::rows::BatchRows;
use crate::store::sqlite::values::{Id, count};
use crate::store::sqlite::{accounts, comments_tree, notifications, posts};

impl BatchRows<'_> {
    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(values)
    }

    fn is_there(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<bool> {
        self.connection.prepare_cached(&format!("SELECT EXISTS ({sql})"))?.query_row(values, |row| row.get(0))
    }

    fn number(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<u64> {
        self.connection.prepare_cached(sql)?.query_row(values, |row| count(row, 0))
    }
}

impl FeedRows for BatchRows<'_> {
    fn changed_profile(&mut self, user: UserId) -> rusqlite::Result<Arc<UserProfile>> {
        self.changed.insert(user);
        known_profile(self.view(), user)
    }

    fn post_head(&mut self, post: PostId) -> rusqlite::Result<Option<PostHead>> {
        posts::head(self.connection, post)
    }

    fn post(&mut self, post: PostId) -> rusqlite::Result<Option<Arc<Post>>> {
        Ok(posts::whole(self.view(), None, post)?.map(Arc::new))
    }

    fn is_short_id_taken(&mut self, short_id: &str) -> rusqlite::Result<bool> {
        self.is_there("SELECT 1 FROM posts WHERE short_id = ?1", [short_id])
    }

    fn insert_post(
        &mut self,
        post: PostId,
        author: UserId,
        short_id: &str,
        new: &NewPost,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO posts (id, content, images, video, thumbnail, podcast_url, streaming_url, post_type, category, \
             likes_count, celebrations_count, golazos_count, comments_count, shares_count, views_count, is_pinned, \
             is_archived, allow_comments, is_public, created_at, updated_at, user_id, short_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, 0, 0, 0, 0, 0, ?10, ?11, ?12, ?12, ?13, ?14)",
            params![
                post,
                new.content,
                new.images,
                new.video,
                new.thumbnail,
                new.podcast_url,
                new.streaming_url,
                new.post_type,
                new.category,
                new.allow_comments,
                new.is_public,
                at,
                author,
                short_id,
            ],
        )?;
        self.changed.insert(author);
        self.execute("UPDATE users SET posts_count = posts_count + 1 WHERE id = ?1", [author]).map(drop)
    }

    fn patch_post(&mut self, post: PostId, patch: &PostPatch, at: Timestamp) -> rusqlite::Result<()> {
        self.execute(
            "UPDATE posts SET content = coalesce(?3, content), images = coalesce(?4, images), \
             video = coalesce(?5, video), thumbnail = coalesce(?6, thumbnail), \
             podcast_url = coalesce(?7, podcast_url), streaming_url = coalesce(?8, streaming_url), \
             post_type = coalesce(?9, post_type), category = coalesce(?10, category), \
             allow_comments = coalesce(?11, allow_comments), is_public = coalesce(?12, is_public), \
             is_pinned = coalesce(?13, is_pinned), updated_at = ?2 WHERE id = ?1",
            params![
                post,
                at,
                patch.content,
                patch.images,
                patch.video,
                patch.thumbnail,
                patch.podcast_url,
                patch.streaming_url,
                patch.post_type,
                patch.category,
                patch.allow_comments,
                patch.is_public,
                patch.is_pinned,
            ],
        )
        .map(drop)
    }

    fn delete_post(&mut self, post: PostId, author: UserId) -> rusqlite::Result<()> {
        for sql in [
            "DELETE FROM comment_likes WHERE comment_id IN (SELECT id FROM comments WHERE post_id = ?1)",
            // One statement: references between its own rows are looked at when it ends.
            "DELETE FROM comments WHERE post_id = ?1",
            "DELETE FROM post_reactions WHERE post_id = ?1",
            "DELETE FROM post_shares WHERE post_id = ?1",
            "DELETE FROM post_bookmarks WHERE post_id = ?1",
            "DELETE FROM posts WHERE id = ?1",
        ] {
            self.execute(sql, [post])?;
        }
        self.changed.insert(author);
        self.execute("UPDATE users SET posts_count = max(posts_count - 1, 0) WHERE id = ?1", [author]).map(drop)
    }

    fn take_reactions(&mut self, post: PostId, user: UserId) -> rusqlite::Result<Vec<PostReactionType>> {
        self.connection
            .prepare_cached("DELETE FROM post_reactions WHERE post_id = ?1 AND user_id = ?2 RETURNING reaction_type")?
            .query_map(params![post, user], |row| row.get(0))?
            .collect()
    }

    fn insert_reaction(
        &mut self,
        post: PostId,
        user: UserId,
        reaction: PostReactionType,
        at: Timestamp,
    ) -> rusqlite::Result<Uuid> {
        let id = Id::fresh();
        self.execute(
            "INSERT INTO post_reactions (id, reaction_type, created_at, post_id, user_id) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id, reaction, at, post, user],
        )?;
        Ok(id.0)
    }

    fn move_reaction_counts(
        &mut self,
        post: PostId,
        taken: &[PostReactionType],
        added: Option<PostReactionType>,
    ) -> rusqlite::Result<ReactionCounts> {
        let [likes, celebrations, golazos] = ReactionCounts::moves(taken, added);
        self.connection
            .prepare_cached(
                "UPDATE posts SET likes_count = max(likes_count + ?2, 0), \
                 celebrations_count = max(celebrations_count + ?3, 0), golazos_count = max(golazos_count + ?4, 0) \
                 WHERE id = ?1 RETURNING likes_count, celebrations_count, golazos_count",
            )?
            .query_row(params![post, likes, celebrations, golazos], |row| {
                Ok(ReactionCounts { likes: count(row, 0)?, celebrations: count(row, 1)?, golazos: count(row, 2)? })
            })
    }

    fn insert_share(
        &mut self,
        post: PostId,
        user: UserId,
        message: &str,
        at: Timestamp,
    ) -> rusqlite::Result<Option<u64>> {
        let added = self.execute(
            "INSERT INTO post_shares (id, message, created_at, post_id, user_id) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (post_id, user_id) DO NOTHING",
            params![Id::fresh(), message, at, post, user],
        )?;
        if added == 0 {
            return Ok(None);
        }
        let sql = "UPDATE posts SET shares_count = shares_count + 1 WHERE id = ?1 RETURNING shares_count";
        self.number(sql, [post]).map(Some)
    }

    fn comment_head(&mut self, comment: CommentId) -> rusqlite::Result<Option<CommentHead>> {
        posts::comment_head(self.connection, comment)
    }

    fn comment(&mut self, comment: CommentId) -> rusqlite::Result<Option<Arc<Comment>>> {
        Ok(posts::comment(self.view(), None, comment)?.map(Arc::new))
    }

    fn insert_comment(&mut self, comment: &Comment) -> rusqlite::Result<u64> {
        self.execute(
            "INSERT INTO comments (id, content, image, likes_count, replies_count, is_edited, created_at, updated_at, \
             parent_id, user_id, post_id) VALUES (?1, ?2, ?3, 0, 0, 0, ?4, ?4, ?5, ?6, ?7)",
            params![
                comment.id,
                comment.content,
                comment.image,
                comment.created_at,
                comment.parent,
                comment.user.id,
                comment.post,
            ],
        )?;
        if let Some(parent) = comment.parent {
            self.execute("UPDATE comments SET replies_count = replies_count + 1 WHERE id = ?1", [parent])?;
        }
        let sql = "UPDATE posts SET comments_count = comments_count + 1 WHERE id = ?1 RETURNING comments_count";
        self.number(sql, [comment.post])
    }

    fn edit_comment(&mut self, comment: CommentId, content: &str, at: Timestamp) -> rusqlite::Result<()> {
        self.execute(
            "UPDATE comments SET content = ?2, is_edited = 1, updated_at = ?3 WHERE id = ?1",
            params![comment, content, at],
        )
        .map(drop)
    }

    fn has_more_comments(&mut self, post: PostId, most: usize) -> rusqlite::Result<bool> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM comments WHERE post_id = ?1 LIMIT ?2)";
        Ok(self.number(sql, params![post, most + 1])? > most as u64)
    }

    fn top_comment(&mut self, post: PostId) -> rusqlite::Result<Option<CommentId>> {
        self.connection
            .prepare_cached(
                "SELECT id FROM comments WHERE post_id = ?1 AND parent_id IS NULL ORDER BY created_at LIMIT 1",
            )?
            .query_row([post], |row| row.get(0))
            .optional()
    }

    fn delete_comments(
        &mut self,
        comment: CommentId,
        head: CommentHead,
        most: usize,
    ) -> rusqlite::Result<(Vec<CommentId>, u64)> {
        let mut gone = comments_tree::take_answers_first(self.connection, comment, most)?;
        gone.reverse();
        if let Some(parent) = head.parent.filter(|_| gone.first() == Some(&comment)) {
            self.execute("UPDATE comments SET replies_count = max(replies_count - 1, 0) WHERE id = ?1", [parent])?;
        }
        let sql =
            "UPDATE posts SET comments_count = max(comments_count - ?2, 0) WHERE id = ?1 RETURNING comments_count";
        let comments_count = self.number(sql, params![head.post, gone.len()])?;
        Ok((gone, comments_count))
    }

    fn insert_comment_like(
        &mut self,
        comment: CommentId,
        user: UserId,
        at: Timestamp,
    ) -> rusqlite::Result<Option<u64>> {
        let added = self.execute(
            "INSERT INTO comment_likes (id, created_at, comment_id, user_id) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (comment_id, user_id) DO NOTHING",
            params![Id::fresh(), at, comment, user],
        )?;
        if added == 0 {
            return Ok(None);
        }
        let sql = "UPDATE comments SET likes_count = likes_count + 1 WHERE id = ?1 RETURNING likes_count";
        self.number(sql, [comment]).map(Some)
    }

    fn delete_comment_like(&mut self, comment: CommentId, user: UserId) -> rusqlite::Result<Option<u64>> {
        let sql = "DELETE FROM comment_likes WHERE comment_id = ?1 AND user_id = ?2";
        if self.execute(sql, params![comment, user])? == 0 {
            return Ok(None);
        }
        let sql = "UPDATE comments SET likes_count = max(likes_count - 1, 0) WHERE id = ?1 RETURNING likes_count";
        self.number(sql, [comment]).map(Some)
    }

    fn insert_follow(&mut self, follower: UserId, following: UserId, at: Timestamp) -> rusqlite::Result<bool> {
        self.changed.extend([follower, following]);
        accounts::insert_follow(self.connection, follower, following, at)
    }

    fn delete_follow(&mut self, follower: UserId, following: UserId) -> rusqlite::Result<bool> {
        let sql = "DELETE FROM user_follows WHERE follower_id = ?1 AND following_id = ?2";
        if self.execute(sql, [follower, following])? == 0 {
            return Ok(false);
        }
        self.changed.extend([follower, following]);
        self.execute("UPDATE users SET following_count = max(following_count - 1, 0) WHERE id = ?1", [follower])?;
        self.execute("UPDATE users SET followers_count = max(followers_count - 1, 0) WHERE id = ?1", [following])?;
        Ok(true)
    }

    fn hears(&mut self, user: UserId, other: UserId) -> rusqlite::Result<bool> {
        let follows = "SELECT 1 FROM user_follows WHERE follower_id = ?1 AND following_id = ?2";
        Ok(self.is_there(follows, [user, other])? || self.are_friends(user, other)?)
    }

    fn are_friends(&mut self, one: UserId, other: UserId) -> rusqlite::Result<bool> {
        self.is_there(
            "SELECT 1 FROM friendships WHERE user1_id = ?1 AND user2_id = ?2",
            [one.min(other), one.max(other)],
        )
    }

    fn request_head(&mut self, request: RequestId) -> rusqlite::Result<Option<RequestHead>> {
        self.connection
            .prepare_cached("SELECT id, sender_id, receiver_id, status FROM friend_requests WHERE id = ?1")?
            .query_row([request], request_of_row)
            .optional()
    }

    fn pending_request(&mut self, one: UserId, other: UserId) -> rusqlite::Result<Option<RequestHead>> {
        let mut query = self.connection.prepare_cached(
            "SELECT id, sender_id, receiver_id, status FROM friend_requests \
             WHERE sender_id = ?1 AND receiver_id = ?2 AND status = 'pending' LIMIT 1",
        )?;
        match query.query_row([one, other], request_of_row).optional()? {
            None => query.query_row([other, one], request_of_row).optional(),
            found => Ok(found),
        }
    }

    fn open_request(&mut self, sender: UserId, receiver: UserId, at: Timestamp) -> rusqlite::Result<RequestId> {
        let older = self
            .connection
            .prepare_cached("SELECT id FROM friend_requests WHERE sender_id = ?1 AND receiver_id = ?2 LIMIT 1")?
            .query_row([sender, receiver], |row| row.get(0))
            .optional()?;
        if let Some(request) = older {
            let sql = "UPDATE friend_requests SET status = 'pending', created_at = ?2 WHERE id = ?1";
            self.execute(sql, params![request, at])?;
            return Ok(request);
        }
        let request = RequestId::fresh();
        self.execute(
            "INSERT INTO friend_requests (id, status, created_at, sender_id, receiver_id) \
             VALUES (?1, 'pending', ?2, ?3, ?4)",
            params![request, at, sender, receiver],
        )?;
        Ok(request)
    }

    fn close_request(&mut self, request: RequestId, status: RequestStatus) -> rusqlite::Result<()> {
        self.execute("UPDATE friend_requests SET status = ?2 WHERE id = ?1", params![request, status]).map(drop)
    }

    fn insert_friendship(&mut self, one: UserId, other: UserId, at: Timestamp) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO friendships (id, created_at, user1_id, user2_id) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (user1_id, user2_id) DO NOTHING",
            params![Id::fresh(), at, one.min(other), one.max(other)],
        )
        .map(drop)
    }

    fn delete_friendship(&mut self, one: UserId, other: UserId) -> rusqlite::Result<bool> {
        let sql = "DELETE FROM friendships WHERE user1_id = ?1 AND user2_id = ?2";
        Ok(self.execute(sql, [one.min(other), one.max(other)])? > 0)
    }

    fn was_told(&mut self, telling: Telling, since: Timestamp) -> rusqlite::Result<bool> {
        let Telling { sender, recipient, kinds: [first, second, third], post } = telling;
        self.is_there(
            "SELECT 1 FROM notifications WHERE sender_id = ?1 AND created_at > ?2 AND recipient_id = ?3 \
             AND post_id IS ?4 AND notification_type IN (?5, ?6, ?7)",
            params![sender, since, recipient, post, first, second, third],
        )
    }

    fn insert_notification(&mut self, notification: &Notification) -> rusqlite::Result<()> {
        let references = notification.references;
        self.execute(
            "INSERT INTO notifications (id, notification_type, post_id, comment_id, message, is_read, created_at, \
             read_at, recipient_id, sender_id, friend_request_id, story_id) \
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, NULL, ?7, ?8, ?9, NULL)",
            params![
                notification.id,
                notification.notification_type,
                references.post,
                references.comment,
                notification.message,
                notification.created_at,
                notification.recipient,
                notification.sender.id,
                references.friend_request,
            ],
        )
        .map(drop)
    }

    fn notification(
        &mut self,
        user: UserId,
        notification: NotificationId,
    ) -> rusqlite::Result<Option<Arc<Notification>>> {
        Ok(notifications::one(self.view(), user, notification)?.map(Arc::new))
    }

    fn is_adopted(&mut self, row: Uuid) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM pregon_adopted WHERE row_id = ?1")?.exists([Id(row)])
    }

    fn insert_adopted(&mut self, row: Uuid, topic: Topic, place: Place) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO pregon_adopted (row_id, topic, epoch, seq, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![Id(row), topic.to_string(), place.cursor.epoch, place.cursor.seq, place.at.0],
        )
        .map(drop)
    }

    fn read_notification(
        &mut self,
        user: UserId,
        notification: NotificationId,
        at: Timestamp,
    ) -> rusqlite::Result<Option<bool>> {
        let sql =
            "UPDATE notifications SET is_read = 1, read_at = ?3 WHERE id = ?1 AND recipient_id = ?2 AND is_read = 0";
        if self.execute(sql, params![notification, user, at])? > 0 {
            return Ok(Some(true));
        }
        let sql = "SELECT 1 FROM notifications WHERE id = ?1 AND recipient_id = ?2";
        Ok(self.is_there(sql, params![notification, user])?.then_some(false))
    }

    fn read_all_notifications(&mut self, user: UserId, at: Timestamp) -> rusqlite::Result<ReadNotifications> {
        let mut newest = self
            .connection
            .prepare_cached(
                "SELECT id FROM notifications WHERE recipient_id = ?1 AND is_read = 0 \
                 ORDER BY created_at DESC, id DESC LIMIT ?2",
            )?
            .query_map(params![user, limits::READ_ALL_ROWS_MAX], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<NotificationId>>>()?;
        for notification in &newest {
            self.execute(
                "UPDATE notifications SET is_read = 1, read_at = ?2 WHERE id = ?1",
                params![notification, at],
            )?;
        }
        let count = newest.len() as u64;
        newest.truncate(limits::READ_ALL_FRAMES_MAX);
        Ok(ReadNotifications { count, newest })
    }

    fn delete_notification(&mut self, user: UserId, notification: NotificationId) -> rusqlite::Result<bool> {
        let sql = "DELETE FROM notifications WHERE id = ?1 AND recipient_id = ?2";
        Ok(self.execute(sql, params![notification, user])? > 0)
    }

    fn clear_notifications(&mut self, user: UserId) -> rusqlite::Result<Vec<NotificationId>> {
        let sql = "DELETE FROM notifications WHERE id IN \
            (SELECT id FROM notifications WHERE recipient_id = ?1 LIMIT ?2) RETURNING id";
        let mut delete = self.connection.prepare_cached(sql)?;
        delete.query_map(params![user, limits::READ_ALL_ROWS_MAX], |row| row.get(0))?.collect()
    }
}

fn request_of_row(row: &Row<'_>) -> rusqlite::Result<RequestHead> {
    Ok(RequestHead { id: row.get(0)?, sender: row.get(1)?, receiver: row.get(2)?, status: row.get(3)? })
}
