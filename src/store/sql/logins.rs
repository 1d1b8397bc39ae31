//! Ended logins: writes them, looks them up for a token, and lists them for closing sockets.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::login::{Bearer, Ended, LoginEnd};
use crate::domain::user::Account;
use crate::ids::{FamilyId, UserId};
use crate::limits;
use crate::store::PasswordChange;
use crate::store::caches::Caches;
use crate::store::sql::{Columns, Sql, Unexpected, View};

/// The cached answer, if the caches hold all of it.
pub fn remembered(caches: &Caches, user: UserId, family: FamilyId, now: Timestamp) -> Option<Bearer> {
    let account = caches.accounts.get(&user, now)?;
    let changed = caches.password_changes.get(&user, now)?;
    let ended = caches.ended_logins.get(&(user, family), now)?;
    Some(Bearer { account, is_over: ended || changed.is_some_and(|changed| changed.ends(family)) })
}

/// The user of a token, and whether the token's login has ended, in one query.
pub async fn bearer<C: Sql>(view: &mut View<'_, C>, user: UserId, family: FamilyId) -> Result<Bearer, C::Error> {
    let caches = view.caches;
    if let Some(bearer) = remembered(caches, user, family, view.now) {
        return Ok(bearer);
    }
    let before = (caches.accounts.before(), caches.password_changes.before(), caches.ended_logins.before());
    let sql = "SELECT u.username, u.is_active, e.ended_at, e.family, EXISTS (SELECT 1 FROM pregon_ended_logins \
        WHERE user_id = ? AND goes_on = 0 AND family = ?) FROM (SELECT 1) one LEFT JOIN users u ON u.id = ? \
        LEFT JOIN pregon_ended_logins e ON e.user_id = ? AND e.goes_on = 1";
    let read = |row: Columns<'_>| {
        let username = row.optional_text(0)?.map(String::into_boxed_str);
        let is_active = row.flag(1)?;
        let account = username.map(|username| Arc::new(Account { id: user, username, is_active }));
        let changed = match row.optional_id(3)? {
            Some(spared) => Some(LoginEnd { user, ended: Ended::AllBut(spared), at: Timestamp(row.number(2)?) }),
            None => None,
        };
        Ok((account, changed, row.flag(4)?))
    };
    let Some((mut account, changed, ended)) = view.row(sql, &[&user, &family, &user, &user], read).await? else {
        return Err(Unexpected("a query about one user returned no row".into()).into());
    };
    match caches.accounts.get(&user, view.now) {
        // All sessions of a user share one account.
        Some(known) => account = known,
        None => caches.accounts.put(before.0, user, account.clone(), view.now),
    }
    caches.password_changes.put(before.1, user, changed.map(Box::new), view.now);
    caches.ended_logins.put(before.2, (user, family), ended, view.now);
    Ok(Bearer { account, is_over: ended || changed.is_some_and(|changed| changed.ends(family)) })
}

/// Records that logins have ended. Only the last of a user's password changes is kept: the login that it spares had
/// survived all earlier ones.
pub async fn end<C: Sql>(view: &mut View<'_, C>, end: LoginEnd, expires: Timestamp) -> Result<(), C::Error> {
    let (goes_on, family) = match end.ended {
        Ended::Only(family) => (false, family),
        Ended::AllBut(family) => (true, family),
    };
    if goes_on {
        view.execute("DELETE FROM pregon_ended_logins WHERE user_id = ? AND goes_on = 1", &[&end.user]).await?;
    }
    let latest = C::DIALECT.keep_greatest("user_id, goes_on, family", "expires");
    let sql = format!(
        "INSERT INTO pregon_ended_logins (user_id, goes_on, family, ended_at, expires) VALUES (?, ?, ?, ?, ?) {latest}"
    );
    view.execute(&sql, &[&end.user, &goes_on, &family, &end.at.0, &expires.0]).await.map(drop)
}

/// The ends since `since`, newest first; at most [`limits::ENDED_LOGINS_MAX`].
pub async fn ended_since<C: Sql>(view: &mut View<'_, C>, since: Timestamp) -> Result<Vec<LoginEnd>, C::Error> {
    let sql = "SELECT user_id, goes_on, family, ended_at FROM pregon_ended_logins WHERE ended_at >= ? \
        ORDER BY ended_at DESC LIMIT ?";
    view.rows(sql, &[&since.0, &limits::ENDED_LOGINS_MAX], |row| {
        let family = row.id(2)?;
        let ended = if row.flag(1)? { Ended::AllBut(family) } else { Ended::Only(family) };
        Ok(LoginEnd { user: row.id(0)?, ended, at: Timestamp(row.number(3)?) })
    })
    .await
}

/// Replaces a password hash and, if wanted, ends all of the user's logins except the one that asked. False if the old
/// hash is no longer the user's.
pub async fn change_password<C: Sql>(view: &mut View<'_, C>, change: &PasswordChange) -> Result<bool, C::Error> {
    let PasswordChange { user, old_hash, new_hash, spared } = change;
    let now = view.now;
    // A repetition after a lost answer finds the new hash.
    let sql = "UPDATE users SET password = ?, updated_at = ? WHERE id = ? AND password IN (?, ?)";
    if view.execute(sql, &[new_hash, &now, user, old_hash, new_hash]).await? == 0 {
        return Ok(false);
    }
    if let Some(spared) = *spared {
        // Kept for ever: it is one row per user, and a token may have been issued at any time.
        end(view, LoginEnd { user: *user, ended: Ended::AllBut(spared), at: now }, Timestamp(i64::MAX)).await?;
    }
    Ok(true)
}

/// Marks the refresh token as used; false if it already was.
pub async fn use_up<C: Sql>(view: &mut View<'_, C>, jti: &str, expires: Timestamp) -> Result<bool, C::Error> {
    if view.is_there("SELECT 1 FROM pregon_revoked WHERE jti = ?", &[&jti]).await? {
        return Ok(false);
    }
    view.execute("INSERT INTO pregon_revoked (jti, expires) VALUES (?, ?)", &[&jti, &expires.0]).await.map(|_| true)
}
