//! Reads the frames of a feed: one of our author's posts, compared byte by byte, or another event.

use std::borrow::Cow;

use serde::Deserialize;

use crate::delivery::error_text;
use crate::digest::{digest, excerpt};
use crate::tag::{TAG_BYTES, Tag};
use crate::v1::read::{self, Heard};
use crate::v1::{FEED_EVENT, Protocol};

/// The kind of a text frame.
#[derive(Debug, PartialEq)]
pub enum Reading {
    /// One of our posts; `id` is a digest of the server's id (0 if it has none).
    Post { seq: u32, id: u64 },
    /// Another event, or somebody else's post.
    Other,
    /// The server refused something, with its text.
    Refusal(String),
    /// A post that differs from what was posted.
    Damaged(String),
}

/// Reads the frames of one run.
pub struct Reader {
    /// The author's id; empty for a plain server, where messages stand for posts.
    pub author: String,
    /// The text before the tag in a post's content or a plain message.
    pub before: Vec<u8>,
    /// The text after it.
    pub behind: &'static [u8],
    /// What the server speaks: `pregon.v1` has the frame of the older socket inside an event.
    pub protocol: Protocol,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    post: Option<Post<'a>>,
}

#[derive(Deserialize)]
struct Post<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(borrow)]
    user: User<'a>,
    /// Frames have no viewer.
    user_reaction: Option<serde::de::IgnoredAny>,
    is_bookmarked: bool,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Reader {
    pub fn read(&self, text: &[u8]) -> Reading {
        if self.author.is_empty() {
            return match self.seq(text) {
                Some(seq) => Reading::Post { seq, id: 0 },
                None => damaged("not what was sent", text),
            };
        }
        let text = match self.protocol {
            Protocol::V0 => text,
            Protocol::V1 => match text.strip_prefix(FEED_EVENT).and_then(|rest| rest.strip_suffix(b"}")) {
                Some(inner) => inner,
                // A reply of this socket, or an error.
                None => return self.reply(text),
            },
        };
        let Ok(event) = serde_json::from_slice::<Event<'_>>(text) else {
            return damaged("no event with a post of the known form", text);
        };
        match (&*event.kind, event.post) {
            ("new_post", Some(post)) if post.user.id == self.author => self.post(text, &post),
            ("new_post", None) => damaged("new_post without a post", text),
            ("error", _) => Reading::Refusal(error_text(text)),
            _ => Reading::Other,
        }
    }

    fn reply(&self, text: &[u8]) -> Reading {
        match read::heard(text) {
            Heard::Error { text, .. } | Heard::Unsubscribed { text, .. } => Reading::Refusal(text),
            Heard::Broken(what) => Reading::Damaged(what),
            Heard::Message(_) | Heard::Change { .. } => damaged("an event of another topic", text),
            Heard::Passing { .. } => damaged("an event spelt otherwise than a feed's, or of another topic", text),
            _ => Reading::Other,
        }
    }

    fn post(&self, text: &[u8], post: &Post<'_>) -> Reading {
        if post.user_reaction.is_some() || post.is_bookmarked {
            return damaged("a post as one viewer sees it", text);
        }
        match (self.seq(post.content.as_bytes()), is_id(&post.id)) {
            (Some(seq), true) => Reading::Post { seq, id: digest(post.id.as_bytes()) },
            (None, _) => damaged("another content than was posted", text),
            (_, false) => damaged("a post with an invalid id", text),
        }
    }

    /// The number of the post with this content.
    fn seq(&self, content: &[u8]) -> Option<u32> {
        let tag = content.strip_prefix(self.before.as_slice())?.strip_suffix(self.behind)?;
        let tag = Tag::decode(<&[u8; TAG_BYTES]>::try_from(tag).ok()?)?;
        (tag.sender == 0).then_some(tag.seq)
    }

    /// The id in the answer to a post, if the answer shows that post.
    pub fn answered_id(&self, body: &[u8], seq: u32) -> Option<u64> {
        #[derive(Deserialize)]
        struct Made<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
            #[serde(borrow)]
            content: Cow<'a, str>,
        }
        let made: Made<'_> = serde_json::from_slice(body).ok()?;
        let is_it = is_id(&made.id) && self.seq(made.content.as_bytes()) == Some(seq);
        is_it.then(|| digest(made.id.as_bytes()))
    }
}

/// Whether it has the length of a UUID.
fn is_id(text: &str) -> bool {
    text.len() == 36
}

fn damaged(what: &str, text: &[u8]) -> Reading {
    Reading::Damaged(format!("{what}: {}", excerpt(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: &str = "c29e1460-2438-4c40-a229-7c210c701b1c";
    const ID: &str = "fb349c61-b203-43fa-a906-87fa47e3c37e";

    fn reader() -> Reader {
        Reader { author: ANA.to_owned(), before: b"xxxx".to_vec(), behind: b"", protocol: Protocol::V0 }
    }

    fn frame(seq: u32) -> String {
        let tag = Tag { sender: 0, seq }.encode();
        let tag = String::from_utf8_lossy(&tag);
        format!(
            r#"{{"type":"new_post","post":{{"id":"{ID}","user":{{"id":"{ANA}","bio":"\n"}},"content":"xxxx{tag}","user_reaction":null,"is_bookmarked":false}}}}"#
        )
    }

    #[test]
    fn a_post_is_known_by_its_author_its_content_and_its_id() {
        let text = frame(7);
        assert_eq!(reader().read(text.as_bytes()), Reading::Post { seq: 7, id: digest(ID.as_bytes()) });
        let of_another = text.replace(ANA, ID);
        assert_eq!(reader().read(of_another.as_bytes()), Reading::Other);
        for (from, to) in [("xxxx", "xxxy"), ("xxxx", "xxxxx"), (ID, "1"), ("false", "true"), ("null", "\"like\"")] {
            let wrong = text.replacen(from, to, 1);
            assert!(matches!(reader().read(wrong.as_bytes()), Reading::Damaged(_)), "{wrong}");
        }
        assert_eq!(reader().read(br#"{"type":"pong","timestamp":1}"#), Reading::Other);
    }

    #[test]
    fn a_feed_of_v1_has_the_same_frames_inside_events() {
        let reader = Reader { protocol: Protocol::V1, ..reader() };
        let event = |topic: &str| format!(r#"{{"type":"event","topic":"{topic}","event":{}}}"#, frame(7));
        assert_eq!(reader.read(event("feed").as_bytes()), Reading::Post { seq: 7, id: digest(ID.as_bytes()) });
        for wrong in [event("room:1"), frame(7)] {
            assert!(!matches!(reader.read(wrong.as_bytes()), Reading::Post { .. }), "{wrong}");
        }
        assert_eq!(reader.read(br#"{"type":"skipped"}"#), Reading::Other);
    }

    #[test]
    fn an_answer_must_be_the_post_that_was_asked_for() {
        let post = |content: &str| format!(r#"{{"id":"{ID}","content":"{content}","user":{{}}}}"#);
        let tag = Tag { sender: 0, seq: 3 }.encode();
        let right = post(&format!("xxxx{}", String::from_utf8_lossy(&tag)));
        assert!(reader().answered_id(right.as_bytes(), 3).is_some());
        assert!(reader().answered_id(right.as_bytes(), 4).is_none());
        assert!(reader().answered_id(post("hola").as_bytes(), 3).is_none());
    }
}
