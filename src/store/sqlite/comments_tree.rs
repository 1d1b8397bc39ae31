//! A comment deleted with all answers to it, a bounded number of rows at a time.

use rusqlite::{Connection, params};

use crate::ids::CommentId;
use crate::limits::DELETED_LEVELS_MAX;

/// A comment on the way from the root to where rows are deleted, with the answers to it that are still to be looked at.
struct Level {
    comment: CommentId,
    /// The newest first: the next one is the last.
    answers: Vec<CommentId>,
    /// There are more than were read.
    has_more: bool,
}

/// Deletes `root` and the answers to it, with their likes, answers before what they answer; at most `most` rows. Which
/// went, in that order: the root is the last of them when everything went.
///
/// What is deeper than [`DELETED_LEVELS_MAX`] becomes an answer to the root, which is to go anyway, so that no chain of
/// answers is walked down again and again. Counters of answers that stay are right after every call.
pub fn take_answers_first(connection: &Connection, root: CommentId, most: usize) -> rusqlite::Result<Vec<CommentId>> {
    let mut gone = Vec::new();
    let mut way = vec![read_level(connection, root, most)?];
    // Each row costs a few statements, whether it goes or moves.
    let mut left = most;
    while left > 0
        && let Some(mut level) = way.pop()
    {
        if let Some(answer) = level.answers.pop() {
            let is_deep = way.len() >= DELETED_LEVELS_MAX;
            way.push(level);
            if is_deep {
                move_below(connection, answer, root)?;
                way[0].has_more = true;
                left -= 1;
            } else {
                way.push(read_level(connection, answer, left)?);
            }
        } else if level.has_more {
            // Those that were read are gone: here are the next.
            way.push(read_level(connection, level.comment, left)?);
        } else {
            delete_row(connection, level.comment, way.last().map(|above| above.comment))?;
            gone.push(level.comment);
            left -= 1;
        }
    }
    Ok(gone)
}

fn read_level(connection: &Connection, comment: CommentId, most: usize) -> rusqlite::Result<Level> {
    let mut answers = connection
        .prepare_cached("SELECT id FROM comments WHERE parent_id = ?1 ORDER BY created_at, id LIMIT ?2")?
        .query_map(params![comment, most], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<CommentId>>>()?;
    answers.reverse();
    let has_more = answers.len() == most;
    Ok(Level { comment, answers, has_more })
}

fn delete_row(connection: &Connection, comment: CommentId, parent: Option<CommentId>) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM comment_likes WHERE comment_id = ?1")?.execute([comment])?;
    connection.prepare_cached("DELETE FROM comments WHERE id = ?1")?.execute([comment])?;
    if let Some(parent) = parent {
        count_answer(connection, parent, -1)?;
    }
    Ok(())
}

fn move_below(connection: &Connection, answer: CommentId, root: CommentId) -> rusqlite::Result<()> {
    let parent: CommentId = connection
        .prepare_cached("SELECT parent_id FROM comments WHERE id = ?1")?
        .query_row([answer], |row| row.get(0))?;
    connection.prepare_cached("UPDATE comments SET parent_id = ?2 WHERE id = ?1")?.execute([answer, root])?;
    count_answer(connection, parent, -1)?;
    count_answer(connection, root, 1)
}

fn count_answer(connection: &Connection, comment: CommentId, by: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE comments SET replies_count = max(replies_count + ?2, 0) WHERE id = ?1")?
        .execute(params![comment, by])
        .map(drop)
}
