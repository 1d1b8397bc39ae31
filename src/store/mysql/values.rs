//! Ids, times and kinds as MySQL columns hold them: into parameters, and out of rows.

use std::sync::atomic::{AtomicBool, Ordering};

use mysql_async::{Row, Value};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::message::{MessageType, ReactionType};
use crate::domain::chat::room::ChatType;
use crate::domain::feed::post::{Category, PostReactionType, PostType};
use crate::domain::notification::NotificationType;
use crate::domain::people::RequestStatus;
use crate::ids::{CommentId, EventId, MessageId, NotificationId, PostId, RequestId, RoomId, UserId};
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::dialect::Dialect;

/// What can stand for a `?`.
pub trait ToColumn: Sync {
    /// As this database writes it.
    fn to_column(&self, dialect: &Dialect) -> Value;
}

/// The parameters of a statement, in order.
pub type Parameters<'a> = &'a [&'a dyn ToColumn];

/// `?, ?, ?`
pub fn marks(count: usize) -> String {
    let mut marks = "?, ".repeat(count);
    marks.truncate(marks.len().saturating_sub(2));
    marks
}

/// The keys of an `IN (…)`, filled up with the last one to a power of two: a handful of statements serves every length.
/// No keys stay none, for which there is no SQL: do not ask then.
pub fn padded<T: Copy>(keys: &[T]) -> Vec<T> {
    let mut keys = keys.to_vec();
    if let Some(last) = keys.last().copied() {
        keys.resize(keys.len().next_power_of_two(), last);
    }
    keys
}

/// Keys of one `UNION` with a branch for each: what is limited by key cannot be asked for with one `IN (…)`.
pub const BRANCHES_MAX: usize = 32;

/// So many times a query in brackets, as a table. UNION makes one of what a repeated key brings twice.
pub fn union_of(branch: &str, count: usize) -> String {
    match count {
        1 => branch.to_owned(),
        _ => format!("({})", vec![branch; count].join(" UNION ")),
    }
}

/// Each of `keys` as a parameter.
pub fn each<T: ToColumn>(keys: &[T]) -> impl Iterator<Item = &dyn ToColumn> {
    keys.iter().map(|key| key as &dyn ToColumn)
}

/// Ids that have no type of their own: rows of participants and reactions, stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(pub Uuid);

impl Id {
    /// A new time-ordered id.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

impl From<Uuid> for Id {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// 32 lower-case hexadecimal digits: why they serve both column forms is said in [`Dialect`].
pub fn hex(uuid: Uuid) -> [u8; 32] {
    let mut text = [0; 32];
    uuid.simple().encode_lower(&mut text);
    text
}

macro_rules! id_columns {
    ($($name:ident)*) => {$(
        impl ToColumn for $name {
            fn to_column(&self, _: &Dialect) -> Value {
                Value::Bytes(hex(self.0).to_vec())
            }
        }

        impl FromId for $name {
            fn from_id(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }
    )*};
}

/// An id that a column may hold.
pub trait FromId {
    /// Gives the bare number its type.
    fn from_id(uuid: Uuid) -> Self;
}

id_columns! { Id UserId RoomId MessageId PostId CommentId NotificationId RequestId EventId }

/// A kind: one of a few words. The database enforces none of them, and another program may know more.
pub trait FromWord: Sized {
    /// The kind that is called so, in any case: the database may compare words without it. A word of another program's
    /// own is the plainest of the kinds, so that its row is shown with the others; a line in the log says so once.
    fn from_word(word: &str) -> Self;
}

macro_rules! word_columns {
    ($($name:ident $plainest:ident,)*) => {$(
        impl ToColumn for $name {
            fn to_column(&self, _: &Dialect) -> Value {
                Value::Bytes(self.as_str().into())
            }
        }

        impl FromWord for $name {
            fn from_word(word: &str) -> Self {
                static IS_TOLD: AtomicBool = AtomicBool::new(false);
                Self::from_text(word).or_else(|| Self::from_text(&word.to_ascii_lowercase())).unwrap_or_else(|| {
                    if !IS_TOLD.swap(true, Ordering::Relaxed) {
                        let (kind, taken_for) = (stringify!($name), Self::$plainest.as_str());
                        tracing::warn!(kind, word, taken_for, "a word in the database is not known (said once)");
                    }
                    Self::$plainest
                })
            }
        }
    )*};
}

word_columns! {
    MessageType Text, ReactionType Like, ChatType Group, PostType Text, Category Unset, PostReactionType Like,
    NotificationType Mention, RequestStatus Rejected,
}

macro_rules! number_columns {
    ($($name:ident)*) => {$(
        impl ToColumn for $name {
            fn to_column(&self, _: &Dialect) -> Value {
                Value::from(*self)
            }
        }
    )*};
}

number_columns! { bool u32 u64 i64 usize }

impl ToColumn for Timestamp {
    fn to_column(&self, dialect: &Dialect) -> Value {
        dialect.datetime(*self)
    }
}

impl ToColumn for str {
    fn to_column(&self, _: &Dialect) -> Value {
        Value::Bytes(self.into())
    }
}

impl ToColumn for String {
    fn to_column(&self, dialect: &Dialect) -> Value {
        self.as_str().to_column(dialect)
    }
}

impl<T: ToColumn + ?Sized> ToColumn for &T {
    fn to_column(&self, dialect: &Dialect) -> Value {
        (**self).to_column(dialect)
    }
}

impl<T: ToColumn> ToColumn for Option<T> {
    fn to_column(&self, dialect: &Dialect) -> Value {
        self.as_ref().map_or(Value::NULL, |value| value.to_column(dialect))
    }
}

/// A row, column by column from 0. Rows that others wrote may hold anything: nothing here panics.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    row: &'a Row,
    dialect: &'a Dialect,
}

impl<'a> Columns<'a> {
    /// A row as the database that `dialect` speaks of writes it.
    pub fn new(row: &'a Row, dialect: &'a Dialect) -> Self {
        Self { row, dialect }
    }

    /// An id.
    pub fn id<T: FromId>(self, index: usize) -> Result<T, MysqlError> {
        self.present(index, self.optional_id(index)?)
    }

    /// An id or NULL.
    pub fn optional_id<T: FromId>(self, index: usize) -> Result<Option<T>, MysqlError> {
        let Some(text) = self.bytes(index)? else { return Ok(None) };
        match Uuid::try_parse_ascii(text) {
            Ok(uuid) => Ok(Some(T::from_id(uuid))),
            Err(_) => Err(self.unexpected(index, "an id")),
        }
    }

    /// A `datetime(6)`, which hangs in the database's zone.
    pub fn time(self, index: usize) -> Result<Timestamp, MysqlError> {
        self.present(index, self.optional_time(index)?)
    }

    /// A `datetime(6)` or NULL.
    pub fn optional_time(self, index: usize) -> Result<Option<Timestamp>, MysqlError> {
        match self.value(index) {
            Value::NULL => Ok(None),
            value => self.dialect.moment(value).map(Some).ok_or_else(|| self.unexpected(index, "a time")),
        }
    }

    /// A text.
    pub fn text(self, index: usize) -> Result<String, MysqlError> {
        self.present(index, self.optional_text(index)?)
    }

    /// A text or NULL.
    pub fn optional_text(self, index: usize) -> Result<Option<String>, MysqlError> {
        Ok(self.borrowed(index)?.map(str::to_owned))
    }

    /// A text where it lies.
    pub fn str(self, index: usize) -> Result<&'a str, MysqlError> {
        self.present(index, self.borrowed(index)?)
    }

    /// One of a few words, or what [`FromWord`] takes another one for.
    pub fn kind<T: FromWord>(self, index: usize) -> Result<T, MysqlError> {
        Ok(T::from_word(self.str(index)?))
    }

    /// True unless 0; NULL, as of a comparison with NULL, is false.
    pub fn flag(self, index: usize) -> Result<bool, MysqlError> {
        Ok(self.optional_number(index)?.unwrap_or(0) != 0)
    }

    /// A number that is never negative.
    pub fn count(self, index: usize) -> Result<u64, MysqlError> {
        Ok(u64::try_from(self.number(index)?).unwrap_or(0))
    }

    /// A number of 32 bits, or NULL.
    pub fn optional_u32(self, index: usize) -> Result<Option<u32>, MysqlError> {
        let number = self.optional_number(index)?;
        number.map(|number| u32::try_from(number).map_err(|_| self.unexpected(index, "a small number"))).transpose()
    }

    /// A number.
    pub fn number(self, index: usize) -> Result<i64, MysqlError> {
        self.present(index, self.optional_number(index)?)
    }

    /// A number or NULL. Prepared statements bring numbers, plain ones their digits.
    pub fn optional_number(self, index: usize) -> Result<Option<i64>, MysqlError> {
        let wrong = || self.unexpected(index, "a number");
        match self.value(index) {
            Value::NULL => Ok(None),
            Value::Int(number) => Ok(Some(*number)),
            Value::UInt(number) => i64::try_from(*number).map(Some).map_err(|_| wrong()),
            Value::Bytes(digits) => {
                let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                number.map(Some).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    fn value(self, index: usize) -> &'a Value {
        self.row.as_ref(index).unwrap_or(&Value::NULL)
    }

    fn bytes(self, index: usize) -> Result<Option<&'a [u8]>, MysqlError> {
        match self.value(index) {
            Value::NULL => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            _ => Err(self.unexpected(index, "a text")),
        }
    }

    fn borrowed(self, index: usize) -> Result<Option<&'a str>, MysqlError> {
        let Some(bytes) = self.bytes(index)? else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| self.unexpected(index, "UTF-8"))
    }

    fn present<T>(self, index: usize, value: Option<T>) -> Result<T, MysqlError> {
        value.ok_or_else(|| self.unexpected(index, "anything but NULL"))
    }

    /// Names the column, and never its content.
    fn unexpected(self, index: usize, wanted: &str) -> MysqlError {
        let columns = self.row.columns_ref();
        let name = columns.get(index).map_or_else(|| format!("{index}"), |column| column.name_str().into_owned());
        MysqlError::Unexpected(format!("column {name} does not hold {wanted}"))
    }
}
