//! Registration, passwords, revoked tokens: direct writes, each in a transaction of its own.

use crate::clock::Timestamp;
use crate::domain::user::NewUser;
use crate::ids::UserId;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::driver::View;
use crate::store::sql::Id;

/// What came of a registration.
pub enum Registration {
    /// The user is there.
    Done,
    /// Somebody has the address or the name.
    Taken { email: bool, username: bool },
}

/// Makes the user `id`. The unique keys decide between two who come at the same time: the database's own comparison,
/// whatever its collation makes equal. The same `id` again is a repetition after an answer was lost.
pub async fn register(view: &mut View<'_>, id: UserId, user: &NewUser) -> Result<Registration, MysqlError> {
    if view.is_there("SELECT 1 FROM users WHERE id = ?", &[&id]).await? {
        return Ok(Registration::Done);
    }
    let taken = taken(view, user).await?;
    if !matches!(taken, Registration::Done) {
        return Ok(taken);
    }
    insert_user(view, id, user).await?;
    Ok(Registration::Done)
}

async fn taken(view: &mut View<'_>, user: &NewUser) -> Result<Registration, MysqlError> {
    let email = view.is_there("SELECT 1 FROM users WHERE email = ?", &[&user.email]).await?;
    let username = view.is_there("SELECT 1 FROM users WHERE username = ?", &[&user.username]).await?;
    Ok(if email || username { Registration::Taken { email, username } } else { Registration::Done })
}

/// A new user's row.
pub async fn insert_user(view: &mut View<'_>, id: UserId, user: &NewUser) -> Result<(), MysqlError> {
    let account_type = if user.account_type.is_empty() { "user" } else { &user.account_type };
    let now = view.now;
    view.execute(
        "INSERT INTO users (id, password, last_login, is_superuser, first_name, last_name, is_staff, is_active, \
         date_joined, email, username, display_name, avatar, cover_photo, bio, position, team, contact_number, \
         interests, social_links, is_private, show_email, show_phone, followers_count, following_count, \
         posts_count, created_at, updated_at, last_active, is_verified, email_verified, account_type, \
         company_name, industry, website) VALUES (?, ?, NULL, 0, '', '', 0, 1, ?, ?, ?, ?, NULL, NULL, ?, \
         ?, ?, ?, '[]', '[]', 0, 0, 0, 0, 0, 0, ?, ?, ?, 0, 0, ?, ?, ?, ?)",
        &[
            &id,
            &user.password_hash,
            &now,
            &user.email,
            &user.username,
            &user.display_name,
            &user.bio,
            &user.position,
            &user.team,
            &user.contact_number,
            &now,
            &now,
            &now,
            &account_type,
            &user.company_name,
            &user.industry,
            &user.website,
        ],
    )
    .await
    .map(drop)
}

/// A follow row with both counters; false when it was there.
pub async fn insert_follow(
    view: &mut View<'_>,
    follower: UserId,
    following: UserId,
    at: Timestamp,
) -> Result<bool, MysqlError> {
    let sql = "SELECT 1 FROM user_follows WHERE follower_id = ? AND following_id = ?";
    if view.is_there(sql, &[&follower, &following]).await? {
        return Ok(false);
    }
    let sql = "INSERT INTO user_follows (id, created_at, follower_id, following_id) VALUES (?, ?, ?, ?)";
    view.execute(sql, &[&Id::fresh(), &at, &follower, &following]).await?;
    view.execute("UPDATE users SET following_count = following_count + 1 WHERE id = ?", &[&follower]).await?;
    view.execute("UPDATE users SET followers_count = followers_count + 1 WHERE id = ?", &[&following]).await?;
    Ok(true)
}

/// Replaces a password hash; false when there is no such user.
pub async fn set_password(view: &mut View<'_>, user: UserId, hash: &str) -> Result<bool, MysqlError> {
    let now = view.now;
    let sql = "UPDATE users SET password = ?, updated_at = ? WHERE id = ?";
    Ok(view.execute(sql, &[&hash, &now, &user]).await? > 0)
}

/// The refresh token may not be used again.
pub async fn revoke(view: &mut View<'_>, jti: &str, expires: Timestamp) -> Result<(), MysqlError> {
    let sql = "INSERT INTO pregon_revoked (jti, expires) VALUES (?, ?) \
        ON DUPLICATE KEY UPDATE expires = greatest(expires, VALUES(expires))";
    view.execute(sql, &[&jti, &expires.0]).await.map(drop)
}
