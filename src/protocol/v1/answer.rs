//! Replies of `pregon.v1` that tell about a room: how many there are, who, what is unread, and who has read a message.

use crate::clock::Timestamp;
use crate::domain::chat::roster::{Attendance, Member, Readers, Unread, UserPage};
use crate::domain::user::UserProfile;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits::frames::chars;
use crate::protocol::v0::json::Object;
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::reply::frame;
use crate::protocol::v1::topic::Name;

/// How many take part, and how many of them are present.
pub fn room_info(out: &mut Vec<u8>, id: Option<&str>, room: RoomId, participants: u32, present: u32) {
    frame(out, "room_info", id, |object| {
        of(object, room).number("participants", u64::from(participants)).number("present", u64::from(present));
    });
}

/// Who takes part, and who of them is present. `attendance` is about the page's users.
pub fn roster(
    out: &mut Vec<u8>,
    id: Option<&str>,
    presenter: &Presenter,
    (room, participants): (RoomId, u32),
    page: &UserPage<Member>,
    attendance: &Attendance,
) {
    frame(out, "roster", id, |object| {
        of(object, room)
            .number("participants", u64::from(participants))
            .number("present", u64::from(attendance.count))
            .array("members", page.rows.iter().zip(&attendance.are_present), |out, (member, is_present)| {
                let mut object = Object::open(out);
                person(&mut object, presenter, &member.user);
                object.text_within("role", &member.role, chars::ROLE).flag("present", *is_present).close();
            });
        next(object, page.next);
    });
}

/// What the user has not read.
pub fn unread(out: &mut Vec<u8>, id: Option<&str>, room: RoomId, unread: Unread) {
    frame(out, "unread", id, |object| {
        of(object, room)
            .number("count", unread.count)
            .flag("more", unread.is_capped)
            .number("last_read_at", micros(unread.last_read_at));
    });
}

/// Who has read a message.
pub fn readers(
    out: &mut Vec<u8>,
    id: Option<&str>,
    presenter: &Presenter,
    (room, message): (RoomId, MessageId),
    readers: &Readers,
) {
    frame(out, "readers", id, |object| {
        of(object, room).id("message_id", message).number("count", readers.count).array(
            "readers",
            &readers.page.rows,
            |out, reader| {
                let mut object = Object::open(out);
                person(&mut object, presenter, &reader.user);
                object.number("at", micros(reader.at)).close();
            },
        );
        next(object, readers.page.next);
    });
}

fn of<'a, 'b>(object: &'a mut Object<'b>, room: RoomId) -> &'a mut Object<'b> {
    object.id("topic", Name(Topic::Room(room)))
}

fn person(object: &mut Object<'_>, presenter: &Presenter, user: &UserProfile) {
    object.id("id", user.id).text_within("username", &user.username, chars::USERNAME).text_within(
        "display_name",
        &user.display_name,
        chars::DISPLAY_NAME,
    );
    if let Some(avatar) = user.avatar.as_deref().and_then(|path| presenter.address(path)) {
        object.text("avatar", &avatar);
    }
}

/// Where the next page begins; null behind the last one.
fn next(object: &mut Object<'_>, next: Option<UserId>) {
    match next {
        Some(user) => object.id("next", user.0.simple()),
        None => object.null("next"),
    };
}

/// Times of this protocol are in microseconds since 1970.
fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.0).unwrap_or(0)
}
