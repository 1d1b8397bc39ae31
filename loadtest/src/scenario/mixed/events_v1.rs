//! Reads the events of a mixed load in frames of `pregon.v1`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use super::events::{Event, Events, Key, REACTIONS, What};
use crate::digest::{digest, excerpt};
use crate::tag::Tag;
use crate::v1::Cursor;
use crate::v1::read::Heard;

/// A frame, and the place of its event.
#[derive(Debug, PartialEq)]
pub struct Placed {
    pub event: Event,
    pub cursor: Option<Cursor>,
}

/// What a change of a room says.
#[derive(Deserialize)]
struct Change<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(default)]
    user: Option<u32>,
    #[serde(borrow, default)]
    user_id: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Cow<'a, str>,
    #[serde(borrow, default)]
    message_id: Cow<'a, str>,
    #[serde(borrow, default)]
    message_ids: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    reaction_type: Cow<'a, str>,
    #[serde(default)]
    added: bool,
    #[serde(borrow, default)]
    reply_to: Option<Reply<'a>>,
    #[serde(default)]
    is_edited: bool,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Whose the numbers are.
pub type Numbers = HashMap<u32, u64>;

/// The event of a frame. `None` for replies and names, which `heard` shows.
pub fn event(events: &Events, numbers: &Numbers, heard: &Heard<'_>, text: &[u8]) -> Option<Placed> {
    match heard {
        Heard::Message(message) => {
            let Some(user) = numbers.get(&message.user) else { return Some(unnamed(text)) };
            let event = match events.tag_of(message.content) {
                Some(tag) => Event::Text { tag, edited: false, id: *message.id, user: *user },
                None => Event::Damaged(format!("not what its sender sent: {}", excerpt(text))),
            };
            Some(Placed { event, cursor: Some(message.cursor) })
        }
        Heard::Change { cursor, event, .. } => {
            let event = change(events, numbers, event, text);
            Some(Placed { event, cursor: Some(*cursor) })
        }
        Heard::Passing { event, .. } => Some(Placed { event: events.read(event.as_bytes()), cursor: None }),
        Heard::Unsubscribed { text, .. } => {
            Some(Placed { event: Event::Damaged(format!("it lost its topic: {text}")), cursor: None })
        }
        Heard::Broken(what) => Some(Placed { event: Event::Damaged(what.clone()), cursor: None }),
        Heard::Error { .. }
        | Heard::Users(_)
        | Heard::Ack(_)
        | Heard::Subscribed { .. }
        | Heard::Gap { .. }
        | Heard::Other => None,
    }
}

fn unnamed(text: &[u8]) -> Placed {
    Placed { event: Event::Damaged(format!("a user who was never named: {}", excerpt(text))), cursor: None }
}

fn change(events: &Events, numbers: &Numbers, json: &str, text: &[u8]) -> Event {
    let damaged = |what: &str| Event::Damaged(format!("{what}: {}", excerpt(text)));
    let Ok(change) = serde_json::from_str::<Change<'_>>(json) else { return damaged("no event of a room") };
    let user = match change.user {
        Some(number) => numbers.get(&number).copied(),
        None => Some(digest(change.user_id.as_bytes())),
    };
    let Some(user) = user else { return damaged("a user who was never named") };
    let message = |what| Event::Changed(Key { message: digest(change.message_id.as_bytes()), user, what });
    match &*change.kind {
        kind @ ("message" | "message_edited") => {
            match (events.tag_of(change.content.as_bytes()), change.id.as_bytes().first_chunk()) {
                (Some(tag), Some(id)) => Event::Text { tag, edited: kind == "message_edited", id: *id, user },
                _ => damaged("not what its sender sent"),
            }
        }
        "message_deleted" => message(What::Deleted),
        "message_reaction" => match REACTIONS.iter().position(|name| *name == change.reaction_type) {
            Some(reaction) => message(What::Reacted(reaction as u8, change.added)),
            None => damaged("no such reaction"),
        },
        "message_read" => match &*change.message_ids {
            [one] => Event::Changed(Key { message: digest(one.as_bytes()), user, what: What::Read }),
            _ => damaged("several were read at once"),
        },
        _ => Event::Other,
    }
}

/// What is wrong with the actor's own copy of a message that should have this text.
pub fn fault(events: &Events, text: &[u8], tag: Tag, edited: bool, reply_to: Option<[u8; 36]>) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        event: Change<'a>,
    }
    let Ok(Whole { event }) = serde_json::from_slice::<Whole<'_>>(text) else {
        return Some("is no whole message");
    };
    let answered = event.reply_to.as_ref().map(|reply| reply.id.as_bytes());
    if event.content != events.text(tag) {
        Some("has another text")
    } else if !edited && answered != reply_to.as_ref().map(<[u8; 36]>::as_slice) {
        Some("answers another message than it should")
    } else if event.is_edited != edited {
        Some("is marked wrongly as edited")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "7d17fe03-94d3-4a71-9dbe-0dbb933c1946";
    const TAG: Tag = Tag { sender: 3, seq: 9 };

    fn told(kind: &str, rest: &str) -> String {
        let topic = "room:0a0b9502c454481e8985e9e7f96c1dcb";
        format!(r#"{{"type":"event","topic":"{topic}","cursor":"1.57","event":{{"type":"{kind}",{rest}}}}}"#)
    }

    fn read(text: &str) -> Event {
        let (events, numbers) = (Events::new(20), HashMap::from([(12, 700)]));
        let placed = event(&events, &numbers, &crate::v1::read::heard(text.as_bytes()), text.as_bytes());
        placed.unwrap_or_else(|| panic!("{text}")).event
    }

    #[test]
    fn messages_and_changes_are_told_apart() {
        let content = Events::new(20).text(TAG);
        let message = |more: &str| format!(r#""id":"{MESSAGE}","user":12,"content":"{content}","at":1{more}"#);
        let id = *MESSAGE.as_bytes().first_chunk().expect("36 bytes");
        let sent = told("message", &message(""));
        assert_eq!(read(&sent), Event::Text { tag: TAG, edited: false, id, user: 700 });
        let edited = told("message_edited", &message(r#","is_edited":true"#));
        assert_eq!(read(&edited), Event::Text { tag: TAG, edited: true, id, user: 700 });
        assert!(matches!(read(&sent.replace(":12", ":13")), Event::Damaged(_)), "nobody was told who 13 is");
        assert!(matches!(read(&sent.replacen("xx", "xy", 1)), Event::Damaged(_)));
        let key = |what| Event::Changed(Key { message: digest(MESSAGE.as_bytes()), user: 700, what });
        let seen = told("message_read", &format!(r#""user":12,"count":1,"message_ids":["{MESSAGE}"]"#));
        assert_eq!(read(&seen), key(What::Read));
        let fire = format!(r#""user":12,"message_id":"{MESSAGE}","reaction_type":"fire","added":true"#);
        assert_eq!(read(&told("message_reaction", &fire)), key(What::Reacted(6, true)));
        let deleted = told("message_deleted", &format!(r#""message_id":"{MESSAGE}","user_id":"u""#));
        assert!(matches!(read(&deleted), Event::Changed(Key { what: What::Deleted, .. })));
    }

    #[test]
    fn the_actors_own_copy_is_checked_whole() {
        let events = Events::new(20);
        let content = events.text(TAG);
        let reply = *MESSAGE.as_bytes().first_chunk().expect("36 bytes");
        let text = told(
            "message",
            &format!(
                r#""id":"{MESSAGE}","user":12,"content":"{content}","at":1,"reply_to":{{"id":"{MESSAGE}","content":"x"}}"#
            ),
        );
        let fault = |text: &str, edited, reply_to| fault(&events, text.as_bytes(), TAG, edited, reply_to);
        assert_eq!(fault(&text, false, Some(reply)), None);
        assert!(fault(&text, true, Some(reply)).is_some());
        assert!(fault(&text, false, None).is_some());
        assert!(fault(&text.replacen("xx", "xy", 1), false, Some(reply)).is_some());
    }
}
