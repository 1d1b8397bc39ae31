//! A shard's inbox: bounded in messages and in bytes, with back-pressure on the senders.

use std::future::poll_fn;
use std::sync::PoisonError;
use std::task::{Poll, Waker};

use super::message::ToShard;
use super::sync::{ArrayQueue, AtomicBool, AtomicUsize, AtomicWaker, Condvar, Mutex, MutexGuard, Ordering, fence};
use crate::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};

/// A shard's bounded inbox.
///
/// Policy when full: [`Inbox::send`] and [`Inbox::send_async`] wait (lanes and control: back-pressure).
/// [`Inbox::try_send`] gives the message back (shards: they stop reading until it fits).
///
/// Messages go through a queue without locks. The lock is only for senders that wait for room: nobody takes it while
/// there is room.
#[derive(Debug)]
pub struct Inbox {
    queue: ArrayQueue<ToShard>,
    bytes_max: usize,
    /// The bytes that the messages carry.
    bytes: AtomicUsize,
    /// The shard has ended, and messages to it are dropped.
    is_closed: AtomicBool,
    waker: AtomicWaker,
    /// A wake-up is under way, so further messages need none.
    is_woken: AtomicBool,
    /// How many threads and tasks wait for room, or are about to.
    waiting: AtomicUsize,
    /// The tasks that wait, and the condition by which threads wait.
    space: (Mutex<Vec<Waker>>, Condvar),
    is_deserted: AtomicBool,
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new(INBOX_MESSAGES_MAX, INBOX_BYTES_MAX)
    }
}

impl Inbox {
    /// An empty inbox for so many messages, and for so many bytes of frames.
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            queue: ArrayQueue::new(messages_max),
            bytes_max,
            bytes: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            is_woken: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            space: (Mutex::new(Vec::new()), Condvar::new()),
            is_deserted: AtomicBool::new(false),
        }
    }

    /// Hands a message over, or gives it back if the inbox is full.
    ///
    /// # Errors
    /// The message, when the inbox is full.
    pub fn try_send(&self, message: ToShard) -> Result<(), ToShard> {
        self.put(message)?;
        self.wake();
        Ok(())
    }

    /// [`Self::try_send`] without the wake-up. The caller wakes the shard afterwards, once for many messages.
    ///
    /// # Errors
    /// The message, when the inbox is full.
    pub(super) fn put(&self, message: ToShard) -> Result<(), ToShard> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let carried = message.carried_bytes();
        // A message that is larger than the bound fits only if nothing else waits.
        let with_it = |before: usize| (before == 0 || before + carried <= self.bytes_max).then_some(before + carried);
        if self.bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, with_it).is_err() {
            return Err(message);
        }
        self.queue.push(message).inspect_err(|_| {
            self.bytes.fetch_sub(carried, Ordering::SeqCst);
        })
    }

    /// Hands a message over; waits for room. Never call it on a shard's thread, nor in a task: [`Self::send_async`] is
    /// for tasks.
    pub fn send(&self, message: ToShard) {
        let Err(mut message) = self.try_send(message) else { return };
        let _waits = Waits::begin(self);
        let mut guard = self.lock();
        while let Err(back) = self.try_send(message) {
            message = back;
            guard = self.space.1.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// [`Self::send`] for tasks. If it is dropped before it has finished, it has sent nothing.
    pub async fn send_async(&self, message: ToShard) {
        let Err(message) = self.try_send(message) else { return };
        let mut waiting = Some(message);
        let _waits = Waits::begin(self);
        poll_fn(|context| {
            let mut wakers = self.lock();
            let Some(message) = waiting.take() else { return Poll::Ready(()) };
            let Err(back) = self.try_send(message) else { return Poll::Ready(()) };
            waiting = Some(back);
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Takes the next message. Only the shard calls it.
    pub fn pop(&self) -> Option<ToShard> {
        let message = self.queue.pop()?;
        self.bytes.fetch_sub(message.carried_bytes(), Ordering::SeqCst);
        // A sender that waits is counted before its last attempt. So either that attempt sees the room, or this sees
        // the sender.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.tell_of_space();
        }
        Some(message)
    }

    /// A sender holds the lock from its failed attempt until it waits, so it cannot miss the notification in between.
    fn tell_of_space(&self) {
        let wakers = std::mem::take(&mut *self.lock());
        self.space.1.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.space.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of frames that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Threads and tasks that wait for space.
    #[cfg(test)]
    pub(super) fn senders_waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// No message waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Called when the shard's thread ends: messages that wait, and messages that come from now on, are dropped.
    /// Senders that wait for room go on.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        while self.pop().is_some() {}
        self.tell_of_space();
    }

    /// Notes that the shard drains and has no session left.
    pub(super) fn desert(&self) {
        self.is_deserted.store(true, Ordering::Release);
    }

    /// Was [`Self::desert`] called?
    pub(super) fn is_deserted(&self) -> bool {
        self.is_deserted.load(Ordering::Acquire)
    }

    /// Ready when a message waits. Otherwise `waker` is called when one comes. Only the shard calls it.
    pub fn poll_ready(&self, waker: &Waker) -> Poll<()> {
        self.waker.register(waker);
        // A sender first puts its message in and then looks at `is_woken`; this looks in the other order. So at least
        // one of the two sees what the other did.
        self.is_woken.store(false, Ordering::SeqCst);
        if self.queue.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Has the shard look at its inbox.
    pub(super) fn wake(&self) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            self.waker.wake();
        }
    }
}

/// Counts a sender that waits for room, until it is dropped.
struct Waits<'a>(&'a Inbox);

impl<'a> Waits<'a> {
    fn begin(inbox: &'a Inbox) -> Self {
        inbox.waiting.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Self(inbox)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
