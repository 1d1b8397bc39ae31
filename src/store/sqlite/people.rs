//! Users as others see them: profiles, lists of people, friends.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::Timestamp;
use crate::domain::user::{Account, Person, UserProfile};
use crate::ids::UserId;
use crate::limits;
use crate::store::caches::Caches;
use crate::store::sqlite::values::count;
use crate::store::{PageOf, PageRequest};

/// What reading people needs: a connection, the caches beside it, and the time that ages them.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Any connection; inside a transaction it sees that.
    pub connection: &'a Connection,
    /// Shared by all connections.
    pub caches: &'a Caches,
    /// Now.
    pub now: Timestamp,
    /// How many reactions a post shows.
    pub shown_reactions: u32,
    /// Users whose rows the transaction has changed: what it sees of them is nobody else's to see yet.
    pub changed: Option<&'a BTreeSet<UserId>>,
}

/// A profile by id.
pub fn profile(view: View<'_>, user: UserId) -> rusqlite::Result<Option<Arc<UserProfile>>> {
    if view.changed.is_some_and(|changed| changed.contains(&user)) {
        return Ok(read_profile(view.connection, user)?.map(Arc::new));
    }
    if let Some(profile) = view.caches.profiles.get(&user, view.now) {
        return Ok(Some(profile));
    }
    let before = view.caches.profiles.before();
    let Some(profile) = read_profile(view.connection, user)? else { return Ok(None) };
    let profile = Arc::new(profile);
    view.caches.profiles.put(before, user, Arc::clone(&profile), view.now);
    Ok(Some(profile))
}

/// The profile of a user to whom a row refers: the reference says that there is one.
pub fn known_profile(view: View<'_>, user: UserId) -> rusqlite::Result<Arc<UserProfile>> {
    profile(view, user)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// A profile as the connection sees it, past the cache. Its counts are the row's own columns: every write that adds or
/// takes away a follow or a post moves them in its transaction, so they are the rows' numbers, and those of somebody
/// with a hundred thousand followers are not counted anew at each change.
pub fn read_profile(connection: &Connection, user: UserId) -> rusqlite::Result<Option<UserProfile>> {
    connection
        .prepare_cached(
            "SELECT id, email, username, display_name, first_name, last_name, avatar, cover_photo, bio, position, \
             team, contact_number, interests, social_links, is_verified, is_private, show_email, show_phone, \
             is_active, created_at, last_active, account_type, company_name, industry, website, \
             followers_count, following_count, posts_count FROM users WHERE id = ?1",
        )?
        .query_row([user], profile_of_row)
        .optional()
}

fn profile_of_row(row: &Row<'_>) -> rusqlite::Result<UserProfile> {
    Ok(UserProfile {
        id: row.get(0)?,
        email: row.get(1)?,
        username: row.get(2)?,
        display_name: row.get(3)?,
        first_name: row.get(4)?,
        last_name: row.get(5)?,
        avatar: row.get(6)?,
        cover_photo: row.get(7)?,
        bio: row.get(8)?,
        position: row.get(9)?,
        team: row.get(10)?,
        contact_number: row.get(11)?,
        interests: row.get(12)?,
        social_links: row.get(13)?,
        is_verified: row.get(14)?,
        is_private: row.get(15)?,
        show_email: row.get(16)?,
        show_phone: row.get(17)?,
        is_active: row.get(18)?,
        created_at: row.get(19)?,
        last_active: row.get(20)?,
        account_type: row.get(21)?,
        company_name: row.get(22)?,
        industry: row.get(23)?,
        website: row.get(24)?,
        followers_count: count(row, 25)?,
        following_count: count(row, 26)?,
        posts_count: count(row, 27)?,
        public_json: std::sync::OnceLock::new(),
    })
}

/// A user's account, remembered whether it exists or not.
pub fn account(view: View<'_>, user: UserId) -> rusqlite::Result<Option<Arc<Account>>> {
    if let Some(account) = view.caches.accounts.get(&user, view.now) {
        return Ok(account);
    }
    let before = view.caches.accounts.before();
    let account = view
        .connection
        .prepare_cached("SELECT username, is_active FROM users WHERE id = ?1")?
        .query_row([user], |row| {
            let username = row.get::<_, String>(0)?.into_boxed_str();
            Ok(Arc::new(Account { id: user, username, is_active: row.get(1)? }))
        })
        .optional()?;
    view.caches.accounts.put(before, user, account.clone(), view.now);
    Ok(account)
}

/// Which of `users` exist and are active.
pub fn active(connection: &Connection, users: &[UserId]) -> rusqlite::Result<Vec<UserId>> {
    let mut statement = connection.prepare_cached("SELECT is_active FROM users WHERE id = ?1")?;
    let mut found = Vec::with_capacity(users.len());
    for user in users {
        if statement.query_row([user], |row| row.get(0)).optional()? == Some(true) {
            found.push(*user);
        }
    }
    Ok(found)
}

/// The id behind a username, whatever its case.
pub fn id_of_name(connection: &Connection, username: &str) -> rusqlite::Result<Option<UserId>> {
    connection
        .prepare_cached("SELECT id FROM users WHERE username = ?1")?
        .query_row([username], |row| row.get(0))
        .optional()
}

/// One person as the viewer sees it.
pub fn person(view: View<'_>, viewer: UserId, of: UserId) -> rusqlite::Result<Option<Person>> {
    let Some(profile) = profile(view, of)? else { return Ok(None) };
    view.connection
        .prepare_cached(
            "SELECT followers_count, following_count, posts_count, \
             EXISTS (SELECT 1 FROM user_follows WHERE follower_id = ?1 AND following_id = ?2), \
             EXISTS (SELECT 1 FROM friendships WHERE user1_id = min(?1, ?2) AND user2_id = max(?1, ?2)), \
             EXISTS (SELECT 1 FROM friend_requests WHERE sender_id = ?1 AND receiver_id = ?2 AND status = 'pending'), \
             EXISTS (SELECT 1 FROM friend_requests WHERE sender_id = ?2 AND receiver_id = ?1 AND status = 'pending') \
             FROM users WHERE id = ?2",
        )?
        .query_row([viewer, of], |row| {
            let friend_request = match (row.get(5)?, row.get(6)?) {
                (true, _) => Some("sent"),
                (false, true) => Some("received"),
                (false, false) => None,
            };
            Ok(Person {
                profile,
                followers_column: count(row, 0)?,
                following_column: count(row, 1)?,
                posts_column: count(row, 2)?,
                is_following: row.get(3)?,
                is_friend: row.get(4)?,
                friend_request,
            })
        })
        .optional()
}

/// Active users whose names contain `text`, without the viewer, by username.
pub fn search(view: View<'_>, viewer: UserId, text: &str, page: PageRequest) -> rusqlite::Result<PageOf<Person>> {
    const MATCHES: &str = "FROM users WHERE is_active = 1 AND id <> ?1 AND (?2 = '%%' OR username LIKE ?2 ESCAPE '\\' \
        OR display_name LIKE ?2 ESCAPE '\\' OR first_name LIKE ?2 ESCAPE '\\' OR last_name LIKE ?2 ESCAPE '\\')";
    let pattern = like_pattern(text);
    let count = view
        .connection
        .prepare_cached(&format!("SELECT count(*) {MATCHES}"))?
        .query_row(params![viewer, pattern], |row| count(row, 0))?;
    let ids = view
        .connection
        .prepare_cached(&format!("SELECT id {MATCHES} ORDER BY username LIMIT ?3 OFFSET ?4"))?
        .query_map(params![viewer, pattern, page.size, offset(page)], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<UserId>>>()?;
    Ok(PageOf { count, rows: people(view, viewer, &ids)? })
}

/// Friends of `of`, newest first.
pub fn friends(view: View<'_>, viewer: UserId, of: UserId) -> rusqlite::Result<Vec<Person>> {
    listed(
        view,
        viewer,
        of,
        "SELECT friend FROM (\
         SELECT user2_id AS friend, created_at AS since FROM friendships WHERE user1_id = ?1 \
         UNION ALL SELECT user1_id, created_at FROM friendships WHERE user2_id = ?1) \
         JOIN users ON users.id = friend AND users.is_active = 1 ORDER BY since DESC, friend LIMIT ?2",
    )
}

/// Who follows `of`, newest first.
pub fn followers(view: View<'_>, viewer: UserId, of: UserId) -> rusqlite::Result<Vec<Person>> {
    listed(
        view,
        viewer,
        of,
        "SELECT follower_id FROM user_follows JOIN users ON users.id = follower_id AND users.is_active = 1 \
         WHERE following_id = ?1 ORDER BY user_follows.created_at DESC, follower_id LIMIT ?2",
    )
}

/// Whom `of` follows, newest first.
pub fn following(view: View<'_>, viewer: UserId, of: UserId) -> rusqlite::Result<Vec<Person>> {
    listed(
        view,
        viewer,
        of,
        "SELECT following_id FROM user_follows JOIN users ON users.id = following_id AND users.is_active = 1 \
         WHERE follower_id = ?1 ORDER BY user_follows.created_at DESC, following_id LIMIT ?2",
    )
}

fn listed(view: View<'_>, viewer: UserId, of: UserId, sql: &str) -> rusqlite::Result<Vec<Person>> {
    let ids = view
        .connection
        .prepare_cached(sql)?
        .query_map(params![of, limits::PEOPLE_LISTED_MAX], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<UserId>>>()?;
    people(view, viewer, &ids)
}

/// Whose public posts a user hears of: whom the user follows and is friends with, each once.
pub fn feed_authors(connection: &Connection, user: UserId) -> rusqlite::Result<Vec<UserId>> {
    connection
        .prepare_cached(
            "SELECT following_id FROM user_follows WHERE follower_id = ?1 \
             UNION SELECT user2_id FROM friendships WHERE user1_id = ?1 \
             UNION SELECT user1_id FROM friendships WHERE user2_id = ?1",
        )?
        .query_map([user], |row| row.get(0))?
        .collect()
}

fn people(view: View<'_>, viewer: UserId, ids: &[UserId]) -> rusqlite::Result<Vec<Person>> {
    ids.iter().filter_map(|id| person(view, viewer, *id).transpose()).collect()
}

/// Rows before a page.
pub fn offset(page: PageRequest) -> u64 {
    u64::from(page.number.saturating_sub(1)) * u64::from(page.size)
}

fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}
