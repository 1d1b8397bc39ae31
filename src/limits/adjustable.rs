//! The limits that operators may change, with their usual values. docs/operations.md lists them all, under "Limits".

use std::time::Duration;

use super::{
    ANSWER_PATIENCE, BODY_TIMEOUT, DURABLE_FRAMES_PER_SECOND, HANDSHAKE_TIMEOUT, OUTBOX_OWED_BYTES_MAX,
    PASSING_FRAMES_PER_SECOND, REQUEST_FRAMES_PER_SECOND,
};

/// What operators may change. Counts and rates are lifted by `PREGON_RATE_LIMITS=off`, times and bytes never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjustable {
    /// Sockets of one user on this node. When one more comes, the oldest goes.
    pub sockets_per_user: usize,
    /// Connections of one address on this node: an IPv4 address, or an IPv6 /64. Further ones are refused.
    pub sockets_per_address: u32,
    /// Connections of which nobody knows yet whose they are, on this node. Further ones are closed.
    pub unauthenticated_sockets: u32,
    /// Connections that this node accepts in a second. Further ones wait in the kernel.
    pub accepts_per_second: u32,
    /// Frames that one socket may send in a second, by kind.
    pub frames: FrameRates,
    /// Files that one user may upload in an hour; 0: as many as there is room for.
    pub uploads_per_hour: u32,
    /// For the head of a connection's first request, or for the rest of a head that has begun.
    pub handshake: Duration,
    /// For the whole body of a request, or for the next piece of an upload.
    pub body: Duration,
    /// For a peer to take some more of an answer.
    pub answer: Duration,
    /// Bytes that may wait for one socket which does not take them.
    pub outbox_bytes: usize,
}

/// Frames in a second, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRates {
    /// What is passed on and not stored: typing and signals.
    pub passing: u32,
    /// What is stored: messages, edits, deletions, reactions, reads.
    pub durable: u32,
    /// All others: pings, subscriptions, questions, and what is no request.
    pub requests: u32,
}

/// Sockets of one user, unless set otherwise: tabs and telephones with some sockets each, and what a page leaves behind that
/// reconnects in a loop.
pub const SOCKETS_PER_USER: usize = 128;
/// Connections of one address, unless set otherwise: the people behind the address of an office, or of a telephone network.
pub const SOCKETS_PER_ADDRESS: u32 = 2000;
/// Connections of nobody, unless set otherwise.
pub const UNAUTHENTICATED_SOCKETS: u32 = 4000;
/// Connections a second, unless set otherwise: a core makes a few thousand sessions in a second.
pub const ACCEPTS_PER_SECOND: u32 = 5000;
/// Files an hour, unless set otherwise.
pub const UPLOADS_PER_HOUR: u32 = 300;
/// The least that may be set for what waits for a socket: no frame alone makes a reader too slow (`limits::frames`).
pub const OUTBOX_KB_MIN: usize = OUTBOX_OWED_BYTES_MAX / 1024;
/// The most: a shard's least share has room for some readers who owe so much.
pub const OUTBOX_KB_MAX: usize = super::SHARD_WAITING_BYTES_MIN / 2 / 1024;

impl Default for Adjustable {
    fn default() -> Self {
        Self {
            sockets_per_user: SOCKETS_PER_USER,
            sockets_per_address: SOCKETS_PER_ADDRESS,
            unauthenticated_sockets: UNAUTHENTICATED_SOCKETS,
            accepts_per_second: ACCEPTS_PER_SECOND,
            frames: FrameRates {
                passing: PASSING_FRAMES_PER_SECOND,
                durable: DURABLE_FRAMES_PER_SECOND,
                requests: REQUEST_FRAMES_PER_SECOND,
            },
            uploads_per_hour: UPLOADS_PER_HOUR,
            handshake: HANDSHAKE_TIMEOUT,
            body: BODY_TIMEOUT,
            answer: ANSWER_PATIENCE,
            outbox_bytes: OUTBOX_OWED_BYTES_MAX,
        }
    }
}

const _: () = assert!(OUTBOX_KB_MIN < OUTBOX_KB_MAX);
