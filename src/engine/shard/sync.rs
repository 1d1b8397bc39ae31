//! The primitives that inboxes are made of. The models put loom's primitives in their place.

pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};

pub(super) use crossbeam_queue::ArrayQueue;
pub(super) use futures_util::task::AtomicWaker;
