//! Bounds of what nodes tell each other.

use std::time::Duration;

/// How long an event of another node waits for those before it before they are read from the log.
pub const HOLD_BACK: Duration = Duration::from_millis(30);
/// How long events wait at most while the log cannot be read. Then they are told without those before them.
pub const HOLE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a node remembers the last number of a topic in which nothing happens. What comes then may be as late as [`COMMIT_MAX`], and
/// asks for as much of the log before it: nothing of that was told before.
pub const SEQUENCE_MEMORY: Duration = Duration::from_secs(120);
/// Topics of one publisher whose last numbers are remembered, about 200 bytes each. Above it those that are silent for longest are
/// forgotten, though the log was not read since; when it can be read again, listeners of what happened in topics that are not known are
/// told that they may have missed something.
pub const SEQUENCE_TOPICS_MAX: usize = 64 * 1024;
/// An event that is this old has reached every node that it will reach by Redis, unless its commit took long.
pub const IN_FLIGHT_MAX: Duration = Duration::from_secs(5);
/// So long after an event's time, which its node takes before the commit, it may still be committed: a node waits no longer for its
/// transaction, and the database gives up before.
pub const COMMIT_MAX: Duration = Duration::from_secs(45);
/// Events of one publisher that may wait for others. Above it the oldest hole is given up.
pub const HELD_BACK_MAX: usize = 20_000;
/// Events that one query reads to fill a hole.
pub const FILL_EVENTS_MAX: usize = 1000;

/// A Redis that does not answer for so long is away.
pub const BUS_ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// How long one read of the bus waits inside Redis.
pub const BUS_BLOCK: Duration = Duration::from_secs(1);
/// Entries of one stream that one read returns.
pub const BUS_READ_MAX: u64 = 500;
/// Reads of a Redis Cluster's streams that wait to be told: two of each stream.
pub const BUS_READS_WAITING: usize = 16;
/// Entries that a stream keeps, about: 10 s of 4,000 events a second over 8 streams, some 4 MB each. A node that falls further
/// behind reads the log.
pub const BUS_STREAM_ENTRIES: i64 = 5000;
/// Events and frames that one pipeline carries.
pub const BUS_BATCH_MAX: usize = 256;
/// A connection of the bus that failed waits this long for the next attempt, and twice as long after each further failure.
/// Each attempt makes a client anew, which costs a node far more than what it waits for.
pub const BUS_PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest of these pauses: a Redis that is back is used again after this long.
pub const BUS_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Bells of other nodes that wait until this one hears them. Above it the oldest are lost.
pub const BELLS_WAITING_MAX: usize = 4096;
/// Events and frames that wait for the bus. Above it events are left to the log, and frames are dropped.
pub const BUS_WAITING_MAX: usize = 16 * 1024;
/// Clients with tokens that were refused too often here and whom the next beat names, some 20 bytes each. Further ones are not
/// told: other nodes judge them themselves.
pub const BARS_WAITING_MAX: usize = 2000;
/// How often a node rings.
pub const NODE_BEAT_EVERY: Duration = Duration::from_millis(250);
/// A node that rings no more for so long is doubted: the log is read often, because it may be cut off from Redis.
pub const NODE_SILENCE: Duration = Duration::from_millis(1000);
/// A node that rings no more for so long is dead.
pub const NODE_LEASE: Duration = Duration::from_secs(15);
/// A node that counts as dead may be cut off from Redis and write on: for so long the log is read often.
pub const NODE_DOUBT: Duration = Duration::from_secs(600);
/// How often the log is looked at while Redis is away or a node is silent.
pub const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is looked at otherwise.
pub const LOOK_EVERY_CALM: Duration = Duration::from_secs(2);
/// How often it is looked at for events of the last [`COMMIT_MAX`], and not of the last [`IN_FLIGHT_MAX`]: it finds those whose commit
/// took long and that nobody has told since. It reads the places of all events of that time from an index.
pub const LOOK_DEEP_EVERY: Duration = Duration::from_secs(10);
/// Topics whose missing events one query reads.
pub const FILL_TOPICS_MAX: usize = 64;
/// Topics that may wait for such a query.
pub const FILLS_WAITING_MAX: usize = 64 * 1024;
/// How often a node tells again who has sockets on it, if others say that they have missed a change.
pub const ROSTER_EVERY: Duration = Duration::from_secs(5);
/// People of one part of a roster, about 80 bytes each.
pub const ROSTER_PART_PEOPLE: usize = 500;

const _: () = assert!(
    super::LANE_PATIENCE.as_secs() + super::ANSWER_TIMEOUT.as_secs() + IN_FLIGHT_MAX.as_secs() <= COMMIT_MAX.as_secs(),
    "a lane waits no longer for its transaction, and clocks may be wrong"
);
const _: () = assert!(
    2 * COMMIT_MAX.as_secs() + LOOK_DEEP_EVERY.as_secs() + 2 * IN_FLIGHT_MAX.as_secs() <= SEQUENCE_MEMORY.as_secs(),
    "what is late asks for what was before it, and nothing of that was told and forgotten"
);
