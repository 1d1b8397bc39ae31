//! A bounded queue between async callers, which never wait, and a thread, which does.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The result of [`Queue::take`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// At least one item.
    Some,
    /// Nothing came in time.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

/// First in, first out, at most `capacity` items, which carry at most so many bytes.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    came: Condvar,
    capacity: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct State<T> {
    /// Each with what it carries.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    is_closed: bool,
    /// Threads that sleep in `take`. Waking one is a system call, which is skipped if none sleeps, as is usual under
    /// load.
    sleepers: usize,
}

impl<T> Queue<T> {
    /// An empty queue of items that carry nothing.
    pub fn new(capacity: usize) -> Self {
        Self::of_bytes(capacity, 0)
    }

    /// An empty queue.
    pub fn of_bytes(capacity: usize, bytes_max: usize) -> Self {
        let state = Mutex::new(State { items: VecDeque::new(), bytes: 0, is_closed: false, sleepers: 0 });
        Self { state, came: Condvar::new(), capacity, bytes_max }
    }

    /// Adds an item that carries nothing.
    ///
    /// # Errors
    /// The item comes back when the queue is full or closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        self.push_carrying(item, 0)
    }

    /// Adds an item.
    ///
    /// # Errors
    /// The item comes back if the queue is full or closed.
    pub fn push_carrying(&self, item: T, bytes: usize) -> Result<(), T> {
        let mut state = self.lock();
        if state.is_closed || state.items.len() >= self.capacity || (bytes > 0 && state.bytes + bytes > self.bytes_max)
        {
            return Err(item);
        }
        state.items.push_back((item, bytes));
        state.bytes += bytes;
        let is_awaited = state.sleepers > 0;
        drop(state);
        if is_awaited {
            self.came.notify_one();
        }
        Ok(())
    }

    /// Moves up to `most` items into `into`. Waits at most `wait` for the first one.
    pub fn take(&self, into: &mut Vec<T>, most: usize, wait: Duration) -> Taken {
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        while state.items.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.is_closed {
                return Taken::Closed;
            }
            if left.is_zero() {
                return Taken::Nothing;
            }
            state.sleepers += 1;
            state = self.came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.sleepers -= 1;
        }
        let count = state.items.len().min(most);
        let mut bytes = 0;
        into.extend(state.items.drain(..count).map(|(item, carried)| {
            bytes += carried;
            item
        }));
        state.bytes -= bytes;
        Taken::Some
    }

    /// The number of waiting items.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Takes no more items. Those in the queue can still be taken.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.came.notify_all();
    }

    /// Whether [`Self::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_or_closed_queue_gives_the_item_back() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(1), Ok(()));
        assert_eq!(queue.push(2), Ok(()));
        assert_eq!(queue.push(3), Err(3));
        let mut items = Vec::new();
        assert_eq!(queue.take(&mut items, 1, Duration::ZERO), Taken::Some);
        assert_eq!(items, [1]);
        queue.close();
        assert_eq!(queue.push(4), Err(4));
        assert_eq!(queue.take(&mut items, 9, Duration::ZERO), Taken::Some);
        assert_eq!(items, [1, 2]);
        assert_eq!(queue.take(&mut items, 9, Duration::from_secs(9)), Taken::Closed);
    }

    #[test]
    fn a_queue_is_full_of_bytes_before_it_is_full_of_items() {
        let queue = Queue::of_bytes(10, 100);
        assert_eq!((queue.push_carrying(1, 60), queue.push_carrying(2, 41)), (Ok(()), Err(2)));
        assert_eq!((queue.push_carrying(2, 40), queue.push(3)), (Ok(()), Ok(())));
        let mut items = Vec::new();
        assert_eq!(queue.take(&mut items, 1, Duration::ZERO), Taken::Some);
        assert_eq!((queue.push_carrying(4, 61), queue.push_carrying(4, 60)), (Err(4), Ok(())));
    }

    #[test]
    fn an_empty_queue_lets_the_taker_go_in_time() {
        let queue: Queue<u8> = Queue::new(1);
        assert_eq!(queue.take(&mut Vec::new(), 1, Duration::ZERO), Taken::Nothing);
    }
}
