//! Reads a row's columns: ids, times, kinds, numbers, texts.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use crate::clock::{Civil, Timestamp, Zone};
use crate::domain::chat::message::{MessageType, ReactionType};
use crate::domain::chat::room::ChatType;
use crate::domain::feed::post::{Category, PostReactionType, PostType};
use crate::domain::notification::NotificationType;
use crate::domain::people::RequestStatus;
use crate::ids::{CommentId, EventId, FamilyId, MessageId, NotificationId, PostId, RequestId, RoomId, UserId};
use crate::store::sql::Id;

/// The value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// A number.
    Number(i64),
    /// A text, or the digits of a number if the statement had no parameters.
    Text(&'a [u8]),
    /// A wall time in the database's zone.
    Clock(Civil),
    /// A type that none of our columns has.
    Other,
}

/// A driver's row.
pub trait Cells {
    /// The column's value; [`Cell::Null`] if there is no such column.
    fn cell(&self, index: usize) -> Cell<'_>;
    /// The column's name, for an error.
    fn name(&self, index: usize) -> String;
}

/// A row does not hold what its reader expects. The text names the column, never its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected(pub String);

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unexpected {}

/// An id type that a column may hold.
pub trait FromId {
    /// Wraps the bare number.
    fn from_id(uuid: Uuid) -> Self;
}

macro_rules! id_columns {
    ($($name:ident)*) => {$(
        impl FromId for $name {
            fn from_id(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }
    )*};
}

id_columns! { Id UserId RoomId MessageId PostId CommentId NotificationId RequestId EventId FamilyId }

/// An enum stored as one of a few words. The database does not enforce them, and another program may write more.
pub trait FromWord: Sized {
    /// The variant for a word in any case, because the database may ignore case. An unknown word of another program
    /// becomes the plainest variant, so that its row is still shown; the log says so once.
    fn from_word(word: &str) -> Self;
}

macro_rules! word_columns {
    ($($name:ident $plainest:ident,)*) => {$(
        impl FromWord for $name {
            fn from_word(word: &str) -> Self {
                static IS_TOLD: AtomicBool = AtomicBool::new(false);
                Self::from_text(word).or_else(|| Self::from_text(&word.to_ascii_lowercase())).unwrap_or_else(|| {
                    if !IS_TOLD.swap(true, Ordering::Relaxed) {
                        let kind = stringify!($name);
                        let taken_for = Self::$plainest.as_str();
                        tracing::warn!(kind, word, taken_for, "unknown word in the database (logged once)");
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

/// A row's columns, from 0. Nothing here panics, because other programs may write anything.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    row: &'a dyn Cells,
    zone: Zone,
}

impl<'a> Columns<'a> {
    /// A row of a database whose times are in `zone`.
    pub fn new(row: &'a dyn Cells, zone: Zone) -> Self {
        Self { row, zone }
    }

    /// An id.
    pub fn id<T: FromId>(self, index: usize) -> Result<T, Unexpected> {
        self.present(index, self.optional_id(index)?)
    }

    /// An id or NULL.
    pub fn optional_id<T: FromId>(self, index: usize) -> Result<Option<T>, Unexpected> {
        let Some(text) = self.bytes(index)? else { return Ok(None) };
        match Uuid::try_parse_ascii(text) {
            Ok(uuid) => Ok(Some(T::from_id(uuid))),
            Err(_) => Err(self.unexpected(index, "an id")),
        }
    }

    /// A moment, stored as the wall time of the database's zone.
    pub fn time(self, index: usize) -> Result<Timestamp, Unexpected> {
        self.present(index, self.optional_time(index)?)
    }

    /// A moment or NULL.
    pub fn optional_time(self, index: usize) -> Result<Option<Timestamp>, Unexpected> {
        let wall = match self.row.cell(index) {
            Cell::Null => return Ok(None),
            Cell::Clock(civil) => Timestamp::from_civil(civil),
            Cell::Text(text) => std::str::from_utf8(text).ok().and_then(Timestamp::from_database_text),
            Cell::Number(_) | Cell::Other => None,
        };
        // An invalid time may be the year zero of an old database.
        wall.map(|wall| Some(self.zone.moment(wall))).ok_or_else(|| self.unexpected(index, "a time"))
    }

    /// A text.
    pub fn text(self, index: usize) -> Result<String, Unexpected> {
        self.present(index, self.optional_text(index)?)
    }

    /// A text or NULL.
    pub fn optional_text(self, index: usize) -> Result<Option<String>, Unexpected> {
        Ok(self.borrowed(index)?.map(str::to_owned))
    }

    /// A text, borrowed from the row.
    pub fn str(self, index: usize) -> Result<&'a str, Unexpected> {
        self.present(index, self.borrowed(index)?)
    }

    /// One of a few words; [`FromWord`] replaces unknown ones.
    pub fn kind<T: FromWord>(self, index: usize) -> Result<T, Unexpected> {
        Ok(T::from_word(self.str(index)?))
    }

    /// One of a few words, or NULL.
    pub fn optional_kind<T: FromWord>(self, index: usize) -> Result<Option<T>, Unexpected> {
        Ok(self.borrowed(index)?.map(T::from_word))
    }

    /// True unless 0. NULL, such as the result of a comparison with NULL, is false.
    pub fn flag(self, index: usize) -> Result<bool, Unexpected> {
        Ok(self.optional_number(index)?.unwrap_or(0) != 0)
    }

    /// A number that is never negative.
    pub fn count(self, index: usize) -> Result<u64, Unexpected> {
        Ok(u64::try_from(self.number(index)?).unwrap_or(0))
    }

    /// A number of 32 bits, or NULL.
    pub fn optional_u32(self, index: usize) -> Result<Option<u32>, Unexpected> {
        let number = self.optional_number(index)?;
        number.map(|number| u32::try_from(number).map_err(|_| self.unexpected(index, "a small number"))).transpose()
    }

    /// A number.
    pub fn number(self, index: usize) -> Result<i64, Unexpected> {
        self.present(index, self.optional_number(index)?)
    }

    /// A number or NULL.
    pub fn optional_number(self, index: usize) -> Result<Option<i64>, Unexpected> {
        let number = match self.row.cell(index) {
            Cell::Null => return Ok(None),
            Cell::Number(number) => Some(number),
            Cell::Text(digits) => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
            Cell::Clock(_) | Cell::Other => None,
        };
        number.map(Some).ok_or_else(|| self.unexpected(index, "a number"))
    }

    fn bytes(self, index: usize) -> Result<Option<&'a [u8]>, Unexpected> {
        match self.row.cell(index) {
            Cell::Null => Ok(None),
            Cell::Text(bytes) => Ok(Some(bytes)),
            Cell::Number(_) | Cell::Clock(_) | Cell::Other => Err(self.unexpected(index, "a text")),
        }
    }

    fn borrowed(self, index: usize) -> Result<Option<&'a str>, Unexpected> {
        let Some(bytes) = self.bytes(index)? else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| self.unexpected(index, "UTF-8"))
    }

    fn present<T>(self, index: usize, value: Option<T>) -> Result<T, Unexpected> {
        value.ok_or_else(|| self.unexpected(index, "anything but NULL"))
    }

    fn unexpected(self, index: usize, wanted: &str) -> Unexpected {
        Unexpected(format!("column {} does not hold {wanted}", self.row.name(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of the cells given.
    struct Row(Vec<Cell<'static>>);

    impl Cells for Row {
        fn cell(&self, index: usize) -> Cell<'_> {
            self.0.get(index).copied().unwrap_or(Cell::Null)
        }

        fn name(&self, index: usize) -> String {
            index.to_string()
        }
    }

    #[test]
    fn a_moment_is_read_as_the_databases_clock_shows_it() {
        let moment = crate::clock::JsonTimes::Utc.read("2026-11-21T23:02:35.916430Z").unwrap();
        let bogota: Zone = "America/Bogota".parse().unwrap();
        let civil = |year, month, day| Civil { year, month, day, hour: 18, minute: 2, second: 35, micros: 916_430 };
        let row = Row(vec![
            Cell::Clock(civil(2026, 11, 21)),
            Cell::Text(b"2026-11-21 18:02:35.916430"),
            Cell::Clock(Civil { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0, micros: 0 }),
            Cell::Null,
        ]);
        let row = Columns::new(&row, bogota);
        assert_eq!((row.time(0), row.time(1)), (Ok(moment), Ok(moment)));
        assert_eq!(row.time(2), Err(Unexpected("column 2 does not hold a time".into())));
        assert_eq!(row.optional_time(3), Ok(None));
    }

    #[test]
    fn what_a_column_does_not_hold_is_said_without_its_content() {
        let row = Row(vec![Cell::Text(b"secret"), Cell::Other, Cell::Number(-1), Cell::Text(b"12")]);
        let row = Columns::new(&row, Zone::Utc);
        let said = [
            row.id::<UserId>(0).unwrap_err(),
            row.number(0).unwrap_err(),
            row.text(1).unwrap_err(),
            row.text(4).unwrap_err(),
        ];
        let said = said.map(|error| error.to_string());
        let wanted = ["0 does not hold an id", "0 does not hold a number", "1 does not hold a text"];
        assert_eq!(said[..3], wanted.map(|part| format!("column {part}")));
        assert_eq!(said[3], "column 4 does not hold anything but NULL");
        assert_eq!((row.count(2), row.number(3), row.flag(4)), (Ok(0), Ok(12), Ok(false)));
    }
}
