//! Twin suppression: the same message that comes over both transports is one message.
//!
//! The chat page of the front end sends each text twice, as a frame and as a POST, at the same time. A text whose twin
//! came by the *other* transport within [`limits::TWIN_WINDOW`] is that twin; each message absorbs at most one.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use smallvec::SmallVec;

use crate::chat::message::MessageType;
use crate::chat::write::Transport;
use crate::clock::Timestamp;
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits;

/// A message as far as twins go. Attachments and messages with a `client_id` never are twins.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Where.
    pub room: RoomId,
    /// By whom.
    pub sender: UserId,
    /// Trimmed.
    pub content: &'a str,
    /// Kind.
    pub message_type: MessageType,
    /// The way it came.
    pub transport: Transport,
}

/// Two candidates with one key differ in their transport alone. The content's hash keeps an entry small: a
/// collision within ten seconds could only cost the sender a message of the sender's own making.
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

/// What a change must be taken back by.
#[derive(Debug)]
enum Undo {
    Entered(Key),
    Absorbed(Key, usize, Single),
}

/// The messages of the last seconds that have not met their twin.
///
/// Changes are provisional until [`Self::keep`]: a batch sees its own, and a batch that is rolled back takes them back.
#[derive(Debug, Default)]
pub struct Twins {
    singles: HashMap<Key, SmallVec<[Single; 1]>>,
    /// Every entry, oldest first, absorbed ones too: what is popped here leaves `singles`.
    order: VecDeque<(Key, MessageId, Timestamp)>,
    undo: Vec<Undo>,
}

impl Twins {
    /// The message whose twin `candidate` is; that message will absorb no other.
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

    /// How far the provisional changes go; for [`Self::back_to`].
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Takes back every change since `mark`.
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

    /// Makes the changes final, and forgets what is too old or too much.
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

fn is_in_window(at: Timestamp, now: Timestamp) -> bool {
    let window = i64::try_from(limits::TWIN_WINDOW.as_micros()).unwrap_or(i64::MAX);
    now.0.saturating_sub(at.0) <= window
}
