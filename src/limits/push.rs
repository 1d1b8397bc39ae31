//! Bounds of Web Push: who may subscribe, what waits, how often a push service is asked again.

use std::time::Duration;

/// Bytes of an endpoint's URL. Those of push services in use have 150 to 700.
pub const PUSH_ENDPOINT_BYTES_MAX: usize = 1024;
/// Subscriptions of one user; a further one takes the place of the oldest.
pub const PUSH_SUBSCRIPTIONS_MAX: usize = 10;
/// Topics with something to be pushed that wait to be looked up. Full: the oldest is dropped.
pub const PUSH_TOPICS_MAX: usize = 2048;
/// Topics that are looked up at once.
pub const PUSH_LOOKUPS: usize = 4;
/// Subscriptions that one query reads, and users that other nodes are asked about at once.
pub const PUSH_PAGE_ROWS: u32 = 500;
/// Pushes that wait to be sent. Full: look-ups wait.
pub const PUSH_WAITING_MAX: usize = 128;
/// Pushes that wait to be sent again. Full: the new one is given up.
pub const PUSH_RETRIES_MAX: usize = 1024;
/// Requests to push services at once.
pub const PUSH_SENDS_MAX: usize = 64;
/// Attempts for one push.
pub const PUSH_ATTEMPTS_MAX: u32 = 6;
/// The longest pause before the second attempt; it doubles with each, and what is waited is chosen at random below it.
pub const PUSH_BACKOFF: Duration = Duration::from_secs(2);
/// The longest pause before any attempt, also if the push service asks for more.
pub const PUSH_BACKOFF_MAX: Duration = Duration::from_secs(600);
/// How long a connection to a push service may take to open.
pub const PUSH_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may take, from the name's look-up to the answer.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are read of a push service's answer.
pub const PUSH_ANSWER_BYTES_MAX: usize = 4 * 1024;
/// How long a signature for a push service is used again. RFC 8292 §2 allows 24 h, which is what it says itself.
pub const PUSH_TOKEN_SECONDS: i64 = 12 * 3600;
/// Signatures that are remembered, by push service.
pub const PUSH_TOKENS_MAX: usize = 256;
/// Characters of a message's text that a push has.
pub const PUSH_TEXT_CHARS_MAX: usize = 300;
/// Characters of a name that a push has.
pub const PUSH_NAME_CHARS_MAX: usize = 80;
/// Bytes of a push before it is encrypted. RFC 8030 §7.2 has push services take 4,096, of which 103 go to RFC 8291's head and tag.
pub const PUSH_BYTES_MAX: usize = 4096 - 103;
/// How long other nodes are waited for that are asked who has sockets there.
pub const WHEREABOUTS_PATIENCE: Duration = Duration::from_millis(500);
/// How long it is believed that nobody has subscribed to anything.
pub const PUSH_NOBODY: Duration = Duration::from_secs(5);
/// How long a stop waits for pushes of what was committed before.
pub const PUSH_STOP: Duration = Duration::from_secs(2);

/// Bytes that pushes take at most while they wait: what is said of a topic's event, a subscription, and the text of a push, which those
/// of one message share.
pub const PUSH_MEMORY_BYTES: usize =
    PUSH_TOPICS_MAX * 2048 + (PUSH_WAITING_MAX + PUSH_RETRIES_MAX + PUSH_SENDS_MAX) * (1536 + PUSH_BYTES_MAX);

// Each character may be written as six in JSON.
const _: () = assert!(6 * (PUSH_TEXT_CHARS_MAX + 2 * PUSH_NAME_CHARS_MAX) + 1000 < PUSH_BYTES_MAX);
