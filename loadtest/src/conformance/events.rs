//! The rules that every frame of `pregon.v1` keeps, over one connection: places rise, numbers are those of known users, and
//! nothing comes of topics that were not asked for.

use std::collections::HashMap;

use anyhow::{Result, bail};
use serde_json::Value;

use super::expect::{shown, text};
use crate::v1::Cursor;

/// Events that are told and not stored: they have no place.
const PASSING: [&str; 4] = ["user_status", "typing_status", "signal", "presence_count"];

/// What a connection was told so far.
#[derive(Default)]
pub struct Told {
    topics: HashMap<String, Topic>,
}

#[derive(Default)]
struct Topic {
    /// The last place that was told.
    at: Option<Cursor>,
    is_subscribed: bool,
    /// Users' ids by number.
    users: HashMap<u64, String>,
}

impl Told {
    /// Takes the next frame.
    pub fn take(&mut self, frame: &Value) -> Result<()> {
        match frame["type"].as_str().unwrap_or_default() {
            "subscribed" => {
                let topic = self.topics.entry(text(frame, "topic")?.to_owned()).or_default();
                topic.is_subscribed = true;
                topic.at = place(frame)?;
            }
            "gap" => self.topics.entry(text(frame, "topic")?.to_owned()).or_default().at = place(frame)?,
            "unsubscribed" => match text(frame, "topic")? {
                "*" => self.topics.values_mut().for_each(|topic| topic.is_subscribed = false),
                topic => self.topics.entry(topic.to_owned()).or_default().is_subscribed = false,
            },
            "users" => self.named(frame)?,
            "event" => self.event(frame)?,
            "error" => advised(frame)?,
            _ => {}
        }
        Ok(())
    }

    /// Whose number it is.
    pub fn user(&self, topic: &str, number: u64) -> Option<&str> {
        self.topics.get(topic)?.users.get(&number).map(String::as_str)
    }

    fn named(&mut self, frame: &Value) -> Result<()> {
        let topic = self.topics.entry(text(frame, "topic")?.to_owned()).or_default();
        for user in super::expect::list(frame, "users")? {
            let (number, id) = (super::expect::number(user, "n")?, text(user, "id")?);
            let before = topic.users.insert(number, id.to_owned());
            if let Some(before) = before.filter(|before| before != id) {
                bail!("expected that the number {number} stays {before}'s, came {}", shown(frame));
            }
        }
        Ok(())
    }

    fn event(&mut self, frame: &Value) -> Result<()> {
        let (name, kind) = (text(frame, "topic")?, text(&frame["event"], "type")?);
        let Some(topic) = self.topics.get_mut(name).filter(|topic| topic.is_subscribed) else {
            bail!("expected nothing of a topic that this socket does not hear, came {}", shown(frame));
        };
        let cursor = place(frame)?;
        if cursor.is_some() && (PASSING.contains(&kind) || name == "feed") {
            bail!("expected no cursor with what is not stored or comes to a feed, came {}", shown(frame));
        }
        // A post whose counters moved is told as it is at that moment.
        if cursor.is_none() && !PASSING.contains(&kind) && name != "feed" && kind != "post_updated" {
            bail!("expected a cursor with what is stored, came {}", shown(frame));
        }
        if let Some(cursor) = cursor {
            if topic.at.is_some_and(|at| cursor <= at) {
                bail!("expected a place behind {}, came {}", topic.at.unwrap_or_default(), shown(frame));
            }
            topic.at = Some(cursor);
        }
        if let Some(number) = frame["event"]["user"].as_u64()
            && !topic.users.contains_key(&number)
        {
            bail!("expected that the user {number} was named before, came {}", shown(frame));
        }
        Ok(())
    }
}

/// An error says what a person reads, and when to come back if that helps.
fn advised(frame: &Value) -> Result<()> {
    let (has_text, is_later) = (!text(frame, "text")?.is_empty(), frame["retry"] == "later");
    if !has_text || is_later != frame["retry_after_ms"].is_u64() || text(frame, "code")?.is_empty() {
        bail!("expected an error with code, text, and a time to come back if it says `later`, came {}", shown(frame));
    }
    Ok(())
}

fn place(frame: &Value) -> Result<Option<Cursor>> {
    match &frame["cursor"] {
        Value::Null => Ok(None),
        Value::String(text) => match Cursor::parse(text.as_bytes()) {
            Some(cursor) => Ok(Some(cursor)),
            None => bail!("expected a cursor of the form epoch.number, came {}", shown(frame)),
        },
        _ => bail!("expected a cursor that is a text, came {}", shown(frame)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(frames: &[Value]) -> Result<()> {
        let mut told = Told::default();
        frames.iter().try_for_each(|frame| told.take(frame))
    }

    #[test]
    fn each_rule_is_kept_or_named() {
        let subscribed = json!({"type": "subscribed", "topic": "room:a", "cursor": "1.5", "resumed": false});
        let event =
            |cursor: Value, event: Value| json!({"type": "event", "topic": "room:a", "cursor": cursor, "event": event});
        let gone = json!({"type": "message_deleted", "message_id": "m", "user_id": "u"});
        let names =
            |id: &str| json!({"type": "users", "topic": "room:a", "users": [{"n": 1, "id": id, "username": id}]});
        let said = event(json!("1.6"), json!({"type": "message", "user": 1}));
        told(&[subscribed.clone(), names("ana"), said.clone(), event(json!("1.9"), gone.clone())])
            .expect("all is right");
        for (frames, words) in [
            (vec![event(json!("1.6"), gone.clone())], "does not hear"),
            (vec![subscribed.clone(), event(json!("1.5"), gone.clone())], "a place behind 1.5"),
            (vec![subscribed.clone(), event(Value::Null, gone.clone())], "a cursor with what is stored"),
            (vec![subscribed.clone(), event(json!("1.6"), json!({"type": "signal"}))], "no cursor"),
            (vec![subscribed.clone(), said], "named before"),
            (vec![names("ana"), names("beto")], "stays ana's"),
            (vec![json!({"type": "error", "code": "busy", "text": "x", "retry": "later"})], "a time to come back"),
        ] {
            let error = told(&frames).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
