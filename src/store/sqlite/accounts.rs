//! Registration, passwords, revoked tokens.

use rusqlite::{Connection, params};

use crate::clock::Timestamp;
use crate::domain::user::NewUser;
use crate::ids::UserId;
use crate::store::sqlite::values::Id;
use crate::store::{RegisterError, StoreError};

/// Makes a user, in the lane's transaction: two registrations never see each other half-done.
pub fn register(connection: &Connection, user: &NewUser, now: Timestamp) -> Result<UserId, RegisterError> {
    let is_taken = |sql: &str, value: &str| -> rusqlite::Result<bool> {
        connection.prepare_cached(sql)?.query_row([value], |row| row.get(0))
    };
    let email = is_taken("SELECT EXISTS (SELECT 1 FROM users WHERE email = ?1)", &user.email)?;
    let username = is_taken("SELECT EXISTS (SELECT 1 FROM users WHERE username = ?1)", &user.username)?;
    if email || username {
        return Err(RegisterError::Taken { email, username });
    }
    let id = UserId::fresh();
    insert_user(connection, id, user, now)?;
    Ok(id)
}

impl From<rusqlite::Error> for RegisterError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A new user's row.
pub fn insert_user(connection: &Connection, id: UserId, user: &NewUser, now: Timestamp) -> rusqlite::Result<()> {
    let account_type = if user.account_type.is_empty() { "user" } else { &user.account_type };
    connection
        .prepare_cached(
            "INSERT INTO users (id, password, last_login, is_superuser, first_name, last_name, is_staff, is_active, \
             date_joined, email, username, display_name, avatar, cover_photo, bio, position, team, contact_number, \
             interests, social_links, is_private, show_email, show_phone, followers_count, following_count, \
             posts_count, created_at, updated_at, last_active, is_verified, email_verified, account_type, \
             company_name, industry, website) VALUES (?1, ?2, NULL, 0, '', '', 0, 1, ?3, ?4, ?5, ?6, NULL, NULL, ?7, \
             ?8, ?9, ?10, '[]', '[]', 0, 0, 0, 0, 0, 0, ?3, ?3, ?3, 0, 0, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            id,
            user.password_hash,
            now,
            user.email,
            user.username,
            user.display_name,
            user.bio,
            user.position,
            user.team,
            user.contact_number,
            account_type,
            user.company_name,
            user.industry,
            user.website,
        ])
        .map(drop)
}

/// A follow row with both counters; false when it was there.
pub fn insert_follow(
    connection: &Connection,
    follower: UserId,
    following: UserId,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let added = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO user_follows (id, created_at, follower_id, following_id) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![Id::fresh(), now, follower, following])?;
    if added > 0 {
        connection
            .prepare_cached("UPDATE users SET following_count = following_count + 1 WHERE id = ?1")?
            .execute([follower])?;
        connection
            .prepare_cached("UPDATE users SET followers_count = followers_count + 1 WHERE id = ?1")?
            .execute([following])?;
    }
    Ok(added > 0)
}

/// Replaces a password hash.
pub fn set_password(connection: &Connection, user: UserId, hash: &str, now: Timestamp) -> Result<(), StoreError> {
    let changed = connection
        .prepare_cached("UPDATE users SET password = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![user, hash, now])?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Broken("no such user".into())) }
}

/// The refresh token may not be used again.
pub fn revoke(connection: &Connection, jti: &str, expires: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO pregon_revoked (jti, expires) VALUES (?1, ?2) \
             ON CONFLICT (jti) DO UPDATE SET expires = max(expires, excluded.expires)",
        )?
        .execute(params![jti, expires.0])
        .map(drop)
}
