//! Ids, times and kinds as SQLite columns hold them.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};

use crate::clock::Timestamp;
use crate::domain::chat::message::{MessageType, ReactionType};
use crate::domain::chat::room::ChatType;
use crate::domain::feed::post::{Category, PostReactionType, PostType};
use crate::domain::notification::NotificationType;
use crate::domain::people::RequestStatus;
use crate::ids::{CommentId, EventId, MessageId, NotificationId, PostId, RequestId, RoomId, UserId};

pub use crate::store::sql::Id;

macro_rules! id_columns {
    ($($name:ident)*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Owned(Value::Text(self.hex())))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(FromSqlError::other)
            }
        }
    )*};
}

id_columns! { UserId RoomId MessageId PostId CommentId NotificationId RequestId EventId }

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Text(self.database_text())))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::from_database_text(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

macro_rules! text_columns {
    ($($name:ident)*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.as_str().as_bytes())))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Self::from_text(value.as_str()?).ok_or(FromSqlError::InvalidType)
            }
        }
    )*};
}

text_columns! {
    MessageType ReactionType ChatType PostType Category PostReactionType NotificationType RequestStatus
}

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Text(self.0.simple().to_string())))
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        uuid::Uuid::try_parse(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

/// Counts are never negative, and far below 2^63.
pub fn count(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0))
}
