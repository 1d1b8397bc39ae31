//! Who logs in with which password, and which tokens may not be used again.

use crate::store::Credentials;
use crate::store::sql::{Sql, View};

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

/// Was the refresh token revoked?
pub async fn is_revoked<C: Sql>(view: &mut View<'_, C>, jti: &str) -> Result<bool, C::Error> {
    view.is_there("SELECT 1 FROM pregon_revoked WHERE jti = ?", &[&jti]).await
}
