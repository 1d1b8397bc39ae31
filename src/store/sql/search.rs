//! Searches people by the beginnings of the words in their names, ignoring case, accents and Unicode composition.
//!
//! SQLite has an index of words that triggers maintain. MySQL has a table of words, which its collation compares;
//! pregon writes it, because another program's table of users gets no triggers.

use std::collections::HashMap;

use crate::domain::user::Person;
use crate::ids::UserId;
use crate::limits::{NAMES_READ_MAX, SEARCH_FOUND_MAX, SEARCH_WORDS_MAX};
use crate::store::sql::people::people;
use crate::store::sql::{Columns, Dialect, Sql, ToColumn, Unexpected, View, offset};
use crate::store::{PageOf, PageRequest};

/// The most letters of a word that the column holds.
const WORD_CHARS_MAX: usize = 64;
/// The most words of one user. Names have up to 430 letters, and more words are not worth indexing.
const WORDS_MAX: usize = 32;

/// Active users whose names have words that begin like those of `text`, without the viewer, by username; all users if
/// it is empty. At most [`SEARCH_FOUND_MAX`] are found, and the user with exactly that username.
pub async fn search<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    text: &str,
    page: PageRequest,
) -> Result<PageOf<Person>, C::Error> {
    const SHOWN: &str = "WHERE u.is_active = 1 AND u.id <> ?";
    let mut words = words(text);
    let from = offset(page);
    // The longest word first, because candidates are looked up by it.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.truncate(SEARCH_WORDS_MAX);
    let name = text.trim().trim_start_matches('@');
    let name = if name.is_ascii() { name } else { "" };
    let patterns = patterns(C::DIALECT, &words);
    let mut parameters: Vec<&dyn ToColumn> = Vec::new();
    let found = if text.trim().is_empty() {
        String::new()
    } else if words.is_empty() {
        return Ok(PageOf { count: 0, rows: Vec::new() });
    } else {
        parameters.push(&name);
        parameters.extend(patterns.iter().map(|pattern| pattern as &dyn ToColumn));
        format!("JOIN ({}) found ON found.id = u.id", found(C::DIALECT, words.len()))
    };
    parameters.push(&viewer);
    let count = view.count(&format!("SELECT count(*) FROM users u {found} {SHOWN}"), &parameters).await?;
    parameters.extend([&page.size as &dyn ToColumn, &from]);
    let listed = format!("{found} {SHOWN} ORDER BY u.username LIMIT ? OFFSET ?");
    Ok(PageOf { count, rows: people(view, viewer, &listed, &parameters).await? })
}

/// The ids of the user with the username `?`, and of users whose names match each of `words` prefixes.
fn found(dialect: Dialect, words: usize) -> String {
    const NAMED: &str = "SELECT id FROM users WHERE username = ?";
    match dialect {
        Dialect::Sqlite => format!(
            "{NAMED} UNION SELECT n.user_id FROM (SELECT rowid FROM pregon_names_index WHERE pregon_names_index MATCH ? \
             LIMIT {SEARCH_FOUND_MAX}) i JOIN pregon_names n ON n.row = i.rowid"
        ),
        // The index finds users by the first, longest word; EXISTS checks the other words of these users.
        Dialect::Mysql => format!(
            "{NAMED} UNION (SELECT DISTINCT w.user_id FROM pregon_words w WHERE w.word LIKE ?{} LIMIT {SEARCH_FOUND_MAX})",
            " AND EXISTS (SELECT 1 FROM pregon_words o WHERE o.user_id = w.user_id AND o.word LIKE ?)"
                .repeat(words - 1)
        ),
    }
}

fn patterns(dialect: Dialect, words: &[String]) -> Vec<String> {
    match dialect {
        Dialect::Sqlite if words.is_empty() => Vec::new(),
        Dialect::Sqlite => {
            let quoted = words.iter().map(|word| format!("\"{word}\"*"));
            vec![quoted.collect::<Vec<_>>().join(" ")]
        }
        Dialect::Mysql => words.iter().map(|word| format!("{word}%")).collect(),
    }
}

/// The words of a text: runs of letters and digits, without combining marks.
fn words(text: &str) -> Vec<String> {
    let plain: String = text.chars().filter(|letter| !is_mark(*letter)).collect();
    let words = plain.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut words: Vec<String> = words.map(|word| word.chars().take(WORD_CHARS_MAX).collect()).collect();
    words.sort_unstable();
    words.dedup();
    words.truncate(WORDS_MAX);
    words
}

/// Whether it is a mark that combines with the letter before it.
pub fn is_mark(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
}

/// All names of a user in one text.
pub fn names(username: &str, display_name: &str, first_name: &str, last_name: &str) -> String {
    [username, display_name, first_name, last_name].join(" ")
}

/// Makes a user findable by exactly these names, on databases without the triggers.
pub async fn index<C: Sql>(view: &mut View<'_, C>, user: UserId, names: &str) -> Result<(), C::Error> {
    if C::DIALECT == Dialect::Sqlite {
        return Ok(());
    }
    view.execute("DELETE FROM pregon_words WHERE user_id = ?", &[&user]).await?;
    // The collation may treat some words as equal.
    for word in words(names) {
        view.execute("INSERT IGNORE INTO pregon_words (word, user_id) VALUES (?, ?)", &[&word, &user]).await?;
    }
    let sql = "INSERT INTO pregon_named (user_id, names) VALUES (?, ?) ON DUPLICATE KEY UPDATE names = VALUES(names)";
    view.execute(sql, &[&user, &names]).await.map(drop)
}

/// Indexes a user by the current names of the row.
pub async fn index_again<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<(), C::Error> {
    if C::DIALECT == Dialect::Sqlite {
        return Ok(());
    }
    let sql = "SELECT username, display_name, first_name, last_name FROM users WHERE id = ?";
    match view.row(sql, &[&user], |row| names_of_row(row, 0)).await? {
        Some(names) => index(view, user, &names).await,
        None => Ok(()),
    }
}

fn names_of_row(row: Columns<'_>, first: usize) -> Result<String, Unexpected> {
    Ok(names(row.str(first)?, row.str(first + 1)?, row.str(first + 2)?, row.str(first + 3)?))
}

/// Some users in the order of their ids.
pub struct Slice {
    /// Users whose names differ from the indexed names.
    pub changed: Vec<(UserId, String)>,
    /// The last user of the slice; `None` if there are no more.
    pub last: Option<UserId>,
}

/// Checks the names of the users after `after`.
pub async fn not_indexed<C: Sql>(view: &mut View<'_, C>, after: UserId) -> Result<Slice, C::Error> {
    let sql = "SELECT id, username, display_name, first_name, last_name FROM users WHERE id > ? ORDER BY id LIMIT ?";
    let read = |row: Columns<'_>| Ok((row.id::<UserId>(0)?, names_of_row(row, 1)?));
    let mut changed = view.rows(sql, &[&after, &NAMES_READ_MAX], read).await?;
    let Some(last) = changed.last().map(|(user, _)| *user) else { return Ok(Slice { changed, last: None }) };
    let is_full = changed.len() == NAMES_READ_MAX;
    // Not a join, because the two programs' columns may have different collations.
    let sql = "SELECT user_id, names FROM pregon_named WHERE user_id > ? AND user_id <= ?";
    let read = |row: Columns<'_>| Ok((row.id::<UserId>(0)?, row.text(1)?));
    let known: HashMap<UserId, String> = view.rows(sql, &[&after, &last], read).await?.into_iter().collect();
    changed.retain(|(user, names)| known.get(user) != Some(names));
    Ok(Slice { changed, last: is_full.then_some(last) })
}

/// Indexes several users.
pub async fn index_all<C: Sql>(view: &mut View<'_, C>, changed: &[(UserId, String)]) -> Result<(), C::Error> {
    for (user, names) in changed {
        index(view, *user, names).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        assert_eq!(words("@beto_99 José Pe\u{301}rez-Ñu"), ["99", "José", "Perez", "beto", "Ñu"]);
        for none in ["", "@", "%_\"*", "😀", "\u{301}"] {
            assert!(words(none).is_empty(), "{none:?}");
        }
        assert_eq!(words(&"ñ".repeat(100))[0].chars().count(), WORD_CHARS_MAX);
        assert_eq!(words("a a A"), ["A", "a"]);
    }
}
