//! Ended logins: writes them, looks them up for a token, and lists them for closing sockets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::login::{Bearer, Ended, LoginEnd};
use crate::domain::user::{Account, Apart};
use crate::ids::{FamilyId, UserId};
use crate::limits;
use crate::store::PasswordChange;
use crate::store::caches::{Before, Caches, KnownUser};
use crate::store::sql::{Columns, KEYS_MAX, Sql, ToColumn, Unexpected, View, each, marks, padded};

/// The cached answer, if the caches hold all of it.
pub fn remembered(caches: &Caches, user: UserId, family: FamilyId, now: Timestamp) -> Option<Bearer> {
    let known = caches.users.get(&user, now)?;
    let is_ended = caches.ended_logins.get(&(user, family), now)?;
    Some(known.bearer(family, is_ended))
}

/// Whether a user `u` has blocked anybody, or was blocked.
macro_rules! is_apart {
    () => {
        "(EXISTS (SELECT 1 FROM pregon_blocks WHERE blocker_id = u.id) \
         OR EXISTS (SELECT 1 FROM pregon_blocks WHERE blocked_id = u.id))"
    };
}

/// The columns that [`Asked::read`] reads; the parameters are the user and the login.
pub(super) const BEARER: &str = concat!(
    "u.username, u.is_active, e.ended_at, e.family, EXISTS (SELECT 1 FROM pregon_ended_logins WHERE user_id = ? AND goes_on = 0 \
     AND family = ?), ",
    is_apart!()
);

/// What they are read from, one row; both parameters are the user.
pub(super) const OF_BEARER: &str = "FROM (SELECT 1) one LEFT JOIN users u ON u.id = ? \
    LEFT JOIN pregon_ended_logins e ON e.user_id = ? AND e.goes_on = 1";

/// The number of columns of [`BEARER`].
pub(super) const BEARER_COLUMNS: usize = 6;

/// The user of a token, and whether the token's login has ended, in one query.
pub async fn bearer<C: Sql>(view: &mut View<'_, C>, user: UserId, family: FamilyId) -> Result<Bearer, C::Error> {
    let caches = view.caches;
    if let Some(bearer) = remembered(caches, user, family, view.now) {
        return Ok(bearer);
    }
    let asked = Asked::now(caches, user, family);
    let sql = format!("SELECT {BEARER} {OF_BEARER}");
    let found = view.row(&sql, &[&user, &family, &user, &user], |row| asked.read(row)).await?;
    let found = found.ok_or_else(|| Unexpected("a query about one user returned no row".into()))?;
    let found = found.whole(view).await?;
    Ok(asked.remember(caches, found, view.now))
}

/// Those who have blocked a user and those whom the user has blocked, the newest of them.
async fn apart<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<Apart, C::Error> {
    let sql = "SELECT b.other FROM (SELECT blocked_id AS other, created_at FROM pregon_blocks WHERE blocker_id = ? \
        UNION ALL SELECT blocker_id, created_at FROM pregon_blocks WHERE blocked_id = ?) b ORDER BY b.created_at DESC LIMIT ?";
    view.rows(sql, &[&user, &user, &limits::APART_MAX], |row| row.id(0)).await.map(Apart::from)
}

/// Has the caches know what they lack of these users and their logins: two queries for all.
pub async fn know<C: Sql>(view: &mut View<'_, C>, bearers: &[(UserId, FamilyId)]) -> Result<(), C::Error> {
    let (caches, now) = (view.caches, view.now);
    let is_unknown = |(user, family): &&(UserId, FamilyId)| remembered(caches, *user, *family, now).is_none();
    let unknown: Vec<(UserId, FamilyId)> = bearers.iter().filter(is_unknown).copied().collect();
    for asked in unknown.chunks(KEYS_MAX) {
        let before = [caches.users.before(), caches.ended_logins.before()];
        let users = padded(&asked.iter().map(|(user, _)| *user).collect::<Vec<_>>());
        let families = padded(&asked.iter().map(|(_, family)| *family).collect::<Vec<_>>());
        let marks = marks(users.len());
        let sql = format!(
            "SELECT u.id, u.username, u.is_active, e.ended_at, e.family, {} FROM users u \
             LEFT JOIN pregon_ended_logins e ON e.user_id = u.id AND e.goes_on = 1 WHERE u.id IN ({marks})",
            is_apart!()
        );
        let read = |row: Columns<'_>| {
            Ok(Found { user: user_of_row(row.id(0)?, row, 1)?, is_apart: row.flag(5)?, is_ended: false })
        };
        let mut found = HashMap::new();
        for known in view.rows(&sql, &each(&users).collect::<Vec<_>>(), read).await? {
            let known = known.whole(view).await?.user;
            found.extend(known.account.as_ref().map(|account| account.id).map(|user| (user, known)));
        }
        let sql = format!(
            "SELECT user_id, family FROM pregon_ended_logins WHERE user_id IN ({marks}) AND goes_on = 0 AND family IN ({marks})"
        );
        let parameters: Vec<&dyn ToColumn> = each(&users).chain(each(&families)).collect();
        let read = |row: Columns<'_>| Ok((row.id(0)?, row.id(1)?));
        let ended: HashSet<(UserId, FamilyId)> = view.rows(&sql, &parameters, read).await?.into_iter().collect();
        for (user, family) in asked.iter().copied() {
            let known = found.get(&user).cloned().unwrap_or(KnownUser { account: None, changed: None });
            let is_ended = ended.contains(&(user, family));
            let known = Found { user: known, is_ended, is_apart: false };
            Asked { user, family, before }.remember(caches, known, now);
        }
    }
    Ok(())
}

fn user_of_row(user: UserId, row: Columns<'_>, first: usize) -> Result<KnownUser, Unexpected> {
    let username = row.optional_text(first)?.map(String::into_boxed_str);
    let is_active = row.flag(first + 1)?;
    let account = username.map(|username| Arc::new(Account { id: user, username, is_active, apart: Apart::default() }));
    let changed = match row.optional_id(first + 3)? {
        Some(spared) => {
            Some(Box::new(LoginEnd { user, ended: Ended::AllBut(spared), at: Timestamp(row.number(first + 2)?) }))
        }
        None => None,
    };
    Ok(KnownUser { account, changed })
}

/// A question about a bearer, and the state of the caches before it was asked.
pub(super) struct Asked {
    user: UserId,
    family: FamilyId,
    before: [Before; 2],
}

/// The answer.
pub(super) struct Found {
    user: KnownUser,
    is_ended: bool,
    is_apart: bool,
}

impl Found {
    /// The same, with those whom the user is kept apart from: one query more for users who have blocked, or were blocked.
    pub async fn whole<C: Sql>(mut self, view: &mut View<'_, C>) -> Result<Self, C::Error> {
        if let Some(account) = self.user.account.as_mut().filter(|_| self.is_apart) {
            let apart = apart(view, account.id).await?;
            *account = Arc::new(Account { apart, ..Account::clone(account) });
        }
        Ok(self)
    }
}

impl Asked {
    /// Must be called before the database is asked.
    pub fn now(caches: &Caches, user: UserId, family: FamilyId) -> Self {
        Self { user, family, before: [caches.users.before(), caches.ended_logins.before()] }
    }

    /// Reads the first columns of a row.
    pub fn read(&self, row: Columns<'_>) -> Result<Found, Unexpected> {
        Ok(Found { user: user_of_row(self.user, row, 0)?, is_ended: row.flag(4)?, is_apart: row.flag(5)? })
    }

    /// Caches the answer.
    pub fn remember(self, caches: &Caches, found: Found, now: Timestamp) -> Bearer {
        let Self { user, family, before: [users, logins] } = self;
        let Found { user: mut known, is_ended, is_apart: _ } = found;
        // All sessions of a user share one account.
        if let Some(earlier) = caches.users.get(&user, now)
            && earlier.account == known.account
        {
            known.account = earlier.account;
        }
        caches.users.put(users, user, known.clone(), now);
        caches.ended_logins.put(logins, (user, family), is_ended, now);
        known.bearer(family, is_ended)
    }
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
    // Nothing more is pushed to the browser of a login that is over.
    let which = if goes_on { "<>" } else { "=" };
    let sql = format!("DELETE FROM pregon_push_subscriptions WHERE user_id = ? AND family {which} ?");
    view.execute(&sql, &[&end.user, &family]).await?;
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
