//! What a simulated client checks of each frame.

use super::*;

impl World {
    pub(super) fn heard(&mut self, client: usize, frame: &Value) {
        let kind = frame["type"].as_str().unwrap();
        if frame["event"]["type"] == "signal" {
            self.signals[client] += 1;
        }
        // Who is there, and how many, has no place, nor has a signal.
        if matches!(kind, "welcome") || !frame["event"]["type"].is_null() {
            return;
        }
        if kind == "skipped" {
            return;
        }
        let named = frame["topic"].as_str().unwrap_or_else(|| panic!("{frame}"));
        if (kind, named) == ("unsubscribed", "*") {
            for known in &mut self.clients[client].topics {
                (known.at, known.may_be_dropped) = (None, known.asked.take().is_some());
            }
            *self.counts.entry("relieved").or_default() += 1;
            return;
        }
        let room = (0..ROOMS).find(|room| Name(self.topic(*room)).to_string() == named).unwrap();
        let cursor = || frame["cursor"].as_str().map(|cursor| cursor.parse::<Cursor>().unwrap().seq);
        let known = &mut self.clients[client].topics[room];
        let what = match kind {
            "subscribed" => {
                let asked = known.asked.take().expect("it has asked");
                assert!(known.at.is_none(), "it is subscribed twice");
                let is_resumed = frame["resumed"].as_bool().unwrap();
                assert!(!is_resumed || cursor() == asked, "it goes on from where the client was: {frame}");
                (known.at, known.last) = (cursor(), cursor());
                if is_resumed { "resumed" } else { "subscribed" }
            }
            "gap" => {
                assert!(known.at.is_some() && cursor() >= known.at, "a gap leads back: {frame}");
                (known.at, known.last) = (cursor(), cursor());
                known.gaps += 1;
                "gap"
            }
            "event" => {
                let next = known.at.unwrap_or_else(|| panic!("nobody asked for {frame}")) + 1;
                assert_eq!(cursor(), Some(next), "client {client}, room {room}");
                let name = known.names.get(&frame["user"].as_u64().unwrap()).map(String::as_str);
                assert_eq!(name, Some(&*format!("p{}", next % PEOPLE)), "client {client}, room {room}: {frame}");
                (known.at, known.last) = (Some(next), Some(next));
                "event"
            }
            "users" => {
                for user in frame["users"].as_array().unwrap() {
                    let name = user["username"].as_str().unwrap().to_owned();
                    known.names.insert(user["n"].as_u64().unwrap(), name);
                }
                "users"
            }
            "unsubscribed" => {
                assert!(known.asked.is_none(), "the request was answered before: {frame}");
                known.at = None;
                "unsubscribed"
            }
            "error" => {
                match frame["code"].as_str().unwrap() {
                    "not_subscribed" => assert!(known.at.is_none()),
                    "slow" => assert!(std::mem::take(&mut known.may_be_dropped), "nobody waits for {frame}"),
                    "ask_again" | "removed" | "cancelled" => {
                        assert!(known.asked.take().is_some(), "nobody waits for {frame}");
                        assert_eq!(frame["id"], 1);
                    }
                    code => panic!("{code}: {frame}"),
                }
                "error"
            }
            _ => panic!("{frame}"),
        };
        *self.counts.entry(what).or_default() += 1;
    }
}
