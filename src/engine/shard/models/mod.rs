//! Tries every order in which threads may meet at an inbox and an overflow, with loom.
//!
//! The modules are those of the shard, compiled once more with loom's primitives. These faults were put in by hand, and
//! each was found by one of these tests:
//!
//! - a shard looks whether something waits before it says that it sleeps;
//! - a thread or a task makes its last attempt before it counts as waiting, or without the lock;
//! - an inbox that closes does not tell those who wait for room;
//! - a later message passes one that waits in an overflow.

// The same source text, with other primitives.
#[allow(clippy::duplicate_mod, dead_code)]
#[path = "../inbox.rs"]
mod inbox;
#[allow(clippy::duplicate_mod, dead_code)]
#[path = "../overflow.rs"]
mod overflow;
mod sync;

/// Stands for the shard's own.
mod message {
    pub use crate::engine::shard::message::ToShard;
}

/// Stands for the shard's own, with this inbox.
mod port {
    pub use super::inbox::Inbox;
    pub use crate::engine::shard::port::{ShardSet, ToShard};
}

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use loom::future::block_on;
use loom::thread;

use crate::ids::ShardId;
use inbox::Inbox;
use overflow::Overflow;
use port::ToShard;

fn numbered(number: u64) -> ToShard {
    ToShard::Drain(Duration::from_secs(number))
}

/// Takes so many messages as a shard does: it sleeps while there are none.
fn take(inbox: &Inbox, count: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while taken.len() < count {
        match inbox.pop() {
            Some(ToShard::Drain(number)) => taken.push(number.as_secs()),
            Some(other) => panic!("{other:?}"),
            None => block_on(poll_fn(|context| inbox.poll_ready(context.waker()))),
        }
    }
    taken
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // A thread may be stopped twice where it need not stop. That is enough for each fault above, and takes seconds
    // instead of minutes.
    builder.preemption_bound = Some(2);
    builder.check(model);
}

#[test]
fn a_shard_that_falls_asleep_is_woken_by_whoever_sends() {
    check(|| {
        let inbox = Arc::new(Inbox::new(4, 1024));
        let senders = [1, 2].map(|number| {
            let inbox = inbox.clone();
            thread::spawn(move || inbox.try_send(numbered(number)).expect("there is room"))
        });
        let mut taken = take(&inbox, 2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        senders.into_iter().for_each(|sender| sender.join().expect("it sends"));
    });
}

#[test]
fn one_wake_up_serves_for_all_that_was_put_before_it() {
    check(|| {
        let inbox = Arc::new(Inbox::new(4, 1024));
        let sender = thread::spawn({
            let inbox = inbox.clone();
            move || {
                (1..=2).for_each(|number| inbox.put(numbered(number)).expect("there is room"));
                inbox.wake();
            }
        });
        assert_eq!(take(&inbox, 2), [1, 2]);
        sender.join().expect("it sends");
    });
}

#[test]
fn a_thread_that_waits_for_room_hears_of_it() {
    check(|| {
        let inbox = Arc::new(Inbox::new(1, 1024));
        inbox.put(numbered(0)).expect("there is room");
        let sender = thread::spawn({
            let inbox = inbox.clone();
            move || (1..=2).for_each(|number| inbox.send(numbered(number)))
        });
        assert_eq!(take(&inbox, 3), [0, 1, 2]);
        sender.join().expect("it sends");
    });
}

#[test]
fn a_task_that_waits_for_room_hears_of_it() {
    check(|| {
        let inbox = Arc::new(Inbox::new(1, 1024));
        inbox.put(numbered(0)).expect("there is room");
        let sender = thread::spawn({
            let inbox = inbox.clone();
            move || block_on(inbox.send_async(numbered(1)))
        });
        assert_eq!(take(&inbox, 2), [0, 1]);
        sender.join().expect("it sends");
    });
}

#[test]
fn who_waits_for_a_shard_that_ends_goes_on() {
    check(|| {
        let inbox = Arc::new(Inbox::new(1, 1024));
        inbox.put(numbered(0)).expect("there is room");
        let sender = thread::spawn({
            let inbox = inbox.clone();
            move || inbox.send(numbered(1))
        });
        inbox.close();
        sender.join().expect("it goes on");
    });
}

#[test]
fn what_one_shard_tells_another_comes_in_its_order_past_a_full_inbox() {
    check(|| {
        let inboxes: Arc<[Arc<Inbox>]> = [4, 1].map(|messages_max| Arc::new(Inbox::new(messages_max, 1024))).into();
        let sending = inboxes.clone();
        let sender = thread::spawn(move || {
            let mut overflow = Overflow::new(8, 1024);
            (1..=2).for_each(|number| overflow.send(&sending, ShardId(1), numbered(number)));
            overflow.retry(&sending);
            overflow.send(&sending, ShardId(1), numbered(3));
            overflow.wake(&sending);
            overflow
        });
        let mut taken = take(&inboxes[1], 1);
        let mut overflow = sender.join().expect("it sends");
        while taken.len() < 3 {
            overflow.retry(&inboxes);
            overflow.wake(&inboxes);
            taken.extend(take(&inboxes[1], 1));
        }
        assert_eq!(taken, [1, 2, 3]);
    });
}
