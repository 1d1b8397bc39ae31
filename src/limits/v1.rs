//! Bounds of `pregon.v1`.

use std::time::Duration;

/// Topics that one socket listens to, those included that are being judged.
pub const TOPICS_PER_SOCKET_MAX: usize = 256;
/// Bytes of the JSON by which a client names a request.
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// Bytes of requests that come before a socket's token is judged. Further ones are refused.
pub const EARLY_BYTES_MAX: usize = 32 * 1024;
/// How long a socket may take to say whose it is.
pub const IDENTIFY_WITHIN: Duration = Duration::from_secs(5);
/// When a client should ask again that is told to do so later, in milliseconds.
pub const LATER_MS: u64 = 2000;
/// How long a ticket is good for.
pub const TICKET_SECONDS: i64 = 30;
/// Events that are read at once for a client that was away.
pub const REPLAY_EVENTS_MAX: usize = 200;
/// Bytes of frames that are given at once to a client that was away.
pub const REPLAY_BYTES_MAX: usize = 128 * 1024;
/// Bytes that are held for a subscription while what it missed is read. What is beyond them is read again.
pub const HELD_BYTES_MAX: usize = 64 * 1024;
/// Kinds of things that sockets have looked up: whose they are, what they may hear, what they missed, and questions about rooms.
pub const ERRAND_KINDS: usize = 4;
/// What those of one kind take that wait for an answer; without a token one takes some 150 bytes. Further ones are refused: the
/// client asks later.
pub const ERRANDS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a token, or of a ticket, in a frame.
pub const CREDENTIAL_BYTES_MAX: usize = 8 * 1024;
/// Questions of sockets that are answered together, with a few queries for all.
pub const ERRANDS_TOGETHER: usize = 128;
/// As many questions about rooms, whose answers are longer.
pub const QUESTIONS_TOGETHER: usize = 16;
/// Bytes of frames in the answers to such a group. What clients missed beyond them is read again.
pub const ANSWERS_TOGETHER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that a shard holds for its subscriptions while what they missed is read, and for sockets whose tokens are being judged.
/// What is beyond them is read again, or refused.
pub const SHARD_HELD_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How many such groups of one kind are answered at the same time. Few: while these are under way, the next one grows.
pub const ERRAND_GROUPS_AT_ONCE: usize = 2;
/// Events that are read together for clients that were away.
pub const NEWS_EVENTS_MAX: usize = 1000;
/// Users of one topic who have numbers. Above this number all are named again.
pub const NAMES_MAX: usize = 192;
/// How long changes of profiles are gathered before clients who know those users by number are told.
pub const PROFILE_GATHER: Duration = Duration::from_millis(100);
/// Users whose changes are gathered. Of more, clients learn with their next message.
pub const PROFILES_CHANGED_MAX: usize = 4096;

/// Users on one page of a roster, or of a message's readers.
pub const ROSTER_PAGE_MAX: u32 = 200;
/// As many where the client does not say.
pub const ROSTER_PAGE: u32 = 50;
/// Questions about rooms that one socket may have under way. Further ones are refused: the client asks later.
pub const QUESTIONS_AT_ONCE_MAX: u8 = 16;

const _: () = assert!(ROSTER_PAGE <= ROSTER_PAGE_MAX);
const _: () = assert!(REPLAY_EVENTS_MAX <= super::EVENTS_PAGE_MAX && REPLAY_EVENTS_MAX <= NEWS_EVENTS_MAX);
const _: () = assert!(REPLAY_BYTES_MAX < super::PUBLICATION_BYTES_MAX && HELD_BYTES_MAX < super::PUBLICATION_BYTES_MAX);
