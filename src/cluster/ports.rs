//! What the cluster hands over to the rest of the server.

use std::sync::Arc;

use crate::domain::event::Committed;
use crate::engine::shard::port::{Publication, ToShard};
use crate::ids::RoomId;

/// Takes what other nodes committed: forgets what it changed and tells it. May wait.
pub type Hear = Arc<dyn Fn(Vec<Arc<Committed>>) + Send + Sync>;

/// Takes frames of other nodes that are not stored.
pub type HearEphemeral = Arc<dyn Fn(Publication) + Send + Sync>;

/// Takes what a room's home shard has to know of other nodes. May wait.
pub type HearPresence = Arc<dyn Fn(ToShard, RoomId) + Send + Sync>;

/// Called when another node has ended logins. Never blocks.
pub type LoginsEnded = Arc<dyn Fn() + Send + Sync>;
