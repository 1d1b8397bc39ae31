//! Comments taken away: foreign keys are looked at row by row, so the deepest answers go first.

use crate::ids::{CommentId, PostId};
use crate::limits;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::values::{each, marks, padded};
use crate::store::mysql::view::View;

/// A comment and all answers to it: which went, each before those that answer it.
pub async fn delete_subtree(view: &mut View<'_>, comment: CommentId) -> Result<Vec<CommentId>, MysqlError> {
    delete_levels(view, vec![comment]).await
}

/// All comments on a post.
pub async fn delete_all(view: &mut View<'_>, post: PostId) -> Result<(), MysqlError> {
    let sql = "SELECT id FROM comments WHERE post_id = ? AND parent_id IS NULL";
    let top = view.rows(sql, &[&post], |row| row.id(0)).await?;
    delete_levels(view, top).await.map(drop)
}

async fn delete_levels(view: &mut View<'_>, top: Vec<CommentId>) -> Result<Vec<CommentId>, MysqlError> {
    let mut levels = vec![top];
    while let Some(parents) = levels.last().filter(|level| !level.is_empty()) {
        let mut answers = Vec::new();
        for keys in parents.chunks(limits::LIST_KEYS_MAX).map(padded) {
            let sql = format!("SELECT id FROM comments WHERE parent_id IN ({}) ORDER BY id", marks(keys.len()));
            let values: Vec<_> = each(&keys).collect();
            answers.extend(view.rows(&sql, &values, |row| row.id::<CommentId>(0)).await?);
        }
        levels.push(answers);
    }
    for level in levels.iter().rev() {
        for keys in level.chunks(limits::LIST_KEYS_MAX).map(padded) {
            for column in ["comment_likes WHERE comment_id", "comments WHERE id"] {
                let values: Vec<_> = each(&keys).collect();
                view.execute(&format!("DELETE FROM {column} IN ({})", marks(keys.len())), &values).await?;
            }
        }
    }
    Ok(levels.concat())
}
