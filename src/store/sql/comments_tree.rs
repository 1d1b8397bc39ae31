//! Deletes comments with their replies. Foreign keys are checked row by row, so replies go before what they answer.

use crate::ids::{CommentId, PostId};
use crate::limits::{DELETED_LEVELS_MAX, LIST_KEYS_MAX};
use crate::store::sql::told::{self, Told};
use crate::store::sql::{Sql, View, each, marks, padded};

/// What was deleted.
#[derive(Default)]
pub struct Gone {
    /// The deleted comments, replies before what they answer.
    pub comments: Vec<CommentId>,
    /// The deleted notifications about them.
    pub told: Vec<Told>,
}

/// Deletes `root` and all its replies with their likes and notifications, replies first; at most `most` rows. The root
/// is the last one, once everything else is gone.
///
/// Most threads are small and are deleted level by level. A large thread is deleted reply by reply. Replies deeper than
/// [`DELETED_LEVELS_MAX`] are first attached to the root, which will be deleted anyway, so that long chains are not
/// walked again and again. The counters of the remaining replies are right after every call.
pub async fn take_answers_first<C: Sql>(
    view: &mut View<'_, C>,
    root: CommentId,
    most: usize,
) -> Result<Gone, C::Error> {
    match small_thread(view, root, most).await? {
        Some(levels) => delete_levels(view, &levels).await,
        None => take_one_by_one(view, root, most).await,
    }
}

/// The thread's levels, if it has no more than `most` comments.
async fn small_thread<C: Sql>(
    view: &mut View<'_, C>,
    root: CommentId,
    most: usize,
) -> Result<Option<Vec<Vec<CommentId>>>, C::Error> {
    let mut levels = vec![vec![root]];
    let mut found = 1;
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

/// A comment on the path from the root to the rows being deleted, with its replies that are still to be visited.
struct Level {
    comment: CommentId,
    /// Newest first, so that `pop` returns the next one.
    answers: Vec<CommentId>,
    /// Whether there are more replies than were read.
    has_more: bool,
}

async fn take_one_by_one<C: Sql>(view: &mut View<'_, C>, root: CommentId, most: usize) -> Result<Gone, C::Error> {
    let mut gone = Gone::default();
    // A depth-first walk: `way` is the path from the root down, and its last level is visited next.
    let mut way = vec![read_level(view, root, most).await?];
    // Each row costs a few statements, whether it is deleted or moved.
    let mut left = most;
    while left > 0
        && let Some(mut level) = way.pop()
    {
        if let Some(answer) = level.answers.pop() {
            let is_deep = way.len() >= DELETED_LEVELS_MAX;
            let above = level.comment;
            way.push(level);
            if is_deep {
                // It is visited later, among the root's further replies.
                move_below(view, answer, above, root).await?;
                way[0].has_more = true;
                left -= 1;
            } else {
                way.push(read_level(view, answer, left).await?);
            }
        } else if level.has_more {
            // The replies read so far are gone; read the next ones.
            way.push(read_level(view, level.comment, left).await?);
        } else {
            gone.told.extend(delete_rows(view, &[level.comment]).await?);
            if let Some(above) = way.last() {
                count_answer(view, above.comment, false).await?;
            }
            gone.comments.push(level.comment);
            left -= 1;
        }
    }
    Ok(gone)
}

async fn read_level<C: Sql>(view: &mut View<'_, C>, comment: CommentId, most: usize) -> Result<Level, C::Error> {
    let mut answers = answers_to(view, &[comment], most).await?;
    answers.reverse();
    let has_more = answers.len() == most;
    Ok(Level { comment, answers, has_more })
}

async fn move_below<C: Sql>(
    view: &mut View<'_, C>,
    answer: CommentId,
    parent: CommentId,
    root: CommentId,
) -> Result<(), C::Error> {
    view.execute("UPDATE comments SET parent_id = ? WHERE id = ?", &[&root, &answer]).await?;
    count_answer(view, parent, false).await?;
    count_answer(view, root, true).await
}

async fn count_answer<C: Sql>(view: &mut View<'_, C>, comment: CommentId, is_more: bool) -> Result<(), C::Error> {
    let sql = if is_more {
        "UPDATE comments SET replies_count = replies_count + 1 WHERE id = ?"
    } else {
        "UPDATE comments SET replies_count = CASE WHEN replies_count > 0 THEN replies_count - 1 ELSE 0 END WHERE id = ?"
    };
    view.execute(sql, &[&comment]).await.map(drop)
}

/// Deletes all comments on a post. Returns the notifications that were deleted with them.
pub async fn delete_all<C: Sql>(view: &mut View<'_, C>, post: PostId) -> Result<Vec<Told>, C::Error> {
    let sql = "SELECT id FROM comments WHERE post_id = ? AND parent_id IS NULL";
    let mut levels = vec![view.rows(sql, &[&post], |row| row.id::<CommentId>(0)).await?];
    while let Some(parents) = levels.last().filter(|level: &&Vec<CommentId>| !level.is_empty()) {
        let answers = answers_to(view, parents, usize::MAX).await?;
        levels.push(answers);
    }
    Ok(delete_levels(view, &levels).await?.told)
}

/// Up to `most` replies to any of `parents`.
async fn answers_to<C: Sql>(
    view: &mut View<'_, C>,
    parents: &[CommentId],
    most: usize,
) -> Result<Vec<CommentId>, C::Error> {
    let mut answers = Vec::new();
    for keys in parents.chunks(LIST_KEYS_MAX).map(padded) {
        let left = most - answers.len();
        if left == 0 {
            break;
        }
        let sql = format!(
            "SELECT id FROM comments WHERE parent_id IN ({}) ORDER BY created_at, id LIMIT ?",
            marks(keys.len())
        );
        let values: Vec<_> = each(&keys).chain([&left as _]).collect();
        answers.extend(view.rows(&sql, &values, |row| row.id::<CommentId>(0)).await?);
    }
    Ok(answers)
}

async fn delete_levels<C: Sql>(view: &mut View<'_, C>, levels: &[Vec<CommentId>]) -> Result<Gone, C::Error> {
    let mut gone = Gone::default();
    for level in levels.iter().rev() {
        gone.told.extend(delete_rows(view, level).await?);
        gone.comments.extend(level);
    }
    Ok(gone)
}

async fn delete_rows<C: Sql>(view: &mut View<'_, C>, comments: &[CommentId]) -> Result<Vec<Told>, C::Error> {
    let gone = told::of_comments(view, comments).await?;
    told::take(view, &gone).await?;
    for keys in comments.chunks(LIST_KEYS_MAX).map(padded) {
        for column in ["comment_likes WHERE comment_id", "comments WHERE id"] {
            let values: Vec<_> = each(&keys).collect();
            view.execute(&format!("DELETE FROM {column} IN ({})", marks(keys.len())), &values).await?;
        }
    }
    Ok(gone)
}
