//! The texts that a test sends in a room, and a check of what its sockets receive. Each text names its room, sender and
//! number.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::crowd::masked;

/// One for each room, so that foreign bytes are noticed: four bytes of UTF-8.
const FACES: [&str; 4] = ["😀", "🐙", "🌵", "🎈"];
/// The same for ephemeral frames.
const LETTERS: [&str; 4] = ["a", "b", "c", "d"];
/// The size of a signal's `data`, just below the limit.
const SIGNAL_BYTES: usize = 3900;

/// The texts of a room or an author.
pub struct Voice {
    pub room: usize,
    durable: String,
    signal: String,
}

/// A frame to be sent.
pub struct Saying {
    pub frame: Vec<u8>,
    pub is_durable: bool,
}

impl Voice {
    /// Messages of `chars` characters, four bytes each.
    pub fn new(room: usize, chars: usize) -> Arc<Self> {
        Arc::new(Self { room, durable: FACES[room].repeat(chars - 16), signal: LETTERS[room].repeat(SIGNAL_BYTES) })
    }

    pub fn text(&self, sender: usize, number: usize) -> String {
        format!("{}.{sender}.{number}.{}", self.room, self.durable)
    }

    pub fn chat(&self, sender: usize, number: usize) -> Saying {
        let message = json!({"type": "chat_message", "content": self.text(sender, number)});
        Saying { frame: masked(1, message.to_string().as_bytes()), is_durable: true }
    }

    pub fn edit(&self, message_id: &str, sender: usize, number: usize) -> Saying {
        let content = self.text(sender, number);
        let message = json!({"type": "edit_message", "message_id": message_id, "content": content});
        Saying { frame: masked(1, message.to_string().as_bytes()), is_durable: true }
    }

    /// A reaction is stored but is not a text, so it is not counted among those sent.
    pub fn reaction(message_id: &str, kind: &str) -> Saying {
        let message = json!({"type": "react_message", "message_id": message_id, "reaction_type": kind});
        Saying { frame: masked(1, message.to_string().as_bytes()), is_durable: false }
    }

    pub fn signal(&self, sender: usize, number: usize) -> Saying {
        let data = format!("{}.{sender}.{number}.{}", self.room, self.signal);
        let message = format!(r#"{{"type":"signal","echo":true,"data":"{data}"}}"#);
        Saying { frame: masked(1, message.as_bytes()), is_durable: false }
    }
}

/// Frames that carry a text: their beginning, the bytes before the text, and whether they are durable.
const KINDS: [(&[u8], &[u8], bool); 4] = [
    (br#"{"type":"chat_message""#, br#""content":""#, true),
    (br#"{"type":"message_edited""#, br#""content":""#, true),
    (br#"{"type":"new_post""#, br#""content":""#, true),
    (br#"{"type":"signal""#, br#""data":""#, false),
];

/// What one socket has received. The numbers of each sender must rise, so that nothing comes twice or out of order.
pub struct Ear {
    voice: Arc<Voice>,
    /// If set, every frame is parsed as JSON, and may only name these users.
    people: Option<Vec<String>>,
    /// The positions of texts in earlier frames. Searching for them in each frame would be most of a crowd's work.
    offsets: Vec<usize>,
    /// The next possible number of each sender, for ephemeral and for durable frames.
    next: [Vec<usize>; 2],
    /// Frames of both kinds, by sender.
    pub heard: Vec<usize>,
    /// Durable frames by sender.
    pub counts: Vec<usize>,
    /// Durable frames.
    pub durable: usize,
    /// Durable frames that are missing before a received one.
    pub gaps: usize,
    /// Ephemeral frames.
    pub ephemeral: usize,
    /// Errors, each for a refused write.
    pub refused: usize,
    /// Reactions to messages.
    pub reactions: usize,
    /// All other frames.
    pub others: usize,
    /// A hash of all durable frames in their order.
    pub order: u64,
}

impl Ear {
    pub fn new(voice: &Arc<Voice>) -> Self {
        Self {
            voice: voice.clone(),
            people: None,
            offsets: Vec::new(),
            next: [Vec::new(), Vec::new()],
            heard: Vec::new(),
            counts: Vec::new(),
            durable: 0,
            gaps: 0,
            ephemeral: 0,
            refused: 0,
            reactions: 0,
            others: 0,
            order: 0,
        }
    }

    /// From now on parses every frame as JSON.
    pub fn be_strict(&mut self, people: &[String]) {
        self.people = Some(people.to_vec());
    }

    /// Checks a text frame.
    pub fn hear(&mut self, payload: &[u8]) -> Result<(), String> {
        if let Some(people) = &self.people {
            check_whole(payload, people)?;
        }
        let Some((_, before, is_durable)) = KINDS.iter().find(|(begin, ..)| payload.starts_with(begin)) else {
            let is_of = |kind: &[u8]| payload.starts_with(kind);
            let count = match () {
                () if is_of(br#"{"type":"error""#) => &mut self.refused,
                () if is_of(br#"{"type":"message_reaction""#) => &mut self.reactions,
                () => &mut self.others,
            };
            *count += 1;
            return Ok(());
        };
        let text = self.text_in(payload, before).ok_or_else(|| shown("no text in", payload))?;
        let (sender, number) = self.check(text, *is_durable).ok_or_else(|| shown("foreign or torn:", text))?;
        self.count(sender, number, *is_durable)
    }

    /// The frame from its text on.
    fn text_in<'a>(&mut self, payload: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
        let is_at = |from: usize| payload.get(from..).is_some_and(|rest| rest.starts_with(before));
        let known = self.offsets.iter().copied().find(|offset| is_at(*offset));
        let offset = known.or_else(|| (0..payload.len()).find(|from| is_at(*from)))?;
        if known.is_none() {
            self.offsets.push(offset);
        }
        Some(&payload[offset + before.len()..])
    }

    /// The sender and number of a text, if it is this room's and complete.
    fn check(&self, text: &[u8], is_durable: bool) -> Option<(usize, usize)> {
        let mut parts = text.splitn(4, |byte| *byte == b'.');
        let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<usize>().ok();
        let room = number()?;
        let sender = number()?;
        let number = number()?;
        let filler = if is_durable { &self.voice.durable } else { &self.voice.signal };
        let rest = parts.next()?.strip_prefix(filler.as_bytes())?;
        let is_whole = rest.starts_with(b"\"") && rest.ends_with(b"}") && rest.len() < 4 * 1024 * 1024;
        (room == self.voice.room && sender < 1000 && is_whole).then_some((sender, number))
    }

    fn count(&mut self, sender: usize, number: usize, is_durable: bool) -> Result<(), String> {
        let next = &mut self.next[usize::from(is_durable)];
        if next.len() <= sender {
            next.resize(sender + 1, 0);
        }
        let expected = std::mem::replace(&mut next[sender], number + 1);
        if number < expected {
            return Err(format!("number {number} of {sender} after {}, durable: {is_durable}", expected - 1));
        }
        self.heard.resize(self.heard.len().max(sender + 1), 0);
        self.heard[sender] += 1;
        if !is_durable {
            self.ephemeral += 1;
            return Ok(());
        }
        self.gaps += number - expected;
        self.durable += 1;
        self.counts.resize(self.counts.len().max(sender + 1), 0);
        self.counts[sender] += 1;
        self.order = self.order.wrapping_mul(31).wrapping_add((sender as u64) << 32 | number as u64);
        Ok(())
    }
}

/// Checks that a frame is JSON and names no foreign user.
fn check_whole(payload: &[u8], people: &[String]) -> Result<(), String> {
    let frame: Value = serde_json::from_slice(payload).map_err(|error| shown(&format!("{error}:"), payload))?;
    let named = [&frame["user_id"], &frame["message"]["sender"]["id"], &frame["post"]["user"]["id"]];
    let is_foreign = |id: &&Value| id.as_str().is_some_and(|id| !people.iter().any(|one| one == id));
    if named.iter().any(is_foreign) { Err(shown("a stranger's frame:", payload)) } else { Ok(()) }
}

fn shown(what: &str, payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(&payload[..payload.len().min(300)]);
    format!("{what} {text} ({} bytes)", payload.len())
}
