//! Bounds of how often and how much single clients may do, beside those that operators may change.

use std::time::Duration;

/// Typing and signals that one socket may send in a second, unless set otherwise.
pub const PASSING_FRAMES_PER_SECOND: u32 = 50;
/// Frames of one socket in a second that are to be stored, unless set otherwise.
pub const DURABLE_FRAMES_PER_SECOND: u32 = 20;
/// Further frames of one socket in a second, unless set otherwise.
pub const REQUEST_FRAMES_PER_SECOND: u32 = 50;
/// The most of each that may be set.
pub const FRAMES_PER_SECOND_MAX: u32 = 1000;
/// How many seconds' worth of typing and signals may come at once.
pub const PASSING_BURST_SECONDS: u32 = 2;
/// The same for frames that are to be stored: clients that open a room mark a page of messages as read, one by one.
pub const DURABLE_BURST_SECONDS: u32 = 10;
/// The same for all others.
pub const REQUEST_BURST_SECONDS: u32 = 10;
/// At least so many requests may come at once: a client asks for all its topics when it comes back.
pub const REQUEST_BURST_MIN: u32 = 2 * super::TOPICS_PER_SOCKET_MAX as u32;
/// All sockets of a user together may send so many times what one may.
pub const USER_FRAMES_FACTOR: u32 = 4;
/// Frames beyond its rates that a socket may send at once before it is let go with 4029.
pub const EXCESS_FRAMES_MAX: u32 = 500;
/// And again in a second. Whoever stays below it is refused for as long as it likes.
pub const EXCESS_FRAMES_PER_SECOND: u32 = 20;
/// Places among which users are told apart when their frames are counted, twice. Two users who share both have the rates of
/// one.
pub const FRAME_PLACES: usize = 1 << 15;

/// After so many refusals of the same token from one address, its handshakes get 403.
pub const BAD_TOKENS_MAX: u8 = 3;
/// For how long they do. The app's page gives up after five tries, which takes it half a minute.
pub const BAD_TOKEN_BAR: Duration = Duration::from_secs(300);
/// Refusals that lie so far apart are not counted together.
pub const BAD_TOKEN_MEMORY: Duration = Duration::from_secs(600);
/// Pairs of an address and a token that are remembered. Further ones are judged each time.
pub const BAD_TOKENS_REMEMBERED: usize = 64 * 1024;

/// Signatures of tokens other than HMACs that are checked at the same time. The control runtime has two threads; the others are on
/// their way.
pub const SIGNATURE_CHECKS_AT_A_TIME: usize = 4;
/// And that wait, some 100 ms of the slowest. Full: the address with most of them loses one to an address with fewer, and is told
/// 503.
pub const SIGNATURE_CHECKS_WAITING_MAX: usize = 256;

/// Subscriptions of `pregon.v1` to the same topic that a user may ask for at once: tabs, and a connection that breaks.
pub const SUBSCRIPTIONS_AT_ONCE: u32 = 5;
/// And again in a second, as one socket of the older kinds.
pub const SUBSCRIPTIONS_PER_SECOND: u32 = 1;

/// One address may have one part in so many of the connections of nobody. People behind one address do not stay nobody for long.
pub const NOBODYS_CLIENT_PART: u32 = 16;
/// The same of the connections that are accepted in a second.
pub const ACCEPTS_CLIENT_PART: u32 = 4;
/// The head of a request, in bytes: beyond it 431.
pub const REQUEST_HEAD_BYTES_MAX: usize = 16 * 1024;
/// An answer that a peer takes more slowly, in bytes a second over the time that it may take nothing, is given up.
pub const ANSWER_BYTES_PER_SECOND_MIN: usize = 4 * 1024;

const _: () = assert!(DURABLE_FRAMES_PER_SECOND < FRAMES_PER_SECOND_MAX && EXCESS_FRAMES_PER_SECOND > 0);
const _: () = assert!(FRAME_PLACES.is_power_of_two());
const _: () = assert!(BAD_TOKEN_BAR.as_secs() < BAD_TOKEN_MEMORY.as_secs());
