//! Code that the bare servers share: the handshake, frames, and rooms that gather a turn's frames.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result};
use base64::Engine as _;
use clap::Parser;
use sha1::{Digest, Sha1};

/// A room server with nothing but what a room needs.
#[derive(Parser)]
pub struct Options {
    /// Where to listen: 127.0.0.1:9000
    pub address: SocketAddr,
    /// One send per message and member, in place of one per turn
    #[arg(long)]
    pub no_coalesce: bool,
}

impl Options {
    pub fn listen(&self) -> Result<TcpListener> {
        let listener = TcpListener::bind(self.address).with_context(|| format!("cannot listen on {}", self.address))?;
        // std listens with a backlog of 128; a load tester connects hundreds at once.
        rustix::net::listen(&listener, 4096)?;
        Ok(listener)
    }
}

/// A member's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seat {
    pub room: u32,
    /// The index in the room's list of members.
    place: u32,
}

#[derive(Default)]
pub struct Room {
    pub members: Vec<u32>,
    /// The frames of this turn, ready to send.
    pub turn: Vec<u8>,
}

#[derive(Default)]
pub struct Rooms {
    rooms: Vec<Room>,
    of_path: HashMap<Vec<u8>, u32>,
    /// Rooms that gathered frames in this turn.
    dirty: Vec<u32>,
}

impl Rooms {
    /// Joins the path's room, which is created if it does not exist.
    pub fn join(&mut self, id: u32, path: &[u8]) -> Seat {
        let room = match self.of_path.get(path) {
            Some(&room) => room,
            None => {
                let room = self.rooms.len() as u32;
                self.rooms.push(Room::default());
                self.of_path.insert(path.to_vec(), room);
                room
            }
        };
        let members = &mut self.rooms[room as usize].members;
        members.push(id);
        Seat { room, place: members.len() as u32 - 1 }
    }

    /// Leaves a room. Returns the member that moved into the free place, and its new seat.
    pub fn leave(&mut self, seat: Seat) -> Option<(u32, Seat)> {
        let members = &mut self.rooms[seat.room as usize].members;
        members.swap_remove(seat.place as usize);
        members.get(seat.place as usize).map(|moved| (*moved, seat))
    }

    /// Appends a frame to what the room's members get in this turn.
    pub fn gather(&mut self, room: u32, masked: &[u8], mask: [u8; 4]) {
        let turn = &mut self.rooms[room as usize].turn;
        if turn.is_empty() {
            self.dirty.push(room);
        }
        put_frame(turn, 1, masked, mask);
    }

    pub fn is_dirty(&self, room: u32) -> bool {
        !self.rooms[room as usize].turn.is_empty()
    }

    /// A room with new frames, taken out until it is given back.
    pub fn take_dirty(&mut self) -> Option<(u32, Room)> {
        let room = self.dirty.pop()?;
        Some((room, std::mem::take(&mut self.rooms[room as usize])))
    }

    /// Gives a room back after its members were served.
    pub fn give_back(&mut self, number: u32, mut room: Room) {
        room.turn.clear();
        self.rooms[number as usize] = room;
    }
}

/// The path of an upgrade request, and the answer to it; `head` ends with the empty line.
pub fn upgrade(head: &[u8]) -> Option<(&[u8], String)> {
    let head = std::str::from_utf8(head).ok()?;
    let path = head.strip_prefix("GET ")?.split([' ', '?']).next()?;
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    })?;
    let mut digest = Sha1::new();
    digest.update(key);
    digest.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = base64::engine::general_purpose::STANDARD.encode(digest.finalize());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Some((path.as_bytes(), answer))
}

/// A client's frame: the position of its payload, which is still masked.
pub struct Frame {
    pub opcode: u8,
    pub header: usize,
    pub length: usize,
    pub mask: [u8; 4],
}

impl Frame {
    /// The next whole frame. A fragmented or unmasked one is returned with opcode 0, which ends the connection.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (length, extended) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 8),
            short => (usize::from(short), 0),
        };
        let mask = *rest.get(extended..)?.first_chunk::<4>()?;
        let header = 2 + extended + 4;
        if bytes.len() - header < length {
            return None;
        }
        let plain = first & 0xf0 == 0x80 && second & 0x80 != 0;
        let opcode = if plain { first & 0x0f } else { 0 };
        Some(Self { opcode, header, length, mask })
    }
}

/// Appends a server frame around `masked`, unmasked in place.
pub fn put_frame(out: &mut Vec<u8>, opcode: u8, masked: &[u8], mask: [u8; 4]) {
    out.push(0x80 | opcode);
    match masked.len() {
        length @ 0..126 => out.push(length as u8),
        length @ 126..65536 => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let start = out.len();
    out.extend_from_slice(masked);
    let mut words = out[start..].chunks_exact_mut(4);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_frame_comes_out_plain() {
        for length in [0_usize, 5, 125, 126, 70_000] {
            let text: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mask = [1, 2, 3, 4];
            let masked: Vec<u8> = (0..length).map(|at| text[at] ^ mask[at % 4]).collect();
            let mut out = Vec::new();
            put_frame(&mut out, 1, &masked, mask);
            assert!(out.ends_with(&text));
            let mut client = vec![0x81, 0x80 | 127];
            client.extend_from_slice(&(length as u64).to_be_bytes());
            client.extend_from_slice(&mask);
            client.extend_from_slice(&masked);
            let frame = Frame::parse(&client).expect("whole");
            assert_eq!((frame.opcode, frame.header, frame.length), (1, 14, length));
            client.pop();
            assert!(Frame::parse(&client).is_none());
        }
    }

    #[test]
    fn who_moves_into_a_free_place_knows_its_seat() {
        let mut rooms = Rooms::default();
        let seats: Vec<Seat> = (0..3).map(|id| rooms.join(id, b"/0")).collect();
        assert_eq!(rooms.leave(seats[0]), Some((2, seats[0])));
        assert_eq!(rooms.leave(seats[1]), None);
        assert_eq!(rooms.join(7, b"/1").room, 1);
        rooms.gather(0, b"", [0; 4]);
        let (number, room) = rooms.take_dirty().expect("news");
        assert_eq!((number, room.members.as_slice(), room.turn.as_slice()), (0, [2].as_slice(), [0x81, 0].as_slice()));
        rooms.give_back(number, room);
        assert!(rooms.take_dirty().is_none() && !rooms.is_dirty(0));
    }

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        let head = b"GET /7?x HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let (path, answer) = upgrade(head).expect("an upgrade");
        assert_eq!(path, b"/7");
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(upgrade(b"GET / HTTP/1.1\r\n").is_none());
    }
}
