//! Bounds of TLS: handshakes under way, records whose end has not come, tickets, and looks at the certificate's files.

use std::time::Duration;

use super::bounds::at_least;

/// TLS handshakes under way, over all shards; each shard has its share. One is under way from the client's first byte on. Full: the
/// address with most of them gives a place to a client of an address with fewer; among others, one that is older than [`TLS_HURRIED`]
/// gives way, and until then new ones wait.
pub const TLS_HANDSHAKES_MAX: usize = 1024;
/// A shard's share at least, however many there are.
pub const SHARD_TLS_HANDSHAKES_MIN: usize = 128;
/// How long a handshake has while as many handshakes are under way as there may be: a client that is really there needs two trips.
pub const TLS_HURRIED: Duration = Duration::from_secs(2);
/// What a client may send before its handshake is over, in bytes. The longest `ClientHello` of browsers, with the share of a
/// post-quantum key, is about 2 KiB.
pub const TLS_HELLO_BYTES_MAX: usize = 8 * 1024;
/// What a handshake takes: the client's bytes, the flight with the certificates, and rustls' state, which is largest here.
pub const TLS_HANDSHAKE_BYTES: usize = 24 * 1024;
/// How long a shard computes for handshakes before it takes its next turn: sessions must not wait for thousands of signatures.
pub const TLS_HANDSHAKES_TURN: Duration = Duration::from_millis(2);

/// The longest record that may come, with its header (RFC 8446 §5.2: 2^14 + 256; RFC 5246 §6.2.3: 2^14 + 2048).
pub const TLS_RECORD_BYTES_MAX: usize = 5 + 16 * 1024 + 2048;
/// What is sealed for one session in one visit, in bytes: one record. What its socket does not take of it stays in memory of the
/// session's own, since it cannot be sealed again.
pub const TLS_VISIT_BYTES_MAX: usize = 16 * 1024;
/// Memory of records whose end has not come, over all shards, each of which has its share. Full: the sessions that hold most of it
/// are let go with 1013. Records that come whole take none of it.
pub const TLS_RECORDS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A shard's share at least, however many there are.
pub const SHARD_TLS_RECORDS_BYTES_MIN: usize = 512 * 1024;
/// What connections with TLS hold before they become sockets, in bytes, over all shards, each of which has its share: records whose end has
/// not come, what HTTP has not read, and sealed bytes that were not taken. Full: those that hold most are closed.
pub const TLS_HTTP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A shard's share at least, however many there are.
pub const SHARD_TLS_HTTP_BYTES_MIN: usize = 1024 * 1024;
/// Answers to requests without encryption that are under way, on one shard. Full: the connection is closed without one.
pub const TLS_PLAIN_ANSWERS_MAX: usize = 64;
/// Bytes of a shard's buffer of sealed records that it keeps between two stretches.
pub const TLS_SEALED_KEPT_BYTES: usize = 1024 * 1024;

/// Tickets are sealed with the key of their hour and taken in that hour and the next one. So a ticket is good for at least so
/// long, and its client is told so.
pub const TLS_TICKET_SECONDS: u32 = 3600;
/// How often the certificate's files are looked at for a change.
pub const TLS_FILES_LOOK: Duration = Duration::from_secs(2);
/// When files that could not be served are tried again, without a change.
pub const TLS_FILES_RETRY: Duration = Duration::from_secs(10);
/// From so many days before a certificate's end on, the log warns of it once a day.
pub const TLS_WARN_DAYS: i64 = 14;
/// A file with certificates or a key, in bytes.
pub const TLS_FILE_BYTES_MAX: u64 = 256 * 1024;

/// A shard's share of handshakes under way.
pub const fn shard_tls_handshakes(shards: usize) -> usize {
    at_least(TLS_HANDSHAKES_MAX / at_least(shards, 1), SHARD_TLS_HANDSHAKES_MIN)
}

/// A shard's share of records whose end has not come.
pub const fn shard_tls_records_bytes(shards: usize) -> usize {
    at_least(TLS_RECORDS_BYTES_MAX / at_least(shards, 1), SHARD_TLS_RECORDS_BYTES_MIN)
}

/// A shard's share of what connections with TLS hold before they become sockets.
pub const fn shard_tls_http_bytes(shards: usize) -> usize {
    at_least(TLS_HTTP_BYTES_MAX / at_least(shards, 1), SHARD_TLS_HTTP_BYTES_MIN)
}

const _: () = assert!(TLS_HELLO_BYTES_MAX < TLS_HANDSHAKE_BYTES);
const _: () = assert!(TLS_HURRIED.as_secs() < super::HANDSHAKE_TIMEOUT.as_secs());
const _: () =
    assert!(TLS_RECORD_BYTES_MAX * 8 <= SHARD_TLS_RECORDS_BYTES_MIN, "a few long records leave room for others");
const _: () =
    assert!(TLS_RECORD_BYTES_MAX < super::RECEIVE_BUFFER_BYTES, "a record fits the buffer into which it is read");
const _: () = assert!(TLS_VISIT_BYTES_MAX <= super::WRITE_BYTES_MAX);
