//! What an operator asks of the open sessions of a node, and what the node answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{RoomId, Topic, UserId};

/// Whose sessions are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Those of this user.
    User(UserId),
    /// Those that listen to this room.
    Room(RoomId),
    /// All of a node.
    All,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Room(room) => write!(f, "room {room}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// What is to be done with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Nothing: they are listed, from this place on.
    List(Place),
    /// They are told this text.
    Tell(Box<str>),
    /// They end; in a room, those of `pregon.v1` lose the room alone.
    Cut {
        /// Their clients shall not come again.
        stay_away: bool,
    },
}

/// Where a list of sessions goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Place {
    /// The shard.
    pub shard: u8,
    /// The first slot.
    pub slot: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.shard, self.slot)
    }
}

/// A text that names no [`Place`].
#[derive(Debug, PartialEq, Eq)]
pub struct NotAPlace;

impl fmt::Display for NotAPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a place in a list is two numbers such as 1.2048")
    }
}

impl std::error::Error for NotAPlace {}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let (shard, slot) = text.split_once('.').ok_or(NotAPlace)?;
        Ok(Self { shard: shard.parse().map_err(|_| NotAPlace)?, slot: slot.parse().map_err(|_| NotAPlace)? })
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = NotAPlace;

    fn try_from(text: String) -> Result<Self, NotAPlace> {
        text.parse()
    }
}

/// What an operator asks of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// About its sessions.
    Sessions {
        /// Which.
        whose: Whose,
        /// What is to be done with them.
        verb: Verb,
    },
    /// To give sessions to other nodes, if it has more than its part.
    Rebalance(Pace),
}

impl Ask {
    /// Its name in the log and in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sessions { verb: Verb::List(_), .. } => "list",
            Self::Sessions { verb: Verb::Tell(_), .. } => "tell",
            Self::Sessions { verb: Verb::Cut { .. }, .. } => "cut",
            Self::Rebalance(_) => "rebalance",
        }
    }
}

/// How fast a node gives sessions away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Over so many seconds.
    pub over_seconds: u32,
    /// At most this part of its sessions a minute, in percent.
    pub percent_per_minute: u32,
}

/// A session, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where it is on its node.
    pub place: Place,
    /// Whose it is; `None` until its client has said that.
    pub user: Option<UserId>,
    /// That user's name.
    pub username: Option<Box<str>>,
    /// What it is for, as metrics name it: `chat`, `feed`, `post`, `notifications`, or `many` for `pregon.v1`.
    pub kind: Box<str>,
    /// What it listens to; `None` for one of many topics.
    pub topic: Option<Topic>,
    /// How many topics it has, if it may have many.
    pub topics: Option<u32>,
    /// When it began, in seconds since 1970.
    pub since: i64,
    /// For how many seconds nothing was heard from its client.
    pub idle_seconds: u32,
    /// Bytes that wait for it.
    pub owed_bytes: u64,
    /// The other end of its connection: the client, or a proxy before it.
    pub address: Option<Box<str>>,
}

/// What a node answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its name.
    pub node: Box<str>,
    /// All its sessions.
    pub sessions: u64,
    /// Sessions that were meant: found, told, cut or given away.
    pub count: u64,
    /// Those that are listed.
    pub rows: Vec<Row>,
    /// Where the list goes on, if it has no room for all.
    pub next: Option<Place>,
    /// What was not done, and why.
    pub problem: Option<Box<str>>,
}

impl Answer {
    /// Lists no more than so many sessions. Returns how many it lists.
    pub fn keep(&mut self, rows_max: usize) -> usize {
        if let Some(first) = self.rows.get(rows_max) {
            self.next = Some(first.place);
            self.rows.truncate(rows_max);
        }
        self.rows.len()
    }
}

/// What all nodes answer together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// One for each node that answered, in the order of their names.
    pub nodes: Vec<Answer>,
    /// Nodes that did not answer in time, by name.
    pub silent: Vec<Box<str>>,
    /// Redis is away: nodes that are not named were not asked.
    pub is_bus_down: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Place { shard: 3, slot: 2048 };
        assert_eq!(place.to_string().parse(), Ok(place));
        assert_eq!(serde_json::to_string(&place).unwrap(), "\"3.2048\"");
        for bad in ["", "3", "3.", ".5", "256.0", "1.-1", "1.2.3", "a.b"] {
            assert_eq!(bad.parse::<Place>(), Err(NotAPlace), "{bad}");
        }
    }

    #[test]
    fn what_is_asked_is_read_as_it_is_written() {
        let whose = Whose::User(UserId::fresh());
        for ask in [
            Ask::Sessions { whose, verb: Verb::List(Place { shard: 1, slot: 5 }) },
            Ask::Sessions { whose: Whose::All, verb: Verb::Tell("hola".into()) },
            Ask::Sessions { whose: Whose::Room(RoomId::fresh()), verb: Verb::Cut { stay_away: true } },
            Ask::Rebalance(Pace { over_seconds: 5, percent_per_minute: 10 }),
        ] {
            let text = serde_json::to_string(&ask).unwrap();
            assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), ask, "{text}");
        }
    }
}
