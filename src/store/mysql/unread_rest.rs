//! The read rows of a long `mark_as_read` that follow later.

use crate::limits;
use crate::store::batch::UnreadRest;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::deferred::Pending;
use crate::store::mysql::driver::View;
use crate::store::sql::chat_rows;

/// The next read rows of a long `mark_as_read`: what is left of it then.
pub async fn go_on(view: &mut View<'_>, rest: UnreadRest) -> Result<Option<UnreadRest>, MysqlError> {
    let found = chat_rows::newest_unread(view, rest).await?;
    let mut pending = Pending::default();
    for (message, _) in &found {
        pending.read(view.driver.zone, *message, rest.user, rest.at);
    }
    let sql = pending.take(view.driver.zone);
    if !sql.is_empty() {
        view.run(&sql).await?;
    }
    let oldest = found.last().filter(|_| found.len() == limits::READ_ALL_ROWS_MAX);
    Ok(oldest.map(|(_, before)| UnreadRest { before: *before, ..rest }))
}
