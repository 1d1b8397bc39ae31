//! A simulated client of `pregon.v1`, which checks every frame against the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::log::{Log, Rows, message_of, reacting_user};
use crate::domain::event::Cursor;
use crate::domain::user::Account;
use crate::ids::Topic;
use crate::limits::LOOK_DEEP_EVERY;
use crate::protocol::v1::topic::Name;

/// What a client knows of a topic.
#[derive(Default, Clone)]
pub(super) struct Known {
    /// It is subscribed, and has everything up to this one.
    pub at: Option<u64>,
    /// What it heard last.
    pub last: Option<u64>,
    /// It has asked for it with this cursor, and was not answered.
    pub asked: Option<Option<u64>>,
    /// When it was told anything of it last.
    told_at: Option<Instant>,
    /// It asked for what is not kept, and has to be told so before anything else.
    needs_gap: bool,
    /// Users whom it knows by number.
    users: BTreeMap<u64, String>,
}

/// A client, and its socket.
pub(super) struct Client {
    pub account: Arc<Account>,
    /// The node, and the socket's number there.
    pub socket: Option<(usize, u32)>,
    pub topics: Vec<Known>,
    /// It stays as it is, as long as its node lives, and hears everything.
    pub is_steady: bool,
}

/// What the checker knows of the world beside the log.
#[derive(Clone, Copy)]
pub(super) struct Circumstances {
    pub now: Instant,
    /// The log was away for so long that nodes gave holes up: they may tell of gaps.
    pub may_give_up: bool,
}

impl Client {
    pub fn new(account: Account, topics: usize, is_steady: bool) -> Self {
        Self { account: Arc::new(account), socket: None, topics: vec![Known::default(); topics], is_steady }
    }

    /// Its socket is gone.
    pub fn lost(&mut self) {
        self.socket = None;
        for known in &mut self.topics {
            *known = Known { last: known.last, ..Known::default() };
        }
    }

    /// A request for a topic. With a cursor it goes on where it was.
    pub fn subscribe(&mut self, topic: usize, log: &Log, with_cursor: bool) -> String {
        let known = &mut self.topics[topic];
        let cursor = known.last.filter(|_| with_cursor);
        known.asked = Some(cursor);
        let cursor = cursor.map_or("null".into(), |seq| format!("\"1.{seq}\""));
        let name = Name(log.lock().topics[topic].topic);
        format!(r#"{{"type":"subscribe","id":1,"topic":"{name}","cursor":{cursor}}}"#)
    }

    /// Checks a frame. Returns what it was.
    pub fn heard(&mut self, frame: &Value, log: &Log, circumstances: Circumstances) -> &'static str {
        let kind = frame["type"].as_str().unwrap_or_default();
        if kind == "welcome" {
            return "welcome";
        }
        let state = log.lock();
        let named = frame["topic"].as_str().unwrap_or_else(|| panic!("{frame}"));
        let is_named = |rows: &Rows| match rows.topic {
            // Of one's own topics the name has no number.
            Topic::Notifications(user) => named == "notifications" && user == self.account.id,
            topic => Name(topic).to_string() == named,
        };
        let topic = state.topics.iter().position(is_named).unwrap_or_else(|| panic!("no topic: {frame}"));
        // Who is there, and how many, has no place.
        if matches!(frame["event"]["type"].as_str(), Some("presence_count" | "user_status")) {
            return "presence";
        }
        let (rows, known) = (&state.topics[topic], &mut self.topics[topic]);
        // Whoever has missed much is told page by page, each after some queries, which take a second and a half in a lull.
        known.told_at = Some(circumstances.now);
        match kind {
            "subscribed" => known.subscribed(frame, rows),
            "gap" => known.gap(frame, rows, circumstances),
            "event" => known.event(frame, topic, rows),
            "users" => {
                let users = frame["users"].as_array().expect("users");
                let named = users.iter().map(|user| (user["n"].as_u64(), user["id"].as_str()));
                known.users.extend(named.filter_map(|(number, id)| Some((number?, id?.to_owned()))));
                "users"
            }
            "unsubscribed" => {
                *known = Known { last: known.last, ..Known::default() };
                if frame["code"].is_null() { "unsubscribed" } else { "turned out" }
            }
            "error" => {
                assert!(known.at.is_none(), "it is subscribed: {frame}");
                match frame["code"].as_str().unwrap_or_default() {
                    "not_subscribed" => "error",
                    // What it had asked for was taken back, or could not be read.
                    code @ ("cancelled" | "unavailable") => {
                        assert!(known.asked.is_some(), "it has not asked: {frame}");
                        *known = Known { last: known.last, ..Known::default() };
                        if code == "cancelled" { "cancelled" } else { "turned out" }
                    }
                    _ => panic!("{frame}"),
                }
            }
            _ => panic!("{frame}"),
        }
    }

    /// The topic of which it has not heard what was committed so long ago, if there is one.
    pub fn is_late(&self, log: &Log, before: Instant, patience: Duration) -> Option<String> {
        let state = log.lock();
        for (topic, (known, rows)) in self.topics.iter().zip(&state.topics).enumerate() {
            let (Some(at), Some(told_at)) = (known.at, known.told_at) else { continue };
            let Some(row) = rows.next_loud(at) else { continue };
            let patience = if row.is_overdue { patience + LOOK_DEEP_EVERY } else { patience };
            if row.committed_at.max(told_at) + patience < before {
                let seq = row.event.cursor.seq;
                return Some(format!(
                    "topic {topic}: it is at {at} and has not heard {seq} for more than {patience:?}"
                ));
            }
        }
        None
    }

    /// What it has not heard at the end.
    pub fn lacks(&self, log: &Log) -> Option<String> {
        let state = log.lock();
        for (topic, (known, rows)) in self.topics.iter().zip(&state.topics).enumerate() {
            if known.asked.is_some() {
                return Some(format!("topic {topic}: a request was never answered"));
            }
            if known.needs_gap {
                return Some(format!("topic {topic}: it was never told of its gap"));
            }
            if let Some(row) = known.at.and_then(|at| rows.next_loud(at)) {
                return Some(format!("topic {topic}: at {:?}, without {}", known.at, row.event.cursor.seq));
            }
        }
        None
    }
}

fn cursor_of(frame: &Value) -> Option<u64> {
    let cursor: Cursor = frame["cursor"].as_str()?.parse().ok()?;
    (cursor.epoch == 1).then_some(cursor.seq)
}

impl Known {
    fn subscribed(&mut self, frame: &Value, rows: &Rows) -> &'static str {
        let asked = self.asked.take().unwrap_or_else(|| panic!("it has not asked: {frame}"));
        assert!(self.at.is_none(), "it is subscribed twice: {frame}");
        let is_resumed = frame["resumed"].as_bool().unwrap_or_default();
        assert!(cursor_of(frame).is_some_and(|cursor| cursor <= rows.last()), "a place that is not there: {frame}");
        assert!(!is_resumed || (asked.is_some() && cursor_of(frame) == asked), "it goes on elsewhere: {frame}");
        if let Some(asked) = asked.filter(|_| !is_resumed) {
            assert!(asked < rows.forgotten, "everything behind {asked} is kept, and it is not told: {frame}");
            self.needs_gap = true;
        }
        (self.at, self.last) = (cursor_of(frame), cursor_of(frame));
        match (is_resumed, asked.is_some()) {
            (true, _) => "resumed",
            (false, true) => "not kept",
            (false, false) => "subscribed",
        }
    }

    fn gap(&mut self, frame: &Value, rows: &Rows, circumstances: Circumstances) -> &'static str {
        assert!(self.at.is_some() && cursor_of(frame) >= self.at, "a gap leads back from {:?}: {frame}", self.at);
        let is_known = self.at.is_some_and(|at| at >= rows.forgotten) && !self.needs_gap;
        assert!(!is_known || circumstances.may_give_up, "nothing is missing behind {:?}: {frame}", self.at);
        self.needs_gap = false;
        (self.at, self.last) = (cursor_of(frame), cursor_of(frame));
        if circumstances.may_give_up && is_known { "gap after a hole" } else { "gap" }
    }

    fn event(&mut self, frame: &Value, topic: usize, rows: &Rows) -> &'static str {
        let at = self.at.unwrap_or_else(|| panic!("it is not subscribed: {frame}"));
        assert!(!self.needs_gap, "it was not told of the gap before: {frame}");
        let next = rows.next_loud(at).unwrap_or_else(|| panic!("nothing happened behind {at}: {frame}"));
        let seq = next.event.cursor.seq;
        assert_eq!(cursor_of(frame), Some(seq), "it is at {at}: {frame}");
        let event = &frame["event"];
        let about = message_of(topic, seq).0;
        let is_the_same = |value: &Value| value.as_str().and_then(|id| id.parse().ok()) == Some(about);
        match event["type"].as_str().unwrap_or_default() {
            "notifications_deleted" => assert_eq!(event["unread_count"].as_u64(), Some(seq), "{frame}"),
            "message_reaction" => {
                let number = event["user"].as_u64().expect("a number");
                let user = self.users.get(&number).unwrap_or_else(|| panic!("nobody said who {number} is: {frame}"));
                assert_eq!(*user, reacting_user(seq).0.to_string(), "it is somebody else: {frame}");
                assert!(is_the_same(&event["message_id"]), "{frame}");
            }
            _ => assert!(is_the_same(&event["message_id"]), "{frame}"),
        }
        (self.at, self.last) = (Some(seq), Some(seq));
        "event"
    }
}
