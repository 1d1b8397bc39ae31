//! Lets a tokio runtime sleep on a shard's sockets: its epoll instance, watched as one descriptor.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Becomes ready when a look at the sockets would find something.
#[derive(Debug)]
pub struct Readiness(AsyncFd<OwnedFd>);

impl Readiness {
    /// Watches `poll`, an epoll instance. Must be called inside the runtime.
    ///
    /// # Errors
    /// When the kernel gives no further descriptor.
    pub fn of(poll: &impl AsRawFd) -> io::Result<Self> {
        // SAFETY: the descriptor is open for the length of this borrow, since `poll` owns it and is borrowed.
        let descriptor = unsafe { BorrowedFd::borrow_raw(poll.as_raw_fd()) }.try_clone_to_owned()?;
        // SAFETY: an OwnedFd names the same open descriptor until AsyncFd drops it, after deregistering.
        unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map(Self).map_err(io::Error::from)
    }

    /// Waits until there is something to read. The caller then looks until a look finds nothing more: tokio watches the
    /// instance edge-triggered, and this clears the readiness before the caller looks, so no edge is lost.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn ready(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}
