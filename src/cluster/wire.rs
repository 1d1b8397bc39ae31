//! What nodes write to each other, as JSON: entries of streams, which are kept for a while, and bells, which are not.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::domain::event::Committed;
use crate::domain::operator::{Answer, Ask};
use crate::ids::{RoomId, Topic, UserId};

/// A running process. Its name changes at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub uuid::Uuid);

/// An entry of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Who wrote it.
    pub node: NodeId,
    /// What.
    pub news: News,
}

/// What an entry says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// An event was committed.
    Event(Arc<Committed>),
    /// Events since then are missing in the streams: they have to be read from the log.
    Look(Timestamp),
}

/// What is rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bell {
    /// The node lives.
    Beat,
    /// The node ends in order.
    Gone,
    /// A user has the first socket on the node in a room.
    Came(RoomId, Person),
    /// The same in a room that is not told who comes.
    Counted(RoomId, UserId),
    /// A user has no socket on the node in a room any more.
    Went(RoomId, UserId),
    /// A part of the roster: everybody who has sockets on the node, by room.
    Roster {
        /// The number of the telling; each has some parts.
        round: u64,
        /// The number of the part, from 0 on.
        part: u32,
        /// Rooms of this part.
        rooms: Vec<(RoomId, Vec<Person>)>,
        /// Rooms that are not told who comes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        counted: Vec<(RoomId, Vec<UserId>)>,
        /// Who is in no part of this round is not there any more.
        is_last: bool,
    },
    /// What was heard of this node's roster differs from the sum that it tells: it is asked for all of it.
    RosterWanted(NodeId),
    /// Logins ended: their sockets are to be looked for.
    LoginsEnded,
    /// A user's profile was changed.
    Profile(UserId),
    /// A token was refused too often to a client: a hash of both. Nodes of an older version ring so.
    Barred(u64),
    /// The same of several clients with tokens.
    BarredAll(Vec<u64>),
    /// An operator asks something.
    Ask {
        /// The question's own name.
        id: uuid::Uuid,
        /// Only nodes of this name answer.
        name: Option<Box<str>>,
        /// What is asked.
        ask: Box<Ask>,
    },
    /// An answer to that.
    Answer {
        /// The question's name.
        id: uuid::Uuid,
        /// What is answered.
        answer: Box<Answer>,
    },
    /// The node asks which of these users have sockets elsewhere.
    WhoIsThere {
        /// The question's own name.
        id: uuid::Uuid,
        /// The users.
        users: Vec<UserId>,
    },
    /// Those of them who have sockets on the node that answers.
    TheseAre {
        /// The question's name.
        id: uuid::Uuid,
        /// The users.
        users: Vec<UserId>,
    },
    /// Frames that are not stored, for a topic's listeners. The frames follow the JSON.
    Ephemeral {
        /// The topic.
        topic: Topic,
        /// Whose sockets do not get them.
        except: Option<UserId>,
    },
}

/// A user, and the name that frames show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person(pub UserId, pub Box<str>);

/// A bell as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Who rang it.
    pub node: NodeId,
    /// What it says.
    pub bell: Bell,
    /// With a beat: what the node is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name.
    pub name: Box<str>,
    /// Its sessions.
    pub sessions: u64,
    /// It ends, and takes nobody in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_draining: bool,
    /// Who has sockets there, as a sum; none while changes are on their way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roster: Option<Sum>,
}

/// What a roster comes to. Two that are equal have equal sums; two that differ have different ones, but for a chance of one in
/// 2^64.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    people: u64,
    marks: u64,
}

impl Sum {
    /// With a user in a room more.
    pub fn add(&mut self, room: RoomId, user: UserId) {
        self.people = self.people.wrapping_add(1);
        self.marks = self.marks.wrapping_add(mark(room, user));
    }

    /// With one less.
    pub fn remove(&mut self, room: RoomId, user: UserId) {
        self.people = self.people.wrapping_sub(1);
        self.marks = self.marks.wrapping_sub(mark(room, user));
    }
}

/// The same on nodes of all versions.
fn mark(room: RoomId, user: UserId) -> u64 {
    let [room, user] = [room.0, user.0].map(|id| {
        let (high, low) = id.as_u64_pair();
        high.rotate_left(32) ^ low
    });
    let mut mark = room.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ user;
    for factor in [0xFF51_AFD7_ED55_8CCD, 0xC4CE_B9FE_1A85_EC53] {
        mark = (mark ^ (mark >> 33)).wrapping_mul(factor);
    }
    mark ^ (mark >> 33)
}

/// An entry that cannot be read. It is of another version, or no node wrote it.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl Entry {
    /// As it travels.
    pub fn write(&self) -> Bytes {
        // Nothing in an event can fail to be written.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        serde_json::from_slice(bytes).map_err(|error| Unreadable(error.to_string()))
    }
}

impl Rung {
    /// As it travels, with the bytes that follow.
    pub fn write(&self, tail: &[u8]) -> Bytes {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(tail);
        bytes.into()
    }

    /// Reads it, and gives the bytes that follow.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn read(bytes: &Bytes) -> Result<(Self, Bytes), Unreadable> {
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| Unreadable("no line".into()))?;
        let rung = serde_json::from_slice(&bytes[..end]).map_err(|error| Unreadable(error.to_string()))?;
        Ok((rung, bytes.slice(end + 1..)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::event::ChatEvent;
    use crate::domain::event::{Cursor, Event};
    use crate::ids::EventId;

    #[test]
    fn an_event_comes_out_as_it_went_in() {
        let event = Arc::new(Committed {
            topic: Topic::Room(RoomId::fresh()),
            cursor: Cursor { epoch: 2, seq: 7 },
            event_id: EventId::fresh(),
            at: Timestamp(5),
            previous: Some(Timestamp(4)),
            origin: None,
            event: Event::Chat(ChatEvent::Joined { user: UserId::fresh() }),
        });
        let entry = Entry { node: NodeId(uuid::Uuid::now_v7()), news: News::Event(Arc::clone(&event)) };
        let read = Entry::read(&entry.write()).unwrap();
        let News::Event(read) = read.news else { panic!("{read:?}") };
        assert_eq!(format!("{read:?}"), format!("{event:?}"));
        assert!(Entry::read(b"{}").is_err() && Entry::read(b"\xff").is_err());
    }

    /// Nodes of an older version ring without it.
    #[test]
    fn a_beat_says_what_the_node_is() {
        for is_draining in [false, true] {
            let about = Some(About { name: "chat-1".into(), sessions: 7, is_draining, roster: Some(Sum::default()) });
            let rung = Rung { node: NodeId(uuid::Uuid::nil()), bell: Bell::Beat, about };
            assert_eq!(Rung::read(&rung.write(&[])).unwrap().0, rung);
        }
        let older = br#"{"node":"00000000-0000-0000-0000-000000000000","bell":"beat"}"#;
        let older = Rung::read(&[&older[..], b"\n"].concat().into()).unwrap().0;
        assert_eq!((older.bell, older.about), (Bell::Beat, None));
    }

    #[test]
    fn a_bell_has_its_frames_behind_it() {
        let bell = Bell::Ephemeral { topic: Topic::Room(RoomId::fresh()), except: Some(UserId::fresh()) };
        let rung = Rung { node: NodeId(uuid::Uuid::now_v7()), bell, about: None };
        let (read, tail) = Rung::read(&rung.write(b"\x81\x02\n\n")).unwrap();
        assert_eq!((read, &tail[..]), (rung, &b"\x81\x02\n\n"[..]));
        assert!(Rung::read(&Bytes::from_static(b"x")).is_err() && Rung::read(&Bytes::from_static(b"x\n")).is_err());
    }
}
