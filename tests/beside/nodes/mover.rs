//! A client of `pregon.v1` on one of several nodes, which may move to another.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Server, Socket};

pub struct Client {
    pub socket: Socket,
    topic: String,
    /// The place of what was heard last.
    pub cursor: Option<String>,
}

impl Client {
    /// A user's socket on a node, which hears the first room from a place or from now on.
    pub async fn open(node: &Server, user: usize, cursor: Option<&str>) -> Self {
        let offer = format!("pregon.v1, token.{}", node.fixture.users[user].token);
        let mut socket = Socket::try_open(node, "/ws/", &[("sec-websocket-protocol", &offer)]).await.unwrap();
        assert_eq!(socket.next_json().await["type"], "welcome");
        let topic = format!("room:{}", node.fixture.rooms[0].id.replace('-', ""));
        socket.send(json!({"type": "subscribe", "id": 1, "topic": topic, "cursor": cursor})).await;
        let subscribed = socket.expect_any("subscribed").await;
        assert_eq!(subscribed["resumed"], cursor.is_some(), "{subscribed}");
        let cursor = subscribed["cursor"].as_str().map(str::to_owned);
        Self { socket, topic, cursor }
    }

    /// The next frame. Its cursor is noted.
    pub async fn next(&mut self) -> Value {
        let frame = self.socket.next_json().await;
        if let Some(cursor) = frame["cursor"].as_str() {
            self.cursor = Some(cursor.to_owned());
        }
        frame
    }

    pub async fn say(&mut self, text: &str) {
        self.socket.send(json!({"type": "chat_message", "id": 2, "topic": self.topic, "content": text})).await;
        assert_eq!(self.socket.expect_any("ack").await["repeated"], false);
    }

    /// Everything that the server has sent until now, save presence.
    pub async fn rest(&mut self) -> Vec<Value> {
        self.socket.send(json!({"type": "ping", "id": 3})).await;
        let mut rest = Vec::new();
        loop {
            let frame = self.next().await;
            if frame["type"] == "pong" {
                return rest;
            }
            if frame["event"]["type"] != "user_status" {
                rest.push(frame);
            }
        }
    }

    /// The text of the next message, whatever else comes before it.
    pub async fn message(&mut self) -> Value {
        loop {
            let event = self.socket.expect_any("event").await;
            if event["event"]["type"] == "message" {
                return event["event"].clone();
            }
        }
    }

    /// Waits for the close frame, whatever else comes before it, and returns its code.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.socket.next().await {
                return frame.map_or(1005, |frame| frame.code.into());
            }
        }
    }
}
