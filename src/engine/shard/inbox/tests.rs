//! Tests what an inbox does when it is full, empty or closed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::inbox::Inbox;
use super::port::ToShard;
use crate::engine::session::outbox::Class;
use crate::ids::{SessionKey, ShardId};
use crate::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};

#[test]
fn a_full_inbox_makes_the_publisher_wait_and_loses_nothing() {
    let inbox = Arc::new(Inbox::default());
    let drain = || ToShard::Drain(Duration::ZERO);
    while inbox.try_send(drain()).is_ok() {}
    assert_eq!(inbox.len(), INBOX_MESSAGES_MAX);
    let publisher = std::thread::spawn({
        let inbox = inbox.clone();
        move || (0..100).for_each(|_| inbox.send(drain()))
    });
    let mut taken = 0;
    while taken < INBOX_MESSAGES_MAX + 100 {
        taken += usize::from(inbox.pop().is_some());
    }
    publisher.join().unwrap();
    assert!(inbox.is_empty());
}

#[test]
fn an_inbox_of_a_shard_that_has_ended_holds_nothing_and_nobody_up() {
    let inbox = Arc::new(Inbox::new(4, 1024));
    let drain = || ToShard::Drain(Duration::ZERO);
    while inbox.try_send(drain()).is_ok() {}
    let publisher = std::thread::spawn({
        let inbox = inbox.clone();
        move || (0..10).for_each(|_| inbox.send(drain()))
    });
    while inbox.senders_waiting() == 0 {
        std::thread::yield_now();
    }
    inbox.close();
    publisher.join().unwrap();
    // A message that was handed over at that very moment may stay.
    assert!(inbox.len() <= 1);
}

#[test]
fn an_inbox_is_full_of_bytes_before_it_is_full_of_messages() {
    let inbox = Inbox::default();
    let session = SessionKey { shard: ShardId(0), index: 0, generation: 0 };
    let quarter = |count: usize| {
        let frames = Bytes::from(vec![0; INBOX_BYTES_MAX / 4 * count]);
        ToShard::Deliver { session, frames, class: Class::Durable }
    };
    (0..4).for_each(|_| inbox.try_send(quarter(1)).unwrap());
    assert!(inbox.try_send(quarter(1)).is_err());
    inbox.try_send(ToShard::Drain(Duration::ZERO)).expect("what carries nothing fits");
    while inbox.pop().is_some() {}
    inbox.try_send(quarter(5)).expect("an empty inbox takes anything");
    assert!(inbox.try_send(quarter(1)).is_err());
    assert!(inbox.pop().is_some());
    inbox.try_send(quarter(1)).unwrap();
}

#[tokio::test]
async fn tasks_wait_for_room_and_who_gives_up_has_sent_nothing() {
    let inbox = Arc::new(Inbox::new(1, 1024));
    let numbered = |seconds| ToShard::Drain(Duration::from_secs(seconds));
    inbox.try_send(numbered(0)).unwrap();
    let mut given_up = Box::pin(inbox.send_async(numbered(1)));
    assert!(futures_util::poll!(given_up.as_mut()).is_pending());
    assert_eq!(inbox.senders_waiting(), 1);
    drop(given_up);
    assert_eq!(inbox.senders_waiting(), 0);
    let sender = tokio::spawn({
        let inbox = inbox.clone();
        async move { inbox.send_async(numbered(2)).await }
    });
    while inbox.senders_waiting() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(inbox.pop(), Some(ToShard::Drain(Duration::ZERO))));
    sender.await.unwrap();
    assert!(matches!(inbox.pop(), Some(ToShard::Drain(duration)) if duration.as_secs() == 2));
}
