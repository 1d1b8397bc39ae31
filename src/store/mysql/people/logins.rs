//! Who logs in with which password, and which tokens may not be used again.

use crate::store::Credentials;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::view::View;

/// By e-mail if `login` contains `@`, else or on a miss by username. The database compares: case and accents do not count.
pub async fn credentials(view: &mut View<'_>, login: &str) -> Result<Option<Credentials>, MysqlError> {
    if login.contains('@')
        && let Some(found) = find(view, "email", login).await?
    {
        return Ok(Some(found));
    }
    find(view, "username", login).await
}

async fn find(view: &mut View<'_>, column: &str, login: &str) -> Result<Option<Credentials>, MysqlError> {
    let sql = format!("SELECT id, password, is_active FROM users WHERE {column} = ?");
    view.row(&sql, &[&login], |row| {
        Ok(Credentials { user: row.id(0)?, password_hash: row.text(1)?, is_active: row.flag(2)? })
    })
    .await
}

/// Was the refresh token revoked?
pub async fn is_revoked(view: &mut View<'_>, jti: &str) -> Result<bool, MysqlError> {
    view.is_there("SELECT 1 FROM pregon_revoked WHERE jti = ?", &[&jti]).await
}
