//! Accounts: registration, logins, passwords, revoked tokens. Each write has a transaction of its own.

use crate::clock::Timestamp;
use crate::domain::user::{NewUser, ProfilePatch};
use crate::ids::UserId;
use crate::store::Credentials;
use crate::store::sql::{Columns, Id, Sql, Table, ToColumn, View, search};

/// The result of a registration.
pub enum Registration {
    /// The user was inserted.
    Done,
    /// The address or the name is taken.
    Taken { email: bool, username: bool },
}

/// Inserts the user `id`. The unique keys decide between two registrations at once, by the database's own comparison of
/// texts. A second call with the same `id` repeats one whose answer was lost.
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

async fn insert_user<C: Sql>(view: &mut View<'_, C>, id: UserId, user: &NewUser) -> Result<(), C::Error> {
    let now = view.now;
    let row = user_row(&id, user, &0, &now);
    view.execute(Table::Users.one_row(C::DIALECT, row.len()), &row).await?;
    search::index(view, id, &search::names(&user.username, &user.display_name, "", "")).await
}

/// The columns of a new user with these numbers of followed users and followers.
pub fn user_row<'a>(
    id: &'a UserId,
    user: &'a NewUser,
    follows: &'a usize,
    now: &'a Timestamp,
) -> [&'a dyn ToColumn; 35] {
    let account_type: &dyn ToColumn = if user.account_type.is_empty() { &"user" } else { &user.account_type };
    let [none, empty, list, zero, no, yes]: [&dyn ToColumn; 6] = [&None::<u32>, &"", &"[]", &0_u32, &false, &true];
    [
        id,
        &user.password_hash,
        none,
        no,
        empty,
        empty,
        no,
        yes,
        now,
        &user.email,
        &user.username,
        &user.display_name,
        none,
        none,
        &user.bio,
        &user.position,
        &user.team,
        &user.contact_number,
        list,
        list,
        no,
        no,
        no,
        follows,
        follows,
        zero,
        now,
        now,
        now,
        no,
        no,
        account_type,
        &user.company_name,
        &user.industry,
        &user.website,
    ]
}

/// Inserts a follow row and raises both counters; false if it existed.
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
    let id: Id = view.ids.fresh();
    let sql = Table::Follows.one_row(C::DIALECT, 4);
    view.execute(sql, &[&id, &at, &follower, &following]).await?;
    view.execute("UPDATE users SET following_count = following_count + 1 WHERE id = ?", &[&follower]).await?;
    view.execute("UPDATE users SET followers_count = followers_count + 1 WHERE id = ?", &[&following]).await?;
    Ok(true)
}

/// Looks up by e-mail if `login` contains `@`, otherwise or if that fails by username. The database compares, ignoring
/// case.
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
    let read =
        |row: Columns<'_>| Ok(Credentials { user: row.id(0)?, password_hash: row.text(1)?, is_active: row.flag(2)? });
    match view.row(&sql, &[&login], read).await {
        // A name that the column cannot store belongs to nobody.
        Err(error) if C::is_of_characters(&error) => Ok(None),
        found => found,
    }
}

/// Revokes a refresh token.
pub async fn revoke<C: Sql>(view: &mut View<'_, C>, jti: &str, expires: Timestamp) -> Result<(), C::Error> {
    let latest = C::DIALECT.keep_greatest("jti", "expires");
    let sql = format!("INSERT INTO pregon_revoked (jti, expires) VALUES (?, ?) {latest}");
    view.execute(&sql, &[&jti, &expires.0]).await.map(drop)
}

/// Whether the refresh token was revoked.
pub async fn is_revoked<C: Sql>(view: &mut View<'_, C>, jti: &str) -> Result<bool, C::Error> {
    view.is_there("SELECT 1 FROM pregon_revoked WHERE jti = ?", &[&jti]).await
}

/// Changes a user's row. Returns the paths of pictures that the row no longer names; `None` if there is no such user.
pub async fn change_profile<C: Sql>(
    view: &mut View<'_, C>,
    user: UserId,
    patch: &ProfilePatch,
) -> Result<Option<Vec<String>>, C::Error> {
    let now = view.now;
    let sql = format!("SELECT avatar, cover_photo FROM users WHERE id = ? {}", C::DIALECT.locked());
    let read = |row: Columns<'_>| Ok([row.optional_text(0)?, row.optional_text(1)?]);
    let Some([avatar, cover]) = view.row(&sql, &[&user], read).await? else { return Ok(None) };
    view.execute(
        "UPDATE users SET display_name = coalesce(?, display_name), first_name = coalesce(?, first_name), \
         last_name = coalesce(?, last_name), bio = coalesce(?, bio), position = coalesce(?, position), \
         team = coalesce(?, team), contact_number = coalesce(?, contact_number), \
         interests = coalesce(?, interests), social_links = coalesce(?, social_links), \
         is_private = coalesce(?, is_private), show_email = coalesce(?, show_email), \
         show_phone = coalesce(?, show_phone), account_type = coalesce(?, account_type), \
         company_name = coalesce(?, company_name), industry = coalesce(?, industry), \
         website = coalesce(?, website), avatar = CASE WHEN ? = 1 THEN ? ELSE avatar END, \
         cover_photo = CASE WHEN ? = 1 THEN ? ELSE cover_photo END, updated_at = ?, last_active = ? WHERE id = ?",
        &[
            &patch.display_name,
            &patch.first_name,
            &patch.last_name,
            &patch.bio,
            &patch.position,
            &patch.team,
            &patch.contact_number,
            &patch.interests,
            &patch.social_links,
            &patch.is_private,
            &patch.show_email,
            &patch.show_phone,
            &patch.account_type,
            &patch.company_name,
            &patch.industry,
            &patch.website,
            &patch.avatar.is_change(),
            &patch.avatar.path(),
            &patch.cover_photo.is_change(),
            &patch.cover_photo.path(),
            &now,
            &now,
            &user,
        ],
    )
    .await?;
    if patch.display_name.is_some() || patch.first_name.is_some() || patch.last_name.is_some() {
        search::index_again(view, user).await?;
    }
    let left = [(avatar, &patch.avatar), (cover, &patch.cover_photo)]
        .into_iter()
        .filter_map(|(old, new)| old.filter(|old| new.is_change() && new.path() != Some(old)));
    Ok(Some(left.collect()))
}
