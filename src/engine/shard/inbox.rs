//! A shard's inbox: bounded in messages and in bytes, with back-pressure for whoever fills it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use futures_util::task::AtomicWaker;

use super::port::ToShard;
use crate::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};

/// A shard's bounded inbox.
///
/// Policy when full: [`Inbox::send`] waits (lanes and control: back-pressure), [`Inbox::try_send`] gives the message
/// back (shards: they stop reading until it fits).
#[derive(Debug)]
pub struct Inbox {
    queue: ArrayQueue<ToShard>,
    bytes_max: usize,
    /// What the messages carry.
    bytes: AtomicUsize,
    /// The shard has ended: what comes is dropped.
    is_closed: AtomicBool,
    waker: AtomicWaker,
    /// A wake-up is under way: further messages need none.
    is_woken: AtomicBool,
    /// Threads that wait for space, or are about to.
    waiting: AtomicUsize,
    space: (Mutex<()>, Condvar),
    is_deserted: AtomicBool,
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new(INBOX_MESSAGES_MAX, INBOX_BYTES_MAX)
    }
}

impl Inbox {
    /// An empty one that takes so many messages, and so many bytes of frames.
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            queue: ArrayQueue::new(messages_max),
            bytes_max,
            bytes: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            is_woken: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            space: (Mutex::new(()), Condvar::new()),
            is_deserted: AtomicBool::new(false),
        }
    }

    /// Hands a message over, or back when the inbox is full.
    ///
    /// # Errors
    /// The message, when the inbox is full.
    pub fn try_send(&self, message: ToShard) -> Result<(), ToShard> {
        self.put(message)?;
        self.wake();
        Ok(())
    }

    /// [`Self::try_send`] without the wake-up, which must follow: one serves for many messages.
    ///
    /// # Errors
    /// The message, when the inbox is full.
    pub(super) fn put(&self, message: ToShard) -> Result<(), ToShard> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let carried = message.carried_bytes();
        // A message that is larger than the inbox has it to itself.
        let with_it = |before: usize| (before == 0 || before + carried <= self.bytes_max).then_some(before + carried);
        if self.bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, with_it).is_err() {
            return Err(message);
        }
        self.queue.push(message).inspect_err(|_| {
            self.bytes.fetch_sub(carried, Ordering::SeqCst);
        })
    }

    /// Hands a message over, waiting for space. Never call it on a shard's thread.
    pub fn send(&self, message: ToShard) {
        let Err(mut message) = self.try_send(message) else { return };
        let (lock, space) = &self.space;
        let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        // From here on `pop` takes the lock before it tells of space, and the lock is held from a failed attempt to the wait.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while let Err(back) = self.try_send(message) {
            message = back;
            guard = space.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// The next message. Only the shard calls it.
    pub fn pop(&self) -> Option<ToShard> {
        let message = self.queue.pop()?;
        self.bytes.fetch_sub(message.carried_bytes(), Ordering::SeqCst);
        // A sender raises `waiting` before its last attempt: either it sees the space, or this sees the sender.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.space.0.lock().unwrap_or_else(PoisonError::into_inner));
            self.space.1.notify_all();
        }
        Some(message)
    }

    /// Bytes of frames that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// No message waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The shard's thread ends: what waits is dropped, and what comes from now on. Who waited for room goes on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        while self.pop().is_some() {}
        drop(self.space.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.space.1.notify_all();
    }

    /// The shard drains, and has no session left.
    pub(super) fn desert(&self) {
        self.is_deserted.store(true, Ordering::Release);
    }

    /// Was [`Self::desert`] called?
    pub(super) fn is_deserted(&self) -> bool {
        self.is_deserted.load(Ordering::Acquire)
    }

    /// Ready when something waits; else `waker` is called when it does. Only the shard calls it.
    pub fn poll_ready(&self, waker: &std::task::Waker) -> std::task::Poll<()> {
        self.waker.register(waker);
        self.is_woken.store(false, Ordering::SeqCst);
        if self.queue.is_empty() { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    }

    /// Has the shard look at its inbox.
    pub(super) fn wake(&self) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::engine::session::outbox::Class;
    use crate::ids::{SessionKey, ShardId};

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
        while inbox.waiting.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        inbox.close();
        publisher.join().unwrap();
        // What was handed over in that very moment may stay.
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
}
