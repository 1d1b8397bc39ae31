//! Accounts: registration, logins, passwords, revoked tokens. Writes come in transactions of their own.

use crate::clock::Timestamp;
use crate::domain::user::NewUser;
use crate::ids::UserId;
use crate::store::Credentials;
use crate::store::sql::{Id, Sql, View};

/// What came of a registration.
pub enum Registration {
    /// The user is there.
    Done,
    /// Somebody has the address or the name.
    Taken { email: bool, username: bool },
}

/// Makes the user `id`. The unique keys decide between two who come at the same time: the database's own comparison,
/// whatever its collation makes equal. The same `id` again is a repetition after an answer was lost.
pub async fn register<C: Sql>(view: &mut View<'_, C>, id: UserId, user: &NewUser) -> Result<Registration, C::Error> {
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

async fn taken<C: Sql>(view: &mut View<'_, C>, user: &NewUser) -> Result<Registration, C::Error> {
    let email = view.is_there("SELECT 1 FROM users WHERE email = ?", &[&user.email]).await?;
    let username = view.is_there("SELECT 1 FROM users WHERE username = ?", &[&user.username]).await?;
    Ok(if email || username { Registration::Taken { email, username } } else { Registration::Done })
}

/// A new user's row.
pub async fn insert_user<C: Sql>(view: &mut View<'_, C>, id: UserId, user: &NewUser) -> Result<(), C::Error> {
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
pub async fn insert_follow<C: Sql>(
    view: &mut View<'_, C>,
    follower: UserId,
    following: UserId,
    at: Timestamp,
) -> Result<bool, C::Error> {
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

/// By e-mail if `login` contains `@`, else or on a miss by username. The database compares: case does not count.
pub async fn credentials<C: Sql>(view: &mut View<'_, C>, login: &str) -> Result<Option<Credentials>, C::Error> {
    if login.contains('@')
        && let Some(found) = find(view, "email", login).await?
    {
        return Ok(Some(found));
    }
    find(view, "username", login).await
}

async fn find<C: Sql>(view: &mut View<'_, C>, column: &str, login: &str) -> Result<Option<Credentials>, C::Error> {
    let sql = format!("SELECT id, password, is_active FROM users WHERE {column} = ?");
    view.row(&sql, &[&login], |row| {
        Ok(Credentials { user: row.id(0)?, password_hash: row.text(1)?, is_active: row.flag(2)? })
    })
    .await
}

/// The refresh token may not be used again.
pub async fn revoke<C: Sql>(view: &mut View<'_, C>, jti: &str, expires: Timestamp) -> Result<(), C::Error> {
    let latest = C::DIALECT.keep_greatest("jti", "expires");
    let sql = format!("INSERT INTO pregon_revoked (jti, expires) VALUES (?, ?) {latest}");
    view.execute(&sql, &[&jti, &expires.0]).await.map(drop)
}

/// Was the refresh token revoked?
pub async fn is_revoked<C: Sql>(view: &mut View<'_, C>, jti: &str) -> Result<bool, C::Error> {
    view.is_there("SELECT 1 FROM pregon_revoked WHERE jti = ?", &[&jti]).await
}
