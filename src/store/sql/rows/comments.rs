//! A batch's reads and changes of comments and their likes, inside its transaction.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::feed::comment::{Comment, CommentHead};
use crate::ids::{CommentId, PostId, UserId};
use crate::store::sql::rows::{BatchRows, Told, one_less};
use crate::store::sql::{Id, LaneSql, comments, comments_tree};

/// Deleted comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoneComments {
    /// The deleted comments, replies before what they answer.
    pub comments: Vec<CommentId>,
    /// The post's counter afterwards.
    pub comments_count: u64,
    /// The deleted notifications about them.
    pub told: Vec<Told>,
}

impl<D: LaneSql> BatchRows<'_, D> {
    /// The rights of a comment.
    pub async fn comment_head(&mut self, comment: CommentId) -> Result<Option<CommentHead>, D::Error> {
        comments::head(&mut self.view, comment).await
    }

    /// A comment with its first replies, without a viewer.
    pub async fn comment(&mut self, comment: CommentId) -> Result<Option<Arc<Comment>>, D::Error> {
        Ok(comments::one(&mut self.view, None, comment).await?.map(Arc::new))
    }

    /// Inserts a comment, and raises the counters of its post and parent. Returns the post's new counter.
    pub async fn insert_comment(&mut self, comment: &Comment) -> Result<u64, D::Error> {
        let at = comment.created_at;
        self.view.execute(
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
        ).await?;
        if let Some(parent) = comment.parent {
            self.view.execute("UPDATE comments SET replies_count = replies_count + 1 WHERE id = ?", &[&parent]).await?;
        }
        self.view
            .execute("UPDATE posts SET comments_count = comments_count + 1 WHERE id = ?", &[&comment.post])
            .await?;
        self.view.count("SELECT comments_count FROM posts WHERE id = ?", &[&comment.post]).await
    }

    /// Changes a comment's text.
    pub async fn edit_comment(&mut self, comment: CommentId, content: &str, at: Timestamp) -> Result<(), D::Error> {
        let sql = "UPDATE comments SET content = ?, is_edited = 1, updated_at = ? WHERE id = ?";
        self.view.execute(sql, &[&content, &at, &comment]).await.map(drop)
    }

    /// Whether the post has more than `most` comments.
    pub async fn has_more_comments(&mut self, post: PostId, most: usize) -> Result<bool, D::Error> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM comments WHERE post_id = ? LIMIT ?) found";
        Ok(self.view.count(sql, &[&post, &(most + 1)]).await? > most as u64)
    }

    /// The oldest top-level comment of the post.
    pub async fn top_comment(&mut self, post: PostId) -> Result<Option<CommentId>, D::Error> {
        let sql = "SELECT id FROM comments WHERE post_id = ? AND parent_id IS NULL ORDER BY created_at LIMIT 1";
        self.view.row(sql, &[&post], |row| row.id(0)).await
    }

    /// Deletes a comment with all its replies and their notifications, and lowers the counters of its post and parent.
    /// At most `most` comments (at least 1) are deleted, replies first: the comment itself goes with the last of them,
    /// or stays. Remaining comments keep correct counters.
    pub async fn delete_comments(
        &mut self,
        comment: CommentId,
        head: CommentHead,
        most: usize,
    ) -> Result<GoneComments, D::Error> {
        let gone = comments_tree::take_answers_first(&mut self.view, comment, most).await?;
        let comments_tree::Gone { mut comments, told } = gone;
        comments.reverse();
        if let Some(parent) = head.parent.filter(|_| comments.first() == Some(&comment)) {
            self.view.execute(&one_less("comments", "replies_count"), &[&parent]).await?;
        }
        let sql = format!("UPDATE posts SET {} WHERE id = ?", D::DIALECT.moved("comments_count"));
        let fewer = -i64::try_from(comments.len()).unwrap_or(i64::MAX);
        self.view.execute(&sql, &[&fewer, &head.post]).await?;
        let comments_count = self.view.count("SELECT comments_count FROM posts WHERE id = ?", &[&head.post]).await?;
        Ok(GoneComments { comments, comments_count, told })
    }

    /// Inserts a like row, and raises the counter. Returns the new counter; `None` if there was a row.
    pub async fn insert_comment_like(
        &mut self,
        comment: CommentId,
        user: UserId,
        at: Timestamp,
    ) -> Result<Option<u64>, D::Error> {
        let sql = "SELECT 1 FROM comment_likes WHERE user_id = ? AND comment_id = ?";
        if self.view.is_there(sql, &[&user, &comment]).await? {
            return Ok(None);
        }
        let id: Id = self.view.ids.fresh();
        self.view
            .execute(
                "INSERT INTO comment_likes (id, created_at, comment_id, user_id) VALUES (?, ?, ?, ?)",
                &[&id, &at, &comment, &user],
            )
            .await?;
        self.view.execute("UPDATE comments SET likes_count = likes_count + 1 WHERE id = ?", &[&comment]).await?;
        self.view.count("SELECT likes_count FROM comments WHERE id = ?", &[&comment]).await.map(Some)
    }

    /// Deletes the like row, and lowers the counter. Returns the new counter; `None` if there was no row.
    pub async fn delete_comment_like(&mut self, comment: CommentId, user: UserId) -> Result<Option<u64>, D::Error> {
        let sql = "DELETE FROM comment_likes WHERE comment_id = ? AND user_id = ?";
        if self.view.execute(sql, &[&comment, &user]).await? == 0 {
            return Ok(None);
        }
        self.view.execute(&one_less("comments", "likes_count"), &[&comment]).await?;
        self.view.count("SELECT likes_count FROM comments WHERE id = ?", &[&comment]).await.map(Some)
    }
}
