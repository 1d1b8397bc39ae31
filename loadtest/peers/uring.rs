//! The bare reference on io_uring: the same room server as `epoll.rs`, with all sends of a turn submitted together.
//!
//! Sends carry `MSG_DONTWAIT | MSG_WAITALL` and skip the completion on success: the kernel has taken the bytes when the
//! submission returns, and only a short or refused send is reported. So a turn's frames lie in one buffer per room,
//! which is free again after the submission. `--no-coalesce`: one send per message and member.
#![allow(clippy::print_stdout, reason = "the listening line is the program's output")]
#![allow(unsafe_code, reason = "io_uring takes pointers: each push says why its buffer outlives the operation")]

mod protocol;

use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use io_uring::squeue::Flags;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use rustix::net::{SendFlags, Shutdown};

use protocol::{Frame, Options, Room, Rooms, Seat, put_frame, upgrade};

/// Sends submitted together.
const SUBMISSIONS: u32 = 4096;
const COMPLETIONS: u32 = 4 * SUBMISSIONS;
const RECEIVE_BYTES: usize = 4096;
const RECEIVE_BUFFERS: u16 = 1024;
const BUFFER_GROUP: u16 = 0;
/// A longer frame ends the connection.
const PARTIAL_BYTES_MAX: usize = 128 * 1024;
/// Flags of `send(2)` as io_uring takes them.
const WAIT_ALL: i32 = 0x100;
const NO_SIGNAL: i32 = 0x4000;
const DONT_WAIT: i32 = 0x40;
/// The kernel has no io_uring, or forbids it.
const FORBIDDEN: u8 = 3;

/// The kind of an operation. The low half of the user data holds its connection.
#[derive(Clone, Copy, PartialEq)]
enum Task {
    Accept,
    Receive,
    /// Part of a turn; only reported if short or refused.
    Send,
    /// The rest of a short send; waits until the socket has room.
    Rest,
    Provide,
}

const TASKS: [Task; 5] = [Task::Accept, Task::Receive, Task::Send, Task::Rest, Task::Provide];

fn user_data(task: Task, id: u32) -> u64 {
    (task as u64) << 32 | u64::from(id)
}

/// One socket; an idle one owns no buffer.
struct Conn {
    socket: OwnedFd,
    seat: Option<Seat>,
    /// The start of a frame or handshake whose end has not arrived.
    partial: Vec<u8>,
    /// Bytes that the kernel is sending; not touched until it reports their completion.
    under_way: Vec<u8>,
    /// Bytes to send after those.
    unsent: Vec<u8>,
    is_receiving: bool,
    is_closing: bool,
}

struct Server {
    ring: IoUring,
    listener: TcpListener,
    /// Buffers given to the kernel, which fills one per receipt. They are never moved.
    buffers: Box<[u8]>,
    conns: Vec<Option<Conn>>,
    free: Vec<u32>,
    rooms: Rooms,
    coalesce: bool,
    /// Rooms whose sends are being submitted.
    walking: Vec<(u32, Room)>,
    /// Completions taken from the ring, not handled yet.
    arrived: Vec<cqueue::Entry>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.downcast_ref().is_some_and(is_forbidden) => {
            eprintln!("peer-uring: this kernel offers no io_uring ({error}); peer-epoll does the same without");
            ExitCode::from(FORBIDDEN)
        }
        Err(error) => {
            eprintln!("peer-uring: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_forbidden(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, Unsupported};
    matches!(error.kind(), PermissionDenied | Unsupported)
}

fn run() -> Result<()> {
    let options = Options::parse();
    let mut builder = IoUring::builder();
    let ring = builder.setup_cqsize(COMPLETIONS).setup_single_issuer().setup_defer_taskrun().build(SUBMISSIONS)?;
    let listener = options.listen()?;
    println!("peer-uring listens on {}", listener.local_addr()?);
    Server::new(ring, listener, !options.no_coalesce).run()
}

impl Server {
    fn new(ring: IoUring, listener: TcpListener, coalesce: bool) -> Self {
        Self {
            ring,
            listener,
            buffers: vec![0; RECEIVE_BYTES * usize::from(RECEIVE_BUFFERS)].into_boxed_slice(),
            conns: Vec::new(),
            free: Vec::new(),
            rooms: Rooms::default(),
            coalesce,
            walking: Vec::new(),
            arrived: Vec::new(),
        }
    }

    fn run(mut self) -> Result<()> {
        for buffer in 0..RECEIVE_BUFFERS {
            self.provide(buffer)?;
        }
        self.accept_on()?;
        loop {
            // A walk may have taken completions from the ring that are still to be handled.
            self.submit(usize::from(self.arrived.is_empty()))?;
            self.collect();
            for completion in std::mem::take(&mut self.arrived) {
                self.handle(&completion)?;
            }
            self.walk()?;
        }
    }

    fn submit(&mut self, wait: usize) -> Result<()> {
        loop {
            match self.ring.submit_and_wait(wait) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // The completion queue is full: make room, then go on.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => self.collect(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn collect(&mut self) {
        self.arrived.extend(self.ring.completion());
    }

    /// Every pointer in `entry` must stay valid until the operation is complete.
    fn push(&mut self, entry: &squeue::Entry) -> Result<()> {
        loop {
            // SAFETY: the callers make sure that receive buffers are never moved, that a turn's frames are kept in
            // `walking` until the submission has returned, and that `under_way` is not touched until its completion.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.submit(0)?;
        }
    }

    fn accept_on(&mut self) -> Result<()> {
        let entry = opcode::AcceptMulti::new(types::Fd(self.listener.as_raw_fd())).build();
        self.push(&entry.user_data(user_data(Task::Accept, 0)))
    }

    fn receive_on(&mut self, id: u32) -> Result<()> {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return Ok(());
        };
        conn.is_receiving = true;
        let entry = opcode::RecvMulti::new(types::Fd(conn.socket.as_raw_fd()), BUFFER_GROUP).build();
        self.push(&entry.user_data(user_data(Task::Receive, id)))
    }

    /// Gives a receive buffer (back) to the kernel.
    fn provide(&mut self, buffer: u16) -> Result<()> {
        let start = self.buffers[usize::from(buffer) * RECEIVE_BYTES..].as_mut_ptr();
        let entry = opcode::ProvideBuffers::new(start, RECEIVE_BYTES as i32, 1, BUFFER_GROUP, buffer).build();
        self.push(&entry.flags(Flags::SKIP_SUCCESS).user_data(user_data(Task::Provide, 0)))
    }

    fn handle(&mut self, completion: &cqueue::Entry) -> Result<()> {
        let id = completion.user_data() as u32;
        let has_more = cqueue::more(completion.flags());
        let result = completion.result();
        match TASKS[(completion.user_data() >> 32) as usize] {
            Task::Accept => {
                if result >= 0 {
                    self.admit(result)?;
                }
                if has_more { Ok(()) } else { self.accept_on() }
            }
            Task::Receive => self.received(id, completion),
            Task::Send => bail!("a send ended after its submission had returned: its frames are gone"),
            Task::Rest => self.rest_sent(id, result),
            Task::Provide => bail!("the kernel takes no receive buffers: error {}", -result),
        }
    }

    fn admit(&mut self, descriptor: i32) -> Result<()> {
        // SAFETY: the completion of an accept passes a descriptor that nobody else owns.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
        let conn = Conn {
            socket,
            seat: None,
            partial: Vec::new(),
            under_way: Vec::new(),
            unsent: Vec::new(),
            is_receiving: false,
            is_closing: false,
        };
        let id = self.free.pop().unwrap_or(self.conns.len() as u32);
        match self.conns.get_mut(id as usize) {
            Some(slot) => *slot = Some(conn),
            None => self.conns.push(Some(conn)),
        }
        self.receive_on(id)
    }

    fn received(&mut self, id: u32, completion: &cqueue::Entry) -> Result<()> {
        let is_armed = cqueue::more(completion.flags());
        if let Some(conn) = self.conns[id as usize].as_mut() {
            conn.is_receiving = is_armed;
        }
        let result = completion.result();
        let is_starved = result == -rustix::io::Errno::NOBUFS.raw_os_error();
        let mut is_fine = is_starved;
        if let Some(buffer) = cqueue::buffer_select(completion.flags()) {
            if result > 0 {
                is_fine = self.read(id, usize::from(buffer) * RECEIVE_BYTES, result as usize)?;
            }
            self.provide(buffer)?;
        }
        if !is_fine {
            self.close(id);
        }
        self.let_go(id);
        let is_open = self.conns[id as usize].as_ref().is_some_and(|conn| !conn.is_closing);
        if is_armed || !is_open { Ok(()) } else { self.receive_on(id) }
    }

    /// Whether the connection may stay.
    fn read(&mut self, id: u32, start: usize, length: usize) -> Result<bool> {
        let buffers = std::mem::take(&mut self.buffers);
        let bytes = &buffers[start..start + length];
        let mut partial = match self.conns[id as usize].as_mut() {
            Some(conn) => std::mem::take(&mut conn.partial),
            None => Vec::new(),
        };
        let input = if partial.is_empty() {
            bytes
        } else {
            partial.extend_from_slice(bytes);
            &partial
        };
        let used = self.input(id, input)?;
        let rest = used.map(|used| input[used..].to_vec());
        self.buffers = buffers;
        let Some(rest) = rest.filter(|rest| rest.len() < PARTIAL_BYTES_MAX) else {
            return Ok(false);
        };
        if let Some(conn) = self.conns[id as usize].as_mut() {
            conn.partial = rest;
        }
        Ok(true)
    }

    /// Handles the handshake, then frames. Returns the number of bytes used, or `None` if the socket must be closed.
    fn input(&mut self, id: u32, bytes: &[u8]) -> Result<Option<usize>> {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return Ok(None);
        };
        let (room, mut used) = match conn.seat {
            Some(seat) => (seat.room, 0),
            None => {
                let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                    return Ok(Some(0));
                };
                let Some((path, answer)) = upgrade(&bytes[..end + 2]) else {
                    return Ok(None);
                };
                let seat = self.rooms.join(id, path);
                conn.seat = Some(seat);
                self.send_now(id, answer.as_bytes())?;
                (seat.room, end + 4)
            }
        };
        while let Some(frame) = Frame::parse(&bytes[used..]) {
            let payload = used + frame.header..used + frame.header + frame.length;
            used = payload.end;
            match frame.opcode {
                1 => {
                    if !self.coalesce && self.rooms.is_dirty(room) {
                        self.walk()?;
                    }
                    self.rooms.gather(room, &bytes[payload], frame.mask);
                }
                9 => {
                    let mut pong = Vec::with_capacity(frame.length + 4);
                    put_frame(&mut pong, 10, &bytes[payload], frame.mask);
                    self.send_now(id, &pong)?;
                }
                10 => {}
                _ => return Ok(None),
            }
        }
        Ok(Some(used))
    }

    /// Submits one send to each member of each room with news, all together.
    fn walk(&mut self) -> Result<()> {
        while let Some((number, room)) = self.rooms.take_dirty() {
            for &id in &room.members {
                let Some(conn) = self.conns[id as usize].as_mut().filter(|conn| !conn.is_closing) else {
                    continue;
                };
                if !conn.under_way.is_empty() {
                    conn.unsent.extend_from_slice(&room.turn);
                    continue;
                }
                let entry = send(&conn.socket, &room.turn, DONT_WAIT).flags(Flags::SKIP_SUCCESS);
                self.push(&entry.user_data(user_data(Task::Send, id)))?;
            }
            self.walking.push((number, room));
        }
        if self.walking.is_empty() {
            return Ok(());
        }
        self.submit(0)?;
        self.collect();
        // Short and refused sends are handled at once, because the frames that they still need are about to be cleared.
        let is_short = |entry: &cqueue::Entry| entry.user_data() >> 32 == Task::Send as u64;
        let (short, others) = std::mem::take(&mut self.arrived).into_iter().partition(is_short);
        self.arrived = others;
        let short: Vec<cqueue::Entry> = short;
        let mut broken = Vec::new();
        for entry in short {
            let id = entry.user_data() as u32;
            if !self.keep_rest(id, entry.result()) {
                broken.push(id);
            }
            self.send_rest(id)?;
        }
        for (number, room) in std::mem::take(&mut self.walking) {
            self.rooms.give_back(number, room);
        }
        broken.into_iter().for_each(|id| self.close(id));
        Ok(())
    }

    /// Handles a completion of the current turn that is not a success. Returns whether the connection may stay.
    fn keep_rest(&mut self, id: u32, result: i32) -> bool {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return true;
        };
        let taken = match usize::try_from(result) {
            Ok(taken) => taken,
            Err(_) if result == -rustix::io::Errno::AGAIN.raw_os_error() => 0,
            Err(_) => return false,
        };
        let room = conn.seat.and_then(|seat| self.walking.iter().find(|(number, _)| *number == seat.room));
        if let Some((_, room)) = room {
            conn.unsent.extend_from_slice(&room.turn[taken..]);
        }
        true
    }

    /// Sends the rest as soon as the socket has room.
    fn send_rest(&mut self, id: u32) -> Result<()> {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return Ok(());
        };
        if conn.is_closing || conn.unsent.is_empty() || !conn.under_way.is_empty() {
            return Ok(());
        }
        conn.under_way = std::mem::take(&mut conn.unsent);
        let entry = send(&conn.socket, &conn.under_way, 0);
        self.push(&entry.user_data(user_data(Task::Rest, id)))
    }

    fn rest_sent(&mut self, id: u32, result: i32) -> Result<()> {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return Ok(());
        };
        let under_way = std::mem::take(&mut conn.under_way);
        match usize::try_from(result) {
            Ok(taken) if taken > 0 => {
                let mut rest = under_way[taken..].to_vec();
                rest.append(&mut conn.unsent);
                conn.unsent = rest;
            }
            _ => self.close(id),
        }
        self.send_rest(id)?;
        self.let_go(id);
        Ok(())
    }

    /// A handshake's answer or a pong: rare, and not part of a turn.
    fn send_now(&mut self, id: u32, bytes: &[u8]) -> Result<()> {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return Ok(());
        };
        let taken = match conn.under_way.is_empty() {
            true => rustix::net::send(&conn.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).unwrap_or(0),
            false => 0,
        };
        // The error of a broken socket comes with the next receipt.
        conn.unsent.extend_from_slice(&bytes[taken..]);
        self.send_rest(id)
    }

    /// Removes it from its room. The slot is free when the kernel has finished with it.
    fn close(&mut self, id: u32) {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return;
        };
        if std::mem::replace(&mut conn.is_closing, true) {
            return;
        }
        let _ = rustix::net::shutdown(&conn.socket, Shutdown::Both);
        if let Some((moved, seat)) = conn.seat.take().and_then(|seat| self.rooms.leave(seat))
            && let Some(moved) = self.conns[moved as usize].as_mut()
        {
            moved.seat = Some(seat);
        }
    }

    fn let_go(&mut self, id: u32) {
        let slot = &mut self.conns[id as usize];
        if slot.as_ref().is_some_and(|conn| conn.is_closing && !conn.is_receiving && conn.under_way.is_empty()) {
            *slot = None;
            self.free.push(id);
        }
    }
}

/// A send that reports back unless it takes all of `bytes`.
fn send(socket: &OwnedFd, bytes: &[u8], flags: i32) -> squeue::Entry {
    opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32)
        .flags(WAIT_ALL | NO_SIGNAL | flags)
        .build()
}
