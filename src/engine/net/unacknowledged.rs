//! How many bytes a socket's peer has not acknowledged yet, which tells whether a slow peer reads at all.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;

/// Bytes that a socket took and its peer has not acknowledged; `None` when the kernel does not say.
pub fn bytes(socket: &impl AsRawFd) -> Option<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and TIOCOUTQ (tcp(7): SIOCOUTQ) writes one int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    (result == 0).then(|| usize::try_from(bytes).ok()).flatten()
}
