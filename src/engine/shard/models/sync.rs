//! Loom's primitives, in place of those that an inbox is made of.

use std::collections::VecDeque;
use std::task::Waker;

pub(super) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};

/// Like crossbeam's: a message that was pushed is seen by everybody who asks later.
#[derive(Debug)]
pub(super) struct ArrayQueue<T> {
    messages: Mutex<VecDeque<T>>,
    capacity: usize,
}

impl<T> ArrayQueue<T> {
    pub fn new(capacity: usize) -> Self {
        Self { messages: Mutex::new(VecDeque::new()), capacity }
    }

    pub fn push(&self, message: T) -> Result<(), T> {
        let mut messages = self.messages.lock().expect("nobody panics");
        if messages.len() == self.capacity {
            return Err(message);
        }
        messages.push_back(message);
        Ok(())
    }

    pub fn pop(&self) -> Option<T> {
        self.messages.lock().expect("nobody panics").pop_front()
    }

    pub fn len(&self) -> usize {
        self.messages.lock().expect("nobody panics").len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Like futures-util's: a wake-up that meets a registration is not lost.
#[derive(Debug)]
pub(super) struct AtomicWaker(Mutex<Option<Waker>>);

impl AtomicWaker {
    pub fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub fn register(&self, waker: &Waker) {
        *self.0.lock().expect("nobody panics") = Some(waker.clone());
    }

    pub fn wake(&self) {
        let waker = self.0.lock().expect("nobody panics").take();
        waker.into_iter().for_each(Waker::wake);
    }
}
