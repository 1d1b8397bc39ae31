//! A batch's reads and changes of posts, reactions and shares, inside its transaction.
//!
//! Counters are changed by differences in the row itself, so that another program's changes are never overwritten.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::feed::post::{NewPost, Post, PostHead, PostPatch, PostReactionType, ReactionCounts};
use crate::ids::{PostId, UserId};
use crate::store::sql::rows::{BatchRows, Told, one_less};
use crate::store::sql::{Columns, Dialect, Id, LaneSql, Unexpected, comments_tree, posts, told};

impl<D: LaneSql> BatchRows<'_, D> {
    /// The rights of a post.
    pub async fn post_head(&mut self, post: PostId) -> Result<Option<PostHead>, D::Error> {
        posts::head(&mut self.view, post).await
    }

    /// A whole post, without a viewer.
    pub async fn post(&mut self, post: PostId) -> Result<Option<Arc<Post>>, D::Error> {
        Ok(posts::whole(&mut self.view, None, post).await?.map(Arc::new))
    }

    /// Whether there is a post with this short id.
    pub async fn is_short_id_taken(&mut self, short_id: &str) -> Result<bool, D::Error> {
        self.view.is_there("SELECT 1 FROM posts WHERE short_id = ?", &[&short_id]).await
    }

    /// Inserts a post, and raises its author's count.
    pub async fn insert_post(
        &mut self,
        post: PostId,
        author: UserId,
        short_id: &str,
        new: &NewPost,
        at: Timestamp,
    ) -> Result<(), D::Error> {
        self.view.changed.insert(author);
        self.view.execute(
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
        ).await?;
        self.view.execute("UPDATE users SET posts_count = posts_count + 1 WHERE id = ?", &[&author]).await.map(drop)
    }

    /// Changes a post's fields.
    pub async fn patch_post(&mut self, post: PostId, patch: &PostPatch, at: Timestamp) -> Result<(), D::Error> {
        self.view
            .execute(
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
            .await
            .map(drop)
    }

    /// Deletes the post with everything that belongs to it, and lowers its author's count. Its notifications are
    /// deleted, too; at most [`crate::limits::READ_ALL_ROWS_MAX`] of the author's are returned.
    pub async fn delete_post(&mut self, post: PostId, author: UserId) -> Result<Vec<Told>, D::Error> {
        self.view.changed.insert(author);
        let mut gone = comments_tree::delete_all(&mut self.view, post).await?;
        gone.extend(told::take_of_post(&mut self.view, post, author).await?);
        // Tables that pregon does not write belong to another program and may not exist.
        let others: &[&str] = match D::DIALECT {
            Dialect::Sqlite => &[],
            Dialect::Mysql => &["post_views", "post_reports"],
        };
        for table in ["post_reactions", "post_shares", "post_bookmarks"].iter().chain(others) {
            match self.view.execute(&format!("DELETE FROM {table} WHERE post_id = ?"), &[&post]).await {
                Err(error) if D::is_of_another_schema(&error) => {}
                other => drop(other?),
            }
        }
        self.view.execute("DELETE FROM posts WHERE id = ?", &[&post]).await?;
        self.view.execute(&one_less("users", "posts_count"), &[&author]).await?;
        Ok(gone)
    }

    /// Deletes a user's reactions to a post, and returns their types.
    pub async fn take_reactions(&mut self, post: PostId, user: UserId) -> Result<Vec<PostReactionType>, D::Error> {
        let locked = D::DIALECT.locked();
        let sql = format!("SELECT reaction_type FROM post_reactions WHERE post_id = ? AND user_id = ? {locked}");
        let taken = self.view.rows(&sql, &[&post, &user], |row| row.kind(0)).await?;
        if !taken.is_empty() {
            self.view.execute("DELETE FROM post_reactions WHERE post_id = ? AND user_id = ?", &[&post, &user]).await?;
        }
        Ok(taken)
    }

    /// Inserts a reaction, and returns its row's id.
    pub async fn insert_reaction(
        &mut self,
        post: PostId,
        user: UserId,
        reaction: PostReactionType,
        at: Timestamp,
    ) -> Result<Uuid, D::Error> {
        let id: Id = self.view.ids.fresh();
        self.view
            .execute(
                "INSERT INTO post_reactions (id, reaction_type, created_at, post_id, user_id) VALUES (?, ?, ?, ?, ?)",
                &[&id, &reaction, &at, &post, &user],
            )
            .await?;
        Ok(id.0)
    }

    /// Changes the counters by the deleted and added reactions, and returns the new counters.
    pub async fn move_reaction_counts(
        &mut self,
        post: PostId,
        taken: &[PostReactionType],
        added: Option<PostReactionType>,
    ) -> Result<ReactionCounts, D::Error> {
        let [likes, celebrations, golazos] = ReactionCounts::moves(taken, added);
        let moved = ["likes_count", "celebrations_count", "golazos_count"].map(|count| D::DIALECT.moved(count));
        let sql = format!("UPDATE posts SET {} WHERE id = ?", moved.join(", "));
        self.view.execute(&sql, &[&likes, &celebrations, &golazos, &post]).await?;
        let sql = "SELECT likes_count, celebrations_count, golazos_count FROM posts WHERE id = ?";
        let counts_of_row = |row: Columns<'_>| {
            Ok(ReactionCounts { likes: row.count(0)?, celebrations: row.count(1)?, golazos: row.count(2)? })
        };
        let counts = self.view.row(sql, &[&post], counts_of_row).await?;
        counts.ok_or_else(|| Unexpected("a post's row is missing".into()).into())
    }

    /// Inserts a share row, and raises the counter. Returns the new counter; `None` if there was a row.
    pub async fn insert_share(
        &mut self,
        post: PostId,
        user: UserId,
        message: &str,
        at: Timestamp,
    ) -> Result<Option<u64>, D::Error> {
        if self.view.is_there("SELECT 1 FROM post_shares WHERE user_id = ? AND post_id = ?", &[&user, &post]).await? {
            return Ok(None);
        }
        let id: Id = self.view.ids.fresh();
        self.view
            .execute(
                "INSERT INTO post_shares (id, message, created_at, post_id, user_id) VALUES (?, ?, ?, ?, ?)",
                &[&id, &message, &at, &post, &user],
            )
            .await?;
        self.view.execute("UPDATE posts SET shares_count = shares_count + 1 WHERE id = ?", &[&post]).await?;
        self.view.count("SELECT shares_count FROM posts WHERE id = ?", &[&post]).await.map(Some)
    }
}
