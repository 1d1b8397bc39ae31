//! Tests what an overflow keeps, drops and sends, and in which order.

use std::sync::Arc;
use std::time::Duration;

use super::overflow::Overflow;
use super::port::{Inbox, ToShard};
use crate::engine::session::outbox::Class;
use crate::ids::{RoomId, SessionKey, ShardId};

fn numbered(number: u64) -> ToShard {
    ToShard::Drain(Duration::from_secs(number))
}

fn number_of(message: &ToShard) -> u64 {
    match message {
        ToShard::Drain(duration) => duration.as_secs(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_overflow_keeps_what_must_not_be_lost_and_drops_the_rest() {
    let inboxes: [Arc<Inbox>; 2] = Default::default();
    while inboxes[1].try_send(numbered(0)).is_ok() {}
    let session = SessionKey { shard: ShardId(1), index: 0, generation: 0 };
    let deliver = |class, length| ToShard::Deliver { session, frames: vec![0; length].into(), class };
    let mut overflow = Overflow::new(3, 100);
    overflow.send(&inboxes, ShardId(1), deliver(Class::Ephemeral, 90));
    overflow.send(&inboxes, ShardId(1), deliver(Class::Ephemeral, 20));
    assert_eq!((overflow.len(), overflow.carried_bytes()), (1, 90), "too many bytes");
    overflow.send(&inboxes, ShardId(1), deliver(Class::Durable, 20));
    overflow.send(&inboxes, ShardId(1), deliver(Class::Ephemeral, 0));
    assert_eq!((overflow.len(), overflow.is_full()), (2, true));
    (1..=3).for_each(|number| overflow.send(&inboxes, ShardId(1), numbered(number)));
    assert_eq!(overflow.len(), 5, "what must not be lost is kept");
    while inboxes[1].pop().is_some() {}
    assert!(overflow.retry(&inboxes) && !overflow.is_full());
    assert_eq!((inboxes[1].len(), overflow.carried_bytes()), (5, 0));
}

/// A session that is never told who is present would never hear who comes and goes either.
#[test]
fn of_a_greeting_under_pressure_the_names_are_dropped_and_the_greeting_is_kept() {
    let inboxes: [Arc<Inbox>; 2] = Default::default();
    while inboxes[1].try_send(numbered(0)).is_ok() {}
    let session = SessionKey { shard: ShardId(1), index: 0, generation: 0 };
    let greet = || ToShard::Greet { session, room: RoomId::fresh(), frames: vec![0; 20].into(), count: Some(1) };
    let mut overflow = Overflow::new(8, 30);
    (0..2).for_each(|_| overflow.send(&inboxes, ShardId(1), greet()));
    assert_eq!((overflow.len(), overflow.carried_bytes()), (2, 20));
    while inboxes[1].pop().is_some() {}
    assert!(overflow.retry(&inboxes));
    for (bytes, present) in [(20, Some(1)), (0, None)] {
        let Some(ToShard::Greet { frames, count, .. }) = inboxes[1].pop() else { panic!("it is gone") };
        assert_eq!((frames.len(), count), (bytes, present));
    }
}

#[test]
fn several_messages_that_did_not_fit_go_when_there_is_room_and_in_their_order() {
    let inboxes: [Arc<Inbox>; 3] = Default::default();
    let (full, free) = (ShardId(1), ShardId(2));
    while inboxes[1].try_send(numbered(0)).is_ok() {}
    let mut overflow = Overflow::new(8, 1024);
    for number in 1..=3 {
        overflow.send(&inboxes, full, numbered(number));
        overflow.send(&inboxes, free, numbered(number));
    }
    assert_eq!(inboxes[2].len(), 3, "a full inbox holds nobody else up");
    assert!(!overflow.retry(&inboxes), "it is still full");
    drop(inboxes[1].pop());
    assert!(!overflow.retry(&inboxes), "there is room for one");
    let mut heard = Vec::new();
    while let Some(message) = inboxes[1].pop() {
        heard.push(number_of(&message));
    }
    assert_eq!(heard.last(), Some(&1), "and the first one got it");
    assert!(overflow.retry(&inboxes), "now there is room for all");
    overflow.send(&inboxes, full, numbered(4));
    let heard: Vec<u64> = std::iter::from_fn(|| inboxes[1].pop()).map(|message| number_of(&message)).collect();
    assert_eq!(heard, [2, 3, 4]);
}
