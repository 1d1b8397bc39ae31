//! Comments taken away: foreign keys are looked at row by row, so the deepest answers go first.

use crate::ids::{CommentId, PostId};
use crate::limits::{DELETED_LEVELS_MAX, LIST_KEYS_MAX};
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::driver::View;
use crate::store::sql::{each, marks, padded};

/// Deletes `root` and the answers to it, with their likes, answers before what they answer; at most `most` rows. Which
/// went, in that order: the root is the last of them when everything went.
///
/// Most threads are small and go level by level. Of a large one answer by answer: what is deeper than
/// [`DELETED_LEVELS_MAX`] becomes an answer to the root, which is to go anyway, so that no chain of answers is walked down
/// again and again. Counters of answers that stay are right after every call.
pub async fn take_answers_first(
    view: &mut View<'_>,
    root: CommentId,
    most: usize,
) -> Result<Vec<CommentId>, MysqlError> {
    match small_thread(view, root, most).await? {
        Some(levels) => delete_levels(view, &levels).await,
        None => take_one_by_one(view, root, most).await,
    }
}

/// The thread level by level, if it has no more than `most` comments.
async fn small_thread(
    view: &mut View<'_>,
    root: CommentId,
    most: usize,
) -> Result<Option<Vec<Vec<CommentId>>>, MysqlError> {
    let (mut levels, mut found) = (vec![vec![root]], 1);
    while let Some(parents) = levels.last().filter(|level| !level.is_empty()) {
        let answers = answers_to(view, parents, most - found + 1).await?;
        found += answers.len();
        if found > most {
            return Ok(None);
        }
        levels.push(answers);
    }
    Ok(Some(levels))
}

/// A comment on the way from the root to where rows are deleted, with the answers to it that are still to be looked at.
struct Level {
    comment: CommentId,
    /// The newest first: the next one is the last.
    answers: Vec<CommentId>,
    /// There are more than were read.
    has_more: bool,
}

async fn take_one_by_one(view: &mut View<'_>, root: CommentId, most: usize) -> Result<Vec<CommentId>, MysqlError> {
    let mut gone = Vec::new();
    let mut way = vec![read_level(view, root, most).await?];
    // Each row costs a few statements, whether it goes or moves.
    let mut left = most;
    while left > 0
        && let Some(mut level) = way.pop()
    {
        if let Some(answer) = level.answers.pop() {
            let is_deep = way.len() >= DELETED_LEVELS_MAX;
            let above = level.comment;
            way.push(level);
            if is_deep {
                move_below(view, answer, above, root).await?;
                way[0].has_more = true;
                left -= 1;
            } else {
                way.push(read_level(view, answer, left).await?);
            }
        } else if level.has_more {
            // Those that were read are gone: here are the next.
            way.push(read_level(view, level.comment, left).await?);
        } else {
            delete_rows(view, &[level.comment]).await?;
            if let Some(above) = way.last() {
                count_answer(view, above.comment, false).await?;
            }
            gone.push(level.comment);
            left -= 1;
        }
    }
    Ok(gone)
}

async fn read_level(view: &mut View<'_>, comment: CommentId, most: usize) -> Result<Level, MysqlError> {
    let mut answers = answers_to(view, &[comment], most).await?;
    answers.reverse();
    let has_more = answers.len() == most;
    Ok(Level { comment, answers, has_more })
}

async fn move_below(
    view: &mut View<'_>,
    answer: CommentId,
    parent: CommentId,
    root: CommentId,
) -> Result<(), MysqlError> {
    view.execute("UPDATE comments SET parent_id = ? WHERE id = ?", &[&root, &answer]).await?;
    count_answer(view, parent, false).await?;
    count_answer(view, root, true).await
}

async fn count_answer(view: &mut View<'_>, comment: CommentId, is_more: bool) -> Result<(), MysqlError> {
    let sql = if is_more {
        "UPDATE comments SET replies_count = replies_count + 1 WHERE id = ?"
    } else {
        "UPDATE comments SET replies_count = IF(replies_count > 0, replies_count - 1, 0) WHERE id = ?"
    };
    view.execute(sql, &[&comment]).await.map(drop)
}

/// All comments on a post.
pub async fn delete_all(view: &mut View<'_>, post: PostId) -> Result<(), MysqlError> {
    let sql = "SELECT id FROM comments WHERE post_id = ? AND parent_id IS NULL";
    let mut levels = vec![view.rows(sql, &[&post], |row| row.id(0)).await?];
    while let Some(parents) = levels.last().filter(|level: &&Vec<CommentId>| !level.is_empty()) {
        let answers = answers_to(view, parents, usize::MAX).await?;
        levels.push(answers);
    }
    delete_levels(view, &levels).await.map(drop)
}

/// Answers to any of `parents`, at most so many.
async fn answers_to(view: &mut View<'_>, parents: &[CommentId], most: usize) -> Result<Vec<CommentId>, MysqlError> {
    let mut answers = Vec::new();
    for keys in parents.chunks(LIST_KEYS_MAX).map(padded) {
        let left = most - answers.len();
        if left == 0 {
            break;
        }
        let sql = format!("SELECT id FROM comments WHERE parent_id IN ({}) ORDER BY id LIMIT ?", marks(keys.len()));
        let values: Vec<_> = each(&keys).chain([&left as _]).collect();
        answers.extend(view.rows(&sql, &values, |row| row.id::<CommentId>(0)).await?);
    }
    Ok(answers)
}

async fn delete_levels(view: &mut View<'_>, levels: &[Vec<CommentId>]) -> Result<Vec<CommentId>, MysqlError> {
    for level in levels.iter().rev() {
        delete_rows(view, level).await?;
    }
    Ok(levels.iter().rev().flatten().copied().collect())
}

async fn delete_rows(view: &mut View<'_>, comments: &[CommentId]) -> Result<(), MysqlError> {
    for keys in comments.chunks(LIST_KEYS_MAX).map(padded) {
        for column in ["comment_likes WHERE comment_id", "comments WHERE id"] {
            let values: Vec<_> = each(&keys).collect();
            view.execute(&format!("DELETE FROM {column} IN ({})", marks(keys.len())), &values).await?;
        }
    }
    Ok(())
}
