//! A client of `pregon.v1`.
#![allow(dead_code, reason = "some tests use a part")]

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Server, Socket};

/// A client that keeps what it is told beside what it waits for.
pub struct Client {
    pub socket: Socket,
    next: u64,
    /// Frames that came before a reply that was waited for.
    kept: Vec<Value>,
    /// What is known of users, by number.
    pub users: HashMap<u64, Value>,
}

impl Client {
    /// A user's socket, welcomed.
    pub async fn open(server: &Server, user: usize) -> Self {
        let offer = format!("pregon.v1, token.{}", server.fixture.users[user].token);
        let mut client = Self::opened(server, &offer).await;
        let welcome = client.next().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        assert_eq!(welcome["user"]["id"], server.id(user));
        client
    }

    /// A socket with these subprotocols.
    pub async fn opened(server: &Server, offer: &str) -> Self {
        Self::over(Socket::try_open(server, "/ws/", &[("sec-websocket-protocol", offer)]).await.unwrap())
    }

    /// A client of a socket that was opened.
    pub fn over(socket: Socket) -> Self {
        Self { socket, next: 0, kept: Vec::new(), users: HashMap::new() }
    }

    /// The next frame; names of users are noted and passed over.
    pub async fn next(&mut self) -> Value {
        if !self.kept.is_empty() {
            return self.kept.remove(0);
        }
        self.arrived().await
    }

    pub async fn arrived(&mut self) -> Value {
        loop {
            let frame = self.socket.next_json().await;
            if frame["type"] != "users" {
                return frame;
            }
            for user in frame["users"].as_array().unwrap() {
                self.users.insert(user["n"].as_u64().unwrap(), user.clone());
            }
        }
    }

    /// The next event of a topic; presence and a post's counters are passed over.
    pub async fn event(&mut self, topic: &str) -> Value {
        loop {
            let frame = self.next().await;
            if is_beside(&frame) {
                continue;
            }
            assert_eq!((&frame["type"], &frame["topic"]), (&json!("event"), &json!(topic)), "{frame}");
            return frame;
        }
    }

    /// Sends a request and returns its number.
    pub async fn ask(&mut self, mut request: Value) -> u64 {
        self.next += 1;
        request["id"] = json!(self.next);
        self.socket.send(request).await;
        self.next
    }

    /// Sends a request and waits for its reply. Other frames are kept.
    pub async fn asked(&mut self, request: Value) -> Value {
        let id = self.ask(request).await;
        loop {
            let frame = self.arrived().await;
            if frame["id"] == id {
                return frame;
            }
            self.kept.push(frame);
        }
    }

    pub async fn subscribed(&mut self, topic: &str, cursor: Option<&str>) -> Value {
        let reply = self.asked(json!({"type": "subscribe", "topic": topic, "cursor": cursor})).await;
        assert_eq!((&reply["type"], &reply["topic"]), (&json!("subscribed"), &json!(topic)), "{reply}");
        reply
    }

    pub async fn say(&mut self, topic: &str, content: &str) -> Value {
        let ack = self.asked(json!({"type": "chat_message", "topic": topic, "content": content})).await;
        assert_eq!((&ack["type"], &ack["durability"]), (&json!("ack"), &json!("stored")), "{ack}");
        ack
    }

    /// Everything that was sent until now, save what is beside the point.
    pub async fn rest(&mut self) -> Vec<Value> {
        let pong = self.asked(json!({"type": "ping"})).await;
        assert_eq!(pong["type"], "pong");
        let kept = std::mem::take(&mut self.kept);
        kept.into_iter().filter(|frame| !is_beside(frame)).collect()
    }
}

/// Presence, and the state of a post after its counters moved: neither has a place.
pub fn is_beside(frame: &Value) -> bool {
    let kind = &frame["event"]["type"];
    kind == "user_status" || (kind == "post_updated" && frame["cursor"].is_null())
}
