//! Twin suppression: a message that arrives over both transports is stored once.
//!
//! The chat page of the front end sends each text twice at the same time, as a frame and as a POST. If the same text
//! came over the *other* transport within [`limits::TWIN_WINDOW`], the second one is its twin. A message absorbs at
//! most one twin.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::domain::chat::message::MessageType;
use crate::domain::chat::write::Transport;
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits;

/// The parts of a message that decide whether it is a twin. Messages with attachments or a `client_id` never are.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The room.
    pub room: RoomId,
    /// The author.
    pub sender: UserId,
    /// Trimmed.
    pub content: &'a str,
    /// Kind.
    pub message_type: MessageType,
    /// The transport it came over.
    pub transport: Transport,
}

/// Two candidates with the same key differ only in their transport. The key holds a hash of the content to stay small:
/// a collision within ten seconds could only drop a message that the sender wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    room: RoomId,
    sender: UserId,
    message_type: MessageType,
    content_hash: u64,
    content_bytes: u32,
}

impl Key {
    fn of(candidate: &Candidate<'_>) -> Self {
        let mut hasher = DefaultHasher::new();
        candidate.content.hash(&mut hasher);
        Self {
            room: candidate.room,
            sender: candidate.sender,
            message_type: candidate.message_type,
            content_hash: hasher.finish(),
            content_bytes: u32::try_from(candidate.content.len()).unwrap_or(u32::MAX),
        }
    }
}

/// A message that may still absorb its twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Single {
    message: MessageId,
    transport: Transport,
    at: Timestamp,
}

/// What is needed to undo a change.
#[derive(Debug)]
enum Undo {
    Entered(Key),
    Absorbed(Key, usize, Single),
}

/// The messages of the last seconds whose twin has not come.
///
/// Changes are provisional until [`Self::keep`]. A batch sees its own changes and undoes them if it is rolled back.
#[derive(Debug, Default)]
pub struct Twins {
    singles: HashMap<Key, SmallVec<[Single; 1]>>,
    /// Every entry, absorbed ones too, oldest first. An entry popped here also leaves `singles`.
    order: VecDeque<(Key, MessageId, Timestamp)>,
    undo: Vec<Undo>,
}

impl Twins {
    /// Finds the message whose twin `candidate` is. That message will absorb no other.
    pub fn absorb(&mut self, candidate: &Candidate<'_>, now: Timestamp) -> Option<MessageId> {
        let key = Key::of(candidate);
        let singles = self.singles.get_mut(&key)?;
        let index = singles
            .iter()
            .position(|single| single.transport != candidate.transport && is_in_window(single.at, now))?;
        let single = singles.remove(index);
        self.undo.push(Undo::Absorbed(key, index, single));
        Some(single.message)
    }

    /// Remembers a message that was written `at`.
    pub fn enter(&mut self, candidate: &Candidate<'_>, message: MessageId, at: Timestamp) {
        let key = Key::of(candidate);
        self.singles.entry(key).or_default().push(Single { message, transport: candidate.transport, at });
        self.order.push_back((key, message, at));
        self.undo.push(Undo::Entered(key));
    }

    /// The number of provisional changes so far, to be given to [`Self::back_to`].
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Undoes every change since `mark`.
    pub fn back_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Entered(key)) => {
                    self.order.pop_back();
                    self.remove_last(key);
                }
                Some(Undo::Absorbed(key, index, single)) => {
                    self.singles.entry(key).or_default().insert(index, single);
                }
                None => break,
            }
        }
    }

    /// Makes the changes final, and drops entries that are too old or too many.
    pub fn keep(&mut self, now: Timestamp) {
        self.undo.clear();
        while let Some(&(key, message, at)) = self.order.front() {
            if is_in_window(at, now) && self.order.len() <= limits::TWIN_MESSAGES_MAX {
                break;
            }
            self.order.pop_front();
            if let Some(singles) = self.singles.get_mut(&key) {
                singles.retain(|single| single.message != message);
                if singles.is_empty() {
                    self.singles.remove(&key);
                }
            }
        }
        debug_assert!(self.singles.len() <= self.order.len());
    }

    fn remove_last(&mut self, key: Key) {
        if let Some(singles) = self.singles.get_mut(&key) {
            singles.pop();
            if singles.is_empty() {
                self.singles.remove(&key);
            }
        }
    }
}

/// A time far in the future counts as too old, like one far in the past: the clock was set back.
fn is_in_window(at: Timestamp, now: Timestamp) -> bool {
    u128::from(now.0.abs_diff(at.0)) <= limits::TWIN_WINDOW.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Row {
        room: RoomId,
        sender: UserId,
        content: String,
        message_type: MessageType,
        transport: Transport,
        message: MessageId,
        at: Timestamp,
        is_paired: bool,
    }

    /// The rule in its plainest form: a list of all messages, searched from the start.
    #[derive(Clone, Default)]
    struct Plain(Vec<Row>);

    impl Plain {
        fn absorb(&mut self, candidate: &Candidate<'_>, now: Timestamp) -> Option<MessageId> {
            let row = self.0.iter_mut().find(|row| {
                !row.is_paired
                    && (row.room, row.sender, &*row.content, row.message_type)
                        == (candidate.room, candidate.sender, candidate.content, candidate.message_type)
                    && row.transport != candidate.transport
                    && now.0 - row.at.0 <= 10_000_000
            })?;
            row.is_paired = true;
            Some(row.message)
        }

        fn enter(&mut self, of: &Candidate<'_>, message: MessageId, at: Timestamp) {
            self.0.push(Row {
                room: of.room,
                sender: of.sender,
                content: of.content.into(),
                message_type: of.message_type,
                transport: of.transport,
                message,
                at,
                is_paired: false,
            });
        }
    }

    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % sides
        }
    }

    #[test]
    fn does_what_the_plain_rule_does_through_commits_and_roll_backs() {
        for seed in 1..=256_u64 {
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
            let mut twins = Twins::default();
            let mut plain = Plain::default();
            let mut now = Timestamp(1_000_000_000);
            let mut absorbed = 0;
            for _ in 0..60 {
                let before = plain.clone();
                for _ in 0..dice.roll(8) {
                    let content = ["hola", "Hola", "adiós"][dice.roll(3) as usize];
                    let candidate = Candidate {
                        room: RoomId(uuid::Uuid::from_u128(u128::from(dice.roll(2)))),
                        sender: UserId(uuid::Uuid::from_u128(u128::from(dice.roll(2)))),
                        content,
                        message_type: [MessageType::Text, MessageType::Emoji][dice.roll(2) as usize],
                        transport: [Transport::Socket, Transport::Rest][dice.roll(2) as usize],
                    };
                    let twin = twins.absorb(&candidate, now);
                    assert_eq!(twin, plain.absorb(&candidate, now), "seed {seed}");
                    absorbed += u32::from(twin.is_some());
                    if twin.is_none() {
                        let message = MessageId(uuid::Uuid::from_u128(u128::from(dice.0)));
                        twins.enter(&candidate, message, now);
                        plain.enter(&candidate, message, now);
                    }
                    now.0 += i64::try_from(dice.roll(1_500_000)).unwrap();
                }
                if dice.roll(3) == 0 {
                    twins.back_to(0);
                    plain = before;
                } else {
                    twins.keep(now);
                }
            }
            assert!(absorbed > 5, "seed {seed} tests nothing");
        }
    }

    #[test]
    fn nothing_is_a_twin_of_what_came_before_the_clock_was_put_back() {
        let mut twins = Twins::default();
        let later = Timestamp(10_000_000_000);
        let socket = Candidate { transport: Transport::Socket, ..candidate("hola") };
        twins.enter(&socket, MessageId(uuid::Uuid::nil()), later);
        twins.keep(later);
        let now = later.plus_seconds(-3600);
        assert_eq!(twins.absorb(&candidate("hola"), now), None);
        twins.enter(&socket, MessageId(uuid::Uuid::max()), now);
        assert_eq!(twins.absorb(&candidate("hola"), now.plus_seconds(1)), Some(MessageId(uuid::Uuid::max())));
        twins.keep(now);
        assert_eq!(twins.order.len(), 1, "and it is forgotten");
    }

    fn candidate(content: &str) -> Candidate<'_> {
        Candidate {
            room: RoomId(uuid::Uuid::nil()),
            sender: UserId(uuid::Uuid::nil()),
            content,
            message_type: MessageType::Text,
            transport: Transport::Rest,
        }
    }

    #[test]
    fn memory_is_bounded_and_empties() {
        let mut twins = Twins::default();
        let now = Timestamp(0);
        for number in 0..limits::TWIN_MESSAGES_MAX as u128 + 10 {
            let content = number.to_string();
            twins.enter(&candidate(&content), MessageId(uuid::Uuid::from_u128(number)), now);
        }
        twins.keep(now);
        assert_eq!(twins.order.len(), limits::TWIN_MESSAGES_MAX);
        assert_eq!(twins.singles.len(), limits::TWIN_MESSAGES_MAX);
        let socket = Candidate { transport: Transport::Socket, ..candidate("9") };
        assert_eq!(twins.absorb(&socket, now), None, "the oldest went first");
        assert!(twins.absorb(&Candidate { content: "10", ..socket }, now).is_some());
        twins.keep(Timestamp(10_000_001));
        assert!(twins.order.is_empty() && twins.singles.is_empty());
    }
}
