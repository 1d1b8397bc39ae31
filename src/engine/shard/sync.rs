//! What the messages of threads to shards are made of; the models put loom's in their place.

pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};

pub(super) use crossbeam_queue::ArrayQueue;
pub(super) use futures_util::task::AtomicWaker;
