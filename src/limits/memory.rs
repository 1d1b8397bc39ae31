//! The one sum: the most that may wait in this process's memory, in all its queues and tables together.
//!
//! Each part has a bound of its own, which holds at every moment, and a policy for when it is reached. So the sum is
//! known before the first client comes. The sum leaves out what the process needs without clients, what an idle session
//! costs (docs/performance.md), what the kernel holds for sockets, and SQLite's caches.

use super::bounds::{at_least, shard_unfinished_bytes, shard_waiting_bytes};
use super::{
    ANSWERS_BYTES_MAX, ANSWERS_TOGETHER_BYTES_MAX, BODY_BYTES_MAX, CONTENT_CHARS_MAX, ERRAND_GROUPS_AT_ONCE,
    ERRAND_KINDS, ERRANDS_BYTES_MAX, FEED_LISTS_BYTES_MAX, FEED_RECENT_BYTES_MAX, INBOX_BYTES_MAX, INBOX_MESSAGES_MAX,
    NEWS_EVENTS_MAX, OPERATORS_BYTES_MAX, OVERFLOW_BYTES_MAX, OVERFLOW_MESSAGES_MAX, PART_HEAD_BYTES_MAX,
    PUSH_MEMORY_BYTES, SHARD_HELD_BYTES_MAX, TLS_HANDSHAKE_BYTES, UPLOADS_MAX, shard_tls_handshakes,
    shard_tls_http_bytes, shard_tls_records_bytes,
};

/// Memory of requests and their bodies, until they are answered. Full: 503 with Retry-After.
pub const REQUESTS_BYTES_MAX: usize = 128 * 1024 * 1024;
/// One client (an IPv4 address, an IPv6 /48) may have one part in so many of what is still free: a quarter.
pub const REQUESTS_CLIENT_PART: usize = 4;
/// What each request takes of it, beside its body.
pub const REQUEST_BYTES: usize = 16 * 1024;
/// A JSON or form body takes at most so many times its length when it is read into values.
pub const BODY_MEMORY_FACTOR: usize = 20;
/// The most values in a JSON body, or fields in a form: each takes some hundred bytes, however short it is written.
pub const BODY_VALUES_MAX: usize = 8 * 1024;
/// What a form with files takes: its texts, the head of the part that is read, and the pieces on their way.
pub const FORM_BYTES: usize = 1024 * 1024;
/// What each part of such a form takes of that, beside its name and its value.
pub const FORM_PART_BYTES: usize = 64;
/// What an upload on its way to the disk takes: the pieces that wait for it, and the buffer before it.
pub const UPLOAD_BUFFER_BYTES: usize = 1024 * 1024;
/// What waiting writes carry, over all lanes; each lane has its share. Full: as with [`super::LANE_WRITES_MAX`].
pub const LANES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The least that a lane's share is, however many lanes there are.
pub const LANES_BYTES_MIN: usize = 4 * 1024 * 1024;
const _: () = assert!(BODY_BYTES_MAX + BODY_VALUES_MAX * 600 <= BODY_BYTES_MAX * (BODY_MEMORY_FACTOR + 1));
const _: () =
    assert!(BODY_BYTES_MAX * BODY_MEMORY_FACTOR * 8 <= REQUESTS_BYTES_MAX, "a few long bodies leave room for others");
const _: () = assert!(BODY_BYTES_MAX / FORM_PART_BYTES * 200 + PART_HEAD_BYTES_MAX < FORM_BYTES);

/// The size of a message between threads, without what it carries.
const MESSAGE_BYTES: usize = 160;

/// The settings that change the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// `PREGON_SHARDS`.
    pub shards: usize,
    /// `PREGON_WRITE_LANES`.
    pub lanes: usize,
    /// Whether `PREGON_TLS_CERT` is set.
    pub tls: bool,
}

/// One part of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name in metrics.
    pub name: &'static str,
    /// The most that the part may have.
    pub bytes: usize,
    /// What the part is, and what happens when it is full.
    pub policy: &'static str,
}

/// How many parts there are.
pub const PARTS: usize = 16;

/// A lane's share of what writes carry.
pub const fn lane_bytes(lanes: usize) -> usize {
    at_least(LANES_BYTES_MAX / at_least(lanes, 1), LANES_BYTES_MIN)
}

/// All parts.
pub const fn parts(sizes: Sizes) -> [Part; PARTS] {
    let Sizes { shards, lanes, tls } = sizes;
    let encrypting = if tls { shards } else { 0 };
    [
        Part {
            name: "sessions",
            bytes: shards * shard_waiting_bytes(shards),
            policy: "frames that wait for sessions, in chunks, debts and sealed records. Full: the largest debtors go (4008), then new sockets (1013), then REST (503)",
        },
        Part {
            name: "unfinished",
            bytes: shards * shard_unfinished_bytes(shards),
            policy: "messages of clients whose end has not come. Full: the sessions that hold most go (1013)",
        },
        Part {
            name: "inboxes",
            bytes: shards * (INBOX_BYTES_MAX + INBOX_MESSAGES_MAX * MESSAGE_BYTES),
            policy: "what shards are told. Full: lanes wait, shards stop reading",
        },
        Part {
            name: "overflow",
            bytes: shards * (OVERFLOW_BYTES_MAX + OVERFLOW_MESSAGES_MAX * MESSAGE_BYTES),
            policy: "what shards tell full inboxes. Full: typing, presence and signals between shards are dropped, new sockets go (1013)",
        },
        Part {
            name: "subscriptions",
            bytes: shards * SHARD_HELD_BYTES_MAX,
            policy: "what is said to subscriptions while what they missed is read, and requests of sockets whose tokens are judged. Full: it is read again; the requests are refused",
        },
        Part {
            name: "errands",
            // Of two kinds the answers are long; the last of a group may be longer than what was left. What was missed is read as rows
            // first.
            bytes: ERRAND_KINDS * ERRANDS_BYTES_MAX
                + ERRAND_GROUPS_AT_ONCE * (4 * ANSWERS_TOGETHER_BYTES_MAX + NEWS_EVENTS_MAX * 4 * CONTENT_CHARS_MAX),
            policy: "what sockets of pregon.v1 have looked up, with the answers. Full: the client asks later",
        },
        Part {
            name: "feeds",
            bytes: FEED_RECENT_BYTES_MAX + FEED_LISTS_BYTES_MAX,
            policy: "posts kept for feeds that are loading, and lists of authors. Full: those that began first come again (1013); the oldest lists are forgotten",
        },
        Part {
            name: "lanes",
            // Writes that were taken out for a batch have made room in the queue.
            bytes: 2 * lanes * lane_bytes(lanes),
            policy: "writes that wait for the database, and those of a batch. Full: an error frame, or 503",
        },
        Part {
            name: "requests",
            bytes: REQUESTS_BYTES_MAX,
            policy: "REST requests with their bodies, forms too, until they are answered. Full: 503",
        },
        Part {
            name: "uploads",
            bytes: UPLOADS_MAX * UPLOAD_BUFFER_BYTES,
            policy: "files on their way to the disk. Full: whoever has most gives way, else 503",
        },
        Part {
            name: "answers",
            bytes: ANSWERS_BYTES_MAX,
            policy: "answers of 16 KiB and more that wait for their readers. Full: 503",
        },
        Part {
            name: "operators",
            bytes: OPERATORS_BYTES_MAX,
            policy: "lists of sessions for operators. Full: the rest is counted; who asks beyond it gets 503",
        },
        Part {
            name: "pushes",
            bytes: PUSH_MEMORY_BYTES,
            policy: "what waits to be pushed to browsers. Full: the topic that waited longest is dropped, look-ups wait, what failed is given up",
        },
        Part {
            name: "handshakes",
            bytes: encrypting * shard_tls_handshakes(shards) * TLS_HANDSHAKE_BYTES,
            policy: "TLS handshakes under way; none without TLS. Full: the address with most gives way to one with fewer; else new ones wait, and one older than 2 s gives way",
        },
        Part {
            name: "records",
            bytes: encrypting * shard_tls_records_bytes(shards),
            policy: "TLS records whose end has not come; none without TLS. Full: the sessions that hold most go (1013)",
        },
        Part {
            name: "http records",
            bytes: encrypting * shard_tls_http_bytes(shards),
            policy: "what connections with TLS hold for HTTP, before they become sockets; none without TLS. Full: those that hold most are closed",
        },
    ]
}

/// All parts together.
pub const fn sum(sizes: Sizes) -> usize {
    let (parts, mut sum, mut place) = (parts(sizes), 0, 0);
    while place < PARTS {
        sum += parts[place].bytes;
        place += 1;
    }
    sum
}

/// A small machine of one GiB has room for the sum and for what else a server needs.
const _: () = assert!(sum(Sizes { shards: 2, lanes: 1, tls: false }) <= 812 * 1024 * 1024);
const _: () = assert!(sum(Sizes { shards: 2, lanes: 1, tls: true }) <= 860 * 1024 * 1024);

/// The table of docs/operations.md.
pub fn documentation() -> String {
    const MIB: usize = 1024 * 1024;
    let examples = [Sizes { shards: 2, lanes: 1, tls: true }, Sizes { shards: 8, lanes: 4, tls: true }];
    let columns = examples.map(|Sizes { shards, lanes, .. }| format!("{shards} shards, lanes: {lanes}")).join(" | ");
    let mut table = format!("| part | {columns} | |\n| --- | ---: | ---: | --- |\n");
    let mebibytes = |bytes: usize| format!("{} MiB", bytes.div_ceil(MIB));
    let [one, other] = examples.map(parts);
    for (one, other) in one.iter().zip(&other) {
        let (name, policy) = (one.name, one.policy);
        table += &format!("| `{name}` | {} | {} | {policy} |\n", mebibytes(one.bytes), mebibytes(other.bytes));
    }
    let [one, other] = examples.map(|sizes| mebibytes(sum(sizes)));
    table + &format!("| together | {one} | {other} | |\n")
}

#[cfg(test)]
mod tests {
    use crate::limits::{SHARD_UNFINISHED_BYTES_MIN, SHARD_WAITING_BYTES_MIN};
    use std::path::Path;

    use super::*;

    #[test]
    fn the_documentation_has_the_sum() {
        const BEGIN: &str = "limits::memory::tests::the_documentation_has_the_sum -->\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (listed, after) = rest.split_once("<!-- /memory -->").unwrap();
        let right = format!("\n{}\n", documentation());
        if listed != right && std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{right}<!-- /memory -->{after}")).unwrap();
            return;
        }
        assert!(listed == right, "run: UPDATE_DOCS=1 cargo test --lib the_documentation_has_the_sum");
    }

    #[test]
    fn the_sum_grows_by_known_steps() {
        let sum = |shards, lanes| sum(Sizes { shards, lanes, tls: false });
        let inboxes =
            INBOX_BYTES_MAX + OVERFLOW_BYTES_MAX + (INBOX_MESSAGES_MAX + OVERFLOW_MESSAGES_MAX) * MESSAGE_BYTES;
        let inboxes = inboxes + SHARD_HELD_BYTES_MAX;
        assert_eq!(sum(2, 1) - sum(1, 1), inboxes, "shards share what waits for sessions");
        let some = SHARD_WAITING_BYTES_MIN + SHARD_UNFINISHED_BYTES_MIN;
        assert_eq!(sum(64, 1) - sum(63, 1), inboxes + some, "but each has some");
        assert_eq!(sum(1, 4), sum(1, 1), "so do lanes");
        assert_eq!(sum(1, 32) - sum(1, 31), 2 * LANES_BYTES_MIN);
    }
}
