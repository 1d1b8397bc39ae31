//! Bounds of what operators ask of sessions.

use std::time::Duration;

use super::frames::chars;

/// Sessions that one answer of a node lists. The rest is counted, or asked for from there on.
pub const LISTED_SESSIONS_MAX: usize = 200;
/// Sessions that the answers of all nodes list together.
pub const LISTED_TOGETHER_MAX: usize = 2000;
/// Bytes that a session of a list takes, in memory or as JSON.
pub const LISTED_SESSION_BYTES: usize = 512;
/// The text that an operator tells, in characters.
pub const NOTICE_CHARS_MAX: usize = 1000;
/// What operators ask a node at the same time, and as much again by other nodes. Further ones are refused.
pub const OPERATOR_ASKS_MAX: usize = 2;
/// How long a node waits for other nodes' answers.
pub const OPERATOR_PATIENCE: Duration = Duration::from_secs(1);
/// Connections to the listener of operators.
pub const OPERATOR_CONNECTIONS_MAX: usize = 16;
/// Those of one address; beyond that they are turned away at once. An operator asks no more than [`OPERATOR_ASKS_MAX`] things.
pub const OPERATOR_CONNECTIONS_OF_ADDRESS_MAX: usize = 4;
/// How long a connection may take until the key was shown.
pub const OPERATOR_KEY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a request to it may take, with its answer.
pub const OPERATOR_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of such a request's body.
pub const OPERATOR_BODY_BYTES_MAX: usize = 16 * 1024;
/// The shortest key that opens it, in bytes.
pub const ADMIN_KEY_BYTES_MIN: usize = 16;
/// The same where it can be reached from other machines.
pub const ADMIN_KEY_BYTES_FAR_MIN: usize = 32;
/// How long a client has at most to open another socket, once its turn has come.
pub const MOVE_TURN_MAX: Duration = Duration::from_secs(10);
/// How much longer a socket goes on that a node gives away.
pub const MOVE_GRACE: Duration = Duration::from_secs(5);
/// Sessions that are younger are not given away by themselves: their client may have moved here a moment ago.
pub const MOVE_AGE_MIN: Duration = Duration::from_secs(300);
/// How often a node looks whether it has more than its part.
pub const REBALANCE_LOOK: Duration = Duration::from_secs(10);
/// How long after giving sessions away a node does so by itself again.
pub const REBALANCE_REST: Duration = Duration::from_secs(60);

/// Memory of lists: those that are gathered, and those that other nodes asked for; each as values and as JSON.
pub const OPERATORS_BYTES_MAX: usize =
    OPERATOR_ASKS_MAX * 2 * (LISTED_TOGETHER_MAX + LISTED_SESSIONS_MAX) * LISTED_SESSION_BYTES;

const _: () = assert!(LISTED_SESSIONS_MAX <= LISTED_TOGETHER_MAX);
const _: () = assert!(
    OPERATOR_ASKS_MAX < OPERATOR_CONNECTIONS_OF_ADDRESS_MAX
        && OPERATOR_CONNECTIONS_OF_ADDRESS_MAX < OPERATOR_CONNECTIONS_MAX
);
const _: () = assert!(OPERATOR_KEY_TIMEOUT.as_nanos() < OPERATOR_REQUEST_TIMEOUT.as_nanos());
const _: () = assert!(chars::USERNAME * 6 + 320 <= LISTED_SESSION_BYTES, "the longest name fits");
const _: () = assert!(NOTICE_CHARS_MAX * 12 < OPERATOR_BODY_BYTES_MAX);
