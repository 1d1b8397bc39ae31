//! What is true while the monkey plays: who may hear what, and what was acknowledged. Every text that is written names its
//! topic, its number and the moment in which it was sent, so that each frame can be judged by itself.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;

/// From a text's acknowledgement to the moment in which it is a socket's, at most: a shard may have much before it.
const DELIVERY_US_MAX: u64 = 300_000;

/// What a text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A message of a room, by its place.
    Room(usize),
    /// A public post of an author.
    Author(usize),
    /// A private post of an author: nobody else's.
    Secret(usize),
    /// A comment on a public post, by the post's place.
    Post(usize),
}

/// What stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag {
    pub topic: Topic,
    /// Unique in a run.
    pub number: u64,
    /// The moment before it was sent.
    pub at: u64,
}

/// What a socket listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    Room(usize),
    Feed,
    Post(usize),
    Notifications,
}

/// Since when, and until when, a user may hear a topic.
struct Right {
    from: u64,
    to: Option<u64>,
}

struct Said {
    tag: Tag,
    acknowledged_at: Option<u64>,
    /// It was edited, deleted or made private, or somebody tried.
    is_touched: bool,
}

/// The shared truth.
pub struct World {
    began: Instant,
    numbers: AtomicU64,
    rights: Mutex<HashMap<(Topic, usize), Vec<Right>>>,
    said: Mutex<HashMap<u64, Said>>,
    /// Who heard what is new, to be judged once it is known when that was acknowledged.
    heard: Mutex<Vec<(Seat, usize, Tag)>>,
    faults: Mutex<Vec<String>>,
    pub actions: AtomicU64,
    pub frames: AtomicU64,
}

impl Tag {
    /// All tags in a text.
    pub fn in_text(text: &str) -> impl Iterator<Item = Self> {
        text.split("[[").skip(1).filter_map(|rest| {
            let mut parts = rest.split_once("]]")?.0.split('.');
            let (name, number, at) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let place = name.get(1..)?.parse().ok()?;
            let topic = match name.as_bytes()[0] {
                b'r' => Topic::Room(place),
                b'a' => Topic::Author(place),
                b's' => Topic::Secret(place),
                b'p' => Topic::Post(place),
                _ => return None,
            };
            Some(Self { topic, number, at })
        })
    }
}

impl World {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            numbers: AtomicU64::new(0),
            rights: Mutex::default(),
            said: Mutex::default(),
            heard: Mutex::default(),
            faults: Mutex::default(),
            actions: AtomicU64::new(0),
            frames: AtomicU64::new(0),
        }
    }

    /// Microseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    pub fn fault(&self, text: String) {
        let mut faults = self.faults.lock().unwrap();
        if faults.len() < 20 {
            faults.push(text);
        }
    }

    pub fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut self.faults.lock().unwrap())
    }

    /// A text for a topic, with `length` letters behind its tag.
    pub fn say(&self, topic: Topic, length: usize) -> (Tag, String) {
        let tag = Tag { topic, number: self.numbers.fetch_add(1, Ordering::Relaxed), at: self.now() };
        let (letter, place) = match topic {
            Topic::Room(place) => ('r', place),
            Topic::Author(place) => ('a', place),
            Topic::Secret(place) => ('s', place),
            Topic::Post(place) => ('p', place),
        };
        let said = Said { tag, acknowledged_at: None, is_touched: false };
        self.said.lock().unwrap().insert(tag.number, said);
        (tag, format!("[[{letter}{place}.{}.{}]] {}", tag.number, tag.at, "á".repeat(length)))
    }

    pub fn acknowledge(&self, number: u64) {
        if let Some(said) = self.said.lock().unwrap().get_mut(&number) {
            said.acknowledged_at = Some(self.now());
        }
    }

    /// What is stored of it is not known from here on.
    pub fn touch(&self, number: u64) {
        if let Some(said) = self.said.lock().unwrap().get_mut(&number) {
            said.is_touched = true;
        }
    }

    /// What was acknowledged for a topic, sent at `since` or later.
    pub fn acknowledged(&self, topic: impl Fn(Topic) -> bool, since: u64, with_touched: bool) -> Vec<u64> {
        let said = self.said.lock().unwrap();
        let wanted = said
            .values()
            .filter(|said| topic(said.tag.topic) && said.acknowledged_at.is_some() && said.tag.at >= since);
        wanted.filter(|said| with_touched || !said.is_touched).map(|said| said.tag.number).collect()
    }

    /// From now on.
    pub fn grant(&self, topic: Topic, user: usize) {
        let from = self.now();
        self.rights.lock().unwrap().entry((topic, user)).or_default().push(Right { from, to: None });
    }

    /// No more, from now on.
    pub fn revoke(&self, topic: Topic, user: usize) {
        let to = self.now();
        for right in self.rights.lock().unwrap().entry((topic, user)).or_default() {
            right.to.get_or_insert(to);
        }
    }

    /// Whether a user may hear a topic at some moment between two.
    fn may(&self, topic: Topic, user: usize, sent_at: u64, told_at: u64) -> bool {
        let rights = self.rights.lock().unwrap();
        let all = rights.get(&(topic, user)).map_or(&[][..], Vec::as_slice);
        all.iter().any(|right| right.from <= told_at && right.to.is_none_or(|to| to >= sent_at))
    }

    pub fn heard(&self, seat: Seat, user: usize, tag: Tag) {
        self.heard.lock().unwrap().push((seat, user, tag));
    }

    /// Once all is acknowledged: nobody heard what was sent after their right had ended and acknowledged before it began.
    pub fn judge(&self) {
        for (seat, user, tag) in std::mem::take(&mut *self.heard.lock().unwrap()) {
            let acknowledged_at = self.said.lock().unwrap().get(&tag.number).and_then(|said| said.acknowledged_at);
            let Some(at) = acknowledged_at else { continue };
            let is_own = tag.topic == Topic::Author(user);
            let is_judged =
                matches!((seat, tag.topic), (Seat::Room(_), Topic::Room(_)) | (Seat::Feed, Topic::Author(_)));
            if is_judged && !is_own && !self.may(tag.topic, user, tag.at, at + DELIVERY_US_MAX) {
                self.fault(format!("{seat:?} of user {user} heard {tag:?}, acknowledged at {at}, without a right"));
            }
        }
    }

    /// Whether a user's socket may be told what has this tag.
    pub fn is_for(&self, seat: Seat, user: usize, tag: Tag, author_of: &[usize]) -> bool {
        match (seat, tag.topic) {
            (Seat::Room(room), Topic::Room(place)) => room == place && self.may(tag.topic, user, tag.at, self.now()),
            (Seat::Feed, Topic::Author(author)) => author == user || self.may(tag.topic, user, tag.at, self.now()),
            // A post brings its newest comments with it.
            (Seat::Feed, Topic::Post(post)) => {
                let author = author_of[post];
                author == user || self.may(Topic::Author(author), user, tag.at, self.now())
            }
            (Seat::Feed | Seat::Post(_) | Seat::Notifications, Topic::Secret(author)) => author == user,
            (Seat::Post(post), Topic::Author(author)) => author_of.get(post) == Some(&author),
            (Seat::Post(post), Topic::Post(place)) => post == place,
            (Seat::Notifications, Topic::Post(_) | Topic::Author(_)) => true,
            _ => false,
        }
    }
}

/// What of a frame is new and comes once: its kind's own text.
pub fn news(frame: &Value) -> Option<Tag> {
    let text = match frame["type"].as_str()? {
        "chat_message" => &frame["message"]["content"],
        "new_post" => &frame["post"]["content"],
        "new_comment" => &frame["comment"]["content"],
        _ => return None,
    };
    Tag::in_text(text.as_str()?).next()
}
