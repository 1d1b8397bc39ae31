//! What the cluster hands over to the rest of the server.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::cluster::wire::About;
use crate::domain::event::Committed;
use crate::domain::operator::{Answer, Ask};
use crate::engine::shard::port::{Publication, ToShard};
use crate::ids::{RoomId, UserId};

/// Takes what other nodes committed: forgets what it changed and tells it. May wait.
pub type Hear = Arc<dyn Fn(Vec<Arc<Committed>>) + Send + Sync>;

/// Takes frames of other nodes that are not stored.
pub type HearEphemeral = Arc<dyn Fn(Publication) + Send + Sync>;

/// Takes what a room's home shard has to know of other nodes. May wait.
pub type HearPresence = Arc<dyn Fn(ToShard, RoomId) + Send + Sync>;

/// Called with a user whose profile another node has changed. Never blocks.
pub type ProfileChanged = Arc<dyn Fn(UserId) + Send + Sync>;

/// Says what this node is.
pub type SayAbout = Arc<dyn Fn() -> About + Send + Sync>;

/// Answers what an operator asks by another node.
pub type AnswerAsk = Arc<dyn Fn(Ask) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Called with a hash of a client and its token, which was refused too often on another node. Never blocks.
pub type Barred = Arc<dyn Fn(u64) + Send + Sync>;

/// Called when another node has ended logins. Never blocks.
pub type LoginsEnded = Arc<dyn Fn() + Send + Sync>;
