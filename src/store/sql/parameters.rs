//! What stands for the `?` of a statement, and statements with as many `?` as there are keys.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::message::{MessageType, ReactionType};
use crate::domain::chat::room::ChatType;
use crate::domain::feed::post::{Category, PostReactionType, PostType};
use crate::domain::notification::NotificationType;
use crate::domain::people::RequestStatus;
use crate::ids::{CommentId, EventId, FamilyId, MessageId, NotificationId, PostId, RequestId, RoomId, UserId};

/// A value on its way into a column. Each driver writes it as its database does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// No value.
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

/// What can stand for a `?`.
pub trait ToColumn: Sync {
    /// As a value of a column.
    fn to_column(&self) -> Parameter<'_>;
}

/// The parameters of a statement, in order.
pub type Parameters<'a> = &'a [&'a dyn ToColumn];

/// `?, ?, ?`
pub fn marks(count: usize) -> String {
    let mut marks = "?, ".repeat(count);
    marks.truncate(marks.len().saturating_sub(2));
    marks
}

/// Keys of one `IN (…)`: longer lists are asked for piece by piece.
pub const KEYS_MAX: usize = 256;

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

/// Each of `keys` as a parameter.
pub fn each<T: ToColumn>(keys: &[T]) -> impl Iterator<Item = &dyn ToColumn> {
    keys.iter().map(|key| key as &dyn ToColumn)
}

/// Ids that have no type of their own: rows of participants and reactions, stories.
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
