//! The parameters of a statement, and lists of `?` for any number of keys.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::message::{MessageType, ReactionType};
use crate::domain::chat::room::ChatType;
use crate::domain::feed::post::{Category, PostReactionType, PostType};
use crate::domain::notification::NotificationType;
use crate::domain::people::RequestStatus;
use crate::ids::{CommentId, EventId, FamilyId, MessageId, NotificationId, PostId, RequestId, RoomId, UserId};

/// A value to be written to a column. Each driver converts it for its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// NULL.
    Null,
    /// A number.
    Number(i64),
    /// A number that is never negative.
    Count(u64),
    /// A text.
    Text(&'a str),
    /// An id: 32 lower-case hexadecimal digits.
    Id([u8; 32]),
    /// A moment.
    Time(Timestamp),
}

/// A value that can be a parameter.
pub trait ToColumn: Sync {
    /// The value for a column.
    fn to_column(&self) -> Parameter<'_>;
}

/// The parameters of a statement, in order.
pub type Parameters<'a> = &'a [&'a dyn ToColumn];

/// Formats `?, ?, ?`.
pub fn marks(count: usize) -> String {
    let mut marks = "?, ".repeat(count);
    marks.truncate(marks.len().saturating_sub(2));
    marks
}

/// The most keys of one `IN (…)`; longer lists are split.
pub const KEYS_MAX: usize = 256;

/// The keys of an `IN (…)`, padded with the last one to a power of two, so that a handful of statements serves every
/// length. No keys stay no keys; there is no SQL for that, so callers must not query.
pub fn padded<T: Copy>(keys: &[T]) -> Vec<T> {
    let mut keys = keys.to_vec();
    if let Some(last) = keys.last().copied() {
        keys.resize(keys.len().next_power_of_two(), last);
    }
    keys
}

/// The most branches of one `UNION`, one for each key. It is used where each key has a limit of its own, which `IN (…)`
/// cannot express.
pub const BRANCHES_MAX: usize = 32;

/// Each of `keys` as a parameter.
pub fn each<T: ToColumn>(keys: &[T]) -> impl Iterator<Item = &dyn ToColumn> {
    keys.iter().map(|key| key as &dyn ToColumn)
}

/// An id without a type of its own: rows of participants and reactions, stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(pub Uuid);

impl From<Uuid> for Id {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

fn hex(uuid: Uuid) -> [u8; 32] {
    let mut text = [0; 32];
    uuid.simple().encode_lower(&mut text);
    text
}

macro_rules! columns {
    ($($name:ident)*: $value:ident => $parameter:expr) => {$(
        impl ToColumn for $name {
            fn to_column(&self) -> Parameter<'_> {
                let $value = self;
                $parameter
            }
        }
    )*};
}

columns! { Id UserId RoomId MessageId PostId CommentId NotificationId RequestId EventId FamilyId: id => Parameter::Id(hex(id.0)) }
columns! {
    MessageType ReactionType ChatType PostType Category PostReactionType NotificationType RequestStatus:
    kind => Parameter::Text(kind.as_str())
}
columns! { bool u32: number => Parameter::Number(i64::from(*number)) }
columns! { i64: number => Parameter::Number(*number) }
columns! { u64: number => Parameter::Count(*number) }
columns! { usize: number => Parameter::Count(*number as u64) }
columns! { Timestamp: moment => Parameter::Time(*moment) }
columns! { str String: text => Parameter::Text(text) }

impl<T: ToColumn + ?Sized> ToColumn for &T {
    fn to_column(&self) -> Parameter<'_> {
        (**self).to_column()
    }
}

impl<T: ToColumn> ToColumn for Option<T> {
    fn to_column(&self) -> Parameter<'_> {
        self.as_ref().map_or(Parameter::Null, ToColumn::to_column)
    }
}
