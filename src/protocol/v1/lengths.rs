//! The frames that `pregon.v1` alone has, with every field longer than any column should hold, against their size limits.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::roster::{Attendance, Member, Reader, Readers, UserPage};
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits::frames::FRAMES;
use crate::limits::{NAMES_MAX, REPLAY_EVENTS_MAX, REQUEST_ID_BYTES_MAX, ROSTER_PAGE_MAX};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v0::tests::{ONLY_V1, address, endless, frames, shared};
use crate::protocol::v1::event::Named;
use crate::protocol::v1::{answer, event};

fn v1_frames(presenter: &Presenter) -> Vec<Vec<(String, usize)>> {
    let id = "9".repeat(REQUEST_ID_BYTES_MAX);
    let (room, next) = (RoomId(Uuid::nil()), Some(UserId(Uuid::nil())));
    let page = ROSTER_PAGE_MAX as usize;
    let members = UserPage { rows: vec![Member { user: shared(), role: endless() }; page], next };
    let attendance = Attendance { count: u32::MAX, are_present: vec![false; page] };
    let read = vec![Reader { user: shared(), at: Timestamp(i64::MAX) }; page];
    let readers = Readers { count: u64::MAX, page: UserPage { rows: read, next } };
    let (username, looks) = (endless().into_boxed_str(), Some((endless().into_boxed_str(), None)));
    let avatar = presenter.address(&address()).map(String::into_boxed_str);
    let named = Named { number: u32::MAX, id: UserId(Uuid::nil()), username, looks, avatar };
    let users = vec![named; NAMES_MAX + REPLAY_EVENTS_MAX];
    let topic = Topic::Room(room);
    vec![
        frames(|out| answer::roster(out, Some(&id), presenter, (room, u32::MAX), &members, &attendance)),
        frames(|out| answer::readers(out, Some(&id), presenter, (room, MessageId(Uuid::nil())), &readers)),
        frames(|out| event::users(out, topic, users.iter())),
    ]
}

#[test]
fn no_frame_of_v1_is_longer_than_its_limit() {
    let presenter = Presenter::new("http://localhost:8000", true);
    let is_v1 = |(kind, _): &(&str, usize)| ONLY_V1.contains(kind);
    let mut limits: BTreeMap<&str, usize> = FRAMES.iter().copied().filter(is_v1).collect();
    for (kind, bytes) in v1_frames(&presenter).into_iter().flatten() {
        let most = limits.remove(kind.as_str()).unwrap_or_else(|| panic!("{kind} has no limit, or came twice"));
        assert!(bytes <= most, "{kind}: {bytes} bytes, {most} at most");
    }
    assert!(limits.is_empty(), "nobody made {limits:?}");
}
