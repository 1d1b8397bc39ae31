//! Sends a stretch in one submission to io_uring.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::process::{Resource, getrlimit};

use super::stream::Stream;
use super::stretch::{Sent, Stretch};

/// Attempts at one submission while the kernel is short of memory or interrupted.
const ATTEMPTS_MAX: usize = 100;
/// Never wait for room in a socket. Without waiting, send all of it, or say how much was sent.
const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;

/// Sockets with smaller numbers are registered with the ring, which saves looking up each one in the process's table.
const KNOWN_SOCKETS_MAX: u32 = 128 * 1024;

/// A ring that sends. Nothing is ever under way between two calls of `Ring::send`.
pub struct Ring {
    ring: IoUring,
    /// The size of the ring's table of registered sockets; 0 if the kernel gives none.
    known_max: u32,
    /// For each number, whether it is in the table.
    known: Vec<bool>,
    /// The headers of sends with several slices. They must not move during a submission.
    headers: Vec<libc::msghdr>,
    visits_max: usize,
}

// SAFETY: the pointers in `headers` are only used within one call of `send`, which clears them before it returns.
unsafe impl Send for Ring {}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("visits_max", &self.visits_max).finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring for stretches of up to `visits_max` visits.
    ///
    /// # Errors
    /// When the kernel has no io_uring, an old one, or forbids it.
    pub fn new(visits_max: usize) -> io::Result<Self> {
        let entries = u32::try_from(visits_max).map_err(io::Error::other)?.next_power_of_two();
        let ring = IoUring::builder().setup_single_issuer().setup_submit_all().build(entries)?;
        if !ring.params().is_feature_skip_cqe_on_success() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "io_uring of this kernel announces every send"));
        }
        let open_files_max = getrlimit(Resource::Nofile).current.and_then(|most| u32::try_from(most).ok());
        let known_max = open_files_max.unwrap_or(u32::MAX).min(KNOWN_SOCKETS_MAX);
        let known_max = ring.submitter().register_files_sparse(known_max).map_or(0, |()| known_max);
        Ok(Self { ring, known_max, known: Vec::new(), headers: Vec::with_capacity(visits_max), visits_max })
    }

    /// Registers a socket under its number. The ring holds it open until [`Self::forget`].
    pub(super) fn know(&mut self, token: u32, stream: &Stream) {
        let Stream::Tcp(socket) = stream;
        if token >= self.known_max {
            return;
        }
        let place = token as usize;
        if self.known.len() <= place {
            self.known.resize(place + 1, false);
        }
        self.known[place] = self.put(token, socket.as_raw_fd()).is_ok();
    }

    /// Unregisters a socket, so that closing it really closes it.
    ///
    /// # Errors
    /// When the kernel keeps the socket: the ring must be dropped, so that its sockets can close.
    pub(super) fn forget(&mut self, token: u32) -> io::Result<()> {
        let was_known = self.known.get_mut(token as usize).is_some_and(std::mem::take);
        if was_known { self.put(token, -1) } else { Ok(()) }
    }

    fn put(&self, token: u32, descriptor: RawFd) -> io::Result<()> {
        match self.ring.submitter().register_files_update(token, &[descriptor])? {
            1 => Ok(()),
            _ => Err(io::ErrorKind::Other.into()),
        }
    }

    /// Sends each visit's bytes and appends one outcome for each visit, in order.
    ///
    /// # Errors
    /// When the kernel does not take the whole submission: visits without an outcome were not made, and the ring must
    /// not be used again.
    pub(super) fn send(
        &mut self,
        streams: &[Option<Stream>],
        stretch: &Stretch<'_>,
        outcomes: &mut Vec<Sent>,
    ) -> io::Result<()> {
        assert!(stretch.len() <= self.visits_max, "a stretch is bounded");
        self.headers.clear();
        let first = outcomes.len();
        for (position, (token, slices)) in stretch.visits().enumerate() {
            // A visit to a number without a stream gets an entry too, so that entries and visits stay in step.
            let socket = streams[token as usize].as_ref().map(|Stream::Tcp(socket)| socket);
            outcomes.push(if socket.is_some() { Sent::All } else { Sent::Broken });
            let is_known = socket.is_some() && self.known.get(token as usize) == Some(&true);
            let (number, flags) = match socket {
                Some(_) if is_known => (token.cast_signed(), squeue::Flags::SKIP_SUCCESS | squeue::Flags::FIXED_FILE),
                Some(socket) => (socket.as_raw_fd(), squeue::Flags::SKIP_SUCCESS),
                None => (-1, squeue::Flags::SKIP_SUCCESS),
            };
            let number = types::Fd(number);
            let entry = match slices {
                _ if socket.is_none() => opcode::Nop::new().build(),
                [one] => {
                    let length = u32::try_from(one.len()).unwrap_or(u32::MAX);
                    opcode::Send::new(number, one.as_ptr(), length).flags(FLAGS).build()
                }
                many => {
                    self.headers.push(header(many));
                    let header = &self.headers[self.headers.len() - 1];
                    opcode::SendMsg::new(number, header).flags(FLAGS.cast_unsigned()).build()
                }
            };
            let entry = entry.flags(flags).user_data(position as u64);
            // SAFETY: the kernel reads the bytes, slices and headers until the submission below returns and not longer: a
            // send with MSG_DONTWAIT is never put off, so it has ended when the call that submitted it has. All three
            // outlive the call, `headers` has room for `visits_max` and does not move.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            assert!(pushed.is_ok(), "the ring has room for a stretch");
        }
        let submitted = self.submit();
        for completion in self.ring.completion() {
            let position = usize::try_from(completion.user_data()).unwrap_or(usize::MAX);
            if let Some(outcome) = outcomes.get_mut(first + position) {
                *outcome = judge(completion.result());
            }
        }
        self.headers.clear();
        submitted.map_err(|(left, error)| {
            // Submissions are made in order, so the last `left` visits were not made.
            outcomes.truncate(outcomes.len() - left);
            error
        })
    }

    /// Hands all entries to the kernel. On failure, returns how many it did not take.
    fn submit(&mut self) -> Result<(), (usize, io::Error)> {
        let mut attempts = 0;
        loop {
            let result = self.ring.submit();
            let left = self.ring.submission().len();
            if left == 0 {
                return Ok(());
            }
            attempts += 1;
            if attempts == ATTEMPTS_MAX {
                return Err((left, result.err().unwrap_or_else(|| io::ErrorKind::ResourceBusy.into())));
            }
        }
    }
}

fn header(slices: &[io::IoSlice<'_>]) -> libc::msghdr {
    // SAFETY: a msghdr is plain numbers and pointers, for which zero means nothing.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    // An IoSlice is an iovec in memory. The kernel does not write through it.
    header.msg_iov = slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = slices.len();
    header
}

fn judge(result: i32) -> Sent {
    match usize::try_from(result) {
        Ok(count) => Sent::Part(count),
        Err(_) if -result == libc::EAGAIN => Sent::Part(0),
        Err(_) => Sent::Broken,
    }
}
